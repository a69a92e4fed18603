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
#include "sentry/vfs/notify.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
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
    if (i->sb == mount_sb(mount_anon())) /* through /proc/PID/fd */
        return i->ops->open ? i->ops->open(i, f) : -ENXIO;
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

    struct file *f = file_new(p, 0, (unsigned)flags & ~(unsigned)(O_CREAT | O_EXCL | O_NOCTTY | O_CLOEXEC), t->cred);
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
        ret = open_by_type(i, f); /* O_TRUNC is for its eyes: what will be cut off need not be there */
    atomic_fetch_and(&f->flags, ~(unsigned)O_TRUNC);
    if (ret == 0 && (flags & O_TRUNC))
        ret = truncate_opened(i);
    if (ret < 0) {
        file_put(f);
        return ret;
    }
    if (!(flags & O_PATH)) {
        f->fmode |= FMODE_OPENED;
        if ((flags & O_TRUNC) && S_ISREG(i->mode))
            notify(p->dentry, IN_MODIFY);
        notify(p->dentry, IN_OPEN);
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
    if (ret == 0) {
        dentry_instantiate(child, made);
        notify_dir(dir->dentry, made, dentry_name(child), IN_CREATE, 0);
    }
    return ret;
}

/* A final link under O_CREAT. 1: it goes on with the text in target; 0: a magic link, *p is now what it leads to. */
static int follow_final(struct task *t, struct path *p, unsigned lookup, char *target)
{
    struct inode *i = dentry_inode(p->dentry);
    struct path to;
    int ret;

    if (lookup & LOOKUP_NO_SYMLINKS)
        return -ELOOP;
    if (!i->ops->follow) {
        ret = i->ops->readlink ? i->ops->readlink(i, target, PATH_MAX - 1) : -EINVAL;
        if (ret < 0)
            return ret;
        target[ret] = '\0';
        return 1;
    }
    if (lookup & LOOKUP_NO_MAGICLINKS)
        return -ELOOP;
    if (lookup & (LOOKUP_BENEATH | LOOKUP_IN_ROOT))
        return -EXDEV;
    ret = i->ops->follow(i, t, &to.mnt, &to.dentry);
    if (ret < 0)
        return ret;
    path_put(p);
    *p = to;
    return 0;
}

/* An O_CREAT open of what is there already. 1: see follow_final(). */
static int open_found(struct task *t, struct path *p, int flags, unsigned lookup, char *target, struct file **out)
{
    int ret = 0;

    if (S_ISLNK(dentry_inode(p->dentry)->mode) && !(flags & O_NOFOLLOW))
        ret = follow_final(t, p, lookup, target);
    if (ret != 0)
        return ret;
    if (S_ISDIR(dentry_inode(p->dentry)->mode))
        return -EISDIR;
    return vfs_open_path(t, p, flags, out);
}

/* One round of O_CREAT: opens or makes `last` in dir. 1: it is a link to be followed; its text is in target. */
static int open_in_dir(struct task *t, struct path *dir, const char *last, int flags, mode_t mode, unsigned lookup,
                       char *target, struct file **out)
{
    struct inode *di = dentry_inode(dir->dentry);
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
    if (created)
        ret = open_inode(t, &p, flags & ~O_TRUNC, false, out); /* the mode does not bind its maker */
    else if (p.mnt != dir->mnt && (lookup & LOOKUP_NO_XDEV))
        ret = -EXDEV;
    else
        ret = open_found(t, &p, flags, lookup, target, out);
    path_put(&p);
    return ret;
}

static int open_create(struct task *t, int dirfd, const char *name, int flags, mode_t mode, unsigned lookup,
                       struct file **out)
{
    not_cleared char last[NAME_MAX + 1], target[PATH_MAX];
    struct path_scope scope;
    struct path dir;
    bool slash;

    if (!*name)
        return -ENOENT;
    int ret = path_scope_begin(t, dirfd, name, lookup, &scope);
    if (ret < 0)
        return ret;
    for (int links = 0;; links++) {
        ret = path_lookup_parent_in(t, &scope, links ? target : name, &dir, last, &slash);
        if (ret < 0)
            break;
        if (slash || !strcmp(last, "/") || !strcmp(last, ".") || !strcmp(last, ".."))
            ret = -EISDIR;
        else if (links > MAX_LINKS)
            ret = -ELOOP;
        else
            ret = open_in_dir(t, &dir, last, flags, mode, lookup, target, out);
        /* A relative target starts at the link's directory. */
        path_put(&scope.at);
        scope.at = dir;
        if (ret != 1)
            break;
    }
    path_scope_end(&scope);
    return ret;
}

/* ---- O_TMPFILE ---- */

static int make_tmpfile(struct task *t, const struct path *dir, mode_t mode, bool linkable, struct path *out)
{
    struct inode *di = dentry_inode(dir->dentry), *made;
    char name[32];

    int ret = path_permission(t, dir, 2 | 1);
    if (ret == 0 && !di->ops->tmpfile)
        ret = -EOPNOTSUPP;
    if (ret < 0)
        return ret;
    lock(&di->lock);
    ret = dentry_is_dead(dir->dentry) ? -ENOENT : di->ops->tmpfile(di, mode & ~t->fs->umask, t->cred, &made);
    unlock(&di->lock);
    if (ret < 0)
        return ret;
    made->linkable = linkable;
    snprintf(name, sizeof(name), "#%llu", (unsigned long long)made->ino);
    out->dentry = dentry_new_unlinked(dir->dentry, name, made);
    if (!out->dentry) {
        inode_put(made);
        return -ENOMEM;
    }
    out->mnt = mount_get(dir->mnt);
    return 0;
}

int vfs_open_tmpfile(struct task *t, int dirfd, const char *name, int flags, mode_t mode, unsigned lookup,
                     struct file **out)
{
    struct path dir, p;

    if (!(fmode_of(flags) & FMODE_WRITE))
        return -EINVAL;
    if (!(flags & O_NOFOLLOW))
        lookup |= LOOKUP_FOLLOW;
    int ret = path_lookup(t, dirfd, name, lookup | LOOKUP_DIRECTORY, &dir);
    if (ret < 0)
        return ret;
    ret = make_tmpfile(t, &dir, mode & 07777, !(flags & O_EXCL), &p);
    path_put(&dir);
    if (ret < 0)
        return ret;
    ret = open_inode(t, &p, flags & ~O_TRUNC, false, out);
    path_put(&p);
    return ret;
}

int vfs_open(struct task *t, int dirfd, const char *name, int flags, mode_t mode, unsigned lookup, struct file **out)
{
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if ((flags & O_CREAT) && (flags & O_DIRECTORY))
        return -EINVAL;
    if (flags & O_CREAT)
        return open_create(t, dirfd, name, flags, mode, lookup, out);
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
