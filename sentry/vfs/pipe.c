/*
 * Pipes and FIFOs.
 *
 * A pipe is a ring of slots, each a page that holds bytes [off, off + len). Writers append to the newest slot while it
 * has room (unless it is a packet) and then take new ones; readers empty the oldest. Pages that become free are kept
 * with their slot, so a busy pipe allocates nothing. Copies go straight between guest memory and the pages.
 *
 * Copies are made with pipe->lock held (guest memory access takes no lock of a lower rank). Wake-ups are sent after it
 * is dropped: to readers after a write, to writers when a full ring got room.
 *
 * Ends: readers and writers count open files. fifo_open() counts opens (r_opens, w_opens) so that an opener that waits
 * sees a partner that came and went.
 */
#include "sentry/vfs/pipe.h"
#include "sentry/vfs/file.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define PIPE_SLOT_SIZE 4096u
#define PIPE_DEFAULT_SLOTS 16u
#define PIPE_MAX_SLOTS 256u       /* 1 MiB */
#define PIPE_MAX_SLOTS_PRIV 4096u /* CAP_SYS_RESOURCE may go beyond, to 16 MiB */

struct pipe_slot {
    unsigned char *page; /* NULL until first used */
    unsigned off, len;
    bool packet; /* written with O_DIRECT: read as one unit, never appended to */
};

/* All fields under lock; refs counts the open files, and openers that wait. */
struct pipe {
    struct lock lock;
    unsigned refs;
    unsigned readers, writers;
    uint64_t r_opens, w_opens;
    unsigned head, used, nslots; /* slots [head, head + used) modulo nslots hold bytes */
    size_t bytes;
    struct pipe_slot *slots;
    struct inode *fifo;              /* whose i->pipe we are: a FIFO, or pipe(2)'s own nameless inode */
    struct waitq rd, wr;             /* who waits for bytes, or for room */
    unsigned rd_waiting, wr_waiting; /* tasks that sleep in read and write */
};

static struct pipe *pipe_alloc(void)
{
    struct pipe *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->slots = calloc(PIPE_DEFAULT_SLOTS, sizeof(*p->slots));
    if (!p->slots) {
        free(p);
        return NULL;
    }
    p->nslots = PIPE_DEFAULT_SLOTS;
    lock_init(&p->lock, RANK_PIPE);
    waitq_init(&p->rd);
    waitq_init(&p->wr);
    return p;
}

static void pipe_free(struct pipe *p)
{
    for (unsigned i = 0; i < p->nslots; i++)
        free(p->slots[i].page);
    free(p->slots);
    lock_destroy(&p->lock);
    free(p);
}

static struct pipe_slot *slot_at(struct pipe *p, unsigned i)
{
    return &p->slots[(p->head + i) % p->nslots];
}

/* Bytes that a write could place now: whole free slots, plus the tail of the newest if it takes appends. */
static size_t room_locked(struct pipe *p, bool packet)
{
    size_t room = (size_t)(p->nslots - p->used) * PIPE_SLOT_SIZE;
    if (p->used && !packet) {
        struct pipe_slot *s = slot_at(p, p->used - 1);
        if (!s->packet)
            room += PIPE_SLOT_SIZE - s->off - s->len;
    }
    return room;
}

/* The slot to write into: the newest if it has room, else a fresh one. NULL: full, or no memory (*err set). */
static struct pipe_slot *slot_for_write(struct pipe *p, bool packet, int *err)
{
    struct pipe_slot *s = p->used ? slot_at(p, p->used - 1) : NULL;
    *err = 0;
    if (s && !packet && !s->packet && s->off + s->len < PIPE_SLOT_SIZE)
        return s;
    if (p->used == p->nslots)
        return NULL;
    s = slot_at(p, p->used);
    if (!s->page && !(s->page = malloc(PIPE_SLOT_SIZE))) {
        *err = -ENOMEM;
        return NULL;
    }
    s->off = s->len = 0;
    s->packet = packet;
    return s;
}

/* Moves what fits from u into the ring. Bytes moved; or the first error if none. */
static ssize_t fill_locked(struct pipe *p, struct uio *u, bool packet)
{
    ssize_t done = 0;
    while (u->left) {
        int err;
        struct pipe_slot *s = slot_for_write(p, packet, &err);
        if (!s)
            return done ? done : err;
        size_t want = MIN(u->left, (size_t)(PIPE_SLOT_SIZE - s->off - s->len));
        bool fresh = s->len == 0;
        ssize_t n = uio_copy_in(u, s->page + s->off + s->len, want);
        if (n <= 0)
            return done ? done : n;
        s->len += (unsigned)n;
        p->bytes += (size_t)n;
        p->used += fresh;
        done += n;
        if ((size_t)n < want)
            break;
    }
    return done;
}

static void slot_pop(struct pipe *p)
{
    p->head = (p->head + 1) % p->nslots;
    p->used--;
}

