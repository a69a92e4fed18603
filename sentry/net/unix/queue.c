/*
 * Messages, and the queue that a socket receives from.
 *
 * Freeing is iterative: a message may hold the last reference on a socket whose queue holds messages in turn, as deep
 * as a guest likes, so a nested free only adds to the list that the outermost one works off.
 */
#include "sentry/net/unix/unix.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct umsg *umsg_new(size_t cap)
{
    struct umsg *m = malloc(sizeof(*m) + cap);

    if (!m)
        return NULL;
    *m = (struct umsg){.cap = cap, .charge = sizeof(*m) + cap};
    list_init(&m->node);
    return m;
}

void unix_uncharge(struct unix_sock *u, size_t charge)
{
    size_t before = atomic_fetch_sub(&u->wmem, charge);

    if (!unix_writable(u, before) && unix_writable(u, before - charge))
        waitq_wake(&u->sk.wq, EPOLLOUT | EPOLLWRNORM);
}

static void free_one(struct umsg *m)
{
    if (m->rights) {
        if (m->rights->in_flight)
            unix_flight_remove(m->rights);
        scm_rights_free(m->rights);
    }
    if (m->sender) {
        unix_uncharge(m->sender, m->charge);
        unix_put(m->sender);
    }
    unix_name_put(m->from);
    free(m);
}

void umsg_free_all(struct list *msgs)
{
    static _Thread_local struct list *working;
    struct list work = LIST_INIT(work);

    if (working) {
        list_splice_back(working, msgs);
        return;
    }
    working = &work;
    list_splice_back(&work, msgs);
    while (!list_empty(&work)) {
        struct umsg *m = list_first(&work, struct umsg, node);
        list_del(&m->node);
        free_one(m);
    }
    working = NULL;
}

void umsg_free(struct umsg *m)
{
    struct list one = LIST_INIT(one);

    list_push_back(&one, &m->node);
    umsg_free_all(&one);
}

void umsg_push(struct unix_sock *u, struct umsg *m)
{
    list_push_back(&u->queue, &m->node);
    u->count++;
    u->bytes += m->len;
}

void umsg_pop(struct unix_sock *u, struct umsg *m)
{
    list_del(&m->node);
    u->count--;
    u->bytes -= m->len;
    if (!m->sender)
        u->charged -= m->charge;
}

struct umsg *umsg_head(struct unix_sock *u)
{
    return list_empty(&u->queue) ? NULL : list_first(&u->queue, struct umsg, node);
}

/* One by one, since a writer may have charged for a piece that it has yet to queue. */
void umsg_take_all(struct unix_sock *u, struct list *out)
{
    struct umsg *m;

    while ((m = umsg_head(u))) {
        umsg_pop(u, m);
        list_push_back(out, &m->node);
    }
}

static int peek_rights(const struct umsg *m, struct scm *scm)
{
    scm->rights = scm_rights_copy(m->rights);
    return scm->rights ? 0 : -ENOMEM;
}

static void take_rights(struct unix_sock *u, struct umsg *m, struct scm *scm) NO_THREAD_SAFETY
{
    bool sockets = m->rights->sockets > 0;

    if (sockets) { /* the collector must not look while the files are in no queue but still counted as under way */
        unlock(&u->lock);
        unix_flight_lock();
        lock(&u->lock);
    }
    scm->rights = m->rights;
    m->rights = NULL;
    unix_flight_remove_locked(scm->rights);
    if (sockets)
        unix_flight_unlock();
}

int umsg_take_rights(struct unix_sock *u, struct umsg *m, bool peek, struct scm *scm)
{
    if (!m->rights)
        return 0;
    if (peek)
        return peek_rights(m, scm);
    take_rights(u, m, scm);
    return 0;
}
