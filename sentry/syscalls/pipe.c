/* pipe(2), pipe2(2), eventfd(2) and eventfd2(2): descriptors are reserved before the objects are made visible. */
#include "sentry/vfs/pipe.h"

#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/eventfd.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <sys/eventfd.h>

static long do_pipe(struct task *t, uint64_t addr, int flags)
{
    struct file *r, *w;
    int fds[2];
    if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    int ret = fd_reserve_pair(t, addr, fds);
    if (ret < 0)
        return ret;
    ret = pipe_new((unsigned)flags, &r, &w);
    if (ret < 0) {
        fd_unreserve(t, fds[1]);
        fd_unreserve(t, fds[0]);
        return ret;
    }
    fd_install(t, fds[0], r, flags & O_CLOEXEC);
    fd_install(t, fds[1], w, flags & O_CLOEXEC);
    return 0;
}

long sys_pipe(struct task *t, const struct sysargs *a)
{
    return do_pipe(t, a->a[0], 0);
}

long sys_pipe2(struct task *t, const struct sysargs *a)
{
    return do_pipe(t, a->a[0], (int)a->a[1]);
}

static long do_eventfd(struct task *t, unsigned count, int flags)
{
    struct file *f;
    if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
        return -EINVAL;
    int ret = eventfd_new(count, flags, &f);
    return ret < 0 ? ret : fd_add(t, f, flags & EFD_CLOEXEC);
}

long sys_eventfd(struct task *t, const struct sysargs *a)
{
    return do_eventfd(t, (unsigned)a->a[0], 0);
}

long sys_eventfd2(struct task *t, const struct sysargs *a)
{
    return do_eventfd(t, (unsigned)a->a[0], (int)a->a[1]);
}
