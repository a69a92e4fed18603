/* epoll_create(2), epoll_ctl(2), epoll_wait(2) and their variants: decoding; the work is vfs/epoll.c's. */
#include "sentry/vfs/epoll.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/polltime.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>

#define EXCLUSIVE_OK (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

static long do_create(struct task *t, bool cloexec)
{
    struct file *f;
    int ret = epoll_new(&f);
    return ret < 0 ? ret : fd_add(t, f, cloexec);
}

long sys_epoll_create(struct task *t, const struct sysargs *a)
{
    return (int)a->a[0] <= 0 ? -EINVAL : do_create(t, false);
}

long sys_epoll_create1(struct task *t, const struct sysargs *a)
{
    int flags = (int)a->a[0];
    return flags & ~EPOLL_CLOEXEC ? -EINVAL : do_create(t, flags);
}

long sys_epoll_ctl(struct task *t, const struct sysargs *a)
{
    int op = (int)a->a[1], fd = (int)a->a[2];
    struct epoll_event ev = {0};
    int ret = op == EPOLL_CTL_DEL ? 0 : user_read(t, &ev, a->a[3], sizeof(ev));
    if (ret < 0)
        return ret;
    struct file *ep = fd_get(t, (int)a->a[0]);
    struct file *target = fd_get(t, fd);
    ret = -EBADF;
    if (!ep || !target)
        goto out;
    ret = -EINVAL;
    if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
        goto out;
    if ((ev.events & EPOLLEXCLUSIVE) && (op == EPOLL_CTL_MOD || (ev.events & ~(uint32_t)EXCLUSIVE_OK)))
        goto out;
    ret = epoll_control(ep, op, fd, target, &ev);
out:
    if (ep)
        file_put(ep);
    if (target)
        file_put(target);
    return ret;
}

static long do_wait(struct task *t, const struct sysargs *a, const struct poll_limit *limit)
{
    int max = (int)a->a[2];
    if (max <= 0 || (size_t)max > INT32_MAX / sizeof(struct epoll_event))
        return -EINVAL;
    struct file *ep = fd_get(t, (int)a->a[0]);
    if (!ep)
        return -EBADF;
    int ret = epoll_wait_events(t, ep, a->a[1], max, limit->nowait, limit->deadline);
    file_put(ep);
    return ret;
}

static long do_pwait(struct task *t, const struct sysargs *a, const struct poll_limit *limit)
{
    long ret = poll_mask_begin(t, a->a[4], a->a[5]);
    if (ret < 0)
        return ret;
    ret = do_wait(t, a, limit);
    poll_mask_end(t, a->a[4], ret == -EINTR);
    return ret;
}

long sys_epoll_wait(struct task *t, const struct sysargs *a)
{
    struct poll_limit limit;
    poll_limit_ms(&limit, (int)a->a[3]);
    return do_wait(t, a, &limit);
}

long sys_epoll_pwait(struct task *t, const struct sysargs *a)
{
    struct poll_limit limit;
    poll_limit_ms(&limit, (int)a->a[3]);
    return do_pwait(t, a, &limit);
}

long sys_epoll_pwait2(struct task *t, const struct sysargs *a)
{
    struct poll_limit limit;
    long ret = poll_limit_user(t, a->a[3], false, &limit);
    return ret < 0 ? ret : do_pwait(t, a, &limit);
}
