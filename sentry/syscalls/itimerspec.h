/* struct itimerspec arguments, for timerfd and POSIX timers. */
#pragma once

#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"

/* Saturating, as timespec_read_ns(). -EFAULT, -EINVAL. */
static inline must_check int itimerspec_read(struct task *t, uint64_t addr, struct itimer_value *out)
{
    int ret = timespec_read_ns(t, addr + offsetof(struct itimerspec, it_value), &out->value);

    return ret < 0 ? ret : timespec_read_ns(t, addr + offsetof(struct itimerspec, it_interval), &out->interval);
}

static inline must_check int itimerspec_write(struct task *t, uint64_t addr, const struct itimer_value *v)
{
    int ret = timespec_write_ns(t, addr + offsetof(struct itimerspec, it_interval), v->interval);

    return ret < 0 ? ret : timespec_write_ns(t, addr + offsetof(struct itimerspec, it_value), v->value);
}
