/*
 * sendfile(2), copy_file_range(2), splice(2), tee(2) and vmsplice(2).
 *
 * All move bytes between two files through a sentry buffer: read a piece, write it, and step the source back over what
 * the sink did not take. A pipe gets back what the sink did not take. Another source without a position (a
 * terminal, a socket) cannot be stepped back, so before reading from one the sink's room is asked and no more than
 * that is read. tee() copies within the rings.
 */
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/rw.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/pipe.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>

#define PIECE 65536
#define MAX_RW 0x7ffff000UL
#define SPLICE_ALL (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

/* One end of a copy. pos: where a positioned transfer is; else the file's own position is used. */
struct copy_end {
    struct file *f;
    uint64_t addr; /* guest address of an offset, 0: none */
    int64_t pos;
};

static int end_open(struct task *t, struct copy_end *e, int fd, uint64_t addr, unsigned need)
{
    e->addr = addr;
    e->f = fd_get(t, fd);
    if (!e->f || !(e->f->fmode & need))
        return -EBADF;
    if (!addr)
        return 0;
    int ret = user_read(t, &e->pos, addr, sizeof(e->pos));
    if (ret < 0)
        return ret;
    if (e->f->fmode & FMODE_STREAM)
        return -ESPIPE;
    return e->pos < 0 ? -EINVAL : 0;
}

static void end_close(struct copy_end *e)
{
    if (e->f)
        file_put(e->f);
}

static int64_t *end_pos(struct copy_end *e)
{
    return e->addr ? &e->pos : NULL;
}

/* Steps the source back over the n bytes that the sink refused; a pipe gets them back. */
static void end_unread(struct copy_end *e, const void *bytes, size_t n)
{
    struct pipe *p = pipe_of(e->f);

    if (p) {
        pipe_unread(p, bytes, n);
    } else if (e->addr) {
        e->pos -= (int64_t)n;
    } else if (!(e->f->fmode & FMODE_STREAM)) {
        lock(&e->f->pos_lock);
        e->f->pos -= (int64_t)n;
        unlock(&e->f->pos_lock);
    }
}

/* How much may be read for the sink without the risk of being left with it. */
static size_t piece_size(struct copy_end *in, struct copy_end *out, size_t len)
{
    struct pipe *p = pipe_of(out->f);
    size_t n = MIN(len, (size_t)PIECE);
    if ((in->f->fmode & FMODE_STREAM) && p) {
        size_t room = pipe_room(p);
        n = MIN(n, MAX(room, (size_t)1));
    }
    return n;
}

/* One piece. Bytes that reached the sink, 0 at the source's end, -errno. */
static ssize_t copy_piece(struct task *t, struct copy_end *in, struct copy_end *out, unsigned char *buf, size_t len)
{
    struct uio u;
    size_t want = piece_size(in, out, len);
    uio_kernel(&u, buf, want);
    ssize_t got = file_read(in->f, &u, end_pos(in));
    if (got <= 0)
        return got;
    uio_kernel(&u, buf, (size_t)got);
    ssize_t put = task_write_file(t, out->f, &u, end_pos(out));
    if (put < got)
        end_unread(in, buf + MAX(put, 0), (size_t)(got - MAX(put, 0)));
    return put;
}

static ssize_t copy_ends(struct task *t, struct copy_end *in, struct copy_end *out, size_t len, bool until_short)
{
    unsigned char *buf = malloc(PIECE);
    size_t done = 0;
    ssize_t n = 0;
    if (!buf)
        return -ENOMEM;
    len = MIN(len, MAX_RW);
    while (done < len) {
        n = copy_piece(t, in, out, buf, len - done);
        if (n <= 0)
            break;
        done += (size_t)n;
        if (until_short || signal_pending(t))
            break;
    }
    free(buf);
    return done ? (ssize_t)done : n;
}

/* Writes the offsets back after a copy. */
static long ends_finish(struct task *t, struct copy_end *in, struct copy_end *out, long ret)
{
    if (ret >= 0 && in->addr && user_write(t, in->addr, &in->pos, sizeof(in->pos)) < 0)
        ret = -EFAULT;
    if (ret >= 0 && out->addr && user_write(t, out->addr, &out->pos, sizeof(out->pos)) < 0)
        ret = -EFAULT;
    end_close(in);
    end_close(out);
    return ret;
}

long sys_sendfile(struct task *t, const struct sysargs *a)
{
    struct copy_end in = {0}, out = {0};
    long ret = end_open(t, &in, (int)a->a[1], a->a[2], FMODE_READ);
    if (ret == 0)
        ret = end_open(t, &out, (int)a->a[0], 0, FMODE_WRITE);
    if (ret == 0 && ((in.f->fmode & FMODE_STREAM) || (out.f->flags & O_APPEND)))
        ret = -EINVAL;
    if (ret == 0)
        ret = copy_ends(t, &in, &out, a->a[3], false);
    return ends_finish(t, &in, &out, ret);
}

