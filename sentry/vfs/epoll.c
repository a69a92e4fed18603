/*
 * epoll(7).
 *
 * An instance has items, one a (file, descriptor), in a tree. An item sits with a waiter on each queue its file names;
 * a wake-up puts the item on the ready list and wakes one task in epoll_wait(). That task takes items off the list and
 * asks their files what is true: only then is an event reported, and a level-triggered item goes back to the list's
 * end.
 *
 * Items do not hold their file: the last put of a file calls epoll_file_released(), which takes its items out.
 *
 * Locks, in order: tree_lock (who watches whom: nesting, and items against the end of their file or instance), ep->lock
 * (items, and asking files), ready_lock (the ready list; taken in wake callbacks, RANK_READY). tree_lock and ep->lock
 * and the queue of an instance are unranked: instances nest, and the order among them is the nesting itself, which
 * check_nesting() keeps free of cycles and no deeper than MAX_NESTING.
 */
#include "sentry/vfs/epoll.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/poll.h"
#include "sentry/vfs/vfs.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <stdlib.h>

#define MAX_NESTING 4
#define MAX_VISITS 10000 /* bounds the walk over many ways through a nest */
#define ITEM_WAITERS 4
#define BATCH 128
#define EP_PRIVATE (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

struct ep_item {
    RB_ENTRY(ep_item) node;   /* ep->lock */
    struct list ready_node;   /* ready_lock: on ep->ready or a scan's list */
    struct list file_node;    /* file->epoll_lock: on file->epoll_items */
    struct list parent_node;  /* tree_lock: on the watched instance's parents */
    struct epoll *ep;         /* constant */
    struct file *file;        /* constant, not counted */
    int fd;                   /* constant */
    struct epoll_event event; /* ep->lock */
    struct poll_table pt;
    unsigned nwaiters;
    struct waiter w[ITEM_WAITERS];
};

RB_HEAD(ep_tree, ep_item);

struct epoll {
    struct lock lock;
    struct ep_tree items;
    struct list parents; /* tree_lock: items that watch this instance */
    struct lock ready_lock;
    struct list ready;
    struct waitq q; /* tasks in epoll_wait, and whoever polls the instance */
};

static struct lock tree_lock = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static const struct file_ops epoll_ops;

static int item_cmp(struct ep_item *a, struct ep_item *b)
{
    if (a->file != b->file)
        return (uintptr_t)a->file < (uintptr_t)b->file ? -1 : 1;
    return a->fd < b->fd ? -1 : a->fd > b->fd;
}

RB_GENERATE_INTERNAL(ep_tree, ep_item, node, item_cmp, static unused_arg)

static struct epoll *epoll_of(struct file *f)
{
    return f->ops == &epoll_ops ? f->priv : NULL;
}

/* True if the item was not on the list yet. */
static bool make_ready(struct ep_item *it)
{
    struct epoll *ep = it->ep;
    lock(&ep->ready_lock);
    bool fresh = list_empty(&it->ready_node);
    if (fresh)
        list_push_back(&ep->ready, &it->ready_node);
    unlock(&ep->ready_lock);
    return fresh;
}

static bool item_wake(struct waiter *w, uint32_t events unused_arg)
{
    struct ep_item *it = w->data;
    if (make_ready(it))
        waitq_wake_one(&it->ep->q, EPOLLIN | EPOLLRDNORM);
    return true;
}

static void item_queue(struct poll_table *pt, struct waitq *q)
{
    struct ep_item *it = container_of(pt, struct ep_item, pt);
    if (it->nwaiters == ITEM_WAITERS)
        return; /* no file names more queues than this */
    struct waiter *w = &it->w[it->nwaiters++];
    *w = (struct waiter){.mask = (it->event.events & ~(uint32_t)EP_PRIVATE) | EPOLLERR | EPOLLHUP,
                         .exclusive = it->event.events & EPOLLEXCLUSIVE,
                         .wake = item_wake,
                         .data = it};
    list_init(&w->node);
    waitq_add(q, w);
}

