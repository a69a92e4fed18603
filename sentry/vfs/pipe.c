/*
 * Pipes and FIFOs.
 *
 * A pipe is a ring of slots (pipe_ring.c), each a page that holds bytes [off, off + len). Writers append to the newest
 * slot while it has room (unless it is a packet) and then take new ones; readers empty the oldest. Pages that become
 * free are kept with their slot, so a busy pipe allocates nothing. Copies go straight between guest memory and the
 * pages.
 *
 * Copies are made with pipe->lock held (guest memory access takes no lock of a lower rank). Wake-ups are sent after it
 * is dropped: to readers after a write, to writers when a full ring got room.
 *
 * Ends: readers and writers count open files. fifo_open() counts opens (r_opens, w_opens) so that an opener that waits
 * sees a partner that came and went.
 */
#include "sentry/vfs/pipe.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/pipe_ring.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

/* Sleeps until q is woken, with the check and the sleep made one by the waiter. Called with p->lock held; returns with
 * it held. */
static int wait_locked(struct pipe *p, struct task *t, struct waitq *q, unsigned *count)
{
    struct waiter w;
    waiter_init_task(&w, t);
    waitq_add(q, &w);
    ++*count;
    unlock(&p->lock);
    int ret = task_sleep(t, NO_DEADLINE);
    waitq_remove(&w);
    lock(&p->lock);
    --*count;
    return ret;
}

static ssize_t pipe_read(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct pipe *p = f->priv;
    ssize_t ret = 0;
    if (!u->left)
        return 0;
    lock(&p->lock);
    while (!p->used) {
        if (!p->writers)
            goto out;
        ret = -EAGAIN;
        if (!file_may_wait(f, u))
            goto out;
        ret = wait_locked(p, current, &p->rd, &p->rd_waiting);
        if (ret < 0 && !p->used)
            goto out;
    }
    bool was_full = p->used == p->nslots;
    ret = pipe_drain_locked(p, u);
    bool now_room = was_full && p->used < p->nslots;
    bool more = p->used && p->rd_waiting;
    unlock(&p->lock);
    if (now_room)
        waitq_wake(&p->wr, EPOLLOUT | EPOLLWRNORM);
    if (more)
        waitq_wake(&p->rd, EPOLLIN | EPOLLRDNORM);
    return ret;
out:
    unlock(&p->lock);
    return ret;
}

/* True if what is left of a write may start now: all of it if it must be atomic, else any byte. */
static bool may_start(struct pipe *p, size_t left, bool packet)
{
    if (packet)
        return p->used < p->nslots;
    return pipe_room_locked(p, false) >= (left <= PIPE_BUF ? left : 1);
}

static ssize_t pipe_write(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct pipe *p = f->priv;
    ssize_t done = 0, ret = 0;
    bool wake = false;
    bool packet = f->flags & O_DIRECT;
    size_t total = u->left;
    if (!total)
        return 0;
    lock(&p->lock);
    for (;;) {
        ret = -EPIPE;
        if (!p->readers)
            break;
        if (may_start(p, total <= PIPE_BUF ? u->left : PIPE_BUF + 1, packet)) {
            wake = true; /* an uncontended lock; edge-triggered pollers want every write */
            ret = pipe_fill_locked(p, u, packet);
            done += ret > 0 ? ret : 0;
            if (ret <= 0 || !u->left)
                break;
            if (may_start(p, PIPE_BUF + 1, packet)) { /* stopped by a fault, not for want of room */
                ret = -EFAULT;
                break;
            }
        }
        ret = -EAGAIN;
        if (!file_may_wait(f, u))
            break;
        if (wake) {
            unlock(&p->lock);
            waitq_wake(&p->rd, EPOLLIN | EPOLLRDNORM);
            wake = false;
            lock(&p->lock);
            if (may_start(p, total <= PIPE_BUF ? u->left : PIPE_BUF + 1, packet))
                continue;
        }
        ret = wait_locked(p, current, &p->wr, &p->wr_waiting);
        if (ret < 0)
            break;
    }
    unlock(&p->lock);
    if (wake && done)
        waitq_wake(&p->rd, EPOLLIN | EPOLLRDNORM);
    return done ? done : ret;
}

