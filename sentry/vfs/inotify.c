/*
 * inotify(7).
 *
 * An instance has watches, by number, and a queue of events. An event that is like the newest unread one is dropped;
 * when the queue is full one overflow event closes it. Numbers are never used again.
 *
 * Locks: notify_lock for the watches (see notify.h), then the queue's own (RANK_PIPE).
 */
#include "sentry/vfs/inotify.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/notify.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

/* As /proc/sys/fs/inotify shows them; the last two are the sandbox's, not a user's. */
#define MAX_EVENTS 16384
#define MAX_INSTANCES 128
#define MAX_WATCHES 65536

#define KEPT (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT)

/* struct inotify_event without the name behind it, as read(2) gives it. */
struct head {
    int wd;
    uint32_t mask, cookie;
    uint32_t len; /* of the name with its NULs */
};

struct event {
    struct list node;
    struct head head;
    char name[];
};

struct iwatch {
    struct watch w;
    RB_ENTRY(iwatch) node;
    struct inotify *in;
    int wd;
};

RB_HEAD(watch_tree, iwatch);

struct inotify {
    struct watch_tree watches; /* (notify_lock) */
    int next_wd;               /* (notify_lock) */
    struct lock lock;          /* the queue */
    struct list events;        /* oldest first */
    unsigned count;
    size_t bytes;
    struct event *overflow; /* made at the start, so that it cannot fail; NULL while it is queued */
    struct waitq wq;
};

static _Atomic int instances, watches;
static const struct file_ops inotify_ops;

static int watch_compare(const struct iwatch *a, const struct iwatch *b)
{
    return a->wd < b->wd ? -1 : a->wd > b->wd;
}

RB_GENERATE_INTERNAL(watch_tree, iwatch, node, watch_compare, static unused_arg)

static struct inotify *inotify_of(struct file *f)
{
    return f->ops == &inotify_ops ? f->priv : NULL;
}

/* ---- the queue; in->lock held ---- */

static struct event *event_new(int wd, uint32_t mask, uint32_t cookie, const char *name)
{
    size_t len = name ? strlen(name) : 0, padded = name ? (len / sizeof(struct head) + 1) * sizeof(struct head) : 0;
    struct event *e = calloc(1, sizeof(*e) + padded);

    if (!e)
        return NULL;
    e->head = (struct head){.wd = wd, .mask = mask, .cookie = cookie, .len = (uint32_t)padded};
    if (name)
        memcpy(e->name, name, len);
    list_init(&e->node);
    return e;
}

static void push(struct inotify *in, struct event *e)
{
    list_push_back(&in->events, &e->node);
    in->count++;
    in->bytes += sizeof(e->head) + e->head.len;
}

static void pop(struct inotify *in, struct event *e)
{
    list_del(&e->node);
    in->count--;
    in->bytes -= sizeof(e->head) + e->head.len;
    if (e->head.mask == IN_Q_OVERFLOW)
        in->overflow = e;
    else
        free(e);
}

/* Is the newest unread event the same? */
static bool repeats(struct inotify *in, const struct head *h, const char *name)
{
    if (list_empty(&in->events))
        return false;
    const struct event *last = list_last(&in->events, struct event, node);
    return last->head.wd == h->wd && last->head.mask == h->mask && !(h->mask & IN_IGNORED) &&
           !strcmp(last->head.len ? last->name : "", name ? name : "");
}

static void push_overflow(struct inotify *in)
{
    if (in->overflow)
        push(in, in->overflow);
    in->overflow = NULL;
}

/* An event for the queue. Takes in->lock. */
static void queue(struct inotify *in, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
    const struct head h = {.wd = wd, .mask = mask};
    struct event *e = NULL;

    lock(&in->lock);
    bool drop = repeats(in, &h, name);
    if (!drop && in->count < MAX_EVENTS)
        e = event_new(wd, mask, cookie, name);
    if (e)
        push(in, e);
    else if (!drop)
        push_overflow(in);
    unlock(&in->lock);
    if (!drop)
        waitq_wake(&in->wq, EPOLLIN | EPOLLRDNORM);
}

/* ---- watches; notify_lock held ---- */

static void on_event(struct watch *w, uint32_t mask, uint32_t cookie, const char *name)
{
    struct iwatch *iw = container_of(w, struct iwatch, w);

    queue(iw->in, iw->wd, mask, cookie, name);
}

/* The watch is off its inode: the last that is heard of it. */
static void on_gone(struct watch *w)
{
    struct iwatch *iw = container_of(w, struct iwatch, w);

    queue(iw->in, iw->wd, IN_IGNORED, 0, NULL);
    RB_REMOVE(watch_tree, &iw->in->watches, iw);
    free(iw);
    atomic_fetch_sub(&watches, 1);
}

static const struct watch_ops inotify_watch_ops = {.event = on_event, .gone = on_gone};

static bool is_ours(struct watch *w, void *in)
{
    return w->ops == &inotify_watch_ops && container_of(w, struct iwatch, w)->in == in;
}

static long watch_new(struct inotify *in, struct dentry *d, uint32_t mask)
{
    struct iwatch *iw = calloc(1, sizeof(*iw));

    if (!iw)
        return -ENOMEM;
    *iw = (struct iwatch){.w = {.mask = mask & KEPT, .ops = &inotify_watch_ops}, .in = in, .wd = in->next_wd};
    list_init(&iw->w.node);
    int ret = in->next_wd < INT_MAX ? watch_add(&iw->w, d) : -ENOSPC;
    if (ret < 0) {
        free(iw);
        return ret;
    }
    in->next_wd++;
    RB_INSERT(watch_tree, &in->watches, iw);
    return iw->wd;
}