static uint32_t item_events(struct ep_item *it, struct poll_table *pt)
{
    uint32_t want = it->event.events;
    if (!(want & ~(uint32_t)EP_PRIVATE)) /* a one-shot item that has fired, or nothing asked for */
        want = 0;
    return vfs_poll(it->file, pt) & want & ~(uint32_t)EP_PRIVATE;
}

/* (Re)queues the item with its present mask and makes it ready if it has events. ep->lock held. */
static void item_watch(struct ep_item *it)
{
    for (unsigned i = 0; i < it->nwaiters; i++)
        waitq_remove(&it->w[i]);
    it->nwaiters = 0;
    it->pt = (struct poll_table){.queue = item_queue, .lasting = true};
    if (item_events(it, &it->pt) && make_ready(it))
        waitq_wake_one(&it->ep->q, EPOLLIN | EPOLLRDNORM);
}

/* Takes the item out of everything but its file's list. tree_lock and ep->lock held. */
static void item_free(struct ep_item *it)
{
    struct epoll *ep = it->ep;
    for (unsigned i = 0; i < it->nwaiters; i++)
        waitq_remove(&it->w[i]);
    lock(&ep->ready_lock);
    list_del(&it->ready_node);
    unlock(&ep->ready_lock);
    RB_REMOVE(ep_tree, &ep->items, it);
    list_del(&it->parent_node);
    lock(&it->file->epoll_lock);
    list_del(&it->file_node);
    unlock(&it->file->epoll_lock);
    free(it);
}

void epoll_file_released(struct file *f)
{
    lock(&f->epoll_lock);
    bool none = list_empty(&f->epoll_items);
    unlock(&f->epoll_lock);
    if (none)
        return;
    lock(&tree_lock);
    while (!list_empty(&f->epoll_items)) { /* nobody can add: f has no references */
        struct ep_item *it = list_first(&f->epoll_items, struct ep_item, file_node);
        struct epoll *ep = it->ep;
        lock(&ep->lock);
        item_free(it);
        unlock(&ep->lock);
    }
    unlock(&tree_lock);
}

/* ---- nesting; tree_lock held ---- */

static int depth_above(struct epoll *ep, int level, int *visits)
{
    int deepest = 0;
    struct ep_item *it;
    if (level > MAX_NESTING || ++*visits > MAX_VISITS)
        return MAX_NESTING + 1;
    list_for_each (it, &ep->parents, parent_node) {
        int d = 1 + depth_above(it->ep, level + 1, visits);
        deepest = MAX(deepest, d);
    }
    return deepest;
}

/* The depth of the nest below ep, or more than MAX_NESTING if it contains `avoid`. */
static int depth_below(struct epoll *ep, struct epoll *avoid, int level, int *visits)
{
    int deepest = 0;
    struct ep_item *it;
    if (ep == avoid || level > MAX_NESTING || ++*visits > MAX_VISITS)
        return 2 * MAX_NESTING;
    RB_FOREACH (it, ep_tree, &ep->items) {
        struct epoll *child = epoll_of(it->file);
        int d = child ? 1 + depth_below(child, avoid, level + 1, visits) : 0;
        deepest = MAX(deepest, d);
    }
    return deepest;
}

static int check_nesting(struct epoll *ep, struct epoll *child)
{
    int visits = 0;
    int depth = 1 + depth_above(ep, 0, &visits) + depth_below(child, ep, 0, &visits);
    return depth > MAX_NESTING ? -ELOOP : 0;
}

/* ---- epoll_ctl; tree_lock and ep->lock held ---- */

static int item_add(struct epoll *ep, int fd, struct file *target, const struct epoll_event *ev)
{
    struct epoll *child = epoll_of(target);
    struct ep_item *it = calloc(1, sizeof(*it));
    if (!it)
        return -ENOMEM;
    *it = (struct ep_item){.ep = ep, .file = target, .fd = fd, .event = *ev};
    it->event.events |= EPOLLERR | EPOLLHUP;
    list_init(&it->ready_node);
    list_init(&it->parent_node);
    RB_INSERT(ep_tree, &ep->items, it);
    if (child)
        list_push_back(&child->parents, &it->parent_node);
    lock(&target->epoll_lock);
    list_push_back(&target->epoll_items, &it->file_node);
    unlock(&target->epoll_lock);
    item_watch(it);
    return 0;
}