static uint32_t pipe_poll(struct file *f, struct poll_table *pt)
{
    struct pipe *p = f->priv;
    uint32_t ev = 0;
    if (f->fmode & FMODE_READ)
        poll_wait(pt, &p->rd);
    if (f->fmode & FMODE_WRITE)
        poll_wait(pt, &p->wr);
    lock(&p->lock);
    if (f->fmode & FMODE_READ) {
        if (p->used)
            ev |= EPOLLIN | EPOLLRDNORM;
        if (!p->writers && p->w_opens)
            ev |= EPOLLHUP;
    }
    if (f->fmode & FMODE_WRITE) {
        if (p->used < p->nslots)
            ev |= EPOLLOUT | EPOLLWRNORM;
        if (!p->readers)
            ev |= EPOLLERR;
    }
    unlock(&p->lock);
    return ev;
}

static long pipe_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
    struct pipe *p = f->priv;
    if (cmd != FIONREAD)
        return -ENOTTY;
    int n = (int)pipe_readable(p);
    return user_write(t, arg, &n, sizeof(n));
}

/* Drops one reference; the caller holds the FIFO's inode lock if there is one, and p->lock, which is released. */
static void pipe_put_locked(struct pipe *p)
{
    bool last = --p->refs == 0;
    if (last)
        p->fifo->pipe = NULL;
    unlock(&p->lock);
    if (last)
        pipe_free(p);
}

static void pipe_detach(struct pipe *p, struct inode *fifo, unsigned fmode)
{
    lock(&fifo->lock);
    lock(&p->lock);
    p->readers -= !!(fmode & FMODE_READ);
    p->writers -= !!(fmode & FMODE_WRITE);
    bool hup = (!p->readers || !p->writers) && p->refs > 1;
    if (hup) { /* the references of the others keep p; ours is still counted while we wake them */
        unlock(&p->lock);
        waitq_wake(&p->rd, ~0u);
        waitq_wake(&p->wr, ~0u);
        lock(&p->lock);
    }
    pipe_put_locked(p);
    unlock(&fifo->lock);
}

static void pipe_release(struct file *f)
{
    struct pipe *p = f->priv;
    pipe_detach(p, p->fifo, f->fmode);
}

static const struct file_ops pipe_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .release = pipe_release,
};

static const struct inode_ops pipe_inode_ops = {.open = fifo_open, .setattr = inode_setattr_kept};

/* One end on the pipe's inode, which counts for p from now on. */
static int pipe_end(struct pipe *p, const struct path *at, unsigned fmode, unsigned flags, struct file **out)
{
    int ret = file_new_on_anon(at, &pipe_ops, fmode | FMODE_STREAM | FMODE_NOWAIT, flags, p, out);

    if (ret < 0)
        return ret;
    p->refs++;
    p->readers += fmode == FMODE_READ;
    p->writers += fmode == FMODE_WRITE;
    return 0;
}

int pipe_new(unsigned flags, struct file **out_read, struct file **out_write)
{
    struct pipe *p = pipe_alloc();
    struct path at;

    if (!p)
        return -ENOMEM;
    int ret = anon_path_new("pipe:", &pipe_inode_ops, S_IFIFO | 0600, &at);
    if (ret < 0) {
        pipe_free(p);
        return ret;
    }
    /* As a FIFO's, so that it can be opened once more through /proc/PID/fd. */
    p->fifo = dentry_inode(at.dentry);
    p->fifo->pipe = p;
    p->r_opens = p->w_opens = 1;
    ret = pipe_end(p, &at, FMODE_READ, O_RDONLY | (flags & O_NONBLOCK), out_read);
    if (ret < 0) {
        pipe_free(p);
    } else {
        ret = pipe_end(p, &at, FMODE_WRITE, O_WRONLY | (flags & (O_NONBLOCK | O_DIRECT)), out_write);
        if (ret < 0)
            file_put(*out_read);
    }
    path_put(&at);
    return ret;
}

/*
 * fifo(7): an end opened alone waits for the other. Called with p->lock held and the end counted. seen: *opens when it
 * was counted: a partner may have come because of it, and gone again, before this.
 */
static int fifo_wait_partner(struct pipe *p, struct task *t, const unsigned *partners, const uint64_t *opens,
                             uint64_t seen)
{
    unsigned unused_count = 0;
    struct waitq *q = partners == &p->readers ? &p->wr : &p->rd;
    while (!*partners && *opens == seen) {
        int ret = wait_locked(p, t, q, &unused_count);
        if (ret < 0)
            return ret;
    }
    return 0;
}

/* The inode's pipe with a new reference counted for an opener, made if need be. Called with i->lock held. */
static struct pipe *fifo_attach(struct inode *i)
{
    if (!i->pipe) {
        i->pipe = pipe_alloc();
        if (!i->pipe)
            return NULL;
        i->pipe->fifo = i;
    }
    lock(&i->pipe->lock);
    i->pipe->refs++;
    return i->pipe;
}

