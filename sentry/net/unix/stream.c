/*
 * Streams: bytes without boundaries, in pieces.
 *
 * Small writes are copied under the queue's lock, behind what is there; for a large one a piece is filled without it,
 * so that a writer and a reader copy at the same time. Reads do likewise. A few emptied pieces stay with the queue, so
 * a busy stream allocates nothing. A piece with descriptors is sealed: nothing is appended to it, and a read that takes
 * its descriptors ends with its bytes.
 *
 * A piece is charged with all the memory it takes, so a writer of many tiny sealed pieces is stopped in time.
 */
#include "sentry/kernel/task.h"
#include "sentry/net/unix/unix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define SMALL (4096 - sizeof(struct umsg))
#define LARGE (32768 - sizeof(struct umsg))
#define COPY_LOCKED 8192 /* the most that is copied with the queue's lock held */

/* ---- pieces; the lock of the queue's owner is held ---- */

static struct umsg *piece_get(struct unix_sock *owner, size_t want)
{
    struct umsg *m = NULL;

    if (want <= SMALL) {
        m = owner->spare_small;
        owner->spare_small = NULL;
    }
    for (unsigned i = 0; want > SMALL && !m && i < UNIX_SPARES; i++) {
        m = owner->spare[i];
        owner->spare[i] = NULL;
    }
    return m ? m : umsg_new(want <= SMALL ? SMALL : LARGE);
}

/* Keeps the empty m, or frees it. */
static void piece_recycle(struct unix_sock *owner, struct umsg *m)
{
    struct umsg **place = m->cap == SMALL ? &owner->spare_small : NULL;

    for (unsigned i = 0; m->cap == LARGE && i < UNIX_SPARES; i++)
        if (!owner->spare[i])
            place = &owner->spare[i];
    if (!place || *place) {
        free(m);
        return;
    }
    m->off = m->len = 0;
    m->sealed = false;
    *place = m;
}

/* ---- sending ---- */

struct sending {
    struct unix_sock *from, *to;
    struct uio *u;
    struct ucred cred;
    struct scm_rights **rights; /* *rights goes with the first piece */
};

static bool same_cred(const struct ucred *a, const struct ucred *b)
{
    return a->pid == b->pid && a->uid == b->uid && a->gid == b->gid;
}

/* -EPIPE, -EAGAIN: no room. */
static int may_send(const struct sending *s)
{
    if ((s->to->shut & UNIX_SHUT_RCV) || (s->from->shut & UNIX_SHUT_SND)) /* dead ones are shut */
        return -EPIPE;
    return s->to->charged >= (size_t)s->from->sk.sndbuf ? -EAGAIN : 0;
}

/* Appends to the newest piece. 0: that is not possible. */
static ssize_t append_to_tail(struct sending *s, size_t want)
{
    if (want > COPY_LOCKED || *s->rights || list_empty(&s->to->queue))
        return 0;
    struct umsg *m = list_last(&s->to->queue, struct umsg, node);
    size_t room = m->cap - m->off - m->len;
    if (m->sealed || !room || !same_cred(&m->cred, &s->cred))
        return 0;
    ssize_t n = uio_copy_in(s->u, m->data + m->off + m->len, MIN(want, room));
    if (n > 0) {
        m->len += (size_t)n;
        s->to->bytes += (size_t)n;
    }
    return n;
}

/* Fills m, with the lock given up for a long copy: then the other end may have gone. */
static ssize_t fill(struct sending *s, struct umsg *m, size_t want) NO_THREAD_SAFETY
{
    bool unlocked = want > COPY_LOCKED || m->sealed;

    if (unlocked)
        unlock(&s->to->lock);
    ssize_t n = uio_copy_in(s->u, m->data, want);
    if (unlocked)
        lock(&s->to->lock);
    return n > 0 && may_send(s) == -EPIPE ? -EPIPE : n;
}

static ssize_t append_piece(struct sending *s, size_t want)
{
    struct unix_sock *to = s->to;
    struct umsg *m = *s->rights ? umsg_new(want) : piece_get(to, want);

    if (!m)
        return -ENOMEM;
    m->cred = s->cred;
    m->sealed = *s->rights != NULL;
    to->charged += m->charge;
    ssize_t n = fill(s, m, want);
    if (n <= 0) {
        to->charged -= m->charge;
        piece_recycle(to, m);
        return n;
    }
    m->len = (size_t)n;
    m->rights = *s->rights;
    *s->rights = NULL;
    umsg_push(to, m);
    return n;
}

