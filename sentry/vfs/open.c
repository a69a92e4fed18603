/*
 * open(2): from a path and flags to an open file.
 *
 * An open with O_CREAT walks to the parent directory and decides there, under the directory's lock, whether the name is
 * opened or made; a final symbolic link then sends it round again with the link's target. Everything else is one walk.
 */
#include "sentry/kernel/task.h"
#include "sentry/vfs/dcache.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>

#define MAX_LINKS 40

/* Device and FIFO opens of other parts. */
int fifo_open(struct inode *i, struct file *f) __attribute__((weak));
int chrdev_open(dev_t rdev, struct file *f) __attribute__((weak));

static unsigned fmode_of(int flags)
{
    if (flags & O_PATH)
        return FMODE_PATH;
    switch (flags & O_ACCMODE) {
    case O_RDONLY:
        return FMODE_READ;
    case O_WRONLY:
        return FMODE_WRITE;
    default:
        return FMODE_READ | FMODE_WRITE;
    }
}

/* Permission and type checks of opening an existing inode. */
static int may_open(struct task *t, const struct path *p, int flags)
{
    struct inode *i = dentry_inode(p->dentry);
    unsigned fmode = fmode_of(flags);
    int mask = (fmode & FMODE_READ ? 4 : 0) | (fmode & FMODE_WRITE ? 2 : 0) | (flags & O_TRUNC ? 2 : 0);

    if (flags & O_PATH)
        return 0;
    if (S_ISLNK(i->mode))
        return -ELOOP;
    if (S_ISDIR(i->mode) && (mask & 2))
        return -EISDIR;
    if ((S_ISCHR(i->mode) || S_ISBLK(i->mode)) && (mount_flags(p->mnt) & MNT_NODEV))
        return -EACCES;
    int ret = path_permission(t, p, mask);
    if (ret < 0)
        return ret;
    bool owner = t->cred->fsuid == i->uid || cred_capable(t->cred, CAP_FOWNER);
    return (flags & O_NOATIME) && !owner ? -EPERM : 0;
}

/* Writers keep a program from being executed, and execution keeps writers out: ETXTBSY. */
static int take_write_count(struct inode *i)
{
    int n = atomic_load(&i->write_deny);

    do
        if (n > 0)
            return -ETXTBSY;
    while (!atomic_compare_exchange_weak(&i->write_deny, &n, n - 1));
    return 0;
}

static int take_exec_count(struct inode *i)
{
    int n = atomic_load(&i->write_deny);

    do
        if (n < 0)
            return -ETXTBSY;
    while (!atomic_compare_exchange_weak(&i->write_deny, &n, n + 1));
    return 0;
}

static int open_by_type(struct inode *i, struct file *f)
{
    if (S_ISSOCK(i->mode))
        return -ENXIO;
    if (S_ISFIFO(i->mode))
        return fifo_open ? fifo_open(i, f) : -ENXIO;
    if (i->ops->open)
        return i->ops->open(i, f);
    if (S_ISCHR(i->mode))
        return chrdev_open ? chrdev_open(i->rdev, f) : -ENXIO;
    if (S_ISBLK(i->mode))
        return -ENXIO;
    f->ops = i->file_ops;
    return 0;
}

static int truncate_opened(struct inode *i)
{
    const struct iattr a = {.valid = ATTR_SIZE | ATTR_MTIME_NOW};

    if (!S_ISREG(i->mode))
        return 0;
    return i->ops->setattr ? i->ops->setattr(i, &a) : -EPERM;
}

static const struct file_ops path_only_ops;

/* Makes the file for p, all permission checks done. */
static int open_inode(struct task *t, const struct path *p, int flags, bool exec, struct file **out)
{
    struct inode *i = dentry_inode(p->dentry);
    unsigned fmode = fmode_of(flags);
    int ret = 0;

    struct file *f =
        file_new(p, 0, (unsigned)flags & ~(unsigned)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC), t->cred);
    if (!f)
        return -ENOMEM;
    f->ops = &path_only_ops;
    if (exec)
        ret = take_exec_count(i);
    else if ((fmode & FMODE_WRITE) && S_ISREG(i->mode))
        ret = take_write_count(i);
    if (ret < 0) {
        file_put(f);
        return ret;
    }
    f->fmode |= fmode | (exec ? FMODE_EXEC : 0);
    if (!(flags & O_PATH))
        ret = open_by_type(i, f);
    if (ret == 0 && (flags & O_TRUNC))
        ret = truncate_opened(i);
    if (ret < 0) {
        file_put(f);
        return ret;
    }
    *out = f;
    return 0;
}

int vfs_open_path(struct task *t, const struct path *p, int flags, struct file **out)
{
    struct inode *i = dentry_inode(p->dentry);

    if (!i)
        return -ENOENT;
    if ((flags & O_DIRECTORY) && !S_ISDIR(i->mode))
        return -ENOTDIR;
    int ret = may_open(t, p, flags);
    return ret < 0 ? ret : open_inode(t, p, flags, false, out);
}

