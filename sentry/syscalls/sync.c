/*
 * fsync(2), sync(2), sync_file_range(2), fallocate(2), and the hints readahead(2) and posix_fadvise(2).
 *
 * The sentry holds no dirty file data of its own: writes go to the host's files at once, so sync(2) has nothing to do.
 */
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/notify.h"

#include <errno.h>
#include <linux/falloc.h>

static int sync_file(struct file *f, bool data_only)
{
    if (f->ops->fsync)
        return f->ops->fsync(f, data_only);
    return S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode) ? 0 : -EINVAL;
}

static long sync_fd(struct task *t, int fd, bool data_only)
{
    struct file *f = fd_get(t, fd);

    if (!f)
        return -EBADF;
    int ret = sync_file(f, data_only);
    file_put(f);
    return ret;
}

long sys_fsync(struct task *t, const struct sysargs *a)
{
    return sync_fd(t, (int)a->a[0], false);
}

long sys_fdatasync(struct task *t, const struct sysargs *a)
{
    return sync_fd(t, (int)a->a[0], true);
}

long sys_sync(struct task *t, const struct sysargs *a)
{
    (void)t, (void)a;
    return 0;
}

long sys_syncfs(struct task *t, const struct sysargs *a)
{
    struct file *f = fd_get(t, (int)a->a[0]);

    if (!f)
        return -EBADF;
    file_put(f);
    return 0;
}

long sys_sync_file_range(struct task *t, const struct sysargs *a)
{
    int64_t off = (int64_t)a->a[1], len = (int64_t)a->a[2], end;
    unsigned flags = (unsigned)a->a[3];

    if (flags & ~(unsigned)(SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER))
        return -EINVAL;
    if (off < 0 || len < 0 || __builtin_add_overflow(off, len, &end))
        return -EINVAL;
    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    int ret = -ESPIPE;
    if (S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode) || S_ISBLK(f->inode->mode))
        ret = flags & SYNC_FILE_RANGE_WAIT_AFTER ? sync_file(f, true) : 0;
    file_put(f);
    return ret;
}

/* ---- fallocate ---- */

static int check_fallocate(const struct file *f, int mode, int64_t off, int64_t len)
{
    mode_t type = f->inode->mode;
    int64_t end;

    if (off < 0 || len <= 0)
        return -EINVAL;
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE |
                 FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE))
        return -EOPNOTSUPP;
    if ((mode & FALLOC_FL_PUNCH_HOLE) && !(mode & FALLOC_FL_KEEP_SIZE))
        return -EOPNOTSUPP;
    if ((mode & FALLOC_FL_PUNCH_HOLE) && (mode & FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    if (!(f->fmode & FMODE_WRITE))
        return -EBADF;
    if ((mode & ~FALLOC_FL_KEEP_SIZE) && (f->flags & O_APPEND))
        return -EPERM;
    if (S_ISFIFO(type))
        return -ESPIPE;
    if (S_ISDIR(type))
        return -EISDIR;
    if (!S_ISREG(type))
        return -ENODEV;
    return __builtin_add_overflow(off, len, &end) ? -EFBIG : 0;
}

long sys_fallocate(struct task *t, const struct sysargs *a)
{
    int mode = (int)a->a[1];
    int64_t off = (int64_t)a->a[2], len = (int64_t)a->a[3];

    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    int ret = check_fallocate(f, mode, off, len);
    if (ret == 0 && !(mode & (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) &&
        (uint64_t)off + (uint64_t)len > tg_limit(t->tg, RLIMIT_FSIZE)) {
        siginfo_t info = {.si_signo = SIGXFSZ, .si_code = SI_KERNEL};
        signal_send_task(t, SIGXFSZ, &info);
        ret = -EFBIG;
    }
    if (ret == 0)
        ret = f->ops->fallocate ? f->ops->fallocate(f, mode, off, len) : -EOPNOTSUPP;
    if (ret == 0)
        notify(f->dentry, IN_MODIFY);
    file_put(f);
    return ret;
}

/* ---- hints ---- */

long sys_readahead(struct task *t, const struct sysargs *a)
{
    struct file *f = fd_get(t, (int)a->a[0]);

    if (!f)
        return -EBADF;
    int ret = !(f->fmode & FMODE_READ) ? -EBADF : S_ISREG(f->inode->mode) ? 0 : -EINVAL;
    file_put(f);
    return ret;
}

long sys_fadvise64(struct task *t, const struct sysargs *a)
{
    struct file *f = fd_get(t, (int)a->a[0]);
    int ret = 0;

    if (!f)
        return -EBADF;
    if (S_ISFIFO(f->inode->mode))
        ret = -ESPIPE;
    else if ((int64_t)a->a[2] < 0 || a->a[3] > POSIX_FADV_NOREUSE)
        ret = -EINVAL;
    file_put(f);
    return ret;
}
