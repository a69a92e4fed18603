/*
 * Making and removing in the overlay: the change is made in the upper directory, which is copied up first,
 * and a whiteout is left where the lower tree has the name.
 */
#include "sentry/fs/overlay/overlay.h"

#include <errno.h>

int ovl_put_whiteout(struct inode *upper_dir, const char *name)
{
    struct inode *made;

    int ret = upper_dir->ops->mknod(upper_dir, name, S_IFCHR, 0, NULL, &made);
    if (ret == 0)
        inode_put(made);
    return ret;
}

/* Removes the whiteout of name, if there is one: 1 there was, 0 not. Upper lock held. */
int ovl_take_whiteout(struct inode *upper_dir, const char *name)
{
    struct inode *i;

    int ret = upper_dir->ops->lookup(upper_dir, name, &i);
    if (ret < 0)
        return ret == -ENOENT ? 0 : ret;
    ret = ovl_is_whiteout(i) ? upper_dir->ops->unlink(upper_dir, name, i) : -EEXIST;
    inode_put(i);
    return ret < 0 ? ret : 1;
}

/* ---- making ---- */

struct making {
    mode_t mode;
    dev_t rdev;
    const char *target;  /* symlink */
    struct inode *other; /* link: the upper inode */
    const struct cred *cred;
};

/* In the upper directory, its lock held. */
static int make_in(struct inode *dir, const char *name, const struct making *m, struct inode **out)
{
    if (m->other) {
        int ret = dir->ops->link(dir, name, m->other);
        if (ret == 0)
            *out = inode_get(m->other);
        return ret;
    }
    if (m->target)
        return dir->ops->symlink(dir, name, m->target, m->cred, out);
    if (S_ISDIR(m->mode))
        return dir->ops->mkdir(dir, name, m->mode, m->cred, out);
    if (S_ISREG(m->mode))
        return dir->ops->create(dir, name, m->mode, m->cred, out);
    return dir->ops->mknod(dir, name, m->mode, m->rdev, m->cred, out);
}

/* Makes name in dir, a new upper inode in *out. */
static int make(struct inode *dir, const char *name, const struct making *m, struct inode **out)
{
    int ret = ovl_copy_up(dir);
    if (ret < 0)
        return ret;
    struct inode *upper = ovl_upper(dir);
    lock(&upper->lock);
    int covered = ovl_take_whiteout(upper, name);
    ret = covered < 0 ? covered : make_in(upper, name, m, out);
    if (ret == 0 && S_ISDIR((*out)->mode))
        (*out)->rdev = (dev_t)OVL_OPAQUE;
    if (ret < 0 && covered == 1 && ovl_put_whiteout(upper, name) < 0)
        ret = -EIO; /* no memory even for what was there */
    unlock(&upper->lock);
    ovl_refresh(dir);
    return ret;
}

static int make_and_wrap(struct inode *dir, const char *name, const struct making *m, struct inode **out)
{
    struct inode *upper;

    int ret = make(dir, name, m, &upper);
    return ret < 0 ? ret : ovl_inode_get(dir, name, upper, NULL, out);
}

int ovl_create(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out)
{
    const struct making m = {.mode = S_IFREG | (mode & 07777), .cred = cred};

    return make_and_wrap(dir, name, &m, out);
}

int ovl_tmpfile(struct inode *dir, mode_t mode, const struct cred *cred, struct inode **out)
{
    struct inode *made;

    int ret = ovl_copy_up(dir);
    if (ret < 0)
        return ret;
    struct inode *upper = ovl_upper(dir);
    lock(&upper->lock);
    ret = upper->ops->tmpfile ? upper->ops->tmpfile(upper, mode, cred, &made) : -EOPNOTSUPP;
    unlock(&upper->lock);
    if (ret == 0)
        ret = ovl_inode_get(dir, "", made, NULL, out);
    if (ret == 0)
        (*out)->nlink = 0;
    return ret;
}

int ovl_mkdir(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out)
{
    const struct making m = {.mode = S_IFDIR | (mode & 07777), .cred = cred};

    return make_and_wrap(dir, name, &m, out);
}

int ovl_mknod(struct inode *dir, const char *name, mode_t mode, dev_t rdev, const struct cred *cred, struct inode **out)
{
    const struct making m = {.mode = mode, .rdev = rdev, .cred = cred};

    if (S_ISCHR(mode) && rdev == 0)
        return -EPERM; /* it would be a whiteout */
    return make_and_wrap(dir, name, &m, out);
}

int ovl_symlink(struct inode *dir, const char *name, const char *target, const struct cred *cred, struct inode **out)
{
    const struct making m = {.mode = S_IFLNK, .target = target, .cred = cred};

    return make_and_wrap(dir, name, &m, out);
}

int ovl_link(struct inode *dir, const char *name, struct inode *target)
{
    struct inode *upper;

    int ret = ovl_copy_up(target);
    if (ret < 0)
        return ret;
    const struct making m = {.mode = target->mode, .other = ovl_upper(target)};
    ret = make(dir, name, &m, &upper);
    if (ret < 0)
        return ret;
    target->nlink = upper->nlink; /* which was 0 for a file of O_TMPFILE */
    inode_put(upper);
    ovl_refresh(target);
    return 0;
}

/* ---- removing ---- */

/* Takes the victim's upper inode, if any, out of the upper directory, whose lock is held. */
static int remove_upper(struct inode *upper_dir, const char *name, struct inode *victim)
{
    struct inode *up = ovl_upper(victim);

    if (!up)
        return 0;
    if (!S_ISDIR(up->mode))
        return upper_dir->ops->unlink(upper_dir, name, up);
    lock_nested(&up->lock);
    int ret = upper_dir->ops->rmdir(upper_dir, name, up);
    unlock(&up->lock);
    return ret;
}

void ovl_lost_name(struct inode *victim)
{
    struct inode *up = ovl_upper(victim);

    victim->nlink = up && !S_ISDIR(victim->mode) ? up->nlink : 0;
}

static int remove_name(struct inode *dir, const char *name, struct inode *victim)
{
    int covered = ovl_lower_has(dir, name);
    if (covered < 0)
        return covered;
    int ret = ovl_copy_up(dir);
    if (ret < 0)
        return ret;
    struct inode *upper = ovl_upper(dir);
    lock(&upper->lock);
    ret = remove_upper(upper, name, victim);
    if (ret == 0 && covered)
        ret = ovl_put_whiteout(upper, name);
    if (ret == 0)
        ovl_lost_name(victim);
    unlock(&upper->lock);
    ovl_refresh(dir);
    return ret;
}

int ovl_unlink(struct inode *dir, const char *name, struct inode *victim)
{
    return remove_name(dir, name, victim);
}

int ovl_rmdir(struct inode *dir, const char *name, struct inode *victim)
{
    int ret = ovl_make_empty(victim);

    return ret < 0 ? ret : remove_name(dir, name, victim);
}