static int open_existing(struct task *t, int dirfd, const char *name, int flags, unsigned lookup, struct file **out)
{
    struct path p;

    if (!(flags & O_NOFOLLOW))
        lookup |= LOOKUP_FOLLOW;
    if (flags & O_DIRECTORY)
        lookup |= LOOKUP_DIRECTORY;
    if (!(flags & (O_ACCMODE | O_PATH | O_DIRECTORY)))
        lookup |= LOOKUP_OPEN;
    int ret = path_lookup(t, dirfd, name, lookup, &p);
    if (ret < 0)
        return ret;
    ret = vfs_open_path(t, &p, flags, out);
    path_put(&p);
    return ret;
}

/* ---- O_CREAT ---- */

/* The mode and owner rules of a new file: umask, and the directory's group under set-group-ID. */
static int create_locked(struct task *t, struct path *dir, struct dentry *child, mode_t mode)
{
    struct inode *di = dentry_inode(dir->dentry), *made;
    mode_t type = S_IFREG;

    int ret = path_permission(t, dir, 2 | 1);
    if (ret == 0 && dentry_is_dead(dir->dentry))
        ret = -ENOENT;
    if (ret < 0)
        return ret;
    if (!di->ops->create)
        return -EACCES;
    ret = di->ops->create(di, dentry_name(child), type | (mode & 07777 & ~t->fs->umask), t->cred, &made);
    if (ret == 0)
        dentry_instantiate(child, made);
    return ret;
}

/* One round of O_CREAT: opens or makes `last` in dir. 1: it is a link to be followed; its text is in target. */
static int open_in_dir(struct task *t, struct path *dir, const char *last, int flags, mode_t mode, char *target,
                       struct file **out)
{
    struct inode *di = dentry_inode(dir->dentry), *i;
    struct path p = {0};
    bool created = false;

    lock(&di->lock);
    int ret = dentry_lookup(dir->dentry, last, &p.dentry);
    if (ret == 0 && !dentry_inode(p.dentry)) {
        ret = create_locked(t, dir, p.dentry, mode);
        created = ret == 0;
    } else if (ret == 0 && (flags & O_EXCL)) {
        ret = -EEXIST;
    }
    unlock(&di->lock);
    if (ret < 0) {
        if (p.dentry)
            dentry_put(p.dentry);
        return ret;
    }
    p.mnt = mount_get(dir->mnt);
    mount_traverse(&p);
    i = dentry_inode(p.dentry);
    if (S_ISLNK(i->mode) && !(flags & O_NOFOLLOW)) {
        ret = i->ops->readlink ? i->ops->readlink(i, target, PATH_MAX - 1) : -EINVAL;
        if (ret >= 0) {
            target[ret] = '\0';
            ret = 1;
        }
    } else if (created) {
        ret = open_inode(t, &p, flags & ~O_TRUNC, false, out); /* the mode does not bind its maker */
    } else if (S_ISDIR(i->mode)) {
        ret = -EISDIR;
    } else {
        ret = vfs_open_path(t, &p, flags, out);
    }
    path_put(&p);
    return ret;
}

static int open_create(struct task *t, int dirfd, const char *name, int flags, mode_t mode, struct file **out)
{
    char last[NAME_MAX + 1], target[PATH_MAX];
    struct path dir, from = {0};
    bool slash;

    int ret = path_lookup_parent(t, dirfd, name, &dir, last, &slash);
    for (int links = 0; ret == 0; links++) {
        if (slash || !strcmp(last, "/") || !strcmp(last, ".") || !strcmp(last, ".."))
            ret = -EISDIR;
        else if (links > MAX_LINKS)
            ret = -ELOOP;
        else
            ret = open_in_dir(t, &dir, last, flags, mode, target, out);
        if (ret != 1) {
            path_put(&dir);
            break;
        }
        /* A relative target starts at the link's directory. */
        from = dir;
        ret = path_lookup_parent_from(t, &from, target, &dir, last, &slash);
        path_put(&from);
    }
    return ret;
}

int vfs_open(struct task *t, int dirfd, const char *name, int flags, mode_t mode, unsigned lookup, struct file **out)
{
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if ((flags & O_CREAT) && (flags & O_DIRECTORY))
        return -EINVAL;
    if (flags & O_CREAT)
        return open_create(t, dirfd, name, flags, mode, out);
    return open_existing(t, dirfd, name, flags, lookup, out);
}

int vfs_open_exec(struct task *t, int dirfd, const char *name, unsigned lookup, struct file **out)
{
    struct path p;

    int ret = path_lookup(t, dirfd, name, lookup | LOOKUP_OPEN, &p);
    if (ret < 0)
        return ret;
    struct inode *i = dentry_inode(p.dentry);
    if (S_ISLNK(i->mode))
        ret = -ELOOP;
    else if (!S_ISREG(i->mode) || (mount_flags(p.mnt) & MNT_NOEXEC))
        ret = -EACCES;
    else
        ret = path_permission(t, &p, 1);
    if (ret == 0)
        ret = open_inode(t, &p, O_RDONLY, true, out);
    path_put(&p);
    return ret;
}

int vfs_open_anon(const struct path *p, unsigned flags, struct file **out)
{
    struct inode *i = dentry_inode(p->dentry);
    struct file *f = file_new(p, 0, flags, current ? current->cred : NULL);

    if (!f)
        return -ENOMEM;
    f->ops = i->file_ops;
    int ret = take_write_count(i);
    if (ret < 0) {
        file_put(f);
        return ret;
    }
    f->fmode = FMODE_READ | FMODE_WRITE;
    *out = f;
    return 0;
}
