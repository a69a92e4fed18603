/*
 * Making and removing names.
 *
 * A `struct place` is a name being worked on: its directory, locked, and the dentry the name has there. Making starts
 * with create_begin(), which leaves a negative dentry and all checks done; removing starts with remove_begin().
 */
#include "sentry/vfs/ops.h"

#include "sentry/kernel/task.h"
#include "sentry/vfs/dcache.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/notify.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>

struct place {
    struct path dir;
    struct dentry *child; /* NULL: not looked up */
    char last[NAME_MAX + 1];
    bool slash;
};

bool name_is_special(const char *last)
{
    return !strcmp(last, "/") || !strcmp(last, ".") || !strcmp(last, "..");
}

int path_want_write(const struct path *p)
{
    bool ro = (mount_flags(p->mnt) & MNT_RDONLY) || (mount_sb(p->mnt)->flags & SB_RDONLY);

    return ro ? -EROFS : 0;
}

int path_may_delete(struct task *t, const struct path *dir, struct inode *child)
{
    struct inode *di = dentry_inode(dir->dentry);
    const struct cred *c = t->cred;

    int ret = path_permission(t, dir, 2 | 1);
    if (ret < 0)
        return ret;
    bool sticky = (di->mode & S_ISVTX) && c->fsuid != child->uid && c->fsuid != di->uid;
    return sticky && !cred_capable(c, CAP_FOWNER) ? -EPERM : 0;
}

/* Unlocks the directory and drops what p holds; hands ret through. */
static int place_end(struct place *p, int ret)
{
    unlock(&dentry_inode(p->dir.dentry)->lock);
    if (p->child)
        dentry_put(p->child);
    path_put(&p->dir);
    return ret;
}

/* Locks the directory and looks the last component up. On failure nothing is held. */
static int place_lock(struct place *p)
{
    lock(&dentry_inode(p->dir.dentry)->lock);
    p->child = NULL;
    int ret = dentry_lookup(p->dir.dentry, p->last, &p->child);
    return ret < 0 ? place_end(p, ret) : 0;
}

/* The place for a new name; dir_wanted: a trailing slash is fine. On failure nothing is held. */
static int create_begin(struct task *t, int dirfd, const char *name, bool dir_wanted, struct place *p)
{
    int ret = path_lookup_parent(t, dirfd, name, &p->dir, p->last, &p->slash);
    if (ret < 0)
        return ret;
    if (name_is_special(p->last)) {
        path_put(&p->dir);
        return -EEXIST;
    }
    ret = place_lock(p);
    if (ret < 0)
        return ret;
    if (dentry_inode(p->child))
        ret = -EEXIST;
    else if (p->slash && !dir_wanted)
        ret = -ENOENT;
    else if (dentry_is_dead(p->dir.dentry))
        ret = -ENOENT;
    else
        ret = path_permission(t, &p->dir, 2 | 1);
    return ret < 0 ? place_end(p, ret) : 0;
}

/* The end of a creation: made is the new inode if ret is 0. */
static int create_end(struct place *p, int ret, struct inode *made)
{
    if (ret == 0) {
        dentry_instantiate(p->child, made);
        notify_dir(p->dir.dentry, made, p->last, IN_CREATE, 0);
    }
    return place_end(p, ret);
}

int vfs_mkdir(struct task *t, int dirfd, const char *name, mode_t mode)
{
    struct inode *made = NULL;
    struct place p;

    int ret = create_begin(t, dirfd, name, true, &p);
    if (ret < 0)
        return ret;
    struct inode *dir = dentry_inode(p.dir.dentry);
    mode &= 01777 & ~t->fs->umask;
    ret = dir->ops->mkdir ? dir->ops->mkdir(dir, p.last, S_IFDIR | mode, t->cred, &made) : -EPERM;
    return create_end(&p, ret, made);
}

/* The type and privilege rules of mknod(2). */
static int mknod_check(struct task *t, mode_t *mode)
{
    switch (*mode & S_IFMT) {
    case 0:
        *mode |= S_IFREG;
        return 0;
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
        return 0;
    case S_IFCHR:
    case S_IFBLK:
        return cred_capable(t->cred, CAP_MKNOD) ? 0 : -EPERM;
    case S_IFDIR:
        return -EPERM;
    default:
        return -EINVAL;
    }
}

/* The type is checked. out, if not NULL: the new name, counted. */
static int make_node(struct task *t, int dirfd, const char *name, mode_t mode, dev_t rdev, struct path *out)
{
    struct inode *made = NULL;
    struct place p;

    int ret = create_begin(t, dirfd, name, false, &p);
    if (ret < 0)
        return ret;
    struct inode *dir = dentry_inode(p.dir.dentry);
    mode &= S_IFMT | (07777 & ~t->fs->umask);
    if (S_ISREG(mode))
        ret = dir->ops->create ? dir->ops->create(dir, p.last, mode, t->cred, &made) : -EPERM;
    else
        ret = dir->ops->mknod ? dir->ops->mknod(dir, p.last, mode, rdev, t->cred, &made) : -EPERM;
    if (ret == 0 && out) {
        *out = (struct path){p.dir.mnt, p.child};
        path_get(out);
    }
    return create_end(&p, ret, made);
}

