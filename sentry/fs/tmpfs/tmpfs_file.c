/*
 * The bytes of tmpfs files. A small file's are in the sentry's memory: a tree of many thousand small files must not
 * take as many host descriptors. A file that grows beyond SMALL_MAX, or is mapped, gets a memfd, so that guests can map
 * the very pages that read and write see, and keeps it while it is open, and for as long after that as idle.c lets it.
 * What a file may grow to is charged against its super block's limit.
 */
#include "sentry/fs/tmpfs/tmpfs.h"

#include "sentry/mm/mm.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK 65536
#define SMALL_MAX 16384
#define DEMOTE_MAX (8U << 20) /* a few milliseconds to copy */

/* The file's bytes in the sentry's memory are these. */
static void set_small(struct tmpfs_inode *ti, unsigned char *bytes, uint32_t cap)
{
    free(ti->small);
    ti->small = bytes;
    ti->small_cap = cap;
}

static void set_fd(struct inode *i, int fd)
{
    struct tmpfs_inode *ti = tmpfs_data(i);

    if (ti->fd >= 0)
        close(ti->fd);
    if (ti->readonly_fd >= 0)
        close(ti->readonly_fd);
    ti->fd = fd;
    ti->readonly_fd = -1;
    tmpfs_note_fd(i, fd >= 0);
}

int tmpfs_need_fd(struct inode *i)
{
    struct tmpfs_inode *ti = tmpfs_data(i);

    if (ti->fd >= 0)
        return 0;
    int fd = memfd_create("sbox", MFD_CLOEXEC);
    if (fd < 0)
        return errno == ENOMEM ? -ENOSPC : -errno;
    if (i->size && (ftruncate(fd, (off_t)i->size) < 0 || pwrite(fd, ti->small, i->size, 0) != (ssize_t)i->size)) {
        close(fd);
        return -ENOSPC;
    }
    set_fd(i, fd);
    set_small(ti, NULL, 0);
    return 0;
}

/* The data of the memfd to bytes, which are zero: holes stay untouched. */
static bool read_data(int fd, unsigned char *bytes, off_t size)
{
    off_t end;

    for (off_t at = lseek(fd, 0, SEEK_DATA); at >= 0 && at < size; at = lseek(fd, end, SEEK_DATA)) {
        end = lseek(fd, at, SEEK_HOLE);
        for (ssize_t n; at < end; at += n)
            if ((n = pread(fd, bytes + at, (size_t)(end - at), at)) <= 0)
                return false;
    }
    return true;
}

void tmpfs_demote(struct inode *i)
{
    struct tmpfs_inode *ti = tmpfs_data(i);
    const uint64_t size = i->size;
    unsigned char *bytes = NULL;

    if (ti->fd < 0 || size > DEMOTE_MAX)
        return;
    if (size && !(bytes = calloc(1, size)))
        return;
    if (size && !read_data(ti->fd, bytes, (off_t)size)) {
        free(bytes);
        return;
    }
    set_small(ti, bytes, (uint32_t)size);
    set_fd(i, -1);
}

/* Gives a file without a memfd size bytes, at most SMALL_MAX, new ones zero. Inode lock held. */
static int small_resize(struct inode *i, uint64_t size)
{
    struct tmpfs_inode *ti = tmpfs_data(i);
    const uint64_t old = i->size;
    uint32_t cap = ti->small_cap > SMALL_MAX ? 0 : ti->small_cap; /* it was demoted: what is cut off is given back */

    for (cap = MAX(cap, 64U); cap < size;)
        cap *= 2;
    if (cap != ti->small_cap) {
        unsigned char *bytes = realloc(ti->small, cap);
        if (!bytes)
            return -ENOSPC;
        ti->small = bytes;
        ti->small_cap = cap;
    }
    if (size > old)
        memset(ti->small + old, 0, size - old);
    i->size = size;
    return 0;
}