/* Moves bytes from the ring to u; a packet ends the read and loses what did not fit. */
static ssize_t drain_locked(struct pipe *p, struct uio *u)
{
    ssize_t done = 0;
    while (u->left && p->used) {
        struct pipe_slot *s = slot_at(p, 0);
        size_t want = MIN(u->left, (size_t)s->len);
        ssize_t n = uio_copy_out(u, s->page + s->off, want);
        if (n <= 0)
            return done ? done : n;
        bool packet = s->packet;
        unsigned take = packet ? s->len : (unsigned)n;
        s->off += take;
        s->len -= take;
        p->bytes -= take;
        done += n;
        if (!s->len)
            slot_pop(p);
        if (packet || (size_t)n < want)
            break;
    }
    return done;
}

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
        if ((f->flags & O_NONBLOCK) || u->nowait || !current)
            goto out;
        ret = wait_locked(p, current, &p->rd, &p->rd_waiting);
        if (ret < 0 && !p->used)
            goto out;
    }
    bool was_full = p->used == p->nslots;
    ret = drain_locked(p, u);
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
    return room_locked(p, false) >= (left <= PIPE_BUF ? left : 1);
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
            ret = fill_locked(p, u, packet);
            done += ret > 0 ? ret : 0;
            if (ret <= 0 || !u->left)
                break;
            if (may_start(p, PIPE_BUF + 1, packet)) { /* stopped by a fault, not for want of room */
                ret = -EFAULT;
                break;
            }
        }
        ret = -EAGAIN;
        if ((f->flags & O_NONBLOCK) || u->nowait || !current)
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

static const struct inode_ops pipe_inode_ops = {.open = fifo_open};

/* One end on the pipe's inode, which counts for p from now on. */
static int pipe_end(struct pipe *p, const struct path *at, unsigned fmode, unsigned flags, struct file **out)
{
    int ret = file_new_on_anon(at, &pipe_ops, fmode | FMODE_STREAM, flags, p, out);

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

/* fifo(7): an end opened alone waits for the other. Called with p->lock held and the end counted. */
static int fifo_wait_partner(struct pipe *p, struct task *t, const unsigned *partners, const uint64_t *opens)
{
    uint64_t seen = *opens;
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
    unlock(&p->lock);
    unlock(&i->lock);
    waitq_wake(&p->rd, ~0u);
    waitq_wake(&p->wr, ~0u);

    int ret = 0;
    lock(&p->lock);
    if (nameless)
        ; /* its ends were there from the start */
    else if (fmode == FMODE_READ && !(f->flags & O_NONBLOCK))
        ret = fifo_wait_partner(p, current, &p->writers, &p->w_opens);
    else if (fmode == FMODE_WRITE)
        ret = fifo_wait_partner(p, current, &p->readers, &p->r_opens);
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

long pipe_get_size(struct pipe *p)
{
    lock(&p->lock);
    long n = (long)p->nslots * PIPE_SLOT_SIZE;
    unlock(&p->lock);
    return n;
}

/* Moves the used slots to the front of a new array of n slots. */
static void pipe_reslot(struct pipe *p, struct pipe_slot *slots, unsigned n)
{
    for (unsigned i = 0; i < p->nslots; i++) {
        if (i < n)
            slots[i] = *slot_at(p, i);
        else
            free(slot_at(p, i)->page);
    }
    free(p->slots);
    p->slots = slots;
    p->nslots = n;
    p->head = 0;
}

long pipe_set_size(struct pipe *p, size_t size, bool privileged)
{
    if (size > (1u << 31))
        return -EINVAL;
    unsigned n = 1;
    while ((size_t)n * PIPE_SLOT_SIZE < size)
        n *= 2;
    if (n > PIPE_MAX_SLOTS && !privileged)
        return -EPERM;
    if (n > PIPE_MAX_SLOTS_PRIV)
        return -ENOMEM;
    struct pipe_slot *slots = calloc(n, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    lock(&p->lock);
    if (p->used > n) {
        unlock(&p->lock);
        free(slots);
        return -EBUSY;
    }
    bool grew = n > p->nslots;
    pipe_reslot(p, slots, n);
    unlock(&p->lock);
    if (grew)
        waitq_wake(&p->wr, EPOLLOUT | EPOLLWRNORM);
    return (long)n * PIPE_SLOT_SIZE;
}

/* A free slot in front of the oldest, in a bigger ring if writers have filled this one; NULL: no memory. */
static struct pipe_slot *slot_in_front(struct pipe *p)
{
    if (p->used == p->nslots) {
        struct pipe_slot *slots = calloc(p->nslots + 1, sizeof(*slots));
        if (!slots)
            return NULL;
        pipe_reslot(p, slots, p->nslots + 1);
    }
    struct pipe_slot *s = slot_at(p, p->nslots - 1);
    return s->page || (s->page = malloc(PIPE_SLOT_SIZE)) ? s : NULL;
}

void pipe_unread(struct pipe *p, const void *bytes, size_t len)
{
    const unsigned char *from = bytes;

    lock(&p->lock);
    while (len) { /* the last bytes first, each piece before the one put there before */
        struct pipe_slot *s = slot_in_front(p);
        if (!s)
            break;
        const unsigned n = (unsigned)MIN(len, (size_t)PIPE_SLOT_SIZE);
        memcpy(s->page, from + len - n, n);
        s->off = 0;
        s->len = n;
        s->packet = false;
        p->head = (p->head + p->nslots - 1) % p->nslots;
        p->used++;
        p->bytes += n;
        len -= n;
    }
    unlock(&p->lock);
    waitq_wake(&p->rd, EPOLLIN | EPOLLRDNORM);
}

size_t pipe_readable(struct pipe *p)
{
    lock(&p->lock);
    size_t n = p->bytes;
    unlock(&p->lock);
    return n;
}

size_t pipe_room(struct pipe *p)
{
    lock(&p->lock);
    size_t n = room_locked(p, false);
    unlock(&p->lock);
    return n;
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
        struct pipe_slot *s = slot_at(from, i);
        struct uio u;
        size_t want = MIN(len, (size_t)s->len);
        uio_kernel(&u, s->page + s->off, want);
        ssize_t n = fill_locked(to, &u, s->packet);
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
