/*
 * Guest files on host descriptors: what the user gave the sandbox as stdin, stdout and stderr.
 *
 * Regular files are read and written directly, at the host's shared position, as an inherited descriptor would be. On
 * everything else (pipes, sockets, terminals) a host call must not block a worker, and O_NONBLOCK cannot be set because
 * other host processes share the description. So each step asks poll(2) first and then moves no more than the answer
 * covers: a read of a readable stream returns at once; a write of at most PIPE_BUF bytes to a pipe that polls writable
 * does not block unless another process fills it in between, in which case it lasts until that reader reads on.
 * Waiting is hostpoll.c's. Bytes pass through a bounce buffer on the stack.
 */
#include "sentry/vfs/hostfd.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/hostpoll.h"
#include "sentry/vfs/tty.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BOUNCE 16384

struct hostio {
    int fd;       /* owned */
    bool regular; /* never blocks */
    mode_t mode;
    struct waitq q;
    struct hostpoll hp;
};

int hostio_new(int fd, struct hostio **out)
{
    struct stat st;
    struct hostio *h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    if (fstat(fd, &st) < 0) {
        free(h);
        return -errno;
    }
    h->fd = fd;
    h->mode = st.st_mode;
    waitq_init(&h->q);
    int ret = hostpoll_add(&h->hp, fd, &h->q);
    if (ret < 0) {
        free(h);
        return ret;
    }
    h->regular = h->hp.fd < 0;
    *out = h;
    return 0;
}

void hostio_free(struct hostio *h)
{
    hostpoll_remove(&h->hp);
    close(h->fd);
    free(h);
}

int hostio_fd(struct hostio *h)
{
    return h->fd;
}