void tmpfs_drop_data(struct inode *i)
{
    struct tmpfs_inode *ti = tmpfs_data(i);

    if (ti->fd >= 0)
        set_fd(i, -1);
    set_small(ti, NULL, 0);
    tmpfs_give_bytes(tmpfs_sb(i), ti->charged);
    ti->charged = 0;
}

/* Charges the file for bytes up to end. */
static int charge(struct inode *i, uint64_t end)
{
    struct tmpfs_inode *ti = tmpfs_data(i);
    uint64_t want = (end + 4095) & ~4095ULL;

    if (want <= ti->charged)
        return 0;
    int ret = tmpfs_take_bytes(tmpfs_sb(i), want - ti->charged);
    if (ret == 0)
        ti->charged = want;
    return ret;
}

int tmpfs_set_size(struct inode *i, uint64_t size)
{
    struct tmpfs_inode *ti = tmpfs_data(i);

    if (size > INT64_MAX)
        return -EFBIG;
    int ret = ti->fd < 0 && size <= SMALL_MAX ? small_resize(i, size) : tmpfs_need_fd(i);
    if (ret < 0)
        return ret;
    if (ti->fd >= 0 && ftruncate(ti->fd, (off_t)size) < 0)
        return -errno;
    if (size < ti->charged) {
        uint64_t keep = (size + 4095) & ~4095ULL;
        tmpfs_give_bytes(tmpfs_sb(i), ti->charged - keep);
        ti->charged = keep;
    }
    i->size = size;
    return 0;
}

/* Inode lock held: a copy to the guest may be made under any lock. */
static ssize_t small_read(struct inode *i, struct uio *u, int64_t *pos)
{
    if ((uint64_t)*pos >= i->size)
        return 0;
    ssize_t n = uio_copy_out(u, tmpfs_data(i)->small + *pos, MIN(u->left, i->size - (uint64_t)*pos));
    if (n > 0)
        *pos += n;
    return n;
}

static ssize_t tmpfs_read(struct file *f, struct uio *u, int64_t *pos)
{
    struct inode *i = f->inode;
    not_cleared char buf[CHUNK];
    ssize_t done = 0;

    lock(&i->lock);
    int fd = tmpfs_data(i)->fd;
    if (!(f->flags & O_NOATIME))
        clock_gettime(CLOCK_REALTIME_COARSE, &i->atime);
    if (fd < 0)
        done = small_read(i, u, pos);
    unlock(&i->lock);
    while (fd >= 0 && u->left) {
        ssize_t got = pread(fd, buf, MIN(sizeof(buf), u->left), *pos);
        if (got <= 0)
            return done ? done : got < 0 ? -errno : 0;
        ssize_t n = uio_copy_out(u, buf, (size_t)got);
        if (n < 0)
            return done ? done : n;
        done += n;
        *pos += n;
        if (n < got)
            break;
    }
    return done;
}

/* One chunk at *pos; inode lock held. */
static ssize_t write_chunk(struct inode *i, const char *buf, size_t len, int64_t pos)
{
    uint64_t end = (uint64_t)pos + len;

    int ret = charge(i, end);
    if (ret == 0 && tmpfs_data(i)->fd < 0 && end <= SMALL_MAX) {
        ret = end > i->size ? small_resize(i, end) : 0;
        if (ret == 0)
            memcpy(tmpfs_data(i)->small + pos, buf, len);
        return ret < 0 ? ret : (ssize_t)len;
    }
    if (ret == 0)
        ret = tmpfs_need_fd(i);
    if (ret < 0)
        return ret;
    ssize_t n = pwrite(tmpfs_data(i)->fd, buf, len, pos);
    if (n < 0)
        return -errno;
    if (end > i->size)
        i->size = (uint64_t)pos + (uint64_t)n;
    return n;
}

