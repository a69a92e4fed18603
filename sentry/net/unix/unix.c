/* Unix sockets from their making to their end; readiness and options. See unix.h. */
#include "sentry/net/unix/unix.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define MAX_SOCKETS 65536 /* of this family in the sandbox */

static const struct socket_ops stream_ops, dgram_ops, seqpacket_ops;
static _Atomic int sockets;

/* ---- making ---- */

static void init_locks(struct unix_sock *u)
{
    lock_init(&u->bind_lock, RANK_SOCK_BIND);
    lock_init(&u->read_lock, RANK_SOCK_READ);
    lock_init(&u->lock, RANK_SOCK);
    waitq_init(&u->room);
    /* Wakes on it are passed on to the wait queues of senders. */
    lock_destroy(&u->room.lock);
    lock_init(&u->room.lock, RANK_SOCK_ROOM);
}

/* The peer of a packet socket has room again: tell who polls this one. */
static bool pass_on_room(struct waiter *w, uint32_t events unused_arg)
{
    struct unix_sock *u = w->data;

    waitq_wake(&u->sk.wq, EPOLLOUT | EPOLLWRNORM);
    return true;
}

int unix_sock_new(int type, struct unix_sock **out)
{
    const struct socket_ops *ops = type == SOCK_STREAM ? &stream_ops : type == SOCK_DGRAM ? &dgram_ops : &seqpacket_ops;

    if (atomic_fetch_add(&sockets, 1) >= MAX_SOCKETS) {
        atomic_fetch_sub(&sockets, 1);
        return -ENFILE;
    }
    struct unix_sock *u = calloc(1, sizeof(*u));
    if (!u) {
        atomic_fetch_sub(&sockets, 1);
        return -ENOMEM;
    }
    socket_init(&u->sk, ops, AF_UNIX, type, 0);
    ref_init(&u->refs);
    init_locks(u);
    list_init(&u->table_node);
    list_init(&u->queue);
    list_init(&u->accept_queue);
    list_init(&u->accept_node);
    list_init(&u->flight_node);
    list_init(&u->gc_node);
    u->peer_room = (struct waiter){.wake = pass_on_room, .data = u};
    list_init(&u->peer_room.node);
    unix_table_add(u);
    *out = u;
    return 0;
}

