/*
 * Sockets, whatever their family: what a system call sees of one, and what a family supplies.
 *
 *   struct socket      embedded in a family's own object; lives as long as that object says
 *   struct socket_ops  the family's operations on it
 *   socket file        an open file whose priv is the socket; its last put calls ops->release
 *
 * A family offers itself in families.c. Options of level SOL_SOCKET that mean the same everywhere are sockopt.c's;
 * descriptors and credentials that ride along with bytes are scm.c's.
 */
#pragma once

#include "lib/compiler.h"
#include "lib/lock.h"
#include "sentry/kernel/wait.h"
#include "sentry/mm/uio.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct file;
struct poll_table;
struct scm;
struct socket;
struct task;

/* A socket address as a system call brought or wants it: len bytes of it are meant; 0: none. */
struct sock_name {
    socklen_t len;
    struct sockaddr_storage addr;
};

/* One send or receive. */
struct sock_msg {
    struct uio *u;
    unsigned flags;         /* MSG_* as given */
    bool nonblock;          /* MSG_DONTWAIT, or the file is O_NONBLOCK */
    unsigned out_flags;     /* receive: MSG_TRUNC, MSG_CTRUNC, MSG_EOR … for msghdr */
    struct sock_name *name; /* send: where to; receive: room for where from. NULL: not given, or not wanted */
    struct scm *scm; /* send: what rides along (taken over); receive: what came along is put here. NULL as above */
};

/*
 * Every operation runs in the worker of the task `t`, with no lock held, on a socket that the caller keeps open. Those
 * that may block return -ERESTARTSYS when a signal comes (-EINTR if the socket has a timeout), -EAGAIN when they must
 * not wait or the timeout is over. NULL slots: -EOPNOTSUPP.
 */
struct socket_ops {
    int (*bind)(struct socket *s, struct task *t, const struct sock_name *name);
    int (*listen)(struct socket *s, struct task *t, int backlog); /* backlog is already cut to 0 … SOMAXCONN */
    int (*connect)(struct socket *s, struct task *t, const struct sock_name *name, bool nonblock);
    int (*accept)(struct socket *s, struct task *t, bool nonblock, struct socket **out); /* *out has no file yet */
    int (*pair)(struct socket *a, struct socket *b, struct task *t);                     /* socketpair(2): join them */
    int (*shutdown)(struct socket *s, int how);                                          /* SHUT_* */
    int (*getname)(struct socket *s, bool peer, struct sock_name *out);                  /* getsockname, getpeername */
    ssize_t (*send)(struct socket *s, struct task *t, struct sock_msg *m);               /* bytes taken */
    ssize_t (*recv)(struct socket *s, struct task *t, struct sock_msg *m); /* bytes given; MSG_TRUNC: there were */
    uint32_t (*poll)(struct socket *s, struct poll_table *pt);             /* EPOLL* now true */
    long (*ioctl)(struct socket *s, struct task *t, unsigned cmd, uint64_t arg); /* NULL slot: -ENOTTY */
    /*
     * Options that sockopt.c does not know, all levels. val has len bytes. get: writes at most *len bytes to val and
     * sets *len. NULL slots, and unknown options: -ENOPROTOOPT for SOL_SOCKET, else -EOPNOTSUPP.
     */
    int (*setsockopt)(struct socket *s, struct task *t, int level, int name, const void *val, size_t len);
    int (*getsockopt)(struct socket *s, struct task *t, int level, int name, void *val, size_t *len);
    bool (*accepting)(struct socket *s); /* SO_ACCEPTCONN; NULL slot: no */
    void (*release)(struct socket *s);   /* the file is gone, or was never made: frees s */
};

enum { /* socket->flags, one bit an option */
       SOCKF_PASSCRED = 1,
       SOCKF_REUSEADDR = 2,
       SOCKF_KEEPALIVE = 4,
       SOCKF_BROADCAST = 8,
       SOCKF_OOBINLINE = 16,
       SOCKF_DONTROUTE = 32,
       SOCKF_DEBUG = 64,
       SOCKF_TIMESTAMP = 128,
};

/* Locks: (c) constant after socket_init()  (a) atomic. */
struct socket {
    const struct socket_ops *ops;       /* (c) */
    int family, type, protocol;         /* (c) AF_*, SOCK_*, as SO_DOMAIN, SO_TYPE and SO_PROTOCOL show */
    _Atomic(struct file *) file;        /* (a) set once: borrowed, the file holds the socket; NULL: it has none yet */
    struct waitq wq;                    /* readers and pollers, by EPOLL* mask */
    _Atomic int error;                  /* (a) SO_ERROR, as a positive errno; see socket_take_error() */
    _Atomic unsigned flags;             /* (a) SOCKF_* */
    _Atomic int sndbuf, rcvbuf;         /* (a) bytes, as SO_SNDBUF and SO_RCVBUF show */
    _Atomic int rcvlowat;               /* (a) bytes, at least 1 */
    _Atomic int priority;               /* (a) SO_PRIORITY, kept and shown */
    _Atomic int linger;                 /* (a) seconds, -1: off */
    _Atomic int64_t rcvtimeo, sndtimeo; /* (a) ns; 0: for ever */
};

/* A family: makes a socket of a type (SOCK_* without flags) and protocol, the one reference to the caller. */
struct socket_family {
    int family;
    int (*create)(struct task *t, int type, int protocol, struct socket **out);
};
extern const struct socket_family *const socket_families[AF_MAX];

/* Sets the fields up with their defaults; pair: socket_fini(). */
void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type, int protocol);
void socket_fini(struct socket *s);

/* socket(2) without the descriptor. -EAFNOSUPPORT, or what the family says. */
int socket_create(struct task *t, int family, int type, int protocol, struct socket **out) must_check;
/* The open file of s, which it takes over: on failure s is released. flags: O_NONBLOCK or 0. */
int socket_file_new(struct socket *s, unsigned flags, struct file **out) must_check;
/* The socket behind f, borrowed, or NULL if f is none. */
struct socket *socket_of(struct file *f);

/* Sends with the SIGPIPE that -EPIPE brings on stream sockets, unless MSG_NOSIGNAL. */
ssize_t socket_send(struct socket *s, struct task *t, struct sock_msg *m) must_check;
ssize_t socket_recv(struct socket *s, struct task *t, struct sock_msg *m) must_check;

/* The pending error as -errno, and forgets it; 0: none. */
int socket_take_error(struct socket *s);
/* When a wait that starts now must end. */
int64_t socket_deadline(struct socket *s, bool sending);
/*
 * Sleeps on q for events (EPOLL* mask) until woken. Called with l held, which guards the condition waited for; returns
 * without it. 0, -EAGAIN (deadline), -ERESTARTSYS or, if the wait had a deadline, -EINTR.
 */
int socket_sleep(struct task *t, struct waitq *q, uint32_t events, struct lock *l,
                 int64_t deadline) must_check NO_THREAD_SAFETY;

/* The same translation for a task_sleep() of one's own. */
int socket_wait_result(int slept, int64_t deadline);

/* Options of level SOL_SOCKET and all others, for a decoded value. -ENOPROTOOPT, -EINVAL, -EPERM … */
int socket_setsockopt(struct socket *s, struct task *t, int level, int name, const void *val, size_t len) must_check;
int socket_getsockopt(struct socket *s, struct task *t, int level, int name, void *val, size_t *len) must_check;
