/*
 * Descriptors under way.
 *
 * Every file in a queued message counts towards a limit. Unix sockets among them are also listed, since they can close
 * a cycle: a socket that only a message in its own queue, or in the queue of another such socket, refers to. Nobody can
 * ever receive it; the collector finds it and empties its queue.
 *
 * The collector looks at sockets all of whose file's references come from messages. Of those it takes off the
 * references that come from queues of such sockets; who still has one left is reached from outside, and so is all that
 * can be received through it. The rest is garbage. flight_lock keeps messages with sockets from leaving a queue
 * meanwhile; a message that is counted but not queued yet counts as an outside reference, and so errs on the safe side.
 */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/net/unix/unix.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/resource.h>

#define MAX_FILES 65536 /* under way in the sandbox, whoever sends */
#define COLLECT_AT 1024 /* sockets under way before a send collects */

static struct lock flight_lock;
static struct list in_flight = LIST_INIT(in_flight); /* unix_sock by flight_node */
static _Atomic unsigned files_total, sockets_total;
static _Atomic unsigned survivors; /* of the last collection */
static _Atomic bool wanted, running;

static void flight_init(void)
{
    lock_init(&flight_lock, RANK_SOCK_FLIGHT);
}

void unix_flight_lock(void) NO_THREAD_SAFETY
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, flight_init);
    lock(&flight_lock);
}

void unix_flight_unlock(void) NO_THREAD_SAFETY
{
    unlock(&flight_lock);
}

/* The Unix socket behind f, or NULL. */
static struct unix_sock *unix_of_file(struct file *f)
{
    struct socket *s = socket_of(f);

    return s && s->family == AF_UNIX ? unix_of(s) : NULL;
}

/* ---- counting ---- */

static bool over_limit(struct task *t, unsigned files)
{
    if (files > MAX_FILES)
        return true;
    return files > tg_limit(t->tg, RLIMIT_NOFILE) && !cred_capable(t->cred, CAP_SYS_RESOURCE) &&
           !cred_capable(t->cred, CAP_SYS_ADMIN);
}

int unix_flight_add(struct task *t, struct scm_rights *r)
{
    if (r->sockets && atomic_load(&sockets_total) >= COLLECT_AT)
        unix_collect();
    if (over_limit(t, atomic_fetch_add(&files_total, r->count) + r->count)) {
        atomic_fetch_sub(&files_total, r->count);
        return -ETOOMANYREFS;
    }
    r->in_flight = true;
    if (!r->sockets)
        return 0;
    unix_flight_lock();
    for (unsigned i = 0; i < r->count; i++) {
        struct unix_sock *u = unix_of_file(r->files[i]);
        if (u && u->in_flight++ == 0) {
            list_push_back(&in_flight, &u->flight_node);
            atomic_fetch_add(&sockets_total, 1);
        }
    }
    unix_flight_unlock();
    return 0;
}

void unix_flight_remove_locked(struct scm_rights *r)
{
    atomic_fetch_sub(&files_total, r->count);
    r->in_flight = false;
    for (unsigned i = 0; r->sockets && i < r->count; i++) {
        struct unix_sock *u = unix_of_file(r->files[i]);
        if (u && --u->in_flight == 0) {
            list_del(&u->flight_node);
            atomic_fetch_sub(&sockets_total, 1);
        }
    }
}

void unix_flight_remove(struct scm_rights *r)
{
    bool sockets = r->sockets > 0;

    if (sockets)
        unix_flight_lock();
    unix_flight_remove_locked(r);
    if (sockets)
        unix_flight_unlock();
}

/* ---- the collector; flight_lock held ---- */

enum { GC_LIVE, GC_CANDIDATE };

typedef void (*child_fn)(struct unix_sock *child, struct list *work);

static void queue_children(struct unix_sock *u, child_fn fn, struct list *work)
{
    struct umsg *m;

    list_for_each (m, &u->queue, node)
        for (unsigned i = 0; m->rights && m->rights->sockets && i < m->rights->count; i++) {
            struct unix_sock *child = unix_of_file(m->rights->files[i]);
            if (child && child->gc_state == GC_CANDIDATE)
                fn(child, work);
        }
}

/* Calls fn for each candidate in the queue of u, or in those of connections that u has yet to accept. */
static void each_child(struct unix_sock *u, child_fn fn, struct list *work)
{
    struct unix_sock *e;

    lock(&u->lock);
    queue_children(u, fn, work);
    list_for_each (e, &u->accept_queue, accept_node) {
        lock_nested(&e->lock);
        queue_children(e, fn, work);
        unlock(&e->lock);
    }
    unlock(&u->lock);
}

static void drop_inner_ref(struct unix_sock *child, struct list *work unused_arg)
{
    child->gc_refs--;
}

static void mark_live(struct unix_sock *child, struct list *work)
{
    child->gc_state = GC_LIVE;
    list_push_back(work, &child->gc_node);
}

static void find_candidates(void)
{
    struct unix_sock *u;

    list_for_each (u, &in_flight, flight_node) {
        struct file *f = atomic_load(&u->sk.file);
        u->gc_refs = u->in_flight;
        u->gc_state = (unsigned)atomic_load(&f->refs.n) == u->in_flight ? GC_CANDIDATE : GC_LIVE;
    }
    list_for_each (u, &in_flight, flight_node)
        if (u->gc_state == GC_CANDIDATE)
            each_child(u, drop_inner_ref, NULL);
}

/* What is left a candidate after this is garbage. */
static void find_live(void)
{
    struct list work = LIST_INIT(work);
    struct unix_sock *u;

    list_for_each (u, &in_flight, flight_node)
        if (u->gc_state == GC_CANDIDATE && u->gc_refs)
            mark_live(u, &work);
    while (!list_empty(&work)) {
        u = list_first(&work, struct unix_sock, gc_node);
        list_del(&u->gc_node);
        each_child(u, mark_live, &work);
    }
}

/* Moves the messages of u, and of what waits to be accepted from it, to out. */
static void empty_queues(struct unix_sock *u, struct list *out)
{
    struct unix_sock *e;

    lock(&u->lock);
    umsg_take_all(u, out);
    list_for_each (e, &u->accept_queue, accept_node) {
        lock_nested(&e->lock);
        umsg_take_all(e, out);
        unlock(&e->lock);
    }
    unlock(&u->lock);
}

static void collect_once(void)
{
    struct list garbage = LIST_INIT(garbage);
    struct unix_sock *u;
    unsigned left = 0;

    unix_flight_lock();
    find_candidates();
    find_live();
    list_for_each (u, &in_flight, flight_node) {
        if (u->gc_state == GC_CANDIDATE)
            empty_queues(u, &garbage);
        else
            left++;
    }
    atomic_store(&survivors, left);
    unix_flight_unlock();
    umsg_free_all(&garbage);
}

void unix_collect(void)
{
    /* With many survivors a collection is dear: let as many come anew first. */
    unsigned n = atomic_load(&sockets_total), old = atomic_load(&survivors);
    if (!n || (old > COLLECT_AT && n < 2 * old))
        return;
    atomic_store(&wanted, true);
    while (atomic_load(&wanted) && !atomic_exchange(&running, true)) {
        atomic_store(&wanted, false);
        collect_once();
        atomic_store(&running, false);
    }
}
