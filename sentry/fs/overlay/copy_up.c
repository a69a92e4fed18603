/*
 * Copy-up: before something of the lower tree is changed, it gets a copy in the upper tree, its directories first.
 *
 * The copy is made whole in a hidden work directory and then renamed into its place, where the overlay inode starts to
 * show it, in one step under the locks of both directories: nobody sees half a copy, and a file that lost its name
 * meanwhile gets a nameless one. Each inode has its own lock for this, so copies of different files do not wait for one
 * another. What is not copied yet cannot have been renamed, so its place is constant.
 *
 * The work directory's lock is taken before that of any other upper directory, and never while one is held.
 */
#include "sentry/fs/overlay/overlay.h"

#include "sentry/kernel/locking.h"
#include "sentry/vfs/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 262144
#define XATTR_BYTES 65536

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
        f->ops = NULL; /* nothing to release */
        file_put(f);
        return ret;
    }
    *out = f;
    return 0;
}

/* ---- contents ---- */

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
    return !len || (!buf[0] && !memcmp(buf, buf + 1, len - 1));
}

/* The first `size` bytes; long runs of zeros stay holes. *out_pos: how many there were. */
static int copy_bytes(struct file *from, struct file *to, uint64_t size, int64_t *out_pos)
{
    char *buf = malloc(CHUNK);
    int64_t pos = 0;
    int ret = buf ? 0 : -ENOMEM;

    while (ret == 0 && (uint64_t)pos < size) {
        ssize_t n = file_pread_kernel(from, buf, MIN((uint64_t)CHUNK, size - (uint64_t)pos), pos);
        if (n <= 0) {
            ret = (int)n;
            break;
        }
        if (!all_zero(buf, (size_t)n))
            ret = write_all(to, buf, (size_t)n, pos);
        pos += n;
    }
    free(buf);
    *out_pos = pos;
    return ret;
}

static int copy_data(struct inode *lower, struct inode *upper, uint64_t size)
{
    struct file *from, *to;
    int64_t copied;

    if (!size)
        return 0;
    int ret = ovl_open_real(lower, FMODE_READ, &from);
    if (ret < 0)
        return ret;
    ret = ovl_open_real(upper, FMODE_READ | FMODE_WRITE, &to);
    if (ret == 0) {
        ret = copy_bytes(from, to, size, &copied);
        file_put(to);
    }
    file_put(from);
    if (ret < 0 || upper->size == (uint64_t)copied)
        return ret;
    const struct iattr a = {.valid = ATTR_SIZE, .size = (uint64_t)copied}; /* a hole at the end */
    return upper->ops->setattr(upper, &a);
}

static int copy_xattr(struct inode *lower, struct inode *upper, const char *name, char *value)
{
    if (!strncmp(name, "system.", 7) || !strncmp(name, "trusted.overlay.", 16))
        return 0;
    ssize_t n = lower->ops->getxattr(lower, name, value, XATTR_BYTES);
    if (n < 0)
        return n == -ENODATA ? 0 : (int)n;
    int ret = upper->ops->setxattr(upper, name, value, (size_t)n, 0);
    return ret == -EOPNOTSUPP ? 0 : ret;
}

