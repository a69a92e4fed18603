/* See notify.h. */
#include "sentry/vfs/notify.h"

#include "sentry/kernel/locking.h"
#include "sentry/vfs/dcache.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* The watches on one inode, which they keep alive, and found by the same inode at the next look-up, through a dentry.
 */
struct inode_watches {
    struct list node;      /* on all, or on retired */
    struct dentry *dentry; /* counted */
    struct list watches;   /* struct watch */
};

_Atomic unsigned notify_watches;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct lock watches_lock; /* "notify_lock": everything below, and every struct watch */
static struct list all = LIST_INIT(all), retired = LIST_INIT(retired);

static void notify_init(void)
{
    lock_init(&watches_lock, RANK_NOTIFY);
}

void notify_lock(void) NO_THREAD_SAFETY
{
    pthread_once(&once, notify_init);
    lock(&watches_lock);
}

void notify_unlock(void) NO_THREAD_SAFETY
{
    unlock(&watches_lock);
}

uint32_t notify_new_cookie(void)
{
    static _Atomic uint32_t next = 1;
    uint32_t c;

    while (!(c = atomic_fetch_add(&next, 1)))
        ;
    return c;
}

/* ---- watches; notify_lock held ---- */

static struct inode_watches *watches_of(struct inode *i)
{
    return i ? atomic_load_explicit(&i->watches, memory_order_acquire) : NULL;
}

struct watch *watch_find(struct dentry *d, bool (*fn)(struct watch *w, void *arg), void *arg)
{
    struct inode_watches *iw = watches_of(dentry_inode(d));
    struct watch *w;

    if (!iw)
        return NULL;
    list_for_each (w, &iw->watches, node)
        if (fn(w, arg))
            return w;
    return NULL;
}

int watch_add(struct watch *w, struct dentry *d)
{
    struct inode *i = dentry_inode(d);
    struct inode_watches *iw = watches_of(i);

    if (!iw) {
        iw = calloc(1, sizeof(*iw));
        if (!iw)
            return -ENOMEM;
        iw->dentry = dentry_get(d);
        list_init(&iw->watches);
        list_push_back(&all, &iw->node);
        atomic_store_explicit(&i->watches, iw, memory_order_release);
    }
    w->on = iw;
    list_push_back(&iw->watches, &w->node);
    atomic_fetch_add(&notify_watches, 1);
    return 0;
}

void watch_remove(struct watch *w)
{
    struct inode_watches *iw = w->on;

    if (!iw)
        return;
    list_del(&w->node);
    w->on = NULL;
    atomic_fetch_sub(&notify_watches, 1);
    if (!list_empty(&iw->watches))
        return;
    atomic_store_explicit(&dentry_inode(iw->dentry)->watches, NULL, memory_order_release);
    list_del(&iw->node);
    list_push_back(&retired, &iw->node);
}

void notify_reap(void)
{
    struct list mine = LIST_INIT(mine);

    notify_lock();
    list_splice_back(&mine, &retired);
    notify_unlock();
    while (!list_empty(&mine)) {
        struct inode_watches *iw = list_first(&mine, struct inode_watches, node);
        list_del(&iw->node);
        dentry_put(iw->dentry);
        free(iw);
    }
}

/* ---- delivery ---- */

/* To all watches on i that want it. True if something was removed: reap. notify_lock held. */
static bool deliver(struct inode *i, uint32_t mask, uint32_t cookie, const char *name, bool unlinked)
{
    struct inode_watches *iw = watches_of(i);
    struct watch *w, *next;
    bool removed = false;

    if (!iw)
        return false;
    list_for_each_safe (w, next, &iw->watches, node) {
        if (!(w->mask & mask & IN_ALL_EVENTS) || (unlinked && (w->mask & IN_EXCL_UNLINK)))
            continue;
        w->ops->event(w, mask, cookie, name);
        if (w->mask & IN_ONESHOT) {
            watch_remove(w);
            w->ops->gone(w);
            removed = true;
        }
    }
    return removed;
}

