/*
 * Making connections.
 *
 * A stream's (and a seqpacket's) connect makes the far end itself, joins it to the caller's socket and puts it into the
 * listener's accept queue, so the caller may send before anybody accepts. A datagram's connect only notes the peer.
 */
#include "sentry/kernel/task.h"
#include "sentry/net/unix/unix.h"

#include <errno.h>
#include <sys/epoll.h>

int unix_listen(struct socket *s, struct task *t, int backlog)
{
    struct unix_sock *u = unix_of(s);
    int ret = 0;

    lock(&u->lock);
    if (!atomic_load(&u->name) || u->state == UNIX_CONNECTED) {
        ret = -EINVAL;
    } else {
        u->backlog = (unsigned)backlog;
        u->state = UNIX_LISTENING;
        unix_peercred_set(&u->peercred, t);
    }
    unlock(&u->lock);
    if (ret == 0)
        waitq_wake(&u->room, EPOLLOUT);
    return ret;
}

/* Joins u and the new far end e, and queues e at the listener. Both u's and the listener's lock held. */
static void join(struct unix_sock *u, struct unix_sock *e, struct unix_sock *listener, struct task *t)
{
    unix_peercred_set(&e->peercred, t);
    unix_peercred_copy(&u->peercred, &listener->peercred);
    atomic_store(&e->name, unix_name_get(atomic_load(&listener->name)));
    atomic_store(&e->peer, unix_get(u));
    atomic_store(&u->peer, unix_get(e));
    e->state = u->state = UNIX_CONNECTED;
    list_push_back(&listener->accept_queue, &e->accept_node);
    listener->pending++;
}

/* One try. 0, -errno, or 1: the listener's queue was full, and its lock is still held. */
static int try_connect(struct unix_sock *u, struct unix_sock *listener, struct unix_sock *e,
                       struct task *t) NO_THREAD_SAFETY
{
    int ret = 0;

    lock_pair(&u->lock, &listener->lock);
    if (listener->state != UNIX_LISTENING || (listener->shut & UNIX_SHUT_RCV)) /* a dead one is shut too */
        ret = -ECONNREFUSED;
    else if (u->state != UNIX_IDLE)
        ret = u->state == UNIX_CONNECTED ? -EISCONN : -EINVAL;
    else if (listener->pending > listener->backlog)
        ret = 1;
    else
        join(u, e, listener, t);
    if (ret == 1)
        unlock(&u->lock);
    else
        unlock_pair(&u->lock, &listener->lock);
    return ret;
}

static bool wants_autobind(struct unix_sock *u)
{
    return (atomic_load(&u->sk.flags) & SOCKF_PASSCRED) && !atomic_load(&u->name);
}

/* Tries until there is a place in the listener's queue. */
static int connect_to(struct unix_sock *u, struct unix_sock *e, struct task *t, const struct sock_name *name,
                      bool nonblock) NO_THREAD_SAFETY
{
    int64_t deadline = socket_deadline(&u->sk, true);
    int ret = 1;

    while (ret == 1) {
        struct unix_sock *listener;
        ret = unix_find(t, name, u->sk.type, &listener);
        if (ret < 0)
            return ret;
        ret = try_connect(u, listener, e, t);
        if (ret == 1 && nonblock) {
            unlock(&listener->lock);
            ret = -EAGAIN;
        } else if (ret == 1) {
            ret = socket_sleep(t, &listener->room, EPOLLOUT, &listener->lock, deadline);
            ret = ret == 0 ? 1 : ret;
        } else if (ret == 0) {
            waitq_wake_one(&listener->sk.wq, EPOLLIN | EPOLLRDNORM);
            waitq_wake(&u->sk.wq, EPOLLOUT | EPOLLWRNORM);
        }
        unix_put(listener);
    }
    return ret;
}

int unix_connect_stream(struct socket *s, struct task *t, const struct sock_name *name, bool nonblock)
{
    struct unix_sock *u = unix_of(s), *e;

    int ret = wants_autobind(u) ? unix_autobind(u) : 0;
    if (ret == 0)
        ret = unix_sock_new(s->type, &e);
    if (ret < 0)
        return ret;
    ret = connect_to(u, e, t, name, nonblock);
    if (ret < 0)
        unix_end(e, false); /* it was never joined */
    return ret;
}

