/* timerfd_create(2), timerfd_settime(2), timerfd_gettime(2). */
#include "sentry/vfs/timerfd.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/timer.h"
#include "sentry/syscalls/itimerspec.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/timerfd.h>

long sys_timerfd_create(struct task *t, const struct sysargs *a)
{
    const unsigned flags = (unsigned)a->a[1];
    clockid_t clock = (clockid_t)a->a[0];
    struct file *f;

    if (flags & ~(unsigned)(TFD_CLOEXEC | TFD_NONBLOCK))
        return -EINVAL;
    if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM) {
        if (!cred_capable(t->cred, CAP_WAKE_ALARM))
            return -EPERM;
        /* Nothing in here wakes a machine; it is never asleep while the sandbox runs. */
        clock = clock == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : CLOCK_BOOTTIME;
    }
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
        return -EINVAL;
    int ret = timerfd_new(clock, flags & TFD_NONBLOCK, &f);
    return ret < 0 ? ret : fd_add(t, f, flags & TFD_CLOEXEC);
}

long sys_timerfd_settime(struct task *t, const struct sysargs *a)
{
    const int flags = (int)a->a[1];
    struct itimer_value v, old;

    if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        return -EINVAL;
    int ret = itimerspec_read(t, a->a[2], &v);
    if (ret < 0)
        return ret;
    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    ret = timerfd_set(f, flags & TFD_TIMER_ABSTIME, &v, &old);
    file_put(f);
    return ret < 0 || !a->a[3] ? ret : itimerspec_write(t, a->a[3], &old);
}

long sys_timerfd_gettime(struct task *t, const struct sysargs *a)
{
    struct itimer_value v;
    struct file *f = fd_get(t, (int)a->a[0]);

    if (!f)
        return -EBADF;
    int ret = timerfd_get(f, &v);
    file_put(f);
    return ret < 0 ? ret : itimerspec_write(t, a->a[1], &v);
}