/* Ends all watches on i, after a last event for those that want it. notify_lock held. */
static void end_watches(struct inode *i, uint32_t mask)
{
    struct inode_watches *iw = watches_of(i);
    struct watch *w, *next;

    if (!iw)
        return;
    list_for_each_safe (w, next, &iw->watches, node) {
        if ((w->mask & mask) || mask == IN_UNMOUNT)
            w->ops->event(w, mask, 0, NULL);
        watch_remove(w);
        w->ops->gone(w);
    }
}

static uint32_t with_type(const struct inode *i, uint32_t mask)
{
    return mask | (i && S_ISDIR(i->mode) ? (uint32_t)IN_ISDIR : 0);
}

void notify_slow(struct dentry *d, uint32_t mask)
{
    struct inode *i = dentry_inode(d);
    char name[NAME_MAX + 1];
    bool reap = false, unlinked;

    if (!i || d->anonymous)
        return;
    struct dentry *parent = dentry_watched_parent(d, name, &unlinked);
    if (!parent && !watches_of(i))
        return;
    mask = with_type(i, mask);
    notify_lock();
    if (parent)
        reap = deliver(dentry_inode(parent), mask, 0, name, unlinked);
    reap |= deliver(i, mask, 0, NULL, false);
    notify_unlock();
    if (parent)
        dentry_put(parent);
    if (reap)
        notify_reap();
}

void notify_self_slow(struct dentry *d, uint32_t mask)
{
    if (!watches_of(dentry_inode(d)))
        return;
    notify_lock();
    bool reap = deliver(dentry_inode(d), with_type(dentry_inode(d), mask), 0, NULL, false);
    notify_unlock();
    if (reap)
        notify_reap();
}

void notify_dir_slow(struct dentry *dir, struct inode *child, const char *name, uint32_t mask, uint32_t cookie)
{
    if (!watches_of(dentry_inode(dir)))
        return;
    notify_lock();
    bool reap = deliver(dentry_inode(dir), with_type(child, mask), cookie, name, false);
    notify_unlock();
    if (reap)
        notify_reap();
}

/*
 * Does nobody use the inode of the unhashed d but the caller, through d, and the watches, through their dentry, which
 * may be another one? Of a directory this is taken for granted: names that were looked up in it keep it. notify_lock
 * held.
 */
static bool unused(struct dentry *d, const struct inode_watches *iw)
{
    struct inode *i = dentry_inode(d);
    bool same = iw->dentry == d;

    if (S_ISDIR(i->mode))
        return true;
    return atomic_load(&d->refs) <= 1 + same && (same || atomic_load(&iw->dentry->refs) <= 1) &&
           atomic_load(&i->refs.n) <= 2 - same;
}

/* Reports the inode's end if it has no name left and d was the last use of it. */
static void end_if_gone(struct dentry *d, bool attrib)
{
    struct inode *i = dentry_inode(d);
    bool reap = false;

    if (!watches_of(i))
        return;
    notify_lock();
    if (attrib)
        reap = deliver(i, IN_ATTRIB, 0, NULL, false);
    struct inode_watches *iw = watches_of(i);
    if (iw && i->nlink == 0 && unused(d, iw)) {
        end_watches(i, IN_DELETE_SELF);
        reap = true;
    }
    notify_unlock();
    if (reap)
        notify_reap();
}

void notify_unlinked_slow(struct dentry *d)
{
    end_if_gone(d, !S_ISDIR(dentry_inode(d)->mode));
}

void notify_closed_slow(struct file *f)
{
    if (f->fmode & FMODE_PATH)
        return;
    notify_slow(f->dentry, f->fmode & FMODE_WRITE ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
    if (dentry_inode(f->dentry)->nlink == 0)
        end_if_gone(f->dentry, false);
}

void notify_unmount_slow(struct super_block *sb)
{
    struct inode_watches *iw, *next;

    notify_lock();
    list_for_each_safe (iw, next, &all, node)
        if (dentry_inode(iw->dentry)->sb == sb)
            end_watches(dentry_inode(iw->dentry), IN_UNMOUNT);
    notify_unlock();
    notify_reap();
}