static short ready_now(struct hostio *h, short events)
{
    struct pollfd p = {.fd = h->fd, .events = events};
    if (h->regular)
        return events;
    return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

/* Waits until the descriptor polls with one of events, or is at its end or broken. */
static int hostio_wait(struct hostio *h, short events, bool nonblock)
{
    struct waiter w;
    int ret = 0;
    if (ready_now(h, events))
        return 0;
    if (nonblock || !current) {
        if (!list_empty(&h->q.waiters)) /* an edge-triggered poller wants to hear of the next event */
            hostpoll_arm(&h->hp, (uint32_t)events);
        return -EAGAIN;
    }
    waiter_init_task(&w, current);
    waitq_add(&h->q, &w);
    while (ret == 0 && !ready_now(h, events)) {
        hostpoll_arm(&h->hp, (uint32_t)events);
        ret = task_sleep(current, NO_DEADLINE);
    }
    waitq_remove(&w);
    return ret;
}

ssize_t hostio_read(struct hostio *h, struct uio *u, bool nonblock)
{
    not_cleared unsigned char buf[BOUNCE];
    ssize_t done = 0;
    while (u->left) {
        int ret = done ? (h->regular ? 0 : -EAGAIN) : hostio_wait(h, POLLIN, nonblock);
        if (ret < 0)
            return done ? done : ret;
        ssize_t n = read(h->fd, buf, MIN(u->left, sizeof(buf)));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return done ? done : n < 0 ? -errno : 0;
        ssize_t m = uio_copy_out(u, buf, (size_t)n);
        if (m < n) /* what the guest's memory would not take is lost, as on a Linux pipe */
            return done + MAX(m, 0) ? done + MAX(m, 0) : -EFAULT;
        done += n;
        if ((size_t)n < sizeof(buf))
            break;
    }
    return done;
}

/* Writes all n bytes of buf, in steps that the descriptor takes without blocking. Bytes written, or the error if none.
 */
static ssize_t write_steps(struct hostio *h, const unsigned char *buf, size_t n, bool nonblock)
{
    size_t done = 0;
    while (done < n) {
        int ret = hostio_wait(h, POLLOUT, nonblock);
        if (ret < 0)
            return done ? (ssize_t)done : ret;
        ssize_t m = write(h->fd, buf + done, h->regular ? n - done : MIN(n - done, (size_t)PIPE_BUF));
        if (m < 0 && (errno == EINTR || (errno == EAGAIN && !nonblock)))
            continue;
        if (m < 0)
            return done ? (ssize_t)done : -errno;
        done += (size_t)m;
    }
    return (ssize_t)done;
}

ssize_t hostio_write(struct hostio *h, struct uio *u, bool nonblock)
{
    not_cleared unsigned char buf[BOUNCE];
    ssize_t done = 0;
    while (u->left) {
        ssize_t got = uio_copy_in(u, buf, MIN(u->left, sizeof(buf)));
        if (got <= 0)
            return done ? done : got;
        ssize_t n = write_steps(h, buf, (size_t)got, nonblock);
        if (n < got)
            uio_revert(u, (size_t)(got - MAX(n, 0)));
        if (n < 0)
            return done ? done : n;
        done += n;
        if (n < got)
            break;
    }
    return done;
}

uint32_t hostio_poll(struct hostio *h, struct poll_table *pt)
{
    short r;
    poll_wait(pt, &h->q);
    r = ready_now(h, POLLIN | POLLOUT | POLLPRI);
    if (pt || !list_empty(&h->q.waiters)) /* have the poller thread say when that which is missing comes */
        hostpoll_arm(&h->hp, (uint32_t)((POLLIN | POLLOUT | POLLPRI) & ~r));
    uint32_t ev = (uint16_t)r;
    return ev | (r & POLLIN ? EPOLLRDNORM : 0) | (r & POLLOUT ? EPOLLWRNORM : 0);
}

/*
 * A regular file's position is the host description's, which our siblings (2>&1) and the user's shell share. So f->pos
 * stays OWN_POS, and a transfer at any other position is a pread or pwrite.
 */
#define OWN_POS (-1)

static ssize_t read_at(struct hostio *h, struct uio *u, int64_t *pos)
{
    not_cleared unsigned char buf[BOUNCE];
    ssize_t done = 0;
    while (u->left) {
        ssize_t n = pread(h->fd, buf, MIN(u->left, sizeof(buf)), *pos);
        if (n <= 0)
            return done || n == 0 ? done : -errno;
        n = uio_copy_out(u, buf, (size_t)n);
        if (n <= 0)
            return done ? done : n;
        *pos += n;
        done += n;
    }
    return done;
}

static ssize_t write_at(struct hostio *h, struct uio *u, int64_t *pos, bool append)
{
    not_cleared unsigned char buf[BOUNCE];
    ssize_t done = 0;
    while (u->left) {
        ssize_t got = uio_copy_in(u, buf, MIN(u->left, sizeof(buf)));
        if (got <= 0)
            return done ? done : got;
        const struct iovec v = {buf, (size_t)got};
        ssize_t n = pwritev2(h->fd, &v, 1, *pos, append ? RWF_APPEND : 0);
        if (n < 0)
            return done ? done : -errno;
        *pos += n;
        done += n;
        if (n < got)
            break;
    }
    return done;
}

static bool positioned(struct file *f, const int64_t *pos)
{
    struct hostio *h = f->priv;
    return S_ISREG(h->mode) && *pos != OWN_POS;
}

static ssize_t hostfd_read(struct file *f, struct uio *u, int64_t *pos)
{
    if (positioned(f, pos))
        return read_at(f->priv, u, pos);
    return hostio_read(f->priv, u, !file_may_wait(f, u));
}

static ssize_t hostfd_write(struct file *f, struct uio *u, int64_t *pos)
{
    if (positioned(f, pos))
        return write_at(f->priv, u, pos, f->flags & O_APPEND);
    return hostio_write(f->priv, u, !file_may_wait(f, u));
}

static int64_t hostfd_llseek(struct file *f, int64_t off, int whence)
{
    struct hostio *h = f->priv;

    if (f->pos == OWN_POS) { /* the description's that was handed in */
        off_t r = lseek(h->fd, off, whence);
        return r < 0 ? -errno : r;
    }
    struct stat st;
    if (fstat(h->fd, &st) < 0)
        return -errno;
    int64_t base = whence == SEEK_CUR ? f->pos : whence == SEEK_END ? st.st_size : 0;
    if ((whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END) || __builtin_add_overflow(base, off, &base) ||
        base < 0)
        return -EINVAL;
    return f->pos = base;
}

static uint32_t hostfd_poll(struct file *f, struct poll_table *pt)
{
    return hostio_poll(f->priv, pt);
}

static long hostfd_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
    struct hostio *h = f->priv;
    int n;
    if (cmd != FIONREAD)
        return -ENOTTY;
    if (ioctl(h->fd, FIONREAD, &n) < 0)
        return -errno;
    return user_write(t, arg, &n, sizeof(n));
}

