/*
 * The bytes of files: pread and pwrite on the host descriptor that the file's inode shares among its users. The host's
 * page cache is the only cache, so guests that map a file see what others write.
 */
#include "sentry/fs/gofer/gofer.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHUNK 65536

int chrdev_open(dev_t rdev, struct file *f) __attribute__((weak));

static int handle_fd(const struct file *f)
{
    const struct gofer_handle *h = f->priv;

    return h->fd;
}

int gofer_open(struct inode *i, struct file *f)
{
    struct gofer_handle *h;

    if (S_ISDIR(i->mode)) {
        f->ops = &gofer_dir_ops;
        return 0;
    }
    if (S_ISCHR(i->mode))
        return chrdev_open ? chrdev_open(i->rdev, f) : -ENXIO;
    if (!S_ISREG(i->mode))
        return -ENXIO;
    bool reads = f->fmode & (FMODE_READ | FMODE_EXEC), writes = f->fmode & FMODE_WRITE;
    int ret = gofer_handle_get(i, !writes ? O_RDONLY : reads ? O_RDWR : O_WRONLY, &h);
    if (ret < 0)
        return ret;
    f->priv = h;
    f->ops = &gofer_file_ops;
    return 0;
}

static void gofer_release(struct file *f)
{
    gofer_handle_put(f->priv);
}

/* By way of a buffer: two copies. */
static ssize_t read_copied(struct file *f, struct uio *u, int64_t *pos)
{
    not_cleared char buf[CHUNK];
    ssize_t done = 0;

    while (u->left) {
        const size_t want = MIN(sizeof(buf), u->left);
        ssize_t got = pread(handle_fd(f), buf, want, *pos);
        if (got <= 0)
            return done ? done : got < 0 ? -errno : 0;
        ssize_t n = uio_copy_out(u, buf, (size_t)got);
        if (n < 0)
            return done ? done : n;
        done += n;
        *pos += n;
        if ((size_t)n < want) /* the end of the file, or of the memory */
            break;
    }
    return done;
}

static ssize_t gofer_read(struct file *f, struct uio *u, int64_t *pos)
{
    struct gofer_handle *h = f->priv;
    ssize_t done = gofer_read_mapped(f, u, pos);

    if (done > 0)
        return done;
    done = read_copied(f, u, pos);
    if (done > 0)
        gofer_map_count(&h->map, (size_t)done);
    return done;
}

/* One write of the host's; inode lock held. Appending, *pos is where the bytes went. */
static ssize_t write_chunk(struct file *f, const char *buf, size_t len, int64_t *pos, bool append)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
    struct stat st;

    if (!append) {
        ssize_t n = pwrite(handle_fd(f), buf, len, *pos);
        return n < 0 ? -errno : n;
    }
    ssize_t n = pwritev2(handle_fd(f), &iov, 1, 0, RWF_APPEND);
    if (n < 0)
        return -errno;
    if (fstat(handle_fd(f), &st) < 0)
        return -errno;
    *pos = (int64_t)st.st_size - n;
    return n;
}

static void note_written(struct inode *i, int64_t end)
{
    struct gofer_inode *gi = gofer_data(i);

    lock(&gi->attr_lock);
    if ((uint64_t)end > i->size)
        i->size = (uint64_t)end;
    gofer_changed_locked(gi);
    unlock(&gi->attr_lock);
}

static ssize_t gofer_write(struct file *f, struct uio *u, int64_t *pos)
{
    struct inode *i = f->inode;
    not_cleared char buf[CHUNK];
    ssize_t done = 0;

    lock(&i->lock);
    while (u->left) {
        ssize_t got = uio_copy_in(u, buf, MIN(sizeof(buf), u->left));
        ssize_t n = got <= 0 ? got : write_chunk(f, buf, (size_t)got, pos, (f->flags & O_APPEND) || u->append);
        if (n < got && got > 0)
            uio_revert(u, (size_t)(got - MAX(n, 0)));
        if (n <= 0) {
            done = done ? done : n;
            break;
        }
        done += n;
        *pos += n;
        if (n < got)
            break;
    }
    if (done > 0)
        note_written(i, *pos);
    unlock(&i->lock);
    return done;
}

static int64_t gofer_llseek(struct file *f, int64_t off, int whence)
{
    int64_t base = 0;
    struct stat st;

    if (whence == SEEK_DATA || whence == SEEK_HOLE) {
        int64_t at = lseek(handle_fd(f), off, whence);
        return at < 0 ? -errno : (f->pos = at);
    }
    if (whence == SEEK_CUR)
        base = f->pos;
    else if (whence == SEEK_END && fstat(handle_fd(f), &st) == 0)
        base = st.st_size;
    else if (whence != SEEK_SET)
        return -EINVAL;
    if (__builtin_add_overflow(base, off, &base))
        return -EOVERFLOW;
    return base < 0 ? -EINVAL : (f->pos = base);
}

/* A file opened for reading is mapped on a descriptor for reading: no mprotect(2) makes such a mapping writable. */
static int gofer_mmap_fd(struct file *f, int prot, int flags, int *out_host_fd, uint64_t *out_off_delta)
{
    (void)prot;
    if ((flags & MAP_TYPE) != MAP_PRIVATE && (f->fmode & FMODE_WRITE))
        atomic_store(&gofer_data(f->inode)->mapped, true);
    *out_host_fd = handle_fd(f);
    *out_off_delta = 0;
    return 0;
}

static int gofer_fsync(struct file *f, bool data_only)
{
    if (!(f->fmode & FMODE_WRITE))
        return 0; /* what others wrote: on a read-only descriptor that is theirs to sync */
    return (data_only ? fdatasync(handle_fd(f)) : fsync(handle_fd(f))) < 0 ? -errno : 0;
}

static int gofer_fallocate(struct file *f, int mode, int64_t off, int64_t len)
{
    struct inode *i = f->inode;

    lock(&i->lock);
    int ret = fallocate(handle_fd(f), mode, off, len) < 0 ? -errno : 0;
    unlock(&i->lock);
    gofer_mark_stale(i);
    return ret == 0 ? gofer_refresh(i) : ret;
}

const struct file_ops gofer_file_ops = {
    .read = gofer_read,
    .write = gofer_write,
    .llseek = gofer_llseek,
    .mmap_fd = gofer_mmap_fd,
    .fsync = gofer_fsync,
    .fallocate = gofer_fallocate,
    .release = gofer_release,
};
