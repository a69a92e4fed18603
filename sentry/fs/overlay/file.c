/*
 * Open regular files. Files of the upper tree run on its own operations. One that is open for reading on the lower tree
 * has the operations below, since the file may be copied up while it is open: from then on they read the copy. (What is
 * mapped already stays the lower file, as on Linux.)
 *
 * The copy is read through one file an inode, opened when it is first needed.
 */
#include "sentry/fs/overlay/overlay.h"

#include "sentry/kernel/locking.h"

#include <errno.h>
#include <unistd.h>

/* The overlay inode that f was opened on. */
static struct inode *overlay_of(const struct file *f)
{
    return dentry_inode(f->dentry);
}

/* The file to read in f's place, borrowed for f's life: the copy's; NULL: there is none, f itself. */
static int copy_of(struct file *f, struct file **out)
{
    struct inode *i = overlay_of(f), *upper = ovl_upper(i);
    struct ovl_inode *oi = ovl_data(i);
    int ret = 0;

    *out = NULL;
    if (likely(!upper))
        return 0;
    lock(&oi->copy_lock);
    if (!oi->upper_file)
        ret = ovl_open_real(upper, FMODE_READ, &oi->upper_file);
    *out = oi->upper_file;
    unlock(&oi->copy_lock);
    return ret;
}

static ssize_t lower_read(struct file *f, struct uio *u, int64_t *pos)
{
    struct file *copy;

    int ret = copy_of(f, &copy);
    if (ret < 0)
        return ret;
    return copy ? copy->ops->read(copy, u, pos) : f->inode->file_ops->read(f, u, pos);
}

/* With a copy: data up to its end, a hole behind it. */
static int64_t copy_llseek(struct file *f, struct file *copy, int64_t off, int whence)
{
    int64_t size = (int64_t)copy->inode->size, base = 0;

    if (whence == SEEK_DATA || whence == SEEK_HOLE) {
        if (off < 0 || off >= size)
            return -ENXIO;
        return f->pos = whence == SEEK_DATA ? off : size;
    }
    if (whence == SEEK_CUR)
        base = f->pos;
    else if (whence == SEEK_END)
        base = size;
    else if (whence != SEEK_SET)
        return -EINVAL;
    if (__builtin_add_overflow(base, off, &base))
        return -EOVERFLOW;
    return base < 0 ? -EINVAL : (f->pos = base);
}

static int64_t lower_llseek(struct file *f, int64_t off, int whence)
{
    struct file *copy;

    int ret = copy_of(f, &copy);
    if (ret < 0)
        return ret;
    return copy ? copy_llseek(f, copy, off, whence) : f->inode->file_ops->llseek(f, off, whence);
}

static int lower_mmap_fd(struct file *f, int prot, int flags, int *out_host_fd, uint64_t *out_off_delta)
{
    struct file *copy;

    int ret = copy_of(f, &copy);
    if (ret < 0)
        return ret;
    struct file *real = copy ? copy : f;
    const struct file_ops *ops = copy ? copy->ops : f->inode->file_ops;
    return ops->mmap_fd ? ops->mmap_fd(real, prot, flags, out_host_fd, out_off_delta) : -ENODEV;
}

static int lower_fsync(struct file *f, bool data_only)
{
    (void)f, (void)data_only;
    return 0; /* nothing can be written through it */
}

static void lower_release(struct file *f)
{
    if (f->inode->file_ops->release)
        f->inode->file_ops->release(f);
}

static const struct file_ops lower_file_ops = {
    .read = lower_read,
    .llseek = lower_llseek,
    .mmap_fd = lower_mmap_fd,
    .fsync = lower_fsync,
    .release = lower_release,
};

/* f runs on the real inode: its operations and what they keep in f->priv. */
static int open_on(struct inode *real, struct file *f)
{
    f->inode = real; /* alive through the overlay inode, which f's dentry holds */
    if (real->ops->open)
        return real->ops->open(real, f);
    f->ops = real->file_ops;
    return 0;
}

int ovl_open_regular(struct inode *i, struct file *f)
{
    int ret = 0;

    if (f->fmode & FMODE_WRITE)
        ret = ovl_copy_up_to(i, f->flags & O_TRUNC ? 0 : UINT64_MAX);
    if (ret < 0)
        return ret;
    struct inode *real = ovl_real(i);
    ret = open_on(real, f);
    const struct file_ops *lower = real->file_ops;
    if (ret == 0 && real == ovl_data(i)->lower && f->ops == lower && lower->read && lower->llseek)
        f->ops = &lower_file_ops;
    return ret;
}
