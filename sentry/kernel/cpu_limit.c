/*
 * See cpu_limit.h. A kernel timer looks at what the process has used, no later than the limit could have been reached
 * with every thread on a processor, and is armed again for what is left.
 */
#include "sentry/kernel/cpu_limit.h"

#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"

#include <stdlib.h>

#define NS_PER_SEC 1000000000ULL
#define LEAST_LOOK 10000000ULL /* ns between two looks */

struct cpu_limit {
    struct ktimer timer;
    struct thread_group *tg; /* not counted: cpu_limit_exit() comes before its end */
    uint64_t next_signal;    /* timer thread: CPU time of the next SIGXCPU beyond the limit */
};

static struct cpu_limit over; /* in the place of one: the process has ended, and is not to be watched any more */

static uint64_t limit_ns(uint64_t seconds)
{
    uint64_t ns;

    return __builtin_mul_overflow(seconds, NS_PER_SEC, &ns) ? UINT64_MAX : ns;
}

static void look(struct ktimer *k)
{
    struct cpu_limit *c = container_of(k, struct cpu_limit, timer);
    struct thread_group *tg = c->tg;
    struct usage u;

    tg_usage(tg, &u);
    const uint64_t used = u.utime_ns + u.stime_ns;
    lock(&tg->siglock);
    const uint64_t soft = limit_ns(tg->rlimits[RLIMIT_CPU].rlim_cur), hard = limit_ns(tg->rlimits[RLIMIT_CPU].rlim_max);
    const int live = MAX(tg->live, 1);
    unlock(&tg->siglock);
    if (used >= hard) {
        signal_send_tg(tg, SIGKILL, NULL);
        return;
    }
    if (used >= soft && used >= c->next_signal) {
        c->next_signal = used + NS_PER_SEC;
        signal_send_tg(tg, SIGXCPU, NULL);
    }
    const uint64_t next = MIN(used >= soft ? c->next_signal : soft, hard);
    if (next != UINT64_MAX)
        ktimer_arm(k, deadline_after((int64_t)MIN(MAX((next - used) / (unsigned)live, LEAST_LOOK), limit_ns(3600))));
}

void cpu_limit_changed(struct thread_group *tg)
{
    struct cpu_limit *made = calloc(1, sizeof(*made));

    if (!made)
        return; /* not limited, for want of memory */
    made->tg = tg;
    ktimer_init(&made->timer, look);
    lock(&tg->siglock);
    if (!tg->cpu_limit) {
        tg->cpu_limit = made;
        made = NULL;
    }
    if (tg->cpu_limit != &over)
        ktimer_arm(&tg->cpu_limit->timer, now_monotonic());
    unlock(&tg->siglock);
    free(made);
}

void cpu_limit_exit(struct thread_group *tg)
{
    lock(&tg->siglock);
    struct cpu_limit *c = tg->cpu_limit;
    tg->cpu_limit = &over;
    unlock(&tg->siglock);
    if (!c || c == &over)
        return;
    ktimer_cancel(&c->timer);
    free(c);
}