static ssize_t tmpfs_write(struct file *f, struct uio *u, int64_t *pos)
{
    struct inode *i = f->inode;
    not_cleared char buf[CHUNK];
    ssize_t done = 0;

    lock(&i->lock);
    if ((f->flags & O_APPEND) || u->append)
        *pos = (int64_t)i->size;
    while (u->left) {
        size_t want = MIN(sizeof(buf), u->left);
        if (*pos > INT64_MAX - (int64_t)want) {
            done = done ? done : -EFBIG;
            break;
        }
        ssize_t got = uio_copy_in(u, buf, want);
        ssize_t n = got <= 0 ? got : write_chunk(i, buf, (size_t)got, *pos);
        if (n <= 0) {
            done = done ? done : n;
            break;
        }
        done += n;
        *pos += n;
        if (n < got) {
            uio_revert(u, (size_t)(got - n));
            break;
        }
    }
    if (done > 0)
        tmpfs_touch(i, true);
    unlock(&i->lock);
    return done;
}

static int64_t tmpfs_llseek(struct file *f, int64_t off, int whence)
{
    struct inode *i = f->inode;
    int64_t base = whence == SEEK_CUR ? f->pos : whence == SEEK_END ? (int64_t)i->size : 0;

    if (whence == SEEK_DATA || whence == SEEK_HOLE) {
        int fd = tmpfs_data(i)->fd;
        if (off < 0 || off >= (int64_t)i->size)
            return -ENXIO;
        if (fd < 0) /* all data */
            return f->pos = whence == SEEK_DATA ? off : (int64_t)i->size;
        int64_t at = lseek(fd, off, whence);
        return at < 0 ? -errno : (f->pos = at);
    }
    if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END)
        return -EINVAL;
    if (__builtin_add_overflow(base, off, &base))
        return -EOVERFLOW;
    return base < 0 ? -EINVAL : (f->pos = base);
}

/* The memfd opened for reading only: the host itself then keeps the mapping from being made writable later. Where the
 * sentry has no procfs to open it through, the writable one has to do. Inode lock held. */
static int readonly_fd(struct tmpfs_inode *ti)
{
    if (ti->readonly_fd < 0)
        ti->readonly_fd = mm_host_reopen(ti->fd);
    return ti->readonly_fd < 0 ? ti->fd : ti->readonly_fd;
}

static int tmpfs_mmap_fd(struct file *f, int prot, int flags, int *out_host_fd, uint64_t *out_off_delta)
{
    const bool shared = (flags & MAP_TYPE) != MAP_PRIVATE, writable = f->fmode & FMODE_WRITE;
    struct inode *i = f->inode;
    (void)prot;

    lock(&i->lock);
    int ret = tmpfs_need_fd(i);
    if (ret == 0)
        *out_host_fd = shared && !writable ? readonly_fd(tmpfs_data(i)) : tmpfs_data(i)->fd;
    unlock(&i->lock);
    *out_off_delta = 0;
    return ret;
}

static void tmpfs_release(struct file *f)
{
    if (f->priv)
        tmpfs_use_end(f->inode);
}

static int tmpfs_fsync(struct file *f, bool data_only)
{
    (void)f, (void)data_only;
    return 0;
}

static int tmpfs_fallocate(struct file *f, int mode, int64_t off, int64_t len)
{
    struct inode *i = f->inode;

    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    lock(&i->lock);
    uint64_t end = (uint64_t)off + (uint64_t)len;
    int ret = mode & FALLOC_FL_PUNCH_HOLE ? 0 : charge(i, end);
    if (ret == 0)
        ret = tmpfs_need_fd(i);
    if (ret == 0 && fallocate(tmpfs_data(i)->fd, mode, off, len) < 0)
        ret = -errno;
    if (ret == 0) {
        if (!(mode & (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) && end > i->size)
            i->size = end;
        tmpfs_touch(i, true);
    }
    unlock(&i->lock);
    return ret;
}

const struct file_ops tmpfs_file_ops = {
    .read = tmpfs_read,
    .write = tmpfs_write,
    .llseek = tmpfs_llseek,
    .mmap_fd = tmpfs_mmap_fd,
    .fsync = tmpfs_fsync,
    .fallocate = tmpfs_fallocate,
    .release = tmpfs_release,
};
