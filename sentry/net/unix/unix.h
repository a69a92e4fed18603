/*
 * AF_UNIX sockets, unix(7), in parts:
 *
 *   unix.c     making, pairing, shutting down and ending sockets; readiness; options
 *   name.c     addresses, the table of names, bind and look-up
 *   connect.c  listen, connect, accept
 *   queue.c    messages: what waits in a receiver's queue
 *   stream.c   send and receive of SOCK_STREAM
 *   dgram.c    send and receive of SOCK_DGRAM and SOCK_SEQPACKET
 *   flight.c   descriptors under way: their limit, and the collector of cycles
 *   info.c     what /proc/net/unix shows
 *
 * A socket owns the queue it reads from; a sender puts messages into the queue of another socket, so a transfer takes
 * the receiver's locks only. Bytes of a stream are charged against the sender's SO_SNDBUF in the receiver's queue;
 * packets are charged to the sender itself, which each packet refers to.
 *
 * Locks, in order: bind_lock (one bind at a time; held over path walks) → read_lock (one reader at a time, held while a
 * message is copied out, so that the queue's lock need not be) → the flight lock → lock (two sockets: lock_pair; a
 * listener before what is in its queue: lock_nested) → wait queues. A bucket of the table of names comes before lock.
 *
 * References on a socket: its file's (or the accept queue's), its peer's, one from each packet charged to it, look-ups.
 */
#pragma once

#include "lib/list.h"
#include "lib/refcount.h"
#include "sentry/net/scm.h"
#include "sentry/net/socket.h"
#include "sentry/vfs/vfs.h"

#include <stddef.h>
#include <sys/un.h>

struct cred;
struct unix_bucket;

#define UNIX_PATH_CAP sizeof(((struct sockaddr_un *)0)->sun_path)

/* An address as bound; immutable. */
struct unix_name {
    refcount_t refs;
    size_t len;                   /* of path: a path with its NUL, or an abstract name with the NUL before it */
    char path[UNIX_PATH_CAP + 1]; /* a path that fills an address has no NUL there, but does here */
};

/* What waits to be received: a packet, or a piece of a stream. Guarded by the lock of the socket whose queue it is on;
 * bytes [off, off + len) are also safe to the holder of read_lock. */
struct umsg {
    struct list node;
    struct scm_rights *rights; /* NULL: none, or taken already */
    struct ucred cred;         /* of the sender */
    struct unix_name *from;    /* packet: counted; NULL: the sender had no name */
    struct unix_sock *sender;  /* packet: counted and charged; NULL: a piece of a stream */
    size_t charge;             /* bytes it counts for in SO_SNDBUF */
    bool sealed;               /* nothing may be appended */
    size_t off, len, cap;
    unsigned char data[];
};

enum unix_state { UNIX_IDLE, UNIX_LISTENING, UNIX_CONNECTED };

/* Who was at the other end when the connection was made: SO_PEERCRED. */
struct unix_peercred {
    pid_t pid;
    const struct cred *cred; /* counted; NULL: nobody */
};

#define UNIX_SHUT_RCV 1u
#define UNIX_SHUT_SND 2u
#define UNIX_SHUT_BOTH 3u
#define UNIX_SPARES 4

/* Locks: (c) constant  (a) atomic  (l) lock  (b) bind_lock and the bucket's  (f) flight lock. */
struct unix_sock {
    struct socket sk; /* first: a socket of this family is a unix_sock */
    refcount_t refs;
    struct lock bind_lock, read_lock, lock;
    _Atomic(struct unix_name *) name; /* set once, under (b) */
    struct path path;                 /* (b) counted, where bound to a path; set once */
    struct inode *inode;              /* (b) the path's; NULL: none, or not bound here but accepted */
    bool findable;                    /* (bucket) bound by its owner: look-ups find it by its name */
    struct list table_node;           /* (bucket) */
    struct unix_bucket *bucket;       /* (b) */
    _Atomic int state;                /* (l) to write: enum unix_state */
    _Atomic(struct unix_sock *) peer; /* (l) to write; counted. Connected streams keep it to their end */
    _Atomic unsigned shut;            /* (l) to write: UNIX_SHUT_* */
    bool dead;                        /* (l) released: takes no more messages */
    struct unix_peercred peercred;    /* (l) */
    struct list queue;                /* (l) struct umsg, oldest first */
    unsigned count;                   /* (l) messages in queue */
    size_t bytes;                     /* (l) payload in queue */
    size_t charged;                   /* (l) stream: bytes of the peer's SO_SNDBUF that the queue takes up */
    struct umsg *spare[UNIX_SPARES];  /* (l) stream: empty large pieces for reuse */
    struct umsg *spare_small;         /* (l) the same, a small one */
    _Atomic size_t wmem;              /* (a) packets: bytes sent and not yet received */
    struct waitq room;                /* senders of packets that wait for a place in queue */
    struct waiter peer_room;          /* (l) ours on the peer's room: pollers want to know */
    struct list accept_queue;         /* (l) listener: by accept_node, each a counted reference */
    struct list accept_node;          /* (listener's l) */
    unsigned pending, backlog;        /* (l) listener: length of accept_queue, and the most there may be */
    struct list flight_node;          /* (f) while in flight */
    unsigned in_flight;               /* (f) references on our file from messages */
    unsigned gc_refs, gc_state;       /* (f) the collector's */
    struct list gc_node;              /* (f) the collector's work list */
};

extern const struct socket_family unix_family;

static inline struct unix_sock *unix_of(struct socket *s)
{
    return container_of(s, struct unix_sock, sk);
}

static inline bool unix_is_packet(const struct unix_sock *u)
{
    return u->sk.type != SOCK_STREAM;
}