int fifo_open(struct inode *i, struct file *f)
{
    const bool nameless = i->ops == &pipe_inode_ops; /* pipe(2)'s: waits for nobody */
    unsigned fmode = f->fmode & (FMODE_READ | FMODE_WRITE);
    lock(&i->lock);
    struct pipe *p = fifo_attach(i);
    if (!p) {
        unlock(&i->lock);
        return -ENOMEM;
    }
    if (fmode == FMODE_WRITE && (f->flags & O_NONBLOCK) && !p->readers && !nameless) {
        pipe_put_locked(p);
        unlock(&i->lock);
        return -ENXIO;
    }
    if (fmode & FMODE_READ) {
        p->readers++;
        p->r_opens++;
    }
    if (fmode & FMODE_WRITE) {
        p->writers++;
        p->w_opens++;
    }
    /* A partner that is there now may be gone when the lock is taken again: it has been met all the same. */
    const bool met = fmode == FMODE_READ ? p->writers > 0 : p->readers > 0;
    const uint64_t readers_seen = p->r_opens, writers_seen = p->w_opens;
    unlock(&p->lock);
    unlock(&i->lock);
    waitq_wake(&p->rd, ~0u);
    waitq_wake(&p->wr, ~0u);

    int ret = 0;
    lock(&p->lock);
    if (nameless || met)
        ; /* of a nameless one both ends were there from the start */
    else if (fmode == FMODE_READ && !(f->flags & O_NONBLOCK))
        ret = fifo_wait_partner(p, current, &p->writers, &p->w_opens, writers_seen);
    else if (fmode == FMODE_WRITE)
        ret = fifo_wait_partner(p, current, &p->readers, &p->r_opens, readers_seen);
    unlock(&p->lock);
    if (ret < 0) {
        pipe_detach(p, i, fmode);
        return ret;
    }
    f->ops = &pipe_ops;
    f->priv = p;
    f->fmode |= FMODE_STREAM;
    return 0;
}

struct pipe *pipe_of(struct file *f)
{
    return f->ops == &pipe_ops ? f->priv : NULL;
}

int pipe_wait_readable(struct task *t, struct file *in, bool nonblock)
{
    struct pipe *p = in->priv;
    int ret = 0;
    lock(&p->lock);
    while (!p->used && p->writers && ret == 0)
        ret = nonblock ? -EAGAIN : wait_locked(p, t, &p->rd, &p->rd_waiting);
    unlock(&p->lock);
    return ret;
}

int pipe_wait_writable(struct task *t, struct file *out, bool nonblock)
{
    struct pipe *p = out->priv;
    int ret = 0;
    lock(&p->lock);
    while (p->used == p->nslots && p->readers && ret == 0)
        ret = nonblock ? -EAGAIN : wait_locked(p, t, &p->wr, &p->wr_waiting);
    if (ret == 0 && !p->readers)
        ret = -EPIPE;
    unlock(&p->lock);
    return ret;
}

/* Copies slots of `from` to `to`, both locked. */
static ssize_t tee_locked(struct pipe *from, struct pipe *to, size_t len)
{
    ssize_t done = 0;
    for (unsigned i = 0; i < from->used && len; i++) {
        struct pipe_slot *s = pipe_slot_at(from, i);
        struct uio u;
        size_t want = MIN(len, (size_t)s->len);
        uio_kernel(&u, s->page + s->off, want);
        ssize_t n = pipe_fill_locked(to, &u, s->packet);
        if (n <= 0)
            return done ? done : n;
        done += n;
        len -= (size_t)n;
        if ((size_t)n < want)
            break;
    }
    return done;
}

ssize_t pipe_tee(struct task *t, struct file *in, struct file *out, size_t len, bool nonblock)
{
    struct pipe *from = in->priv, *to = out->priv;
    if (from == to)
        return -EINVAL;
    if (!len)
        return 0;
    for (;;) {
        int ret = pipe_wait_readable(t, in, nonblock);
        if (ret == 0)
            ret = pipe_wait_writable(t, out, nonblock);
        if (ret < 0)
            return ret;
        lock_pair(&from->lock, &to->lock);
        bool at_end = !from->used && !from->writers;
        ssize_t n = to->readers ? tee_locked(from, to, len) : -EPIPE;
        unlock_pair(&from->lock, &to->lock);
        if (n > 0)
            waitq_wake(&to->rd, EPOLLIN | EPOLLRDNORM);
        if (n != 0 || at_end)
            return n;
    }
}
