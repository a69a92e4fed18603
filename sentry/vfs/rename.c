/*
 * rename(2) and renameat2(2).
 *
 * Locks: the super block's rename lock if two directories are involved, so that the tree's shape stands still; then the
 * directories, an ancestor before its descendant; then a directory that is to be replaced. A directory must not move
 * below itself, which is checked once the shape cannot change.
 */
#include "sentry/kernel/task.h"
#include "sentry/vfs/dcache.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/ops.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct end { /* one of the two names */
    struct path dir;
    char last[NAME_MAX + 1];
    bool slash;
    struct dentry *d; /* counted */
};

static struct inode *end_dir(const struct end *e)
{
    return dentry_inode(e->dir.dentry);
}

static void lock_dirs(struct end *from, struct end *to) NO_THREAD_SAFETY
{
    struct inode *a = end_dir(from), *b = end_dir(to);

    if (a == b) {
        lock(&a->lock);
        return;
    }
    lock(&a->sb->rename_lock);
    if (dentry_is_ancestor(from->dir.dentry, to->dir.dentry)) {
        lock(&a->lock);
        lock_nested(&b->lock);
    } else if (dentry_is_ancestor(to->dir.dentry, from->dir.dentry)) {
        lock(&b->lock);
        lock_nested(&a->lock);
    } else {
        lock_pair(&a->lock, &b->lock);
    }
}

static void unlock_dirs(struct end *from, struct end *to) NO_THREAD_SAFETY
{
    struct inode *a = end_dir(from), *b = end_dir(to);

    unlock_pair(&a->lock, &b->lock);
    if (a != b)
        unlock(&a->sb->rename_lock);
}

/* What must hold of the names and the tree. Directory locks held. */
static int check_shape(struct end *from, struct end *to, unsigned flags)
{
    struct inode *old = dentry_inode(from->d), *new = dentry_inode(to->d);
    bool exchange = flags & RENAME_EXCHANGE;

    if (!old)
        return -ENOENT;
    if (new && (flags & RENAME_NOREPLACE))
        return -EEXIST;
    if (exchange && !new)
        return -ENOENT;
    if (exchange && !S_ISDIR(new->mode) && to->slash)
        return -ENOTDIR;
    if (!S_ISDIR(old->mode) && (from->slash || (!exchange && to->slash)))
        return -ENOTDIR;
    if (dentry_is_ancestor(from->d, to->dir.dentry))
        return -EINVAL;
    if (new &&dentry_is_ancestor(to->d, from->dir.dentry))
        return exchange ? -EINVAL : -ENOTEMPTY;
    return dentry_is_dead(to->dir.dentry) ? -ENOENT : 0;
}

/* A directory that changes its parent must be writable itself: its ".." changes. */
static int may_move(struct task *t, struct inode *i, bool other_parent)
{
    return S_ISDIR(i->mode) && other_parent ? inode_permission(i, t->cred, 2) : 0;
}

static int check_permission(struct task *t, struct end *from, struct end *to, unsigned flags)
{
    struct inode *old = dentry_inode(from->d), *new = dentry_inode(to->d);
    bool other_parent = end_dir(from) != end_dir(to), exchange = flags & RENAME_EXCHANGE;

    int ret = path_may_delete(t, &from->dir, old);
    if (ret == 0)
        ret = new ? path_may_delete(t, &to->dir, new) : path_permission(t, &to->dir, 2 | 1);
    if (ret < 0)
        return ret;
    if (new && !exchange && S_ISDIR(old->mode) != S_ISDIR(new->mode))
        return S_ISDIR(old->mode) ? -ENOTDIR : -EISDIR;
    ret = may_move(t, old, other_parent);
    if (ret == 0 && exchange)
        ret = may_move(t, new, other_parent);
    if (ret == 0 && (atomic_load(&from->d->mounted) || atomic_load(&to->d->mounted)))
        ret = -EBUSY;
    return ret;
}

