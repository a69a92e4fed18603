/*
 * Timeouts and signal masks of poll(2), select(2), epoll_wait(2) and their p-variants.
 *
 * A relative timeout becomes a deadline once, at decoding, so that restarts and spurious wake-ups do not prolong it.
 * The mask of ppoll and the like goes in before the wait; if a signal ends the wait it stays until the handler's frame
 * is built (t->restore_mask), since the handler must run although the old mask blocks it.
 */
#include "sentry/syscalls/polltime.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <time.h>

#define NS_PER_SEC 1000000000LL

void poll_limit_ms(struct poll_limit *l, int ms)
{
    l->nowait = ms == 0;
    l->deadline = ms < 0 ? NO_DEADLINE : deadline_after((int64_t)ms * 1000000);
}

int poll_limit_user(struct task *t, uint64_t addr, bool usec, struct poll_limit *l)
{
    int64_t v[2], ns;
    l->nowait = false;
    l->deadline = NO_DEADLINE;
    if (!addr)
        return 0;
    int ret = user_read(t, v, addr, sizeof(v));
    if (ret < 0)
        return ret;
    if (usec && v[0] >= 0 && v[1] >= 0) { /* select(2) takes more than a second of microseconds */
        if (__builtin_add_overflow(v[0], v[1] / 1000000, &v[0]))
            return -EINVAL;
        v[1] = v[1] % 1000000 * 1000;
    }
    if (v[0] < 0 || v[1] < 0 || v[1] >= NS_PER_SEC)
        return -EINVAL;
    if (__builtin_mul_overflow(v[0], NS_PER_SEC, &ns) || __builtin_add_overflow(ns, v[1], &ns))
        return 0;
    l->nowait = ns == 0;
    l->deadline = deadline_after(ns);
    return 0;
}

void poll_limit_write_back(struct task *t, uint64_t addr, bool usec, const struct poll_limit *l)
{
    if (!addr || l->deadline == NO_DEADLINE)
        return;
    int64_t left = l->deadline - now_monotonic();
    if (left < 0 || l->nowait)
        left = 0;
    int64_t v[2] = {left / NS_PER_SEC, usec ? left % NS_PER_SEC / 1000 : left % NS_PER_SEC};
    int ret = user_write(t, addr, v, sizeof(v));
    (void)ret;
}

int poll_mask_begin(struct task *t, uint64_t addr, uint64_t size)
{
    sigset64_t mask;
    if (!addr)
        return 0;
    if (size != sizeof(mask))
        return -EINVAL;
    int ret = user_read(t, &mask, addr, sizeof(mask));
    if (ret < 0)
        return ret;
    t->saved_mask = signal_set_blocked(t, mask);
    return 0;
}

void poll_mask_end(struct task *t, uint64_t addr, bool interrupted)
{
    if (!addr)
        return;
    if (interrupted)
        t->restore_mask = true;
    else
        signal_set_blocked(t, t->saved_mask);
}
