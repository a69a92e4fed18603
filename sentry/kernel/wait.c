/*
 * Sleeping and waking; the rules are in wait.h.
 *
 * Each task has one futex word with three values: AWAKE, WOKEN (a wake came and was not yet consumed) and ASLEEP. A
 * waker writes WOKEN and calls the host only if it found ASLEEP, so a wake of a running task costs one exchange. The
 * platform is told that the worker blocks only when it really does.
 */
#include "sentry/kernel/wait.h"

#include "include/platform.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { AWAKE, WOKEN, ASLEEP };

#define NS_PER_SEC 1000000000LL

void waitq_init(struct waitq *q)
{
    lock_init(&q->lock, RANK_WAITQ);
    list_init(&q->waiters);
}

static bool wake_task(struct waiter *w, uint32_t events unused_arg)
{
    task_wake(w->data);
    return true;
}

void waiter_init_task(struct waiter *w, struct task *t)
{
    *w = (struct waiter){.wake = wake_task, .data = t};
    list_init(&w->node);
}

void waitq_add(struct waitq *q, struct waiter *w)
{
    lock(&q->lock);
    w->queue = q;
    list_push_back(&q->waiters, &w->node);
    unlock(&q->lock);
}

void waitq_remove(struct waiter *w)
{
    struct waitq *q = w->queue;

    if (!q)
        return;
    lock(&q->lock);
    list_del(&w->node);
    w->queue = NULL;
    unlock(&q->lock);
}

static void wake_waiters(struct waitq *q, uint32_t events, bool one)
{
    struct waiter *w, *next;
    bool used = false;

    lock(&q->lock);
    list_for_each_safe (w, next, &q->waiters, node) {
        if (w->mask && !(w->mask & events))
            continue;
        if (w->exclusive && one && used)
            continue;
        if (w->wake(w, events) && w->exclusive)
            used = true;
    }
    unlock(&q->lock);
}

void waitq_wake(struct waitq *q, uint32_t events)
{
    wake_waiters(q, events, false);
}

void waitq_wake_one(struct waitq *q, uint32_t events)
{
    wake_waiters(q, events, true);
}

void task_wake(struct task *t)
{
    if (atomic_exchange(&t->wake_word, WOKEN) == ASLEEP)
        syscall(SYS_futex, &t->wake_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int64_t now_monotonic(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

int64_t deadline_after(int64_t ns)
{
    int64_t sum;

    return __builtin_add_overflow(now_monotonic(), ns, &sum) ? NO_DEADLINE : sum;
}

/* Sleeps on the word until it is no longer ASLEEP or the deadline is over. Returns 0 or -ETIMEDOUT. */
static int host_sleep(struct task *t, int64_t deadline)
{
    struct timespec ts = {.tv_sec = deadline / NS_PER_SEC, .tv_nsec = deadline % NS_PER_SEC};
    int ret = 0;

    int state = atomic_load(&t->state);

    if (state == TASK_RUNNING)
        atomic_store(&t->state, TASK_SLEEPING);
    plat_block_begin();
    while (atomic_load(&t->wake_word) == ASLEEP) {
        /* WAIT_BITSET takes an absolute CLOCK_MONOTONIC time. */
        long r = syscall(SYS_futex, &t->wake_word, FUTEX_WAIT_BITSET_PRIVATE, ASLEEP,
                         deadline == NO_DEADLINE ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
        if (r < 0 && errno == ETIMEDOUT) {
            ret = -ETIMEDOUT;
            break;
        }
    }
    plat_block_end();
    atomic_store(&t->state, state);
    atomic_fetch_add_explicit(&t->nvcsw, 1, memory_order_relaxed);
    return ret;
}

static bool being_killed(struct task *t)
{
    bool killed;

    lock(&t->tg->siglock);
    killed = t->killed || t->tg->group_exiting;
    unlock(&t->tg->siglock);
    return killed;
}

static bool interrupted(struct task *t, bool killable_only)
{
    if (!atomic_load(&t->signal_wake))
        return false;
    return !killable_only || being_killed(t);
}

static int sleep_common(struct task *t, int64_t deadline, bool killable_only)
{
    uint32_t word = AWAKE;
    int ret = 0;

    if (interrupted(t, killable_only))
        return -ERESTARTSYS;
    if (atomic_compare_exchange_strong(&t->wake_word, &word, ASLEEP)) {
        ret = deadline <= 0 ? -ETIMEDOUT : host_sleep(t, deadline);
    }
    word = atomic_exchange(&t->wake_word, AWAKE);
    if (word == WOKEN)
        ret = 0;
    /* A sender sets signal_wake before it wakes, so a wake by a signal is seen here. */
    if (interrupted(t, killable_only))
        return -ERESTARTSYS;
    return ret;
}

int task_sleep(struct task *t, int64_t deadline)
{
    return sleep_common(t, deadline, false);
}

int task_sleep_killable(struct task *t, int64_t deadline)
{
    return sleep_common(t, deadline, true);
}