/* ---- unix.c ---- */

/* A new idle socket with one reference. -ENFILE (too many), -ENOMEM. */
int unix_sock_new(int type, struct unix_sock **out) must_check;
struct unix_sock *unix_get(struct unix_sock *u);
void unix_put(struct unix_sock *u);
/* The end of a socket whose file is gone, or that was never accepted (embryo). Drops that reference. No lock held. */
void unix_end(struct unix_sock *u, bool embryo);
/* Replaces *p by t's credentials now; or by a copy of from. */
void unix_peercred_set(struct unix_peercred *p, struct task *t);
void unix_peercred_copy(struct unix_peercred *p, const struct unix_peercred *from);
/* Senders may write again: so little is charged that SO_SNDBUF's readiness says yes. */
bool unix_writable(struct unix_sock *u, size_t charged);

/* ---- name.c ---- */

struct unix_bucket {
    struct lock lock; /* RANK_SOCK_NAMES */
    struct list socks;
};
#define UNIX_BUCKETS 64

/* Puts a new socket into the table, nameless; takes any out. */
void unix_table_add(struct unix_sock *u);
void unix_table_remove(struct unix_sock *u);
/* The i-th bucket, for listing. */
struct unix_bucket *unix_bucket_at(unsigned i);
struct unix_name *unix_name_get(struct unix_name *n);
void unix_name_put(struct unix_name *n);
/* bind(2) to an abstract name that is free, if u has none yet. */
int unix_autobind(struct unix_sock *u) must_check;
int unix_bind(struct socket *s, struct task *t, const struct sock_name *name);
int unix_getname(struct socket *s, bool peer, struct sock_name *out);
/* Writes an address for a user; NULL: none. */
void unix_name_out(const struct unix_name *n, struct sock_name *out);
/* The socket that a name (checked here) means to one of this type: counted. -ECONNREFUSED, -EPROTOTYPE, path errors. */
int unix_find(struct task *t, const struct sock_name *name, int type, struct unix_sock **out) must_check;

/* ---- connect.c ---- */

int unix_listen(struct socket *s, struct task *t, int backlog);
int unix_connect_stream(struct socket *s, struct task *t, const struct sock_name *name, bool nonblock);
int unix_connect_dgram(struct socket *s, struct task *t, const struct sock_name *name, bool nonblock);
int unix_accept(struct socket *s, struct task *t, bool nonblock, struct socket **out);
int unix_pair(struct socket *a, struct socket *b, struct task *t);

/* ---- queue.c ---- */

/* A message with room for cap bytes, nothing else set. NULL: no memory. */
struct umsg *umsg_new(size_t cap) must_check;
/* Frees every message on the list: rights are landed and put, senders uncharged. No lock held; nested calls (a put file
 * was a socket with a queue of its own) only add to the outermost one's work. */
void umsg_free_all(struct list *msgs);
void umsg_free(struct umsg *m);
/* Adds m to u's queue; takes it off. u->lock held. */
void umsg_push(struct unix_sock *u, struct umsg *m);
void umsg_pop(struct unix_sock *u, struct umsg *m);
struct umsg *umsg_head(struct unix_sock *u); /* NULL: empty */
/* Moves the whole queue to out. u->lock held. */
void umsg_take_all(struct unix_sock *u, struct list *out);
/*
 * Takes or, peeking, copies the rights of the queue's head into scm. read_lock and lock held; lock is given up and
 * taken again if the collector must be kept out. -ENOMEM (peek).
 */
int umsg_take_rights(struct unix_sock *u, struct umsg *m, bool peek, struct scm *scm) must_check;
/* A packet of u's came out of a queue: uncharges, wakes u's writers. No lock that comes after a wait queue's. */
void unix_uncharge(struct unix_sock *u, size_t charge);

/* ---- stream.c, dgram.c ---- */

ssize_t unix_send_stream(struct socket *s, struct task *t, struct sock_msg *m);
ssize_t unix_recv_stream(struct socket *s, struct task *t, struct sock_msg *m);
ssize_t unix_send_dgram(struct socket *s, struct task *t, struct sock_msg *m);
ssize_t unix_send_seqpacket(struct socket *s, struct task *t, struct sock_msg *m);
ssize_t unix_recv_dgram(struct socket *s, struct task *t, struct sock_msg *m);
ssize_t unix_recv_seqpacket(struct socket *s, struct task *t, struct sock_msg *m);
/* True if a packet from `from` has to wait for u to receive some. u->lock held. */
bool unix_queue_full(struct unix_sock *u, struct unix_sock *from);
/* Ends u's connection to its peer: whoever watches the peer's room on u's behalf stops. Returns the peer, whose
 * reference goes to the caller, or NULL. u->lock held. */
struct unix_sock *unix_dgram_detach(struct unix_sock *u);
/* u found its peer dead: it has no peer any more, unless it has got another one meanwhile. */
void unix_dgram_forget(struct unix_sock *u, struct unix_sock *dead);

/* ---- flight.c ---- */

/* Counts rights as under way, before they are queued. -ETOOMANYREFS. */
int unix_flight_add(struct task *t, struct scm_rights *r) must_check;
/* The opposite, when they have left a queue. No socket lock held unless there are no sockets among them. */
void unix_flight_remove(struct scm_rights *r);
/* Keeps the collector still while rights with sockets move out of a queue. Before u->lock. */
void unix_flight_lock(void);
void unix_flight_unlock(void);
/* The same as unix_flight_remove() with the lock held. */
void unix_flight_remove_locked(struct scm_rights *r);
/* Frees sockets that only messages in each other's queues refer to, if there may be some. No lock held. */
void unix_collect(void);