/* Brings the dentry cache in step with the rename just done. */
static void move_dentries(struct end *from, struct end *to, unsigned flags)
{
    int ret = 0;

    if (!(flags & RENAME_EXCHANGE))
        ret = dentry_move(from->d, to->dir.dentry, to->last);
    else if (from->d->hashed && to->d->hashed)
        ret = dentry_exchange(from->d, to->d);
    if (ret < 0) { /* no memory for a name: forget both, the file system knows better */
        dentry_make_negative(from->d);
        dentry_make_negative(to->d);
    }
}

/* old moved from one end to the other. */
static void tell_moved(struct end *from, struct end *to, struct inode *old)
{
    uint32_t cookie = notify_new_cookie();

    notify_dir(from->dir.dentry, old, from->last, IN_MOVED_FROM, cookie);
    notify_dir(to->dir.dentry, old, to->last, IN_MOVED_TO, cookie);
}

static void tell(struct end *from, struct end *to, struct inode *old, struct inode *new, unsigned flags)
{
    if (!notify_wanted())
        return;
    tell_moved(from, to, old);
    if (new && !(flags & RENAME_EXCHANGE))
        notify_unlinked(to->d);
    notify_self(from->d, IN_MOVE_SELF);
    if (flags & RENAME_EXCHANGE) {
        tell_moved(to, from, new);
        notify_self(to->d, IN_MOVE_SELF);
    }
}

static int rename_locked(struct task *t, struct end *from, struct end *to, unsigned flags)
{
    int ret = dentry_lookup(from->dir.dentry, from->last, &from->d);
    if (ret == 0)
        ret = dentry_lookup(to->dir.dentry, to->last, &to->d);
    if (ret == 0)
        ret = check_shape(from, to, flags);
    if (ret < 0)
        return ret;
    struct inode *dir = end_dir(from), *old = dentry_inode(from->d), *new = dentry_inode(to->d);
    if (old == new)
        return 0; /* two names of one file: nothing to do, says POSIX */
    ret = check_permission(t, from, to, flags);
    if (ret < 0)
        return ret;
    if (!dir->ops->rename)
        return -EPERM;
    bool replaces_dir = new &&S_ISDIR(new->mode) && !(flags & RENAME_EXCHANGE);
    if (new == dir || new == end_dir(to))
        return -ELOOP; /* a file system that says that a directory is in itself, or in two places */
    if (replaces_dir)
        lock_nested(&new->lock);
    ret = dir->ops->rename(dir, from->last, old, end_dir(to), to->last, new, flags);
    if (replaces_dir)
        unlock(&new->lock);
    if (ret == 0) {
        move_dentries(from, to, flags);
        tell(from, to, old, new, flags);
    }
    return ret;
}

static int rename_ends(struct task *t, struct end *from, struct end *to, unsigned flags)
{
    if (from->dir.mnt != to->dir.mnt)
        return -EXDEV;
    if (name_is_special(from->last))
        return -EBUSY;
    if (name_is_special(to->last))
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    int ret = path_want_write(&from->dir);
    if (ret < 0)
        return ret;
    lock_dirs(from, to);
    ret = rename_locked(t, from, to, flags);
    unlock_dirs(from, to);
    if (from->d)
        dentry_put(from->d);
    if (to->d)
        dentry_put(to->d);
    return ret;
}

int vfs_rename(struct task *t, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name, unsigned flags)
{
    struct end from = {0}, to = {0};

    int ret = path_lookup_parent(t, old_dirfd, old_name, &from.dir, from.last, &from.slash);
    if (ret < 0)
        return ret;
    ret = path_lookup_parent(t, new_dirfd, new_name, &to.dir, to.last, &to.slash);
    if (ret == 0) {
        ret = rename_ends(t, &from, &to, flags);
        path_put(&to.dir);
    }
    path_put(&from.dir);
    return ret;
}