static const struct file_ops hostfd_ops = {
    .read = hostfd_read,
    .write = hostfd_write,
    .llseek = hostfd_llseek,
    .poll = hostfd_poll,
    .ioctl = hostfd_ioctl,
};

/* ---- inodes: each owns the descriptor, so that it can be opened once more through /proc/PID/fd ---- */

static unsigned fmode_of(unsigned flags)
{
    unsigned acc = flags & O_ACCMODE;

    return acc == O_RDONLY ? FMODE_READ : acc == O_WRONLY ? FMODE_WRITE : FMODE_READ | FMODE_WRITE;
}

/* A file that is opened anew has a position of its own; a stream has none. */
static int host_inode_open(struct inode *i, struct file *f)
{
    struct hostio *h = i->fs_data;
    int flags = fcntl(h->fd, F_GETFL);

    if (flags < 0)
        return -errno;
    if ((f->fmode & (FMODE_READ | FMODE_WRITE)) & ~fmode_of((unsigned)flags))
        return -EACCES;
    f->ops = &hostfd_ops;
    f->priv = h;
    if (!S_ISREG(h->mode))
        f->fmode |= FMODE_STREAM | FMODE_NOWAIT;
    return 0;
}

static int host_inode_getattr(struct inode *i, struct kstat *st)
{
    struct hostio *h = i->fs_data;
    struct stat host;

    inode_fill_stat(i, st);
    if (S_ISREG(h->mode) && fstat(h->fd, &host) == 0) {
        st->size = (uint64_t)host.st_size;
        st->blocks = (uint64_t)host.st_blocks;
    }
    return 0;
}

static int host_inode_setattr(struct inode *i, const struct iattr *a)
{
    struct hostio *h = i->fs_data;

    if (!S_ISREG(h->mode))
        return inode_setattr_kept(i, a);
    if ((a->valid & ATTR_SIZE) && ftruncate(h->fd, (off_t)a->size) < 0)
        return -errno;
    return a->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -EPERM : 0;
}

static void host_inode_evict(struct inode *i)
{
    if (i->fs_data)
        hostio_free(i->fs_data);
}

static const struct inode_ops host_inode_ops = {
    .open = host_inode_open,
    .getattr = host_inode_getattr,
    .setattr = host_inode_setattr,
    .evict = host_inode_evict,
};

static const char *name_of(mode_t mode)
{
    return S_ISREG(mode) ? "host:" : S_ISSOCK(mode) ? "socket:" : S_ISFIFO(mode) ? "pipe:" : "anon_inode:";
}

int hostfd_new_file(int host_fd, unsigned flags, struct file **out)
{
    unsigned fmode = fmode_of(flags);
    struct hostio *h;
    struct path p;

    if (isatty(host_fd))
        return tty_new_file(host_fd, flags, out);
    int ret = hostio_new(host_fd, &h);
    if (ret < 0)
        return ret;
    if (!S_ISREG(h->mode))
        fmode |= FMODE_STREAM | FMODE_NOWAIT;
    ret = anon_path_new(name_of(h->mode), &host_inode_ops, h->mode, &p);
    if (ret < 0) {
        hostio_free(h);
        return ret;
    }
    ret = file_new_on_anon(&p, &hostfd_ops, fmode, flags & (O_ACCMODE | O_APPEND | O_NONBLOCK), h, out);
    if (ret == 0) {
        dentry_inode(p.dentry)->fs_data = h;
        if (S_ISREG(h->mode))
            (*out)->pos = OWN_POS;
    } else {
        hostio_free(h);
    }
    path_put(&p);
    return ret;
}
