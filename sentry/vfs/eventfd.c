/*
 * eventfd(2): a 64-bit counter that writes add to and reads take, for events between threads and with epoll.
 *
 * The count is never above UINT64_MAX - 1; a write that would exceed it waits for a reader. Reads take all, or one with
 * EFD_SEMAPHORE. Locks: count under lock (RANK_PIPE); wake-ups are sent after it is dropped.
 */
#include "sentry/vfs/eventfd.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

struct eventfd {
    struct lock lock;
    uint64_t count;
    bool semaphore; /* constant */
    struct waitq wq;
};

static bool try_read(struct file *f, void *out_value)
{
    struct eventfd *e = f->priv;

    lock(&e->lock);
    const uint64_t value = e->semaphore ? e->count > 0 : e->count;
    e->count -= value;
    unlock(&e->lock);
    *(uint64_t *)out_value = value;
    return value > 0;
}

static bool try_write(struct file *f, void *value)
{
    const uint64_t add = *(uint64_t *)value;
    struct eventfd *e = f->priv;

    lock(&e->lock);
    bool ok = UINT64_MAX - e->count > add;
    if (ok)
        e->count += add;
    unlock(&e->lock);
    return ok;
}

static ssize_t efd_read(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct eventfd *e = f->priv;
    uint64_t v;
    if (u->left < sizeof(v))
        return -EINVAL;
    int ret = file_retry(f, u, &e->wq, EPOLLIN, try_read, &v);
    if (ret < 0)
        return ret;
    waitq_wake(&e->wq, EPOLLOUT | EPOLLWRNORM);
    return uio_copy_out(u, &v, sizeof(v)) == sizeof(v) ? (ssize_t)sizeof(v) : -EFAULT;
}

static ssize_t efd_write(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct eventfd *e = f->priv;
    uint64_t v;
    if (u->nowait)
        return -EOPNOTSUPP; /* Linux knows it of reads only */
    if (u->left < sizeof(v))
        return -EINVAL;
    if (uio_copy_in(u, &v, sizeof(v)) != sizeof(v))
        return -EFAULT;
    if (v == UINT64_MAX)
        return -EINVAL;
    int ret = file_retry(f, u, &e->wq, EPOLLOUT, try_write, &v);
    if (ret < 0)
        return ret;
    waitq_wake(&e->wq, EPOLLIN | EPOLLRDNORM);
    return sizeof(v);
}

static uint32_t eventfd_poll(struct file *f, struct poll_table *pt)
{
    struct eventfd *e = f->priv;
    uint32_t ev = 0;
    poll_wait(pt, &e->wq);
    lock(&e->lock);
    if (e->count > 0)
        ev |= EPOLLIN | EPOLLRDNORM;
    if (e->count < UINT64_MAX - 1)
        ev |= EPOLLOUT | EPOLLWRNORM;
    if (e->count == UINT64_MAX)
        ev |= EPOLLERR;
    unlock(&e->lock);
    return ev;
}

static void eventfd_release(struct file *f)
{
    struct eventfd *e = f->priv;
    lock_destroy(&e->lock);
    free(e);
}

static const struct file_ops eventfd_ops = {
    .read = efd_read,
    .write = efd_write,
    .poll = eventfd_poll,
    .release = eventfd_release,
};

int eventfd_new(unsigned count, int flags, struct file **out)
{
    struct eventfd *e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    lock_init(&e->lock, RANK_PIPE);
    waitq_init(&e->wq);
    e->count = count;
    e->semaphore = flags & EFD_SEMAPHORE;
    int ret =
        file_new_anon("anon_inode:[eventfd]", &eventfd_ops, FMODE_READ | FMODE_WRITE | FMODE_STREAM | FMODE_NOWAIT,
                      O_RDWR | (unsigned)(flags & EFD_NONBLOCK), 0600, e, out);
    if (ret < 0) {
        lock_destroy(&e->lock);
        free(e);
    }
    return ret;
}