int vfs_mknod(struct task *t, int dirfd, const char *name, mode_t mode, dev_t rdev)
{
    int ret = mknod_check(t, &mode);

    return ret < 0 ? ret : make_node(t, dirfd, name, mode, rdev, NULL);
}

int vfs_make_socket(struct task *t, const char *name, struct path *out)
{
    return make_node(t, AT_FDCWD, name, S_IFSOCK | 0777, 0, out);
}

int vfs_symlink(struct task *t, const char *target, int dirfd, const char *name)
{
    struct inode *made = NULL;
    struct place p;

    if (!*target)
        return -ENOENT;
    int ret = create_begin(t, dirfd, name, false, &p);
    if (ret < 0)
        return ret;
    struct inode *dir = dentry_inode(p.dir.dentry);
    ret = dir->ops->symlink ? dir->ops->symlink(dir, p.last, target, t->cred, &made) : -EPERM;
    return create_end(&p, ret, made);
}

int vfs_link(struct task *t, const struct path *from, int dirfd, const char *name)
{
    struct inode *target = dentry_inode(from->dentry);
    struct place p;

    int ret = create_begin(t, dirfd, name, false, &p);
    if (ret < 0)
        return ret;
    struct inode *dir = dentry_inode(p.dir.dentry);
    if (from->mnt != p.dir.mnt)
        ret = -EXDEV;
    else if (!target || (target->nlink == 0 && !target->linkable))
        ret = -ENOENT;
    else if (S_ISDIR(target->mode) || !dir->ops->link)
        ret = -EPERM;
    else
        ret = dir->ops->link(dir, p.last, target);
    if (ret == 0)
        target->linkable = false;
    if (ret == 0)
        notify_self(from->dentry, IN_ATTRIB);
    return create_end(&p, ret, ret == 0 ? inode_get(target) : NULL);
}

/* ---- removing ---- */

/* The place of a name to be removed, all checks but those of type done. On failure nothing is held. */
static int remove_begin(struct task *t, struct place *p)
{
    int ret = path_want_write(&p->dir);
    if (ret < 0) {
        path_put(&p->dir);
        return ret;
    }
    ret = place_lock(p);
    if (ret < 0)
        return ret;
    struct inode *victim = dentry_inode(p->child);
    ret = victim ? path_may_delete(t, &p->dir, victim) : -ENOENT;
    return ret < 0 ? place_end(p, ret) : 0;
}

/* The name is gone. */
static void removed(struct place *p)
{
    dentry_make_negative(p->child);
    notify_unlinked(p->child);
    notify_dir(p->dir.dentry, dentry_inode(p->child), p->last, IN_DELETE, 0);
}

int vfs_unlink(struct task *t, int dirfd, const char *name)
{
    struct place p;

    int ret = path_lookup_parent(t, dirfd, name, &p.dir, p.last, &p.slash);
    if (ret < 0)
        return ret;
    if (name_is_special(p.last)) {
        path_put(&p.dir);
        return -EISDIR;
    }
    ret = remove_begin(t, &p);
    if (ret < 0)
        return ret;
    struct inode *dir = dentry_inode(p.dir.dentry), *victim = dentry_inode(p.child);
    if (S_ISDIR(victim->mode))
        ret = -EISDIR;
    else if (p.slash)
        ret = -ENOTDIR;
    else if (atomic_load(&p.child->mounted))
        ret = -EBUSY;
    else
        ret = dir->ops->unlink ? dir->ops->unlink(dir, p.last, victim) : -EPERM;
    if (ret == 0)
        removed(&p);
    return place_end(&p, ret);
}

static int rmdir_special(const char *last)
{
    if (!strcmp(last, "."))
        return -EINVAL;
    return !strcmp(last, "..") ? -ENOTEMPTY : -EBUSY;
}

int vfs_rmdir(struct task *t, int dirfd, const char *name)
{
    struct place p;

    int ret = path_lookup_parent(t, dirfd, name, &p.dir, p.last, &p.slash);
    if (ret < 0)
        return ret;
    if (name_is_special(p.last)) {
        path_put(&p.dir);
        return rmdir_special(p.last);
    }
    ret = remove_begin(t, &p);
    if (ret < 0)
        return ret;
    struct inode *dir = dentry_inode(p.dir.dentry), *victim = dentry_inode(p.child);
    if (!S_ISDIR(victim->mode)) {
        ret = -ENOTDIR;
    } else if (atomic_load(&p.child->mounted)) {
        ret = -EBUSY;
    } else if (victim == dir) {
        ret = -ELOOP; /* a file system that says that a directory is in itself */
    } else {
        lock_nested(&victim->lock);
        ret = dir->ops->rmdir ? dir->ops->rmdir(dir, p.last, victim) : -EPERM;
        unlock(&victim->lock);
    }
    if (ret == 0)
        removed(&p);
    return place_end(&p, ret);
}