/* One piece. Bytes sent, or -errno; -EAGAIN: no room, and the receiver's lock is held. */
static ssize_t send_piece(struct sending *s) NO_THREAD_SAFETY
{
    size_t half = MAX((size_t)s->from->sk.sndbuf / 2, SMALL), want = MIN(MIN(s->u->left, LARGE), half);

    lock(&s->to->lock);
    ssize_t n = may_send(s);
    if (n == -EAGAIN)
        return n;
    if (n == 0)
        n = append_to_tail(s, want);
    if (n == 0)
        n = append_piece(s, want);
    unlock(&s->to->lock);
    if (n > 0)
        waitq_wake_one(&s->to->sk.wq, EPOLLIN | EPOLLRDNORM);
    return n;
}

static ssize_t send_all(struct sending *s, struct task *t, bool nonblock) NO_THREAD_SAFETY
{
    int64_t deadline = socket_deadline(&s->from->sk, true);
    ssize_t done = 0, n = 0;

    while (s->u->left && n >= 0) {
        n = send_piece(s);
        if (n > 0) {
            done += n;
        } else if (n == -EAGAIN && nonblock) {
            unlock(&s->to->lock);
        } else if (n == -EAGAIN) {
            n = socket_sleep(t, &s->from->sk.wq, EPOLLOUT, &s->to->lock, deadline);
        }
    }
    return done ? done : n;
}

ssize_t unix_send_stream(struct socket *sk, struct task *t, struct sock_msg *m)
{
    struct unix_sock *u = unix_of(sk);
    struct scm none = {0}, *scm = m->scm ? m->scm : &none;
    struct sending s = {.from = u, .to = atomic_load(&u->peer), .u = m->u, .cred = scm->cred, .rights = &scm->rights};

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (m->name && m->name->len)
        return u->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    if (!s.to)
        return -ENOTCONN;
    if (u->shut & UNIX_SHUT_SND)
        return -EPIPE;
    if (!scm->has_cred)
        scm_own_cred(t, &s.cred);
    int ret = scm->rights ? unix_flight_add(t, scm->rights) : 0;
    if (ret < 0)
        return ret;
    ssize_t n = send_all(&s, t, m->nonblock);
    if (scm->rights)
        unix_flight_remove(scm->rights);
    return n;
}

/* ---- receiving ---- */

struct receiving {
    struct unix_sock *at;
    struct sock_msg *m;
    struct scm *scm; /* NULL: not wanted */
    bool peek, end;  /* end: the next piece is not for this call */
};

/* Takes n bytes off the head p; true if that gave the writer room again. Lock held. */
static bool consume(struct unix_sock *u, struct umsg *p, size_t n)
{
    struct unix_sock *writer = atomic_load(&u->peer);
    bool was = unix_writable(writer, u->charged);

    p->off += n;
    p->len -= n;
    u->bytes -= n;
    if (p->len)
        return false;
    umsg_pop(u, p);
    piece_recycle(u, p);
    return !was && unix_writable(writer, u->charged);
}

static ssize_t copy_piece(struct unix_sock *u, struct umsg *p, struct uio *to) NO_THREAD_SAFETY
{
    size_t n = MIN(p->len, to->left);

    if (n <= COPY_LOCKED)
        return uio_copy_out(to, p->data + p->off, n);
    unlock(&u->lock);
    ssize_t got = uio_copy_out(to, p->data + p->off, n);
    lock(&u->lock);
    return got;
}

/* Notes whose bytes these are, if that is wanted; false: somebody else's than those before. */
static bool note_cred(struct receiving *r, const struct umsg *p)
{
    if (!(r->at->sk.flags & SOCKF_PASSCRED) || !r->scm)
        return true;
    if (r->scm->has_cred)
        return same_cred(&r->scm->cred, &p->cred);
    r->scm->has_cred = true;
    r->scm->cred = p->cred;
    return true;
}

