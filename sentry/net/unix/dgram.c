/*
 * Packets: datagrams and seqpackets, one message each, kept whole.
 *
 * A packet is made and filled before any lock is taken, charged to its sender until it is received, and then queued at
 * the receiver: its peer, or the socket that the name of a sendto(2) finds. A receiver whose queue is long lets senders
 * other than its own peer wait (as net.unix.max_dgram_qlen does), on its `room` queue.
 */
#include "sentry/kernel/task.h"
#include "sentry/net/unix/unix.h"

#include <errno.h>
#include <sys/epoll.h>

#define MAX_QUEUED 10 /* net.unix.max_dgram_qlen */
#define OVERHEAD 32   /* of SO_SNDBUF that no packet may use */

bool unix_queue_full(struct unix_sock *u, struct unix_sock *from)
{
    return u != from && atomic_load(&u->peer) != from && u->count > MAX_QUEUED;
}

/* ---- sending ---- */

static struct unix_sock *peer_get(struct unix_sock *u)
{
    lock(&u->lock);
    struct unix_sock *peer = atomic_load(&u->peer);
    if (peer)
        unix_get(peer);
    unlock(&u->lock);
    return peer;
}

/* Waits until u may send at all. 0, -errno. */
static int wait_for_wmem(struct unix_sock *u, struct task *t, bool nonblock, int64_t deadline)
{
    int ret = 0;

    while (ret == 0) {
        ret = socket_take_error(&u->sk);
        if (ret == 0 && (u->shut & UNIX_SHUT_SND))
            ret = -EPIPE;
        if (ret < 0 || atomic_load(&u->wmem) < (size_t)u->sk.sndbuf)
            break;
        if (nonblock)
            return -EAGAIN;
        /* The lock guards nothing here: the waiter is queued before the second look. */
        struct waiter w;
        waiter_init_task(&w, t);
        w.mask = EPOLLOUT | EPOLLERR | EPOLLHUP;
        waitq_add(&u->sk.wq, &w);
        if (atomic_load(&u->wmem) >= (size_t)u->sk.sndbuf)
            ret = task_sleep(t, deadline);
        waitq_remove(&w);
        ret = socket_wait_result(ret, deadline);
    }
    return ret;
}

/* A packet with the bytes of m, charged to u. */
static int make_packet(struct unix_sock *u, struct task *t, struct sock_msg *m, struct umsg **out)
{
    size_t len = m->u->left;
    struct umsg *p = umsg_new(len);

    if (!p)
        return -ENOBUFS;
    p->sender = unix_get(u);
    p->from = unix_name_get(atomic_load(&u->name));
    p->len = len;
    atomic_fetch_add(&u->wmem, p->charge);
    if (uio_copy_in(m->u, p->data, len) != (ssize_t)len) {
        umsg_free(p);
        return -EFAULT;
    }
    if (m->scm && m->scm->has_cred)
        p->cred = m->scm->cred;
    else
        scm_own_cred(t, &p->cred);
    *out = p;
    return 0;
}

/* May u's packet go into to's queue? -EAGAIN: it is full. to->lock held. */
static int may_queue(struct unix_sock *u, struct unix_sock *to)
{
    struct unix_sock *theirs = atomic_load(&to->peer);

    if (to->dead && u->sk.type == SOCK_DGRAM)
        return -ECONNREFUSED;
    if (theirs && theirs != u)
        return -EPERM;
    if (to->shut & UNIX_SHUT_RCV)
        return -EPIPE;
    return unix_queue_full(to, u) ? -EAGAIN : 0;
}

/* Queues p, which it takes over if it returns 0. */
static int deliver(struct unix_sock *u, struct unix_sock *to, struct umsg *p, struct task *t, bool nonblock,
                   int64_t deadline) NO_THREAD_SAFETY
{
    int ret = 0;

    do {
        lock(&to->lock);
        ret = may_queue(u, to);
        if (ret != -EAGAIN || nonblock)
            break;
        ret = socket_sleep(t, &to->room, EPOLLOUT, &to->lock, deadline);
        if (ret < 0)
            return ret;
    } while (true);
    if (ret == 0)
        umsg_push(to, p);
    unlock(&to->lock);
    if (ret == 0)
        waitq_wake_one(&to->sk.wq, EPOLLIN | EPOLLRDNORM);
    return ret;
}

/* To `to`, which the caller holds. Bytes, or -errno. */
static ssize_t send_packet(struct unix_sock *u, struct unix_sock *to, struct task *t, struct sock_msg *m)
{
    int64_t deadline = socket_deadline(&u->sk, true);
    size_t len = m->u->left;
    struct umsg *p = NULL;

    if (len + OVERHEAD > (size_t)u->sk.sndbuf)
        return -EMSGSIZE;
    int ret = wait_for_wmem(u, t, m->nonblock, deadline);
    if (ret == 0)
        ret = make_packet(u, t, m, &p);
    if (ret < 0)
        return ret;
    if (m->scm && m->scm->rights) {
        ret = unix_flight_add(t, m->scm->rights);
        p->rights = m->scm->rights;
        m->scm->rights = NULL;
    }
    if (ret == 0)
        ret = deliver(u, to, p, t, m->nonblock, deadline);
    if (ret < 0)
        umsg_free(p);
    return ret < 0 ? ret : (ssize_t)len;
}

