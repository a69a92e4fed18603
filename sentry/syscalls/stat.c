/* stat(2), statx(2), access(2), readlink(2): what a path says about its file. */
#include "sentry/kernel/cred.h"
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/mount.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/sysmacros.h>

int fd_path(struct task *t, int fd, bool raw, struct path *out)
{
    struct file *f = raw ? fd_get_raw(t, fd) : fd_get(t, fd);

    if (!f)
        return -EBADF;
    *out = (struct path){f->mnt, f->dentry};
    path_get(out);
    file_put(f);
    return 0;
}

/* ---- stat ---- */

static long put_stat(struct task *t, uint64_t addr, const struct kstat *st)
{
    struct stat out;

    memset(&out, 0, sizeof(out));
    out.st_dev = st->dev;
    out.st_ino = st->ino;
    out.st_mode = st->mode;
    out.st_nlink = st->nlink;
    out.st_uid = st->uid;
    out.st_gid = st->gid;
    out.st_rdev = st->rdev;
    out.st_size = (off_t)st->size;
    out.st_blksize = (blksize_t)st->blksize;
    out.st_blocks = (blkcnt_t)st->blocks;
    out.st_atim = st->atime;
    out.st_mtim = st->mtime;
    out.st_ctim = st->ctime;
    return user_write(t, addr, &out, sizeof(out));
}

static int stat_fd(struct task *t, int fd, struct kstat *st)
{
    struct file *f = fd_get_raw(t, fd);

    if (!f)
        return -EBADF;
    int ret = inode_getattr(dentry_inode(f->dentry), st);
    file_put(f);
    return ret;
}

/* The attributes of a path argument; *mnt_root and *mnt_id are for statx. */
static int stat_path(struct task *t, int dirfd, uint64_t addr, int flags, struct kstat *st, bool *mnt_root, int *mnt_id)
{
    struct path p;

    int ret = user_path_lookup(t, dirfd, addr, lookup_of_at(flags), &p);
    if (ret < 0)
        return ret;
    ret = inode_getattr(dentry_inode(p.dentry), st);
    if (mnt_root) {
        *mnt_root = p.dentry == p.mnt->root;
        *mnt_id = mount_id(p.mnt);
    }
    path_put(&p);
    return ret;
}

static long do_stat(struct task *t, int dirfd, uint64_t name, int flags, uint64_t out)
{
    struct kstat st;

    int ret = stat_path(t, dirfd, name, flags, &st, NULL, NULL);
    return ret < 0 ? ret : put_stat(t, out, &st);
}

long sys_stat(struct task *t, const struct sysargs *a)
{
    return do_stat(t, AT_FDCWD, a->a[0], 0, a->a[1]);
}

long sys_lstat(struct task *t, const struct sysargs *a)
{
    return do_stat(t, AT_FDCWD, a->a[0], AT_SYMLINK_NOFOLLOW, a->a[1]);
}

long sys_fstat(struct task *t, const struct sysargs *a)
{
    struct kstat st;

    int ret = stat_fd(t, (int)a->a[0], &st);
    return ret < 0 ? ret : put_stat(t, a->a[1], &st);
}

/* True if the path argument is "", which with AT_EMPTY_PATH means the descriptor: fstat() of current libcs. */
static bool is_empty_path(struct task *t, uint64_t addr)
{
    char c;

    return user_read(t, &c, addr, 1) == 0 && c == '\0';
}

long sys_newfstatat(struct task *t, const struct sysargs *a)
{
    int dirfd = (int)a->a[0], flags = (int)a->a[3];

    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT))
        return -EINVAL;
    if ((flags & AT_EMPTY_PATH) && dirfd >= 0 && is_empty_path(t, a->a[1])) {
        struct kstat st;
        int ret = stat_fd(t, dirfd, &st);
        return ret < 0 ? ret : put_stat(t, a->a[2], &st);
    }
    return do_stat(t, dirfd, a->a[1], flags, a->a[2]);
}

static struct statx_timestamp statx_time(struct timespec ts)
{
    return (struct statx_timestamp){.tv_sec = ts.tv_sec, .tv_nsec = (uint32_t)ts.tv_nsec};
}

static void fill_statx(struct statx *out, const struct kstat *st)
{
    memset(out, 0, sizeof(*out));
    out->stx_mask = STATX_BASIC_STATS;
    out->stx_blksize = st->blksize;
    out->stx_nlink = st->nlink;
    out->stx_uid = st->uid;
    out->stx_gid = st->gid;
    out->stx_mode = (uint16_t)st->mode;
    out->stx_ino = st->ino;
    out->stx_size = st->size;
    out->stx_blocks = st->blocks;
    out->stx_atime = statx_time(st->atime);
    out->stx_mtime = statx_time(st->mtime);
    out->stx_ctime = statx_time(st->ctime);
    if (st->btime.tv_nsec >= 0) {
        out->stx_mask |= STATX_BTIME;
        out->stx_btime = statx_time(st->btime);
    }
    out->stx_rdev_major = major(st->rdev);
    out->stx_rdev_minor = minor(st->rdev);
    out->stx_dev_major = major(st->dev);
    out->stx_dev_minor = minor(st->dev);
}

