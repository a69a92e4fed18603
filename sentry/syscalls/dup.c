/* dup(2), dup2(2), dup3(2), close(2) and close_range(2): thin forms of the descriptor table's operations. */
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <linux/close_range.h>

long sys_dup(struct task *t, const struct sysargs *a)
{
    struct file *f = fd_get_raw(t, (int)a->a[0]);
    return f ? fd_add(t, f, false) : -EBADF;
}

static long dup_to(struct task *t, int old_fd, int new_fd, bool cloexec)
{
    if (new_fd < 0 || (uint64_t)new_fd >= tg_limit(t->tg, RLIMIT_NOFILE))
        return -EBADF;
    struct file *f = fd_get_raw(t, old_fd);
    if (!f)
        return -EBADF;
    int ret = fd_replace(t, new_fd, f, cloexec);
    return ret < 0 ? ret : new_fd;
}

long sys_dup2(struct task *t, const struct sysargs *a)
{
    int old_fd = (int)a->a[0], new_fd = (int)a->a[1];
    if (old_fd != new_fd)
        return dup_to(t, old_fd, new_fd, false);
    struct file *f = fd_get_raw(t, old_fd);
    if (!f)
        return -EBADF;
    file_put(f);
    return new_fd;
}

long sys_dup3(struct task *t, const struct sysargs *a)
{
    int old_fd = (int)a->a[0], new_fd = (int)a->a[1], flags = (int)a->a[2];
    if ((flags & ~O_CLOEXEC) || old_fd == new_fd)
        return -EINVAL;
    return dup_to(t, old_fd, new_fd, flags & O_CLOEXEC);
}

long sys_close(struct task *t, const struct sysargs *a)
{
    return fd_close(t, (int)a->a[0]);
}

static int unshare_files(struct task *t)
{
    if (files_refs(t->files) == 1)
        return 0;
    struct files *old = t->files, *copy = files_clone(old);
    if (!copy)
        return -ENOMEM;
    lock(&tasks_lock);
    t->files = copy;
    unlock(&tasks_lock);
    files_put(old, t);
    return 0;
}

long sys_close_range(struct task *t, const struct sysargs *a)
{
    unsigned first = (unsigned)a->a[0], last = (unsigned)a->a[1], flags = (unsigned)a->a[2];
    if ((flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) || first > last)
        return -EINVAL;
    int ret = flags & CLOSE_RANGE_UNSHARE ? unshare_files(t) : 0;
    return ret < 0 ? ret : fd_close_range(t, first, last, flags & CLOSE_RANGE_CLOEXEC);
}
