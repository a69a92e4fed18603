/*
 * POSIX timers. A timer has at most one signal in a queue: expirations that find it there add to its si_overrun, so no
 * period, however short, fills queues. Periods shorter than LEAST_WAKE are counted, not woken for one by one. Whoever
 * takes the signal counts too, so that it stands for all up to that moment.
 *
 * Timers on CPU clocks are looked at as interval timers are: no later than the time could have run out with every
 * thread on a processor.
 *
 * Locks: the table is the group's siglock's, which is held too from the counting of expirations until their signal is
 * sent, or has been taken; a timer's own lock (RANK_TIMERFD) guards its times. A reference keeps a timer that is being
 * set from being freed by a deletion meanwhile.
 */
#include "sentry/kernel/posix_timer.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define TIMERS_MAX 4096
#define LEAST_WAKE 100000LL      /* ns */
#define LEAST_CPU_LOOK 1000000LL /* ns */
#define NS_PER_SEC 1000000000LL

struct posix_timer {
    refcount_t refs;         /* the table's, and callers' at work */
    struct thread_group *tg; /* not counted: posix_timers_exit() comes before its end */
    struct posix_timer_request req;
    int id;
    struct ktimer timer;
    struct lock lock;         /* RANK_TIMERFD */
    int64_t expiry, interval; /* (lock) on the timer's own scale, see own_now(); expiry 0: disarmed */
    bool deleted;             /* (lock) */
    _Atomic int overrun;      /* of the last signal taken */
};

struct posix_timers { /* (s) */
    struct posix_timer *slots[TIMERS_MAX];
    unsigned next;
};

/* The time that expiry is compared with: CPU time used, or CLOCK_MONOTONIC. 0: the clock's thread is gone. */
static int64_t own_now(const struct posix_timer *pt)
{
    int64_t ns = 0;

    if (!pt->req.cpu)
        return now_monotonic();
    return clock_host_read(pt->req.host_clock, &ns) < 0 ? 0 : ns;
}

/* Arms the kernel timer for the next moment at which pt can expire. Lock held. */
static void arm(struct posix_timer *pt, int64_t now)
{
    if (!pt->req.cpu) {
        ktimer_arm(&pt->timer, MAX(pt->expiry, pt->interval ? now + LEAST_WAKE : pt->expiry));
        return;
    }
    const int64_t left = (pt->expiry - now) / MAX(pt->tg->live, 1);
    ktimer_arm(&pt->timer, deadline_after(MAX(left, LEAST_CPU_LOOK)));
}

/* How often pt has expired by now; moves expiry on. Lock held. */
static int64_t count_expired(struct posix_timer *pt, int64_t now)
{
    if (!pt->expiry || now < pt->expiry)
        return 0;
    if (!pt->interval) {
        pt->expiry = 0;
        return 1;
    }
    const int64_t n = (now - pt->expiry) / pt->interval + 1;
    pt->expiry += n * pt->interval;
    return n;
}

/* siglock held. */
static void send_locked(struct posix_timer *pt, int64_t n)
{
    siginfo_t info = {.si_signo = pt->req.signo, .si_code = SI_TIMER};

    info.si_timerid = pt->id;
    info.si_overrun = (int)MIN(n - 1, (int64_t)INT_MAX);
    info.si_value.sival_ptr = (void *)(uintptr_t)pt->req.value;
    signal_send_timer_locked(pt->tg, pt->req.target, &info);
}

static void expire(struct ktimer *k)
{
    struct posix_timer *pt = container_of(k, struct posix_timer, timer);
    const int64_t now = own_now(pt);

    lock(&pt->tg->siglock);
    lock(&pt->lock);
    const int64_t n = count_expired(pt, now);
    if (pt->expiry && now > 0 && !pt->deleted)
        arm(pt, now);
    unlock(&pt->lock);
    if (n && pt->req.notify != SIGEV_NONE)
        send_locked(pt, n);
    unlock(&pt->tg->siglock);
}

static void timer_put(struct posix_timer *pt)
{
    if (!ref_put(&pt->refs))
        return;
    if (pt->req.target)
        task_put(pt->req.target);
    lock_destroy(&pt->lock);
    free(pt);
}

/* Stops pt for good and drops the table's reference. No lock held. */
static void retire(struct posix_timer *pt)
{
    lock(&pt->lock);
    pt->deleted = true;
    pt->expiry = 0;
    unlock(&pt->lock);
    ktimer_cancel(&pt->timer);
    timer_put(pt);
}

static struct posix_timer *timer_get(struct thread_group *tg, int id)
{
    struct posix_timer *pt = NULL;

    lock(&tg->siglock);
    if (tg->posix_timers && id >= 0 && id < TIMERS_MAX)
        pt = tg->posix_timers->slots[id];
    if (pt)
        ref_get(&pt->refs);
    unlock(&tg->siglock);
    return pt;
}

/* ---- making and deleting ---- */

/* A free id, used round robin as Linux does, so that a stale one is noticed. siglock held. */
static int free_slot_locked(struct posix_timers *all)
{
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        unsigned id = (all->next + i) % TIMERS_MAX;
        if (!all->slots[id]) {
            all->next = id + 1;
            return (int)id;
        }
    }
    return -EAGAIN;
}