static int item_modify(struct ep_item *it, const struct epoll_event *ev)
{
    if ((it->event.events | ev->events) & EPOLLEXCLUSIVE)
        return -EINVAL;
    it->event = *ev;
    it->event.events |= EPOLLERR | EPOLLHUP;
    item_watch(it);
    return 0;
}

int epoll_control(struct file *epf, int op, int fd, struct file *target, const struct epoll_event *ev)
{
    struct epoll *ep = epoll_of(epf);
    if (!ep || target == epf)
        return -EINVAL;
    if (!target->ops->poll)
        return -EPERM;
    struct epoll *child = epoll_of(target);
    if (op == EPOLL_CTL_ADD && (ev->events & EPOLLEXCLUSIVE) && child)
        return -EINVAL;
    struct ep_item key = {.file = target, .fd = fd};
    int ret;
    lock(&tree_lock);
    ret = op == EPOLL_CTL_ADD && child ? check_nesting(ep, child) : 0;
    lock(&ep->lock);
    struct ep_item *it = RB_FIND(ep_tree, &ep->items, &key);
    if (op == EPOLL_CTL_ADD) {
        if (it)
            ret = -EEXIST;
        else if (ret == 0)
            ret = item_add(ep, fd, target, ev);
    } else if (!it) {
        ret = -ENOENT;
    } else if (op == EPOLL_CTL_MOD) {
        ret = item_modify(it, ev);
    } else {
        item_free(it);
    }
    unlock(&ep->lock);
    unlock(&tree_lock);
    return ret;
}

/* ---- epoll_wait ---- */

static struct ep_item *ready_pop(struct epoll *ep, struct list *from)
{
    struct ep_item *it = NULL;
    lock(&ep->ready_lock);
    if (!list_empty(from)) {
        it = list_first(from, struct ep_item, ready_node);
        list_del(&it->ready_node);
    }
    unlock(&ep->ready_lock);
    return it;
}

/* One event that is on its way to the guest. */
struct taken {
    struct ep_item *item;
    uint32_t asked; /* the item's events before it was taken */
};

/* Puts back what the guest's memory did not take. ep->lock held. */
static void give_back(struct taken *taken, int n)
{
    for (int i = 0; i < n; i++) {
        taken[i].item->event.events = taken[i].asked;
        make_ready(taken[i].item);
    }
}

/* Takes up to max events off the list of items to look at. ep->lock held. */
static int take_events(struct epoll *ep, struct list *scan, struct epoll_event *out, struct taken *taken, int max)
{
    struct ep_item *it;
    int n = 0;

    while (n < max && (it = ready_pop(ep, scan))) {
        uint32_t got = item_events(it, NULL);
        if (!got)
            continue;
        taken[n] = (struct taken){it, it->event.events};
        out[n++] = (struct epoll_event){.events = got, .data = it->event.data};
        if (it->event.events & EPOLLONESHOT)
            it->event.events &= EP_PRIVATE;
        else if (!(it->event.events & EPOLLET))
            make_ready(it);
    }
    return n;
}

/* Moves up to BATCH events of scan's items to the guest: how many, or -EFAULT. ep->lock held. */
static int collect_batch(struct task *t, struct epoll *ep, struct list *scan, uint64_t addr, int max)
{
    struct epoll_event ev[BATCH];
    struct taken taken[BATCH];

    int n = take_events(ep, scan, ev, taken, MIN(max, BATCH));
    if (n && user_write(t, addr, ev, (size_t)n * sizeof(ev[0])) < 0) {
        give_back(taken, n);
        return -EFAULT;
    }
    return n;
}

/* Moves up to max events to the guest's array at addr: how many, or -EFAULT. An item off the list that a wake-up meets
 * meanwhile comes back by itself. */
