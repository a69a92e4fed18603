/* chmod(2), chown(2), truncate(2), utimensat(2) and their older forms. */
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/ops.h"

#include <errno.h>
#include <sys/time.h>
#include <utime.h>

/* ---- chmod, chown ---- */

static long chmod_path(struct task *t, int dirfd, uint64_t name, mode_t mode)
{
    struct path p;

    int ret = user_path_lookup(t, dirfd, name, LOOKUP_FOLLOW, &p);
    if (ret < 0)
        return ret;
    ret = vfs_chmod(t, &p, mode);
    path_put(&p);
    return ret;
}

long sys_chmod(struct task *t, const struct sysargs *a)
{
    return chmod_path(t, AT_FDCWD, a->a[0], (mode_t)a->a[1]);
}

long sys_fchmodat(struct task *t, const struct sysargs *a)
{
    return chmod_path(t, (int)a->a[0], a->a[1], (mode_t)a->a[2]);
}

long sys_fchmod(struct task *t, const struct sysargs *a)
{
    struct path p;

    int ret = fd_path(t, (int)a->a[0], false, &p);
    if (ret < 0)
        return ret;
    ret = vfs_chmod(t, &p, (mode_t)a->a[1]);
    path_put(&p);
    return ret;
}

static long chown_path(struct task *t, int dirfd, uint64_t name, uid_t uid, gid_t gid, int flags)
{
    struct path p;

    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    int ret = user_path_lookup(t, dirfd, name, lookup_of_at(flags), &p);
    if (ret < 0)
        return ret;
    ret = vfs_chown(t, &p, uid, gid);
    path_put(&p);
    return ret;
}

long sys_chown(struct task *t, const struct sysargs *a)
{
    return chown_path(t, AT_FDCWD, a->a[0], (uid_t)a->a[1], (gid_t)a->a[2], 0);
}

long sys_lchown(struct task *t, const struct sysargs *a)
{
    return chown_path(t, AT_FDCWD, a->a[0], (uid_t)a->a[1], (gid_t)a->a[2], AT_SYMLINK_NOFOLLOW);
}

long sys_fchownat(struct task *t, const struct sysargs *a)
{
    return chown_path(t, (int)a->a[0], a->a[1], (uid_t)a->a[2], (gid_t)a->a[3], (int)a->a[4]);
}

long sys_fchown(struct task *t, const struct sysargs *a)
{
    struct path p;

    int ret = fd_path(t, (int)a->a[0], false, &p);
    if (ret < 0)
        return ret;
    ret = vfs_chown(t, &p, (uid_t)a->a[1], (gid_t)a->a[2]);
    path_put(&p);
    return ret;
}

/* ---- truncate ---- */

static int truncate_checked(struct task *t, const struct path *p, uint64_t size)
{
    struct inode *i = dentry_inode(p->dentry);

    if (S_ISDIR(i->mode))
        return -EISDIR;
    if (!S_ISREG(i->mode))
        return -EINVAL;
    int ret = path_want_write(p);
    if (ret == 0)
        ret = path_permission(t, p, 2);
    if (ret == 0 && atomic_load(&i->write_deny) > 0)
        ret = -ETXTBSY;
    if (ret == 0)
        ret = vfs_truncate(t, i, size);
    if (ret == 0)
        notify(p->dentry, IN_MODIFY);
    return ret;
}

long sys_truncate(struct task *t, const struct sysargs *a)
{
    struct path p;

    if ((int64_t)a->a[1] < 0)
        return -EINVAL;
    int ret = user_path_lookup(t, AT_FDCWD, a->a[0], LOOKUP_FOLLOW, &p);
    if (ret < 0)
        return ret;
    ret = truncate_checked(t, &p, a->a[1]);
    path_put(&p);
    return ret;
}

long sys_ftruncate(struct task *t, const struct sysargs *a)
{
    int ret = -EINVAL;

    if ((int64_t)a->a[1] < 0)
        return -EINVAL;
    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    if (S_ISREG(f->inode->mode) && (f->fmode & FMODE_WRITE))
        ret = vfs_truncate(t, dentry_inode(f->dentry), a->a[1]);
    if (ret == 0)
        notify(f->dentry, IN_MODIFY);
    file_put(f);
    return ret;
}

/* ---- times ---- */

/* name 0: the descriptor itself. */
static long do_utimes(struct task *t, int dirfd, uint64_t name, const struct timespec *times, int flags)
{
    struct path p;

    int ret = !name && dirfd != AT_FDCWD ? fd_path(t, dirfd, false, &p)
                                         : user_path_lookup(t, dirfd, name, lookup_of_at(flags), &p);
    if (ret < 0)
        return ret;
    ret = vfs_utimes(t, &p, times);
    path_put(&p);
    return ret;
}

static bool valid_time(const struct timespec *ts)
{
    return ts->tv_nsec == UTIME_NOW || ts->tv_nsec == UTIME_OMIT || (ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000L);
}

long sys_utimensat(struct task *t, const struct sysargs *a)
{
    int flags = (int)a->a[3];
    struct timespec times[2];

    if (a->a[2]) {
        if (user_read(t, times, a->a[2], sizeof(times)) < 0)
            return -EFAULT;
        if (!valid_time(&times[0]) || !valid_time(&times[1]))
            return -EINVAL;
        if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
            return 0;
    }
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) || (!a->a[1] && (int)a->a[0] != AT_FDCWD && flags))
        return -EINVAL;
    return do_utimes(t, (int)a->a[0], a->a[1], a->a[2] ? times : NULL, flags);
}

static long utimes_timeval(struct task *t, int dirfd, uint64_t name, uint64_t addr)
{
    struct timeval tv[2];
    struct timespec times[2];

    if (!addr)
        return do_utimes(t, dirfd, name, NULL, 0);
    if (user_read(t, tv, addr, sizeof(tv)) < 0)
        return -EFAULT;
    for (int i = 0; i < 2; i++) {
        if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
            return -EINVAL;
        times[i] = (struct timespec){.tv_sec = tv[i].tv_sec, .tv_nsec = tv[i].tv_usec * 1000};
    }
    return do_utimes(t, dirfd, name, times, 0);
}

long sys_utimes(struct task *t, const struct sysargs *a)
{
    return utimes_timeval(t, AT_FDCWD, a->a[0], a->a[1]);
}

long sys_futimesat(struct task *t, const struct sysargs *a)
{
    return utimes_timeval(t, (int)a->a[0], a->a[1], a->a[2]);
}

long sys_utime(struct task *t, const struct sysargs *a)
{
    struct utimbuf u;

    if (!a->a[1])
        return do_utimes(t, AT_FDCWD, a->a[0], NULL, 0);
    if (user_read(t, &u, a->a[1], sizeof(u)) < 0)
        return -EFAULT;
    const struct timespec times[2] = {{.tv_sec = u.actime}, {.tv_sec = u.modtime}};
    return do_utimes(t, AT_FDCWD, a->a[0], times, 0);
}
