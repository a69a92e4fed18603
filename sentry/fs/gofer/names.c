/* The operations that change names. The directory's lock is held in all of them. */
#include "sentry/fs/gofer/gofer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The names in dir, and so its times, are no longer what they were. ret: what the gofer said of the change. If it
 * failed, dir may not be what we thought.
 */
static void dir_changed(struct inode *dir, int ret)
{
    atomic_fetch_add(&dir->sb->name_changes, 1);
    if (ret < 0)
        gofer_dir_forget(dir);
    gofer_mark_stale(dir);
}

/* What two inodes are called. One whose name is about to change gets its fid before. */
static int both_fids(struct inode *a, struct inode *b, uint32_t *out_a, uint32_t *out_b)
{
    int ret = gofer_fid(a, out_a);

    return ret < 0 ? ret : gofer_fid(b, out_b);
}

/* ---- making ---- */

/* *out_fd as rpc_create's; taken care of on failure. */
static int make(struct inode *dir, struct gofer_new *n, const struct cred *cred, struct inode **out)
{
    struct gofer_conn *c = gofer_conn(dir);
    struct p9_attr a;
    uint32_t fid, dir_fid;
    int fd;

    n->uid = cred ? cred->fsuid : 0;
    n->gid = dir->mode & S_ISGID ? dir->gid : cred ? cred->fsgid : 0;
    if (S_ISDIR(n->mode))
        n->mode |= dir->mode & S_ISGID;
    int ret = gofer_fid(dir, &dir_fid);
    if (ret == 0)
        ret = gofer_fid_alloc(c, &fid, 1);
    if (ret < 0)
        return ret;
    do
        ret = rpc_create(c, dir_fid, fid, n, &a, &fd);
    while (gofer_make_room(ret));
    if (*n->name)
        dir_changed(dir, ret);
    if (ret < 0) {
        gofer_fid_unused(c, &fid, 1);
        return ret;
    }
    if (*n->name)
        gofer_dir_added(dir, n->name, a.ino, a.mode);
    ret = gofer_inode_get(dir->sb, fid, &a, n->target, out);
    if (ret == 0 && S_ISDIR(a.mode))
        gofer_dir_is_new(*out);
    if (fd >= 0 && ret == 0)
        gofer_handle_offer(*out, fd, O_RDWR);
    else if (fd >= 0)
        close(fd);
    return ret;
}

int gofer_create(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out)
{
    struct gofer_new n = {.name = name, .mode = S_IFREG | (mode & 07777)};

    return make(dir, &n, cred, out);
}

int gofer_mkdir(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out)
{
    struct gofer_new n = {.name = name, .mode = S_IFDIR | (mode & 07777)};

    return make(dir, &n, cred, out);
}

int gofer_mknod(struct inode *dir, const char *name, mode_t mode, dev_t rdev, const struct cred *cred,
                struct inode **out)
{
    struct gofer_new n = {.name = name, .mode = mode, .rdev = rdev};

    return make(dir, &n, cred, out);
}

int gofer_symlink(struct inode *dir, const char *name, const char *target, const struct cred *cred, struct inode **out)
{
    struct gofer_new n = {.name = name, .mode = S_IFLNK | 0777, .target = target};

    return make(dir, &n, cred, out);
}

int gofer_tmpfile(struct inode *dir, mode_t mode, const struct cred *cred, struct inode **out)
{
    struct gofer_new n = {.name = "", .mode = S_IFREG | (mode & 07777)};

    return make(dir, &n, cred, out);
}

int gofer_link(struct inode *dir, const char *name, struct inode *target)
{
    uint32_t dir_fid, fid;

    int ret = both_fids(dir, target, &dir_fid, &fid);
    if (ret < 0)
        return ret;
    ret = rpc_link(gofer_conn(dir), dir_fid, fid, name);
    dir_changed(dir, ret);
    if (ret == 0) {
        gofer_dir_added(dir, name, target->ino, target->mode);
        lock(&gofer_data(target)->attr_lock);
        target->nlink++;
        gofer_changed_locked(gofer_data(target));
        unlock(&gofer_data(target)->attr_lock);
    }
    return ret;
}

/* ---- removing ---- */

/* i has one name less: vfs looks at nlink, the rest is asked for when needed. */
static void lost_name(struct inode *i)
{
    struct gofer_inode *gi = gofer_data(i);

    lock(&gi->attr_lock);
    i->nlink = S_ISDIR(i->mode) || !i->nlink ? 0 : i->nlink - 1;
    gofer_changed_locked(gi);
    unlock(&gi->attr_lock);
}

static int remove_name(struct inode *dir, const char *name, struct inode *victim)
{
    uint32_t dir_fid, fid;

    int ret = both_fids(dir, victim, &dir_fid, &fid);
    if (ret < 0)
        return ret;
    ret = rpc_unlink(gofer_conn(dir), dir_fid, name, S_ISDIR(victim->mode));
    dir_changed(dir, ret);
    if (ret < 0)
        return ret;
    gofer_dir_removed(dir, name);
    lost_name(victim);
    return 0;
}

int gofer_unlink(struct inode *dir, const char *name, struct inode *victim)
{
    return remove_name(dir, name, victim);
}

int gofer_rmdir(struct inode *dir, const char *name, struct inode *victim)
{
    return remove_name(dir, name, victim);
}

int gofer_rename(struct inode *old_dir, const char *old_name, struct inode *old, struct inode *new_dir,
                 const char *new_name, struct inode *victim, unsigned flags)
{
    uint32_t from, to, fid, victim_fid;

    int ret = both_fids(old_dir, new_dir, &from, &to);
    if (ret == 0)
        ret = both_fids(old, victim ? victim : old, &fid, &victim_fid);
    if (ret < 0)
        return ret;
    ret = rpc_rename(gofer_conn(old_dir), from, old_name, to, new_name, flags);
    dir_changed(old_dir, ret);
    dir_changed(new_dir, ret);
    if (ret < 0)
        return ret;
    gofer_mark_stale(old);
    if (flags & RENAME_EXCHANGE) {
        gofer_mark_stale(victim);
        gofer_dir_forget(old_dir);
        gofer_dir_forget(new_dir);
        return 0;
    }
    gofer_dir_removed(old_dir, old_name);
    if (victim) {
        gofer_dir_removed(new_dir, new_name);
        lost_name(victim);
    }
    gofer_dir_added(new_dir, new_name, old->ino, old->mode);
    return 0;
}
