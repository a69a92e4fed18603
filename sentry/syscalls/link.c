/* link(2), symlink(2), unlink(2), rename(2), mknod(2) and their at-forms: names come and go. */
#include "sentry/kernel/cred.h"
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/ops.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/sysmacros.h>

static long do_link(struct task *t, int old_dirfd, uint64_t old_addr, int new_dirfd, uint64_t new_addr, int flags)
{
    not_cleared char old_name[PATH_MAX], new_name[PATH_MAX];
    struct path from;

    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if ((flags & AT_EMPTY_PATH) && !cred_capable(t->cred, CAP_DAC_READ_SEARCH))
        return -ENOENT;
    int ret = path_arg(t, old_name, old_addr);
    if (ret == 0)
        ret = path_arg(t, new_name, new_addr);
    if (ret < 0)
        return ret;
    unsigned lookup = (flags & AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
    ret = path_lookup(t, old_dirfd, old_name, lookup, &from);
    if (ret < 0)
        return ret;
    ret = vfs_link(t, &from, new_dirfd, new_name);
    path_put(&from);
    return ret;
}

long sys_link(struct task *t, const struct sysargs *a)
{
    return do_link(t, AT_FDCWD, a->a[0], AT_FDCWD, a->a[1], 0);
}

long sys_linkat(struct task *t, const struct sysargs *a)
{
    return do_link(t, (int)a->a[0], a->a[1], (int)a->a[2], a->a[3], (int)a->a[4]);
}

static long do_symlink(struct task *t, uint64_t target_addr, int dirfd, uint64_t addr)
{
    not_cleared char target[PATH_MAX], name[PATH_MAX];

    int ret = path_arg(t, target, target_addr);
    if (ret == 0)
        ret = path_arg(t, name, addr);
    return ret < 0 ? ret : vfs_symlink(t, target, dirfd, name);
}

long sys_symlink(struct task *t, const struct sysargs *a)
{
    return do_symlink(t, a->a[0], AT_FDCWD, a->a[1]);
}

long sys_symlinkat(struct task *t, const struct sysargs *a)
{
    return do_symlink(t, a->a[0], (int)a->a[1], a->a[2]);
}

static long do_unlink(struct task *t, int dirfd, uint64_t addr, int flags)
{
    not_cleared char name[PATH_MAX];

    if (flags & ~AT_REMOVEDIR)
        return -EINVAL;
    int ret = path_arg(t, name, addr);
    if (ret < 0)
        return ret;
    return flags & AT_REMOVEDIR ? vfs_rmdir(t, dirfd, name) : vfs_unlink(t, dirfd, name);
}

long sys_unlink(struct task *t, const struct sysargs *a)
{
    return do_unlink(t, AT_FDCWD, a->a[0], 0);
}

long sys_unlinkat(struct task *t, const struct sysargs *a)
{
    return do_unlink(t, (int)a->a[0], a->a[1], (int)a->a[2]);
}

static long do_rename(struct task *t, int old_dirfd, uint64_t old_addr, int new_dirfd, uint64_t new_addr,
                      unsigned flags)
{
    not_cleared char old_name[PATH_MAX], new_name[PATH_MAX];

    /* RENAME_WHITEOUT is for overlay file systems below us: none here has it. */
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    if ((flags & RENAME_NOREPLACE) && (flags & RENAME_EXCHANGE))
        return -EINVAL;
    int ret = path_arg(t, old_name, old_addr);
    if (ret == 0)
        ret = path_arg(t, new_name, new_addr);
    return ret < 0 ? ret : vfs_rename(t, old_dirfd, old_name, new_dirfd, new_name, flags);
}

long sys_rename(struct task *t, const struct sysargs *a)
{
    return do_rename(t, AT_FDCWD, a->a[0], AT_FDCWD, a->a[1], 0);
}

long sys_renameat(struct task *t, const struct sysargs *a)
{
    return do_rename(t, (int)a->a[0], a->a[1], (int)a->a[2], a->a[3], 0);
}

long sys_renameat2(struct task *t, const struct sysargs *a)
{
    return do_rename(t, (int)a->a[0], a->a[1], (int)a->a[2], a->a[3], (unsigned)a->a[4]);
}

/* The 32-bit form of a device number in which mknod(2) gets it. */
static dev_t device_arg(uint64_t arg)
{
    unsigned dev = (unsigned)arg;

    return makedev((dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00));
}

static long do_mknod(struct task *t, int dirfd, uint64_t addr, mode_t mode, uint64_t dev)
{
    not_cleared char name[PATH_MAX];

    int ret = path_arg(t, name, addr);
    return ret < 0 ? ret : vfs_mknod(t, dirfd, name, mode, device_arg(dev));
}

long sys_mknod(struct task *t, const struct sysargs *a)
{
    return do_mknod(t, AT_FDCWD, a->a[0], (mode_t)a->a[1], a->a[2]);
}

long sys_mknodat(struct task *t, const struct sysargs *a)
{
    return do_mknod(t, (int)a->a[0], a->a[1], (mode_t)a->a[2], a->a[3]);
}
