/* timer_create(2), timer_settime(2), timer_gettime(2), timer_getoverrun(2), timer_delete(2). */
#include "sentry/kernel/posix_timer.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/itimerspec.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/capability.h>

/* The kernel's struct sigevent: 64 bytes, of which these count. */
struct sigevent_arg {
    uint64_t value;
    int32_t signo, notify, tid;
    int32_t rest[11];
};
_Static_assert(sizeof(struct sigevent_arg) == 64, "as the kernel's");

/* -EOPNOTSUPP: a clock that can be read but keeps no timers. */
static int decode_clock(struct task *t, clockid_t id, struct posix_timer_request *req)
{
    req->clock = id;
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
        req->host_clock = id;
        return 0;
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
        req->clock = req->host_clock = id == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : CLOCK_BOOTTIME;
        return cred_capable(t->cred, CAP_WAKE_ALARM) ? 0 : -EPERM;
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
        return -EOPNOTSUPP;
    default:
        req->cpu = true;
        return clock_host_id(t, id, &req->host_clock);
    }
}

/* SIGEV_THREAD_ID names a thread of the caller's own group. */
static int decode_target(struct task *t, pid_t tid, struct posix_timer_request *req)
{
    struct task *o = task_find(tid);

    if (o && o->tg == t->tg) {
        req->target = o;
        return 0;
    }
    if (o)
        task_put(o);
    return -EINVAL;
}

static int decode_event(struct task *t, uint64_t addr, struct posix_timer_request *req)
{
    struct sigevent_arg e = {.signo = SIGALRM, .notify = SIGEV_SIGNAL};

    if (addr && user_read(t, &e, addr, sizeof(e)) < 0)
        return -EFAULT;
    req->notify = e.notify;
    req->signo = e.signo;
    req->value = e.value;
    req->value_is_id = !addr;
    switch (e.notify) {
    case SIGEV_NONE:
        return 0;
    case SIGEV_SIGNAL:
    case SIGEV_THREAD: /* to the kernel the same: glibc makes the thread */
        return e.signo > 0 && e.signo <= NSIG_MAX ? 0 : -EINVAL;
    case SIGEV_THREAD_ID:
        return e.signo > 0 && e.signo <= NSIG_MAX ? decode_target(t, e.tid, req) : -EINVAL;
    default:
        return -EINVAL;
    }
}

long sys_timer_create(struct task *t, const struct sysargs *a)
{
    struct posix_timer_request req = {0};

    int ret = decode_clock(t, (clockid_t)a->a[0], &req);
    if (ret == 0)
        ret = decode_event(t, a->a[1], &req);
    if (ret < 0)
        return ret;
    int id = posix_timer_new(t->tg, &req);
    if (req.target)
        task_put(req.target);
    if (id < 0)
        return id;
    if (user_write(t, a->a[2], &id, sizeof(id)) < 0) {
        ret = posix_timer_delete(t->tg, id);
        return ret < 0 ? ret : -EFAULT;
    }
    return 0;
}

long sys_timer_settime(struct task *t, const struct sysargs *a)
{
    struct itimer_value v, old;

    if (!a->a[2])
        return -EINVAL;
    int ret = itimerspec_read(t, a->a[2], &v);
    if (ret == 0)
        ret = posix_timer_set(t->tg, (int)a->a[0], (int)a->a[1] & TIMER_ABSTIME, &v, &old);
    return ret < 0 || !a->a[3] ? ret : itimerspec_write(t, a->a[3], &old);
}

long sys_timer_gettime(struct task *t, const struct sysargs *a)
{
    struct itimer_value v;
    int ret = posix_timer_get(t->tg, (int)a->a[0], &v);

    return ret < 0 ? ret : itimerspec_write(t, a->a[1], &v);
}

long sys_timer_getoverrun(struct task *t, const struct sysargs *a)
{
    return posix_timer_overrun(t->tg, (int)a->a[0]);
}

long sys_timer_delete(struct task *t, const struct sysargs *a)
{
    return posix_timer_delete(t->tg, (int)a->a[0]);
}
