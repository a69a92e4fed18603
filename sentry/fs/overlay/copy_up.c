/*
 * Copy-up: before something of the lower tree is changed, it gets a copy in the upper tree, its directories first. The
 * copy is made under its own name, whole, while copy_lock keeps everybody else from looking for an upper inode; an
 * overlay inode shows it only when it is complete.
 */
#include "sentry/fs/overlay/overlay.h"

#include "sentry/kernel/locking.h"
#include "sentry/vfs/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define CHUNK 262144

int ovl_open_real(struct inode *real, unsigned fmode, struct file **out)
{
    struct dentry *d = dentry_new_anon(inode_get(real), "overlay");

    if (!d) {
        inode_put(real);
        return -ENOMEM;
    }
    const struct path p = {mount_anon(), d};
    struct file *f = file_new(&p, 0, fmode & FMODE_WRITE ? O_RDWR : O_RDONLY, NULL);
    dentry_put(d);
    if (!f)
        return -ENOMEM;
    if ((fmode & FMODE_WRITE) && S_ISREG(real->mode))
        atomic_fetch_sub(&real->write_deny, 1);
    f->fmode = fmode;
    f->ops = real->file_ops;
    int ret = real->ops->open ? real->ops->open(real, f) : 0;
    if (ret == 0 && !f->ops)
        ret = -EINVAL;
    if (ret < 0) {
        file_put(f);
        return ret;
    }
    *out = f;
    return 0;
}

/* All of buf[0..len) to f at pos. */
static int write_all(struct file *f, char *buf, size_t len, int64_t pos)
{
    struct uio u;

    uio_kernel(&u, buf, len);
    while (u.left) {
        ssize_t n = file_write(f, &u, &pos);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
    }
    return 0;
}

static bool all_zero(const char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (buf[i])
            return false;
    return true;
}

/* The bytes; long runs of zeros stay holes. */
static int copy_bytes(struct file *from, struct file *to)
{
    char *buf = malloc(CHUNK);
    int64_t pos = 0;
    ssize_t n;
    int ret = 0;

    if (!buf)
        return -ENOMEM;
    while (ret == 0 && (n = file_pread_kernel(from, buf, CHUNK, pos)) != 0) {
        if (n < 0)
            ret = (int)n;
        else if (!all_zero(buf, (size_t)n))
            ret = write_all(to, buf, (size_t)n, pos);
        pos += n;
    }
    free(buf);
    return ret < 0 ? ret : (int64_t)to->inode->size < pos ? -EAGAIN : 0; /* a hole at the end: set the size */
}

static int copy_data(struct inode *lower, struct inode *upper, uint64_t size)
{
    struct file *from, *to;

    if (!size)
        return 0;
    int ret = ovl_open_real(lower, FMODE_READ, &from);
    if (ret < 0)
        return ret;
    ret = ovl_open_real(upper, FMODE_READ | FMODE_WRITE, &to);
    if (ret == 0) {
        ret = copy_bytes(from, to);
        file_put(to);
    }
    file_put(from);
    if (ret != -EAGAIN)
        return ret;
    const struct iattr a = {.valid = ATTR_SIZE, .size = size};
    return upper->ops->setattr(upper, &a);
}

static int make_symlink(struct inode *dir, const char *name, struct inode *lower, struct inode **out)
{
    char target[PATH_MAX];

    int n = lower->ops->readlink ? lower->ops->readlink(lower, target, sizeof(target) - 1) : -EINVAL;
    if (n < 0)
        return n;
    target[n] = '\0';
    return dir->ops->symlink(dir, name, target, NULL, out);
}

/* The new upper inode, still empty. The upper directory's lock is held. */
static int make_upper(struct inode *dir, const char *name, struct inode *lower, const struct kstat *st,
                      struct inode **out)
{
    if (S_ISREG(st->mode))
        return dir->ops->create(dir, name, st->mode, NULL, out);
    if (S_ISDIR(st->mode))
        return dir->ops->mkdir(dir, name, st->mode, NULL, out);
    if (S_ISLNK(st->mode))
        return make_symlink(dir, name, lower, out);
    return dir->ops->mknod(dir, name, st->mode, lower->rdev, NULL, out);
}

static int copy_attributes(struct inode *upper, const struct kstat *st)
{
    const struct iattr a = {
        .valid = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME | ATTR_MTIME,
        .mode = st->mode,
        .uid = st->uid,
        .gid = st->gid,
        .atime = st->atime,
        .mtime = st->mtime,
    };

    if (!S_ISCHR(st->mode) && !S_ISBLK(st->mode))
        upper->rdev = st->ino & ~OVL_OPAQUE;
    return upper->ops->setattr(upper, &a);
}

/* Takes the unfinished copy away again. */
static void undo(struct inode *dir, const char *name, struct inode *upper)
{
    int ret;

    lock(&dir->lock);
    if (S_ISDIR(upper->mode)) {
        lock_nested(&upper->lock);
        ret = dir->ops->rmdir(dir, name, upper);
        unlock(&upper->lock);
    } else {
        ret = dir->ops->unlink(dir, name, upper);
    }
    (void)ret; /* what stays is an incomplete copy that the next copy-up reports as -EEXIST */
    unlock(&dir->lock);
    inode_put(upper);
}

/* The copy of i in the upper directory dir. copy_lock is held. */
static int copy_one(struct inode *i, struct inode *dir)
{
    struct ovl_inode *oi = ovl_data(i);
    struct timespec dir_mtime = dir->mtime;
    struct inode *upper = NULL, *there = NULL;
    struct kstat st;

    int ret = inode_getattr(oi->lower, &st);
    if (ret < 0)
        return ret;
    lock(&dir->lock);
    ret = dir->ops->lookup(dir, oi->name, &there);
    if (ret == 0) {
        inode_put(there);
        ret = -ESTALE; /* somebody else's name by now */
    } else if (ret == -ENOENT) {
        ret = make_upper(dir, oi->name, oi->lower, &st, &upper);
        dir->mtime = dir_mtime; /* nothing has changed in it, as far as anybody can see */
    }
    unlock(&dir->lock);
    if (ret == 0 && S_ISREG(st.mode))
        ret = copy_data(oi->lower, upper, st.size);
    if (ret == 0)
        ret = copy_attributes(upper, &st);
    if (ret < 0) {
        if (upper)
            undo(dir, oi->name, upper);
        return ret;
    }
    atomic_store_explicit(&oi->upper, upper, memory_order_release);
    ovl_table_add(i);
    ovl_refresh(i);
    return 0;
}

static int copy_up_locked(struct inode *i)
{
    struct ovl_inode *oi = ovl_data(i);

    if (ovl_upper(i))
        return 0;
    if (!i->nlink)
        return -ENOENT;                   /* removed while open: it has no place to be copied to */
    int ret = copy_up_locked(oi->parent); /* as deep as the path: PATH_MAX / 2 at most */
    return ret < 0 ? ret : copy_one(i, ovl_upper(oi->parent));
}

int ovl_copy_up(struct inode *i)
{
    struct ovl_sb *os = ovl_sb(i);

    if (ovl_upper(i))
        return 0;
    lock(&os->copy_lock);
    int ret = copy_up_locked(i);
    unlock(&os->copy_lock);
    return ret;
}