/* What came along with p goes to the receiver, or to nobody. Lock held, may be given up meanwhile. */
static int take_along(struct receiving *r, struct umsg *p, struct scm *unwanted)
{
    if (!p->rights)
        return 0;
    r->end = true;
    if (!r->scm && r->peek)
        return 0;
    return umsg_take_rights(r->at, p, r->peek, r->scm ? r->scm : unwanted);
}

/* Bytes from p, or -errno. Lock held on entry, not on return. */
static ssize_t read_piece(struct receiving *r, struct umsg *p) NO_THREAD_SAFETY
{
    struct unix_sock *u = r->at;
    struct scm unwanted = {0};
    bool wake = false;

    ssize_t n = copy_piece(u, p, r->m->u);
    if (n > 0) {
        int ret = take_along(r, p, &unwanted);
        if (ret == 0 && !r->peek)
            wake = consume(u, p, (size_t)n);
        n = ret < 0 ? ret : n;
    }
    unlock(&u->lock);
    if (wake)
        waitq_wake(&atomic_load(&u->peer)->sk.wq, EPOLLOUT | EPOLLWRNORM);
    scm_free(&unwanted);
    return n;
}

/* Why nothing can be read now: 0 at the end of the stream. Lock held. */
static int empty_reason(struct unix_sock *u, bool nonblock)
{
    int err = socket_take_error(&u->sk);

    if (err < 0 || (u->shut & UNIX_SHUT_RCV))
        return err;
    return nonblock ? -EAGAIN : 1;
}

/* MSG_PEEK goes over the pieces there are, and never waits for more than the first. read_lock and lock held; gives up
 * lock. */
static ssize_t peek_pieces(struct receiving *r, struct umsg *p) NO_THREAD_SAFETY
{
    struct unix_sock *u = r->at;
    ssize_t done = 0, n = 0;

    while (p && r->m->u->left && !r->end && note_cred(r, p)) {
        n = read_piece(r, p);
        lock(&u->lock);
        if (n <= 0)
            break;
        done += n;
        p = p->node.next == &u->queue ? NULL : list_first(&p->node, struct umsg, node);
    }
    unlock(&u->lock);
    return done ? done : n;
}

/* Reads until target bytes are there and the queue is empty, or something ends it. */
static ssize_t receive(struct receiving *r, struct task *t, size_t target) NO_THREAD_SAFETY
{
    struct unix_sock *u = r->at;
    int64_t deadline = socket_deadline(&u->sk, false);
    size_t done = 0;
    ssize_t n = 0;

    lock(&u->read_lock);
    while ((r->m->u->left || !target) && !r->end && n >= 0) {
        lock(&u->lock);
        struct umsg *p = umsg_head(u);
        if (p && !target) { /* a read of no bytes waits until there are some */
            unlock(&u->lock);
            break;
        }
        if (p && r->peek) {
            done = 0;
            n = peek_pieces(r, p);
            break;
        }
        if (p && note_cred(r, p)) {
            n = read_piece(r, p);
            done += n > 0 ? (size_t)n : 0;
            continue;
        }
        n = p || (target && done >= target) ? 0 : empty_reason(u, r->m->nonblock);
        if (n != 1) {
            unlock(&u->lock);
            break;
        }
        unlock(&u->read_lock);
        n = socket_sleep(t, &u->sk.wq, EPOLLIN | EPOLLRDHUP, &u->lock, deadline);
        lock(&u->read_lock);
    }
    unlock(&u->read_lock);
    return done ? (ssize_t)done : n;
}

ssize_t unix_recv_stream(struct socket *sk, struct task *t, struct sock_msg *m)
{
    struct unix_sock *u = unix_of(sk), *peer = atomic_load(&u->peer);
    struct receiving r = {.at = u, .m = m, .scm = m->scm, .peek = m->flags & MSG_PEEK};
    size_t lowat = (size_t)sk->rcvlowat;

    if (!peer)
        return -EINVAL;
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    ssize_t n = receive(&r, t, m->flags & MSG_WAITALL ? m->u->left : MIN(lowat, m->u->left));
    if (m->name) {
        const struct unix_name *name = n > 0 ? atomic_load(&peer->name) : NULL;
        if (name)
            unix_name_out(name, m->name);
        else
            m->name->len = 0;
    }
    return n;
}