static int copy_xattrs(struct inode *lower, struct inode *upper)
{
    if (!lower->ops->listxattr || !lower->ops->getxattr || !upper->ops->setxattr || S_ISLNK(lower->mode))
        return 0;
    char *names = malloc(2 * XATTR_BYTES);
    if (!names)
        return -ENOMEM;
    ssize_t n = lower->ops->listxattr(lower, names, XATTR_BYTES);
    int ret = n < 0 && n != -EOPNOTSUPP ? (int)n : 0;
    for (ssize_t at = 0; at < n && ret == 0; at += (ssize_t)strnlen(names + at, (size_t)(n - at)) + 1)
        ret = copy_xattr(lower, upper, names + at, names + XATTR_BYTES);
    free(names);
    return ret;
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

/* ---- the copy ---- */

struct copy {
    struct inode *i, *upper;
    struct inode *work; /* borrowed */
    char name[24];      /* in work */
};

static int make_symlink(struct inode *dir, const char *name, struct inode *lower, struct inode **out)
{
    char target[PATH_MAX];

    int n = lower->ops->readlink ? lower->ops->readlink(lower, target, sizeof(target) - 1) : -EINVAL;
    if (n < 0)
        return n;
    target[n] = '\0';
    return dir->ops->symlink(dir, name, target, NULL, out);
}

/* The new upper inode, still empty, in the work directory. */
static int copy_begin(struct copy *c, const struct kstat *st)
{
    struct inode *work = c->work, *lower = ovl_data(c->i)->lower;
    int ret;

    snprintf(c->name, sizeof(c->name), "%llu", (unsigned long long)atomic_fetch_add(&ovl_sb(c->i)->next_copy, 1));
    lock(&work->lock);
    if (S_ISREG(st->mode))
        ret = work->ops->create(work, c->name, st->mode, NULL, &c->upper);
    else if (S_ISDIR(st->mode))
        ret = work->ops->mkdir(work, c->name, st->mode, NULL, &c->upper);
    else if (S_ISLNK(st->mode))
        ret = make_symlink(work, c->name, lower, &c->upper);
    else
        ret = work->ops->mknod(work, c->name, st->mode, lower->rdev, NULL, &c->upper);
    unlock(&work->lock);
    return ret;
}

/* Takes the name in the work directory away; its lock is held. */
static int drop_name(struct copy *c)
{
    if (!S_ISDIR(c->upper->mode))
        return c->work->ops->unlink(c->work, c->name, c->upper);
    lock_nested(&c->upper->lock);
    int ret = c->work->ops->rmdir(c->work, c->name, c->upper);
    unlock(&c->upper->lock);
    return ret;
}

static void copy_abandon(struct copy *c)
{
    lock(&c->work->lock);
    int ret = drop_name(c);
    (void)ret; /* a tmpfs finds what it has made */
    unlock(&c->work->lock);
    inode_put(c->upper);
}

/* From the work directory to its place in `to`. Both locks are held. */
static int place(struct copy *c, struct inode *to)
{
    struct inode *there;
    struct timespec mtime = to->mtime, ctime = to->ctime;

    int ret = to->ops->lookup(to, ovl_data(c->i)->name, &there);
    if (ret == 0) {
        inode_put(there);
        return -ESTALE; /* somebody else's name by now */
    }
    if (ret != -ENOENT)
        return ret;
    ret = c->work->ops->rename(c->work, c->name, c->upper, to, ovl_data(c->i)->name, NULL, 0);
    to->mtime = mtime; /* nothing has changed in it, as far as anybody can see */
    to->ctime = ctime;
    return ret;
}

/* The copy gets its place, and the overlay inode shows it. to: the upper directory; NULL: there is no name any more. */
static int copy_publish(struct copy *c, struct inode *to) NO_THREAD_SAFETY
{
    int ret;

    lock(&c->work->lock);
    if (to)
        lock_nested(&to->lock);
    ret = to && c->i->nlink ? place(c, to) : drop_name(c);
    if (ret == 0) {
        atomic_store_explicit(&ovl_data(c->i)->upper, c->upper, memory_order_release);
        ovl_table_add(c->i);
    }
    if (to)
        unlock(&to->lock);
    unlock(&c->work->lock);
    return ret;
}

/* i's copy_lock is held. */
static int copy_one(struct inode *i, struct inode *to, uint64_t limit)
{
    struct copy c = {.i = i, .work = ovl_sb(i)->work};
    struct inode *lower = ovl_data(i)->lower;
    struct kstat st;

    int ret = inode_getattr(lower, &st);
    if (ret == 0)
        ret = copy_begin(&c, &st);
    if (ret < 0)
        return ret;
    if (S_ISREG(st.mode))
        ret = copy_data(lower, c.upper, MIN(st.size, limit));
    if (ret == 0)
        ret = copy_xattrs(lower, c.upper);
    if (ret == 0)
        ret = copy_attributes(c.upper, &st);
    if (ret == 0)
        ret = copy_publish(&c, to);
    if (ret < 0) {
        copy_abandon(&c);
        return ret;
    }
    ovl_refresh(i);
    return 0;
}

int ovl_copy_up_to(struct inode *i, uint64_t limit)
{
    struct ovl_inode *oi = ovl_data(i);
    struct inode *to = NULL;
    int ret = 0;

    if (ovl_upper(i))
        return 0;
    if (i->nlink) {
        ret = ovl_copy_up(oi->parent); /* as deep as the path: PATH_MAX / 2 at most */
        to = ovl_upper(oi->parent);
    }
    if (ret < 0)
        return ret;
    lock(&oi->copy_lock);
    if (!ovl_upper(i))
        ret = copy_one(i, to, limit);
    unlock(&oi->copy_lock);
    return ret;
}

int ovl_copy_up(struct inode *i)
{
    return ovl_copy_up_to(i, UINT64_MAX);
}