int unix_accept(struct socket *s, struct task *t, bool nonblock, struct socket **out) NO_THREAD_SAFETY
{
    struct unix_sock *u = unix_of(s);
    int64_t deadline = socket_deadline(s, false);
    int ret = 0;

    lock(&u->lock);
    while (!u->pending) {
        if (u->state != UNIX_LISTENING || (u->shut & UNIX_SHUT_RCV))
            ret = -EINVAL;
        else if (nonblock)
            ret = -EAGAIN;
        if (ret < 0) {
            unlock(&u->lock);
            return ret;
        }
        ret = socket_sleep(t, &s->wq, EPOLLIN, &u->lock, deadline);
        lock(&u->lock);
    }
    struct unix_sock *e = list_first(&u->accept_queue, struct unix_sock, accept_node);
    list_del(&e->accept_node);
    bool was_full = u->pending > u->backlog;
    u->pending--;
    unlock(&u->lock);
    if (was_full)
        waitq_wake(&u->room, EPOLLOUT);
    e->sk.flags = atomic_load(&s->flags) & SOCKF_PASSCRED;
    *out = &e->sk;
    return 0;
}

/* ---- datagrams ---- */

struct unix_sock *unix_dgram_detach(struct unix_sock *u)
{
    waitq_remove(&u->peer_room);
    return atomic_exchange(&u->peer, NULL);
}

/* u no longer talks to old, which it held: what came from there is dropped, and old is told of the loss if it talks to
 * u. */
static void disconnected(struct unix_sock *u, struct unix_sock *old)
{
    struct list msgs = LIST_INIT(msgs);

    lock(&u->read_lock); /* somebody may be peeking */
    lock(&u->lock);
    umsg_take_all(u, &msgs);
    unlock(&u->lock);
    unlock(&u->read_lock);
    waitq_wake(&u->room, EPOLLOUT);
    lock(&old->lock);
    bool tell = !list_empty(&msgs) && !old->dead && atomic_load(&old->peer) == u;
    if (tell)
        old->sk.error = ECONNRESET;
    unlock(&old->lock);
    if (tell)
        waitq_wake(&old->sk.wq, ~0u);
    umsg_free_all(&msgs);
    unix_put(old);
}

void unix_dgram_forget(struct unix_sock *u, struct unix_sock *dead)
{
    lock(&u->lock);
    struct unix_sock *old = atomic_load(&u->peer) == dead ? unix_dgram_detach(u) : NULL;
    unlock(&u->lock);
    if (old)
        disconnected(u, old);
}

/* Makes other, which may be NULL, u's peer; takes over its reference if 0 is returned. */
static int set_peer(struct unix_sock *u, struct unix_sock *other)
{
    struct unix_sock *old, *first = other ? other : u;

    lock_pair(&u->lock, &first->lock);
    struct unix_sock *theirs = other ? atomic_load(&other->peer) : NULL;
    int ret = other && other->dead ? -ECONNREFUSED : theirs && theirs != u ? -EPERM : 0;
    old = ret == 0 ? unix_dgram_detach(u) : NULL;
    if (ret == 0)
        atomic_store(&u->peer, other);
    unlock_pair(&u->lock, &first->lock);
    if (old == other && old)
        unix_put(old);
    else if (old)
        disconnected(u, old);
    if (ret == 0)
        waitq_wake(&u->sk.wq, EPOLLOUT | EPOLLWRNORM);
    return ret;
}

int unix_connect_dgram(struct socket *s, struct task *t, const struct sock_name *name, bool nonblock unused_arg)
{
    struct unix_sock *u = unix_of(s), *other;

    if (name->len < sizeof(sa_family_t))
        return -EINVAL;
    if (name->addr.ss_family == AF_UNSPEC)
        return set_peer(u, NULL);
    int ret = wants_autobind(u) ? unix_autobind(u) : 0;
    if (ret == 0)
        ret = unix_find(t, name, s->type, &other);
    if (ret < 0)
        return ret;
    ret = set_peer(u, other);
    if (ret < 0)
        unix_put(other);
    return ret;
}

int unix_pair(struct socket *a, struct socket *b, struct task *t)
{
    struct unix_sock *x = unix_of(a), *y = unix_of(b);

    unix_peercred_set(&x->peercred, t);
    unix_peercred_set(&y->peercred, t);
    atomic_store(&x->peer, unix_get(y));
    atomic_store(&y->peer, unix_get(x));
    x->state = y->state = UNIX_CONNECTED;
    return 0;
}
