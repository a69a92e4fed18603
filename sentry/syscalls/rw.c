/*
 * read(2), write(2) and their vectored and positioned forms, and lseek(2).
 *
 * Each call makes a struct uio over the guest's ranges and hands it to file_read() or file_write(). What is common
 * lives here: SIGPIPE after EPIPE, RLIMIT_FSIZE with SIGXFSZ, the RWF_* flags, and ESPIPE for positions on streams.
 */
#include "sentry/syscalls/rw.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/uio.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <unistd.h>

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif

/* Cuts a write of a regular file at RLIMIT_FSIZE. -EFBIG with SIGXFSZ if nothing may be written. */
static int limit_file_size(struct task *t, struct file *f, struct uio *u, const int64_t *pos)
{
    uint64_t limit = tg_limit(t->tg, RLIMIT_FSIZE);
    if (limit == RLIM64_INFINITY || !S_ISREG(f->inode->mode))
        return 0;
    uint64_t at = pos ? (uint64_t)*pos : (uint64_t)MAX(f->pos, 0);
    if ((f->flags & O_APPEND) || u->append)
        at = f->inode->size;
    if (at >= limit && u->left) {
        siginfo_t info = {.si_signo = SIGXFSZ, .si_code = SI_KERNEL};
        signal_send_task(t, SIGXFSZ, &info);
        return -EFBIG;
    }
    if (u->left > limit - at)
        u->left = (size_t)(limit - at);
    return 0;
}

ssize_t task_write_file(struct task *t, struct file *f, struct uio *u, int64_t *pos)
{
    int err = limit_file_size(t, f, u, pos);
    if (err < 0)
        return err;
    ssize_t ret = file_write(f, u, pos);
    if (ret == -EPIPE && !S_ISSOCK(f->inode->mode)) { /* a socket does it itself, where it is due */
        siginfo_t info = {.si_signo = SIGPIPE, .si_code = SI_USER};
        info.si_pid = t->tg->tgid;
        info.si_uid = t->cred->ruid;
        signal_send_task(t, SIGPIPE, &info);
    }
    return ret;
}

/* May f be read or written, at pos if it is not NULL? */
static int rw_check(const struct file *f, const int64_t *pos, bool write)
{
    if (pos && (f->fmode & FMODE_STREAM))
        return -ESPIPE;
    return f->fmode & (write ? FMODE_WRITE : FMODE_READ) ? 0 : -EBADF;
}

static long rw_file(struct task *t, struct file *f, struct uio *u, int64_t *pos, bool write)
{
    const int err = rw_check(f, pos, write);
    if (err < 0)
        return err;
    const long n = write ? task_write_file(t, f, u, pos) : file_read(f, u, pos);
    io_count(write ? &t->io.writes : &t->io.reads, 1);
    if (n > 0)
        io_count(write ? &t->io.written_bytes : &t->io.read_bytes, (uint64_t)n);
    return n;
}

/* One range. pos NULL: the file's position. */
static long rw_one(struct task *t, const struct sysargs *a, int64_t *pos, bool write)
{
    struct uio u;
    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    uio_user(&u, t, a->a[1], a->a[2]);
    long ret = rw_file(t, f, &u, pos, write);
    file_put(f);
    return ret;
}

#define RWF_KNOWN (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND | RWF_NOWAIT)

/* Ranges that were copied in. Unlike a single empty one they reach the file, and its flags, only if they have a byte.
 */
static long rw_ranges(struct task *t, struct file *f, struct uio *u, int64_t *pos, bool write, int rwf)
{
    const int err = rw_check(f, pos, write);
    if (err < 0 || !u->left)
        return err;
    if (rwf & ~RWF_KNOWN)
        return -EOPNOTSUPP;
    u->append = write && (rwf & RWF_APPEND);
    u->nowait = rwf & RWF_NOWAIT;
    return rw_file(t, f, u, pos, write);
}

static long rw_vec(struct task *t, const struct sysargs *a, int64_t *pos, bool write, int rwf)
{
    struct uio u;
    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    long ret = uio_user_iov(&u, t, a->a[1], a->a[2]);
    if (ret == 0) {
        ret = rw_ranges(t, f, &u, pos, write, rwf);
        uio_free(&u);
    }
    file_put(f);
    return ret;
}