ssize_t unix_send_dgram(struct socket *s, struct task *t, struct sock_msg *m)
{
    struct unix_sock *u = unix_of(s), *to = NULL;
    bool named = m->name && m->name->len;
    int ret = 0;

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if ((s->flags & SOCKF_PASSCRED) && !atomic_load(&u->name))
        ret = unix_autobind(u);
    if (ret == 0 && named)
        ret = unix_find(t, m->name, s->type, &to);
    else if (ret == 0 && !(to = peer_get(u)))
        ret = -ENOTCONN;
    if (ret < 0)
        return ret;
    ssize_t n = send_packet(u, to, t, m);
    if (n == -ECONNREFUSED && !named)
        unix_dgram_forget(u, to);
    unix_put(to);
    return n;
}

ssize_t unix_send_seqpacket(struct socket *s, struct task *t, struct sock_msg *m)
{
    struct unix_sock *u = unix_of(s), *to = atomic_load(&u->peer);

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    return to ? send_packet(u, to, t, m) : -ENOTCONN;
}

/* ---- receiving ---- */

/* Copies p out and fills what m wants to know. Bytes as recv(2) returns them. */
static ssize_t give(struct unix_sock *u, const struct umsg *p, struct sock_msg *m)
{
    size_t n = MIN(p->len, m->u->left);

    if (n < p->len)
        m->out_flags |= MSG_TRUNC;
    if (n && uio_copy_out(m->u, p->data, n) != (ssize_t)n)
        return -EFAULT;
    if (m->name && p->from)
        unix_name_out(p->from, m->name);
    else if (m->name)
        m->name->len = 0;
    if (m->scm && (u->sk.flags & SOCKF_PASSCRED)) {
        m->scm->has_cred = true;
        m->scm->cred = p->cred;
    }
    return (ssize_t)(m->flags & MSG_TRUNC ? p->len : n);
}

/* Takes the head out of the queue, with its rights. read_lock and lock held; gives both up. */
static ssize_t take(struct unix_sock *u, struct umsg *p, struct sock_msg *m) NO_THREAD_SAFETY
{
    struct scm unwanted = {0};

    int ret = umsg_take_rights(u, p, false, m->scm ? m->scm : &unwanted);
    bool was_full = u->count > MAX_QUEUED;
    umsg_pop(u, p);
    unlock(&u->lock);
    unlock(&u->read_lock);
    if (was_full)
        waitq_wake(&u->room, EPOLLOUT);
    ssize_t n = ret < 0 ? ret : give(u, p, m);
    umsg_free(p);
    scm_free(&unwanted);
    return n;
}

static ssize_t peek(struct unix_sock *u, struct umsg *p, struct sock_msg *m) NO_THREAD_SAFETY
{
    int ret = m->scm ? umsg_take_rights(u, p, true, m->scm) : 0;

    unlock(&u->lock);
    ssize_t n = ret < 0 ? ret : give(u, p, m);
    unlock(&u->read_lock);
    return n;
}

/* Why there is no packet: 1: wait. Lock held. */
static int empty_reason(struct unix_sock *u, bool nonblock)
{
    bool shut = u->shut & UNIX_SHUT_RCV;

    if (shut && (!nonblock || u->sk.type == SOCK_SEQPACKET))
        return 0;
    return nonblock ? -EAGAIN : 1;
}

ssize_t unix_recv_dgram(struct socket *s, struct task *t, struct sock_msg *m) NO_THREAD_SAFETY
{
    struct unix_sock *u = unix_of(s);
    int64_t deadline = socket_deadline(s, false);
    struct umsg *p;

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    for (;;) {
        lock(&u->read_lock);
        lock(&u->lock);
        int ret = socket_take_error(s);
        if (ret == 0 && (p = umsg_head(u)))
            return m->flags & MSG_PEEK ? peek(u, p, m) : take(u, p, m);
        if (ret == 0)
            ret = empty_reason(u, m->nonblock);
        unlock(&u->read_lock);
        if (ret == 1) {
            ret = socket_sleep(t, &s->wq, EPOLLIN | EPOLLRDHUP, &u->lock, deadline);
            if (ret == 0)
                continue;
        } else {
            unlock(&u->lock);
        }
        if (m->name)
            m->name->len = 0;
        return ret;
    }
}

ssize_t unix_recv_seqpacket(struct socket *s, struct task *t, struct sock_msg *m)
{
    return unix_of(s)->state == UNIX_CONNECTED ? unix_recv_dgram(s, t, m) : -ENOTCONN;
}