long inotify_add(struct file *f, struct dentry *d, uint32_t mask)
{
    struct inotify *in = inotify_of(f);
    long ret;

    if (!in)
        return -EINVAL;
    notify_lock();
    struct watch *old = watch_find(d, is_ours, in);
    if (old && (mask & IN_MASK_CREATE)) {
        ret = -EEXIST;
    } else if (old) {
        old->mask = (mask & IN_MASK_ADD ? old->mask : 0) | (mask & KEPT);
        ret = container_of(old, struct iwatch, w)->wd;
    } else if (atomic_fetch_add(&watches, 1) >= MAX_WATCHES) {
        atomic_fetch_sub(&watches, 1);
        ret = -ENOSPC;
    } else {
        ret = watch_new(in, d, mask);
        if (ret < 0)
            atomic_fetch_sub(&watches, 1);
    }
    notify_unlock();
    return ret;
}

int inotify_remove(struct file *f, int wd)
{
    struct inotify *in = inotify_of(f);
    struct iwatch key = {.wd = wd}, *iw;

    if (!in)
        return -EINVAL;
    notify_lock();
    iw = RB_FIND(watch_tree, &in->watches, &key);
    if (iw) {
        watch_remove(&iw->w);
        on_gone(&iw->w);
    }
    notify_unlock();
    notify_reap();
    return iw ? 0 : -EINVAL;
}

/* ---- the file ---- */

/* As many whole events as fit. 0: there are none; -EINVAL: the first does not fit. With in->lock. */
static ssize_t drain(struct inotify *in, struct uio *u)
{
    ssize_t done = 0;

    while (!list_empty(&in->events)) {
        struct event *e = list_first(&in->events, struct event, node);
        size_t len = sizeof(e->head) + e->head.len;
        if (u->left < len)
            return done ? done : -EINVAL;
        if (uio_copy_out(u, &e->head, sizeof(e->head)) != (ssize_t)sizeof(e->head) ||
            uio_copy_out(u, e->name, e->head.len) != (ssize_t)e->head.len)
            return done ? done : -EFAULT;
        pop(in, e);
        done += (ssize_t)len;
    }
    return done;
}

struct drained {
    struct uio *u;
    ssize_t n; /* as drain() says */
};

static bool try_drain(struct file *f, void *arg)
{
    struct inotify *in = f->priv;
    struct drained *d = arg;

    lock(&in->lock);
    d->n = drain(in, d->u);
    unlock(&in->lock);
    return d->n != 0;
}

static ssize_t inotify_read(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct inotify *in = f->priv;
    struct drained d = {.u = u};

    const int ret = file_retry(f, u, &in->wq, EPOLLIN, try_drain, &d);
    return ret < 0 ? ret : d.n;
}

static uint32_t inotify_poll(struct file *f, struct poll_table *pt)
{
    struct inotify *in = f->priv;

    poll_wait(pt, &in->wq);
    lock(&in->lock);
    bool any = !list_empty(&in->events);
    unlock(&in->lock);
    return any ? EPOLLIN | EPOLLRDNORM : 0;
}

static long inotify_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
    struct inotify *in = f->priv;

    if (cmd != FIONREAD)
        return -ENOTTY;
    lock(&in->lock);
    int n = (int)in->bytes;
    unlock(&in->lock);
    return user_write(t, arg, &n, sizeof(n));
}

static void inotify_free(struct inotify *in)
{
    while (!list_empty(&in->events))
        pop(in, list_first(&in->events, struct event, node));
    free(in->overflow);
    lock_destroy(&in->lock);
    lock_destroy(&in->wq.lock);
    free(in);
    atomic_fetch_sub(&instances, 1);
}

static void inotify_release(struct file *f)
{
    struct inotify *in = f->priv;
    struct iwatch *iw;

    notify_lock();
    while ((iw = RB_MIN(watch_tree, &in->watches))) {
        watch_remove(&iw->w);
        on_gone(&iw->w);
    }
    notify_unlock();
    notify_reap();
    inotify_free(in);
}

static const struct file_ops inotify_ops = {
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .release = inotify_release,
};

static struct inotify *instance_new(void)
{
    struct inotify *in = calloc(1, sizeof(*in));

    if (!in)
        return NULL;
    in->overflow = event_new(-1, IN_Q_OVERFLOW, 0, NULL);
    if (!in->overflow) {
        free(in);
        return NULL;
    }
    in->next_wd = 1;
    RB_INIT(&in->watches);
    lock_init(&in->lock, RANK_PIPE);
    list_init(&in->events);
    waitq_init(&in->wq);
    return in;
}

int inotify_new(unsigned flags, struct file **out)
{
    if (atomic_fetch_add(&instances, 1) >= MAX_INSTANCES) {
        atomic_fetch_sub(&instances, 1);
        return -EMFILE;
    }
    struct inotify *in = instance_new();
    if (!in) {
        atomic_fetch_sub(&instances, 1);
        return -ENOMEM;
    }
    int ret =
        file_new_anon("anon_inode:inotify", &inotify_ops, FMODE_READ | FMODE_STREAM, O_RDONLY | flags, 0600, in, out);
    if (ret < 0)
        inotify_free(in);
    return ret;
}