static long check_ranges(struct copy_end *in, struct copy_end *out, uint64_t len)
{
    if (S_ISDIR(in->f->inode->mode) || S_ISDIR(out->f->inode->mode))
        return -EISDIR;
    if (!S_ISREG(in->f->inode->mode) || !S_ISREG(out->f->inode->mode))
        return -EINVAL;
    if (out->f->flags & O_APPEND)
        return -EBADF;
    int64_t from = in->addr ? in->pos : in->f->pos, to = out->addr ? out->pos : out->f->pos;
    if (len > INT64_MAX || from > INT64_MAX - (int64_t)len || to > INT64_MAX - (int64_t)len)
        return -EOVERFLOW;
    if (in->f->inode == out->f->inode && from < to + (int64_t)len && to < from + (int64_t)len)
        return -EINVAL;
    return 0;
}

long sys_copy_file_range(struct task *t, const struct sysargs *a)
{
    struct copy_end in = {0}, out = {0};
    if (a->a[5])
        return -EINVAL;
    long ret = end_open(t, &in, (int)a->a[0], a->a[1], FMODE_READ);
    if (ret == 0)
        ret = end_open(t, &out, (int)a->a[2], a->a[3], FMODE_WRITE);
    if (ret == 0)
        ret = check_ranges(&in, &out, a->a[4]);
    if (ret == 0)
        ret = copy_ends(t, &in, &out, a->a[4], false);
    return ends_finish(t, &in, &out, ret);
}

/* Waits as splice(2) does on its pipe ends, so that the copy itself moves what is there. */
static long splice_wait(struct task *t, struct copy_end *in, struct copy_end *out, bool nonblock)
{
    long ret = 0;
    if (pipe_of(in->f))
        ret = pipe_wait_readable(t, in->f, nonblock || (in->f->flags & O_NONBLOCK));
    if (ret == 0 && pipe_of(out->f))
        ret = pipe_wait_writable(t, out->f, nonblock || (out->f->flags & O_NONBLOCK));
    if (ret == -EPIPE)
        signal_send_task(t, SIGPIPE, NULL);
    return ret;
}

long sys_splice(struct task *t, const struct sysargs *a)
{
    struct copy_end in = {0}, out = {0};
    unsigned flags = (unsigned)a->a[5];
    if (flags & ~(unsigned)SPLICE_ALL)
        return -EINVAL;
    if (!a->a[4])
        return 0;
    long ret = end_open(t, &in, (int)a->a[0], a->a[1], FMODE_READ);
    if (ret == 0)
        ret = end_open(t, &out, (int)a->a[2], a->a[3], FMODE_WRITE);
    struct pipe *from = ret == 0 ? pipe_of(in.f) : NULL, *to = ret == 0 ? pipe_of(out.f) : NULL;
    if (ret == 0 && ((!from && !to) || from == to || (out.f->flags & O_APPEND)))
        ret = -EINVAL;
    if (ret == 0)
        ret = splice_wait(t, &in, &out, flags & SPLICE_F_NONBLOCK);
    if (ret == 0)
        ret = copy_ends(t, &in, &out, a->a[4], true);
    return ends_finish(t, &in, &out, ret);
}

long sys_tee(struct task *t, const struct sysargs *a)
{
    struct copy_end in = {0}, out = {0};
    unsigned flags = (unsigned)a->a[3];
    if (flags & ~(unsigned)SPLICE_ALL)
        return -EINVAL;
    long ret = end_open(t, &in, (int)a->a[0], 0, FMODE_READ);
    if (ret == 0)
        ret = end_open(t, &out, (int)a->a[1], 0, FMODE_WRITE);
    if (ret == 0 && (!pipe_of(in.f) || !pipe_of(out.f)))
        ret = -EINVAL;
    if (ret == 0)
        ret = pipe_tee(t, in.f, out.f, MIN(a->a[2], MAX_RW), flags & SPLICE_F_NONBLOCK);
    if (ret == -EPIPE)
        signal_send_task(t, SIGPIPE, NULL);
    return ends_finish(t, &in, &out, ret);
}

long sys_vmsplice(struct task *t, const struct sysargs *a)
{
    unsigned flags = (unsigned)a->a[3];
    struct uio u;
    if (flags & ~(unsigned)SPLICE_ALL)
        return -EINVAL;
    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    long ret = pipe_of(f) ? uio_user_iov(&u, t, a->a[1], a->a[2]) : -EBADF;
    if (ret == 0) {
        bool nonblock = (flags & SPLICE_F_NONBLOCK) || (f->flags & O_NONBLOCK);
        if (f->fmode & FMODE_WRITE) {
            ret = u.left ? pipe_wait_writable(t, f, nonblock) : 0;
            ret = ret < 0 ? ret : task_write_file(t, f, &u, NULL);
        } else {
            ret = u.left ? pipe_wait_readable(t, f, nonblock) : 0;
            ret = ret < 0 ? ret : file_read(f, &u, NULL);
        }
        uio_free(&u);
    }
    file_put(f);
    return ret;
}
