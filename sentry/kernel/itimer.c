/*
 * Interval timers, setitimer(2): real, virtual and profiling, one of each per process.
 *
 * The real one is a kernel timer. The other two count the process's CPU time, which only the host sees: their kernel
 * timer looks at the process's CPU clock no later than the time could have run out with every thread on a processor,
 * and is armed again for what is left. User time is not told from system time, since what a guest does in the sentry
 * counts for neither.
 */
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>

#define POLL_LEAST 1000000LL /* ns: CPU time is not looked at more often */

struct itimer {
    struct ktimer timer;
    struct thread_group *tg; /* not counted: itimers_exit() comes before its end */
    int which;
    int64_t expiry, interval; /* on the timer's own clock; lock. expiry 0: disarmed */
};

struct itimers {
    struct lock lock;
    struct itimer each[3];
};

static const int signals[3] = {SIGALRM, SIGVTALRM, SIGPROF};

static int64_t own_now(const struct itimer *it)
{
    return it->which == ITIMER_REAL ? now_monotonic() : clock_process_cpu(it->tg);
}

/* Arms the kernel timer for the earliest moment at which `it` can expire. */
static void arm(struct itimer *it, int64_t now)
{
    int64_t left = it->expiry - now;

    if (it->which == ITIMER_REAL) {
        ktimer_arm(&it->timer, it->expiry);
        return;
    }
    left /= MAX(it->tg->live, 1);
    ktimer_arm(&it->timer, deadline_after(MAX(left, POLL_LEAST)));
}

static void expire(struct ktimer *k)
{
    struct itimer *it = list_entry(k, struct itimer, timer);
    struct lock *l = &it->tg->itimers->lock;
    bool fired = false;
    int64_t now = own_now(it);

    lock(l);
    if (it->expiry && now >= it->expiry) {
        fired = true;
        /* Periods that were missed are not made up for. */
        it->expiry = it->interval ? it->expiry + ((now - it->expiry) / it->interval + 1) * it->interval : 0;
    }
    if (it->expiry)
        arm(it, now);
    unlock(l);
    if (fired)
        signal_send_tg(it->tg, signals[it->which], NULL);
}

/* The group's timers, made at first use. */
static struct itimers *get_itimers(struct thread_group *tg)
{
    struct itimers *made = calloc(1, sizeof(*made)), *its;

    if (!made)
        return NULL;
    lock_init(&made->lock, RANK_NONE);
    for (int i = 0; i < 3; i++) {
        made->each[i].tg = tg;
        made->each[i].which = i;
        ktimer_init(&made->each[i].timer, expire);
    }
    lock(&tg->siglock);
    if (!tg->itimers) {
        tg->itimers = made;
        made = NULL;
    }
    its = tg->itimers;
    unlock(&tg->siglock);
    free(made);
    return its;
}

int itimer_set(struct thread_group *tg, int which, const struct itimer_value *new_value, struct itimer_value *old_value)
{
    struct itimers *its = tg->itimers;
    struct itimer *it;
    int64_t now;

    *old_value = (struct itimer_value){0, 0};
    if (!its && (!new_value || !new_value->value))
        return 0;
    if (!its)
        its = get_itimers(tg);
    if (!its)
        return -ENOMEM;
    it = &its->each[which];
    now = own_now(it);
    lock(&its->lock);
    if (it->expiry)
        *old_value = (struct itimer_value){.value = MAX(it->expiry - now, 1000), .interval = it->interval};
    if (new_value) {
        it->interval = new_value->interval;
        if (!new_value->value || __builtin_add_overflow(now, new_value->value, &it->expiry))
            it->expiry = 0;
        if (it->expiry)
            arm(it, now);
    }
    unlock(&its->lock);
    return 0;
}

void itimers_exit(struct thread_group *tg)
{
    struct itimers *its = tg->itimers;

    if (!its)
        return;
    for (int i = 0; i < 3; i++) {
        lock(&its->lock);
        its->each[i].expiry = 0;
        unlock(&its->lock);
        ktimer_cancel(&its->each[i].timer);
    }
    lock(&tg->siglock);
    tg->itimers = NULL;
    unlock(&tg->siglock);
    lock_destroy(&its->lock);
    free(its);
}
