/* Sockets as open files, and what the operations of all families share: errors, timeouts, sleeping, SIGPIPE. */
#include "sentry/net/socket.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>

#define BUF_DEFAULT 212992 /* net.core.wmem_default and rmem_default */

static const struct file_ops socket_file_ops;

void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type, int protocol)
{
    s->ops = ops;
    s->family = family;
    s->type = type;
    s->protocol = protocol;
    waitq_init(&s->wq);
    s->sndbuf = s->rcvbuf = BUF_DEFAULT;
    s->rcvlowat = 1;
    s->linger = -1;
}

void socket_fini(struct socket *s)
{
    lock_destroy(&s->wq.lock);
}

int socket_create(struct task *t, int family, int type, int protocol, struct socket **out)
{
    const struct socket_family *f = family >= 0 && family < AF_MAX ? socket_families[family] : NULL;

    return f ? f->create(t, type, protocol, out) : -EAFNOSUPPORT;
}

int socket_file_new(struct socket *s, unsigned flags, struct file **out)
{
    struct file *f;

    int ret = file_new_anon("socket:", &socket_file_ops, FMODE_READ | FMODE_WRITE | FMODE_STREAM | FMODE_NOWAIT,
                            O_RDWR | flags, S_IFSOCK | 0777, s, &f);
    if (ret < 0) {
        s->ops->release(s);
        return ret;
    }
    s->file = f;
    *out = f;
    return 0;
}

struct socket *socket_of(struct file *f)
{
    return f->ops == &socket_file_ops ? f->priv : NULL;
}

int socket_take_error(struct socket *s)
{
    return atomic_load_explicit(&s->error, memory_order_relaxed) ? -atomic_exchange(&s->error, 0) : 0;
}

int64_t socket_deadline(struct socket *s, bool sending)
{
    int64_t ns = atomic_load_explicit(sending ? &s->sndtimeo : &s->rcvtimeo, memory_order_relaxed);

    return ns ? deadline_after(ns) : NO_DEADLINE;
}

int socket_wait_result(int slept, int64_t deadline)
{
    if (slept == -ETIMEDOUT)
        return -EAGAIN;
    return slept == -ERESTARTSYS && deadline != NO_DEADLINE ? -EINTR : slept;
}

int socket_sleep(struct task *t, struct waitq *q, uint32_t events, struct lock *l, int64_t deadline)
{
    struct waiter w;

    waiter_init_task(&w, t);
    w.mask = events | EPOLLERR | EPOLLHUP;
    waitq_add(q, &w);
    unlock(l);
    int ret = task_sleep(t, deadline);
    waitq_remove(&w);
    return socket_wait_result(ret, deadline);
}

ssize_t socket_send(struct socket *s, struct task *t, struct sock_msg *m)
{
    ssize_t ret = s->ops->send ? s->ops->send(s, t, m) : -EOPNOTSUPP;

    if (ret == -EPIPE && s->type == SOCK_STREAM && !(m->flags & MSG_NOSIGNAL)) {
        siginfo_t info = {.si_signo = SIGPIPE, .si_code = SI_USER};
        info.si_pid = t->tg->tgid;
        info.si_uid = t->cred->ruid;
        signal_send_task(t, SIGPIPE, &info);
    }
    return ret;
}

ssize_t socket_recv(struct socket *s, struct task *t, struct sock_msg *m)
{
    return s->ops->recv ? s->ops->recv(s, t, m) : -EOPNOTSUPP;
}

/* ---- the file ---- */

static ssize_t socket_read(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct sock_msg m = {.u = u, .nonblock = !file_may_wait(f, u)};

    return u->left ? socket_recv(f->priv, current, &m) : 0;
}

static ssize_t socket_write(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct sock_msg m = {.u = u, .nonblock = !file_may_wait(f, u)};

    return socket_send(f->priv, current, &m);
}

static uint32_t socket_poll(struct file *f, struct poll_table *pt)
{
    struct socket *s = f->priv;

    return s->ops->poll(s, pt);
}

static long socket_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
    struct socket *s = f->priv;
    int owner;
    int ret;

    switch (cmd) {
    case FIOSETOWN:
    case SIOCSPGRP:
        ret = user_read(t, &owner, arg, sizeof(owner));
        if (ret == 0)
            f->owner = owner;
        return ret;
    case FIOGETOWN:
    case SIOCGPGRP:
        owner = f->owner;
        return user_write(t, arg, &owner, sizeof(owner));
    default:
        return s->ops->ioctl ? s->ops->ioctl(s, t, cmd, arg) : -ENOTTY;
    }
}

static void socket_release(struct file *f)
{
    struct socket *s = f->priv;

    s->ops->release(s);
}

static const struct file_ops socket_file_ops = {
    .read = socket_read,
    .write = socket_write,
    .poll = socket_poll,
    .ioctl = socket_ioctl,
    .release = socket_release,
};