long sys_read(struct task *t, const struct sysargs *a)
{
    return rw_one(t, a, NULL, false);
}

long sys_write(struct task *t, const struct sysargs *a)
{
    return rw_one(t, a, NULL, true);
}

long sys_readv(struct task *t, const struct sysargs *a)
{
    return rw_vec(t, a, NULL, false, 0);
}

long sys_writev(struct task *t, const struct sysargs *a)
{
    return rw_vec(t, a, NULL, true, 0);
}

long sys_pread64(struct task *t, const struct sysargs *a)
{
    int64_t pos = (int64_t)a->a[3];
    return pos < 0 ? -EINVAL : rw_one(t, a, &pos, false);
}

long sys_pwrite64(struct task *t, const struct sysargs *a)
{
    int64_t pos = (int64_t)a->a[3];
    return pos < 0 ? -EINVAL : rw_one(t, a, &pos, true);
}

long sys_preadv(struct task *t, const struct sysargs *a)
{
    int64_t pos = (int64_t)a->a[3];
    return pos < 0 ? -EINVAL : rw_vec(t, a, &pos, false, 0);
}

long sys_pwritev(struct task *t, const struct sysargs *a)
{
    int64_t pos = (int64_t)a->a[3];
    return pos < 0 ? -EINVAL : rw_vec(t, a, &pos, true, 0);
}

/* RWF_HIPRI is a hint; DSYNC and SYNC are done with fsync after the write. */
static long rw_vec2(struct task *t, const struct sysargs *a, bool write)
{
    int64_t pos = (int64_t)a->a[3];
    int flags = (int)a->a[5];
    if (pos < -1)
        return -EINVAL;
    long ret = rw_vec(t, a, pos == -1 ? NULL : &pos, write, flags);
    if (ret <= 0 || !write || !(flags & (RWF_DSYNC | RWF_SYNC)))
        return ret;
    struct file *f = fd_get(t, (int)a->a[0]);
    int err = f && f->ops->fsync ? f->ops->fsync(f, !(flags & RWF_SYNC)) : 0;
    if (f)
        file_put(f);
    return err < 0 ? err : ret;
}

long sys_preadv2(struct task *t, const struct sysargs *a)
{
    return rw_vec2(t, a, false);
}

long sys_pwritev2(struct task *t, const struct sysargs *a)
{
    return rw_vec2(t, a, true);
}

/* lseek(2) on a file without an operation of its own: data up to the inode's size, a hole after it. */
static int64_t seek_target(struct file *f, int64_t off, int whence)
{
    struct kstat st;
    int64_t size, to;
    if (whence == SEEK_SET)
        return off < 0 ? -EINVAL : off;
    if (whence == SEEK_CUR)
        return __builtin_add_overflow(f->pos, off, &to) ? -EOVERFLOW : to < 0 ? -EINVAL : to;
    int ret = inode_getattr(f->inode, &st);
    if (ret < 0)
        return ret;
    size = (int64_t)st.size;
    if (whence == SEEK_END)
        return __builtin_add_overflow(size, off, &to) ? -EOVERFLOW : to < 0 ? -EINVAL : to;
    if (off < 0 || off >= size)
        return -ENXIO;
    return whence == SEEK_DATA ? off : size;
}

long sys_lseek(struct task *t, const struct sysargs *a)
{
    int whence = (int)a->a[2];
    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    int64_t ret = -EINVAL;
    if (whence < SEEK_SET || whence > SEEK_HOLE)
        goto out;
    ret = -ESPIPE;
    if (f->fmode & FMODE_STREAM)
        goto out;
    lock(&f->pos_lock);
    if (f->ops->llseek) {
        ret = f->ops->llseek(f, (int64_t)a->a[1], whence);
    } else {
        ret = seek_target(f, (int64_t)a->a[1], whence);
        if (ret >= 0)
            f->pos = ret;
    }
    unlock(&f->pos_lock);
out:
    file_put(f);
    return ret;
}