static int collect(struct task *t, struct epoll *ep, uint64_t addr, int max)
{
    struct list scan = LIST_INIT(scan);
    int n = 0, more;

    lock(&ep->lock);
    lock(&ep->ready_lock);
    list_splice_back(&scan, &ep->ready);
    unlock(&ep->ready_lock);
    while ((more = collect_batch(t, ep, &scan, addr + (uint64_t)n * sizeof(struct epoll_event), max - n)) > 0)
        n += more;
    if (more < 0 && !n)
        n = more;
    lock(&ep->ready_lock);
    list_splice_back(&scan, &ep->ready); /* what was not looked at goes first next time */
    list_splice_back(&ep->ready, &scan);
    unlock(&ep->ready_lock);
    unlock(&ep->lock);
    return n;
}

static bool any_ready(struct epoll *ep)
{
    lock(&ep->ready_lock);
    bool any = !list_empty(&ep->ready);
    unlock(&ep->ready_lock);
    return any;
}

static int wait_collect(struct task *t, struct epoll *ep, uint64_t addr, int max, int64_t deadline)
{
    struct waiter w;
    int n = 0, ret = 0;
    waiter_init_task(&w, t);
    w.exclusive = true;
    waitq_add(&ep->q, &w);
    while ((n = collect(t, ep, addr, max)) == 0 && ret == 0)
        ret = task_sleep(t, deadline);
    waitq_remove(&w);
    if (any_ready(ep)) /* the wake-up we used up may have been for more than we took */
        waitq_wake_one(&ep->q, EPOLLIN | EPOLLRDNORM);
    return n ? n : ret == -ETIMEDOUT ? 0 : -EINTR;
}

int epoll_wait_events(struct task *t, struct file *epf, uint64_t addr, int max, bool nowait, int64_t deadline)
{
    struct epoll *ep = epoll_of(epf);
    if (!ep)
        return -EINVAL;
    int n = collect(t, ep, addr, max);
    return n || nowait ? n : wait_collect(t, ep, addr, max, deadline);
}

/* ---- the instance as a file ---- */

static uint32_t epoll_poll(struct file *f, struct poll_table *pt)
{
    struct epoll *ep = f->priv;
    struct list scan = LIST_INIT(scan);
    struct ep_item *it;
    uint32_t ev = 0;
    poll_wait(pt, &ep->q);
    lock(&ep->lock);
    lock(&ep->ready_lock);
    list_splice_back(&scan, &ep->ready);
    unlock(&ep->ready_lock);
    while (!ev && (it = ready_pop(ep, &scan))) {
        if (!item_events(it, NULL))
            continue;
        make_ready(it);
        ev = EPOLLIN | EPOLLRDNORM;
    }
    lock(&ep->ready_lock);
    list_splice_back(&ep->ready, &scan);
    unlock(&ep->ready_lock);
    unlock(&ep->lock);
    return ev;
}

static void epoll_release(struct file *f)
{
    struct epoll *ep = f->priv;
    struct ep_item *it;
    lock(&tree_lock);
    lock(&ep->lock);
    while ((it = RB_MIN(ep_tree, &ep->items)))
        item_free(it);
    unlock(&ep->lock);
    unlock(&tree_lock);
    lock_destroy(&ep->lock);
    lock_destroy(&ep->ready_lock);
    free(ep);
}

static const struct file_ops epoll_ops = {
    .poll = epoll_poll,
    .release = epoll_release,
};

int epoll_new(struct file **out)
{
    struct epoll *ep = calloc(1, sizeof(*ep));
    if (!ep)
        return -ENOMEM;
    lock_init(&ep->lock, RANK_NONE);
    lock_init(&ep->ready_lock, RANK_READY);
    RB_INIT(&ep->items);
    list_init(&ep->parents);
    list_init(&ep->ready);
    waitq_init(&ep->q);
    lock_init(&ep->q.lock, RANK_NONE);
    int ret = file_new_anon("anon_inode:[eventpoll]", &epoll_ops, FMODE_STREAM, O_RDWR, 0600, ep, out);
    if (ret < 0)
        free(ep);
    return ret;
}