static int unix_create(struct task *t unused_arg, int type, int protocol, struct socket **out)
{
    struct unix_sock *u;

    if (protocol && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    if (type == SOCK_RAW)
        type = SOCK_DGRAM;
    if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
        return -ESOCKTNOSUPPORT;
    int ret = unix_sock_new(type, &u);
    if (ret == 0)
        *out = &u->sk;
    return ret;
}

const struct socket_family unix_family = {.family = AF_UNIX, .create = unix_create};

struct unix_sock *unix_get(struct unix_sock *u)
{
    ref_get(&u->refs);
    return u;
}

void unix_put(struct unix_sock *u)
{
    if (!u || !ref_put(&u->refs))
        return;
    for (unsigned i = 0; i < UNIX_SPARES; i++)
        free(u->spare[i]);
    free(u->spare_small);
    unix_name_put(u->name);
    if (u->peercred.cred)
        cred_put(u->peercred.cred);
    lock_destroy(&u->bind_lock);
    lock_destroy(&u->read_lock);
    lock_destroy(&u->lock);
    lock_destroy(&u->room.lock);
    socket_fini(&u->sk);
    free(u);
    atomic_fetch_sub(&sockets, 1);
}

void unix_peercred_set(struct unix_peercred *p, struct task *t)
{
    const struct cred *old = p->cred;

    *p = (struct unix_peercred){t->tg->tgid, cred_get(t->cred)};
    if (old)
        cred_put(old);
}

void unix_peercred_copy(struct unix_peercred *p, const struct unix_peercred *from)
{
    const struct cred *old = p->cred;

    *p = (struct unix_peercred){from->pid, from->cred ? cred_get(from->cred) : NULL};
    if (old)
        cred_put(old);
}

/* ---- the end ---- */

/* The other end of a connection learns that this one is gone; unread: with bytes it never got. */
static void tell_peer(struct unix_sock *peer, bool unread)
{
    lock(&peer->lock);
    peer->shut = UNIX_SHUT_BOTH;
    if (unread)
        peer->sk.error = ECONNRESET;
    unlock(&peer->lock);
    waitq_wake(&peer->sk.wq, ~0u);
}

/* Ends what waits to be accepted. */
static void end_embryos(struct list *embryos)
{
    while (!list_empty(embryos)) {
        struct unix_sock *e = list_first(embryos, struct unix_sock, accept_node);
        list_del(&e->accept_node);
        unix_end(e, true);
    }
}

void unix_end(struct unix_sock *u, bool embryo)
{
    struct list msgs = LIST_INIT(msgs), embryos = LIST_INIT(embryos);
    struct unix_sock *peer;

    unix_table_remove(u);
    lock(&u->lock);
    bool unread = u->count > 0;
    u->dead = true;
    u->shut = UNIX_SHUT_BOTH;
    umsg_take_all(u, &msgs);
    list_splice_back(&embryos, &u->accept_queue);
    u->pending = 0;
    if (u->sk.type == SOCK_DGRAM)
        peer = unix_dgram_detach(u);
    else
        peer = atomic_exchange(&u->peer, NULL);
    unlock(&u->lock);
    waitq_wake(&u->room, ~0u);
    waitq_wake(&u->sk.wq, ~0u); /* who waits for a place in the queue of a listener */
    if (peer && u->sk.type != SOCK_DGRAM)
        tell_peer(peer, unread || embryo);
    if (peer)
        unix_put(peer);
    end_embryos(&embryos);
    if (u->path.dentry)
        path_put(&u->path);
    umsg_free_all(&msgs);
    unix_put(u);
}

static void unix_release(struct socket *s)
{
    unix_end(unix_of(s), false);
    unix_collect();
}

static int unix_shutdown(struct socket *s, int how)
{
    struct unix_sock *u = unix_of(s), *peer = NULL;
    unsigned mode = (unsigned)how + 1; /* SHUT_* in the bits of UNIX_SHUT_* */
    unsigned theirs = (mode & UNIX_SHUT_RCV ? UNIX_SHUT_SND : 0) | (mode & UNIX_SHUT_SND ? UNIX_SHUT_RCV : 0);

    lock(&u->lock);
    u->shut |= mode;
    if (s->type != SOCK_DGRAM && (peer = atomic_load(&u->peer)))
        unix_get(peer);
    unlock(&u->lock);
    waitq_wake(&s->wq, ~0u);
    waitq_wake(&u->room, ~0u);
    if (!peer)
        return 0;
    lock(&peer->lock);
    peer->shut |= theirs;
    unlock(&peer->lock);
    waitq_wake(&peer->sk.wq, ~0u);
    unix_put(peer);
    return 0;
}

/* ---- readiness ---- */

bool unix_writable(struct unix_sock *u, size_t charged)
{
    return charged * 4 <= (size_t)atomic_load_explicit(&u->sk.sndbuf, memory_order_relaxed);
}

/* What of u is in a stream peer's queue. */
static size_t stream_charged(struct unix_sock *u)
{
    struct unix_sock *peer = atomic_load(&u->peer);
    if (!peer)
        return 0;
    lock(&peer->lock);
    size_t n = peer->charged;
    unlock(&peer->lock);
    return n;
}

/* May a packet to the connected peer be queued? If not, u's pollers are told when it may. */
static bool dgram_peer_ready(struct unix_sock *u)
{
    struct unix_sock *peer;

    lock(&u->lock);
    peer = u->sk.type == SOCK_DGRAM ? atomic_load(&u->peer) : NULL;
    if (!peer || peer == u || atomic_load(&peer->peer) == u) {
        unlock(&u->lock);
        return true;
    }
    unix_get(peer);
    if (!u->peer_room.queue)
        waitq_add(&peer->room, &u->peer_room);
    unlock(&u->lock);
    lock(&peer->lock);
    bool full = unix_queue_full(peer, u);
    unlock(&peer->lock);
    unix_put(peer);
    return !full;
}

static bool may_write(struct unix_sock *u)
{
    if (atomic_load(&u->state) == UNIX_LISTENING)
        return false;
    if (!unix_is_packet(u))
        return unix_writable(u, stream_charged(u));
    return unix_writable(u, atomic_load(&u->wmem)) && dgram_peer_ready(u);
}

static uint32_t unix_poll(struct socket *s, struct poll_table *pt)
{
    struct unix_sock *u = unix_of(s);
    uint32_t ev = 0;

    poll_wait(pt, &s->wq);
    lock(&u->lock);
    unsigned shut = u->shut;
    if (u->count || u->pending)
        ev |= EPOLLIN | EPOLLRDNORM;
    unlock(&u->lock);
    if (s->error)
        ev |= EPOLLERR;
    if (shut == UNIX_SHUT_BOTH)
        ev |= EPOLLHUP;
    if (shut & UNIX_SHUT_RCV)
        ev |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
    if (s->type != SOCK_DGRAM && u->state == UNIX_IDLE)
        ev |= EPOLLHUP;
    if (may_write(u))
        ev |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
    return ev;
}

/* ---- requests and options ---- */

/* FIONREAD: bytes of a stream, or of the next packet. */
static int readable_bytes(struct unix_sock *u)
{
    struct umsg *m;

    lock(&u->lock);
    size_t n = u->bytes;
    if (unix_is_packet(u))
        n = (m = umsg_head(u)) ? m->len : 0;
    unlock(&u->lock);
    return (int)n;
}

static long unix_ioctl(struct socket *s, struct task *t, unsigned cmd, uint64_t arg)
{
    struct unix_sock *u = unix_of(s);
    int n;

    switch (cmd) {
    case FIONREAD:
        if (u->state == UNIX_LISTENING)
            return -EINVAL;
        n = readable_bytes(u);
        break;
    case SIOCOUTQ:
        n = (int)(unix_is_packet(u) ? atomic_load(&u->wmem) : stream_charged(u));
        break;
    default:
        return -ENOTTY;
    }
    return user_write(t, arg, &n, sizeof(n));
}

static int get_peercred(struct unix_sock *u, void *val, size_t *len)
{
    struct ucred out = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};

    lock(&u->lock);
    if (u->peercred.cred)
        out = (struct ucred){u->peercred.pid, u->peercred.cred->euid, u->peercred.cred->egid};
    unlock(&u->lock);
    *len = MIN(*len, sizeof(out));
    memcpy(val, &out, *len);
    return 0;
}

