/* signalfd(2), signalfd4(2). */
#include "sentry/vfs/signalfd.h"

#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <sys/signalfd.h>

static long set_mask(struct task *t, int fd, sigset64_t mask)
{
    struct file *f = fd_get(t, fd);

    if (!f)
        return -EBADF;
    int ret = signalfd_set_mask(f, mask);
    file_put(f);
    return ret < 0 ? ret : fd;
}

static long do_signalfd(struct task *t, const struct sysargs *a, unsigned flags)
{
    sigset64_t mask;
    struct file *f;

    if (flags & ~(unsigned)(SFD_CLOEXEC | SFD_NONBLOCK))
        return -EINVAL;
    if (a->a[2] != sizeof(mask))
        return -EINVAL;
    if (user_read(t, &mask, a->a[1], sizeof(mask)) < 0)
        return -EFAULT;
    if ((int)a->a[0] != -1)
        return set_mask(t, (int)a->a[0], mask);
    int ret = signalfd_new(mask, flags & SFD_NONBLOCK, &f);
    return ret < 0 ? ret : fd_add(t, f, flags & SFD_CLOEXEC);
}

#ifdef __x86_64__
long sys_signalfd(struct task *t, const struct sysargs *a)
{
    return do_signalfd(t, a, 0);
}
#endif

long sys_signalfd4(struct task *t, const struct sysargs *a)
{
    return do_signalfd(t, a, (unsigned)a->a[3]);
}