/* Enters pt into the table; spare is taken over as the table if there is none yet. */
static int enter(struct thread_group *tg, struct posix_timer *pt, struct posix_timers **spare)
{
    lock(&tg->siglock);
    if (!tg->posix_timers) {
        tg->posix_timers = *spare;
        *spare = NULL;
    }
    pt->id = free_slot_locked(tg->posix_timers);
    if (pt->id >= 0) {
        if (pt->req.value_is_id)
            pt->req.value = (uint64_t)pt->id;
        tg->posix_timers->slots[pt->id] = pt;
    }
    unlock(&tg->siglock);
    return pt->id;
}

int posix_timer_new(struct thread_group *tg, const struct posix_timer_request *req)
{
    struct posix_timers *spare = calloc(1, sizeof(*spare));
    struct posix_timer *pt = calloc(1, sizeof(*pt));
    int id = -ENOMEM;

    if (spare && pt) {
        ref_init(&pt->refs);
        pt->tg = tg;
        pt->req = *req;
        if (req->target)
            task_get(req->target);
        lock_init(&pt->lock, RANK_TIMERFD);
        ktimer_init(&pt->timer, expire);
        id = enter(tg, pt, &spare);
        if (id < 0)
            timer_put(pt);
    } else {
        free(pt);
    }
    free(spare);
    return id;
}

int posix_timer_delete(struct thread_group *tg, int id)
{
    struct posix_timer *pt = NULL;

    lock(&tg->siglock);
    if (tg->posix_timers && id >= 0 && id < TIMERS_MAX) {
        pt = tg->posix_timers->slots[id];
        tg->posix_timers->slots[id] = NULL;
    }
    unlock(&tg->siglock);
    if (!pt)
        return -EINVAL;
    retire(pt);
    return 0;
}

void posix_timers_exit(struct thread_group *tg)
{
    lock(&tg->siglock);
    struct posix_timers *all = tg->posix_timers;
    tg->posix_timers = NULL;
    unlock(&tg->siglock);
    if (!all)
        return;
    for (unsigned i = 0; i < TIMERS_MAX; i++)
        if (all->slots[i])
            retire(all->slots[i]);
    free(all);
}

/* ---- setting and reading ---- */

/* Lock held. */
static struct itimer_value left_locked(struct posix_timer *pt, int64_t now)
{
    struct itimer_value v = {.interval = pt->interval};
    int64_t expiry = pt->expiry;

    if (expiry && expiry <= now && pt->interval) /* due, and its wake-up not yet come */
        expiry += ((now - expiry) / pt->interval + 1) * pt->interval;
    if (expiry)
        v.value = MAX(expiry - now, 1L);
    return v;
}

static int64_t expiry_of(const struct posix_timer *pt, bool absolute, int64_t value, int64_t now)
{
    int64_t sum;

    if (!value)
        return 0;
    if (!absolute)
        return __builtin_add_overflow(now, value, &sum) ? INT64_MAX : sum;
    return MAX(pt->req.cpu ? value : clock_deadline(pt->req.clock, value), 1L);
}

int posix_timer_set(struct thread_group *tg, int id, bool absolute, const struct itimer_value *v,
                    struct itimer_value *old)
{
    struct posix_timer *pt = timer_get(tg, id);

    if (!pt)
        return -EINVAL;
    const int64_t now = own_now(pt);
    lock(&pt->lock);
    *old = left_locked(pt, now);
    pt->expiry = pt->deleted ? 0 : expiry_of(pt, absolute, v->value, now);
    pt->interval = v->interval;
    if (pt->expiry)
        arm(pt, now);
    unlock(&pt->lock);
    timer_put(pt);
    return 0;
}

int posix_timer_get(struct thread_group *tg, int id, struct itimer_value *out)
{
    struct posix_timer *pt = timer_get(tg, id);

    if (!pt)
        return -EINVAL;
    const int64_t now = own_now(pt);
    lock(&pt->lock);
    *out = left_locked(pt, now);
    unlock(&pt->lock);
    timer_put(pt);
    return 0;
}

int posix_timer_overrun(struct thread_group *tg, int id)
{
    struct posix_timer *pt = timer_get(tg, id);

    if (!pt)
        return -EINVAL;
    int n = atomic_load(&pt->overrun);
    timer_put(pt);
    return n;
}

void posix_timer_taken_locked(struct thread_group *tg, siginfo_t *info)
{
    const int id = info->si_timerid;

    if (!tg->posix_timers || id < 0 || id >= TIMERS_MAX || !tg->posix_timers->slots[id])
        return;
    struct posix_timer *pt = tg->posix_timers->slots[id];
    const int64_t now = own_now(pt);
    lock(&pt->lock);
    const int64_t more = pt->interval ? count_expired(pt, now) : 0;
    unlock(&pt->lock);
    info->si_overrun = (int)MIN(info->si_overrun + more, (int64_t)INT_MAX);
    atomic_store(&pt->overrun, info->si_overrun);
}