/* -ERANGE sets *len to what is needed. */
static int get_peergroups(struct unix_sock *u, void *val, size_t *len)
{
    int ret = 0;

    lock(&u->lock);
    const struct cred *c = u->peercred.cred ? cred_get(u->peercred.cred) : NULL;
    unlock(&u->lock);
    if (!c)
        return -ENODATA;
    size_t need = c->ngroups * sizeof(gid_t);
    if (*len < need)
        ret = -ERANGE;
    else if (need)
        memcpy(val, c->groups, need);
    *len = need;
    cred_put(c);
    return ret;
}

static int unix_getsockopt(struct socket *s, struct task *t unused_arg, int level, int name, void *val, size_t *len)
{
    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    switch (name) {
    case SO_PEERCRED:
        return get_peercred(unix_of(s), val, len);
    case SO_PEERGROUPS:
        return get_peergroups(unix_of(s), val, len);
    default:
        return -ENOPROTOOPT;
    }
}

static bool unix_accepting(struct socket *s)
{
    return unix_of(s)->state == UNIX_LISTENING;
}

#define COMMON_OPS                                                                                                     \
    .bind = unix_bind, .pair = unix_pair, .shutdown = unix_shutdown, .getname = unix_getname, .poll = unix_poll,       \
    .ioctl = unix_ioctl, .getsockopt = unix_getsockopt, .accepting = unix_accepting, .release = unix_release

static const struct socket_ops stream_ops = {
    COMMON_OPS,
    .listen = unix_listen,
    .connect = unix_connect_stream,
    .accept = unix_accept,
    .send = unix_send_stream,
    .recv = unix_recv_stream,
};

static const struct socket_ops dgram_ops = {
    COMMON_OPS,
    .connect = unix_connect_dgram,
    .send = unix_send_dgram,
    .recv = unix_recv_dgram,
};

static const struct socket_ops seqpacket_ops = {
    COMMON_OPS,
    .listen = unix_listen,
    .connect = unix_connect_stream,
    .accept = unix_accept,
    .send = unix_send_seqpacket,
    .recv = unix_recv_seqpacket,
};
