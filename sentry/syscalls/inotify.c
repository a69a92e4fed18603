/* inotify_init(2), inotify_init1(2), inotify_add_watch(2), inotify_rm_watch(2). */
#include "sentry/vfs/inotify.h"

#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/fdtable.h"

#include <errno.h>
#include <sys/inotify.h>

#define MASK_FLAGS (IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT)

static long do_init(struct task *t, int flags)
{
    struct file *f;

    if (flags & ~(IN_CLOEXEC | IN_NONBLOCK))
        return -EINVAL;
    int ret = inotify_new(flags & IN_NONBLOCK ? O_NONBLOCK : 0, &f);
    return ret < 0 ? ret : fd_add(t, f, flags & IN_CLOEXEC);
}

long sys_inotify_init(struct task *t, const struct sysargs *a unused_arg)
{
    return do_init(t, 0);
}

long sys_inotify_init1(struct task *t, const struct sysargs *a)
{
    return do_init(t, (int)a->a[0]);
}

static int check_mask(uint32_t mask)
{
    if (!(mask & (IN_ALL_EVENTS | MASK_FLAGS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED)))
        return -EINVAL;
    return (mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE) ? -EINVAL : 0;
}

static long add_watch(struct task *t, struct file *f, uint64_t name, uint32_t mask)
{
    unsigned lookup = (mask & IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW) | (mask & IN_ONLYDIR ? LOOKUP_DIRECTORY : 0);
    struct path p;

    long ret = user_path_lookup(t, AT_FDCWD, name, lookup, &p);
    if (ret < 0)
        return ret;
    ret = path_permission(t, &p, 4);
    if (ret == 0)
        ret = inotify_add(f, p.dentry, mask);
    path_put(&p);
    return ret;
}

long sys_inotify_add_watch(struct task *t, const struct sysargs *a)
{
    uint32_t mask = (uint32_t)a->a[2];

    int ret = check_mask(mask);
    if (ret < 0)
        return ret;
    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    long wd = add_watch(t, f, a->a[1], mask);
    file_put(f);
    return wd;
}

long sys_inotify_rm_watch(struct task *t, const struct sysargs *a)
{
    struct file *f = fd_get(t, (int)a->a[0]);

    if (!f)
        return -EBADF;
    int ret = inotify_remove(f, (int)a->a[1]);
    file_put(f);
    return ret;
}