long sys_statx(struct task *t, const struct sysargs *a)
{
    int flags = (int)a->a[2], id = 0;
    unsigned mask = (unsigned)a->a[3];
    struct kstat st;
    struct statx out;
    bool root = false;

    if (mask & STATX__RESERVED)
        return -EINVAL;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE))
        return -EINVAL;
    if ((flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    int ret = stat_path(t, (int)a->a[0], a->a[1], flags, &st, &root, &id);
    if (ret < 0)
        return ret;
    fill_statx(&out, &st);
    out.stx_attributes_mask = STATX_ATTR_MOUNT_ROOT;
    if (root)
        out.stx_attributes |= STATX_ATTR_MOUNT_ROOT;
#ifdef STATX_MNT_ID
    out.stx_mask |= STATX_MNT_ID;
    out.stx_mnt_id = (uint64_t)id;
#endif
    return user_write(t, a->a[4], &out, sizeof(out));
}

/* ---- access ---- */

static int check_access(struct task *t, int dirfd, uint64_t name, int mode, int flags)
{
    struct path p;

    int ret = user_path_lookup(t, dirfd, name, lookup_of_at(flags), &p);
    if (ret < 0)
        return ret;
    if ((mode & 1) && S_ISREG(dentry_inode(p.dentry)->mode) && (mount_flags(p.mnt) & MNT_NOEXEC))
        ret = -EACCES;
    else
        ret = mode ? path_permission(t, &p, mode) : 0;
    path_put(&p);
    return ret;
}

static void swap_cred(struct task *t, const struct cred *c)
{
    lock(&tasks_lock);
    t->cred = c;
    unlock(&tasks_lock);
}

/* access(2) asks for the real ids: the whole walk is done with them. */
static int check_access_real(struct task *t, int dirfd, uint64_t name, int mode, int flags)
{
    const struct cred *old = t->cred;
    uint64_t caps = old->ruid == 0 ? old->cap_permitted : 0;

    if (old->ruid == old->fsuid && old->rgid == old->fsgid && old->cap_effective == caps)
        return check_access(t, dirfd, name, mode, flags);
    struct cred *real = cred_clone(old);
    if (!real)
        return -ENOMEM;
    real->fsuid = old->ruid;
    real->fsgid = old->rgid;
    real->cap_effective = caps;
    swap_cred(t, real);
    int ret = check_access(t, dirfd, name, mode, flags);
    swap_cred(t, old);
    cred_put(real);
    return ret;
}

static long do_access(struct task *t, int dirfd, uint64_t name, int mode, int flags)
{
    if (mode & ~7)
        return -EINVAL;
    if (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (flags & AT_EACCESS)
        return check_access(t, dirfd, name, mode, flags);
    return check_access_real(t, dirfd, name, mode, flags);
}

long sys_access(struct task *t, const struct sysargs *a)
{
    return do_access(t, AT_FDCWD, a->a[0], (int)a->a[1], 0);
}

long sys_faccessat(struct task *t, const struct sysargs *a)
{
    return do_access(t, (int)a->a[0], a->a[1], (int)a->a[2], 0);
}

long sys_faccessat2(struct task *t, const struct sysargs *a)
{
    return do_access(t, (int)a->a[0], a->a[1], (int)a->a[2], (int)a->a[3]);
}

/* ---- readlink ---- */

static long do_readlink(struct task *t, int dirfd, uint64_t addr, uint64_t buf, int cap)
{
    not_cleared char name[PATH_MAX], target[PATH_MAX];
    struct path p;

    if (cap <= 0)
        return -EINVAL;
    int ret = path_arg(t, name, addr);
    if (ret == 0)
        ret = path_lookup(t, dirfd, name, LOOKUP_EMPTY, &p);
    if (ret < 0)
        return ret;
    struct inode *i = dentry_inode(p.dentry);
    if (S_ISLNK(i->mode) && i->ops->readlink)
        ret = i->ops->readlink(i, target, MIN(sizeof(target), (size_t)cap));
    else
        ret = *name ? -EINVAL : -ENOENT;
    path_put(&p);
    if (ret > 0 && user_write(t, buf, target, (size_t)ret) < 0)
        return -EFAULT;
    return ret;
}

long sys_readlink(struct task *t, const struct sysargs *a)
{
    return do_readlink(t, AT_FDCWD, a->a[0], a->a[1], (int)a->a[2]);
}

long sys_readlinkat(struct task *t, const struct sysargs *a)
{
    return do_readlink(t, (int)a->a[0], a->a[1], a->a[2], (int)a->a[3]);
}
