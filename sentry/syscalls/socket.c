/*
 * socket(2), socketpair(2) and the calls that shape a socket: bind, listen, connect, accept, shutdown, names, options.
 * Sending and receiving is in sockmsg.c.
 */
#include "sentry/syscalls/socket.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>

#define TYPE_MASK 0xf
#define TYPE_MAX 11  /* one above the last socket type */
#define SOMAX 4096   /* net.core.somaxconn */
#define OPT_MAX 1024 /* the longest option value looked at, in bytes */
#define GROUPS_MAX_LEN (65536 * sizeof(gid_t))

int socket_arg(struct task *t, int fd, struct file **out_file, struct socket **out)
{
    struct file *f = fd_get(t, fd);
    if (!f)
        return -EBADF;
    struct socket *s = socket_of(f);
    if (!s) {
        file_put(f);
        return -ENOTSOCK;
    }
    *out_file = f;
    *out = s;
    return 0;
}

int sock_name_arg(struct task *t, uint64_t addr, int len, struct sock_name *out)
{
    *out = (struct sock_name){0};
    if (len < 0 || (size_t)len > sizeof(out->addr))
        return -EINVAL;
    out->len = (socklen_t)len;
    return user_read(t, &out->addr, addr, (size_t)len);
}

int sock_name_result(struct task *t, const struct sock_name *name, uint64_t addr, uint64_t len_addr)
{
    int cap;

    if (!addr)
        return 0;
    int ret = user_read(t, &cap, len_addr, sizeof(cap));
    if (ret < 0)
        return ret;
    if (cap < 0)
        return -EINVAL;
    ret = user_write(t, addr, &name->addr, MIN((size_t)cap, (size_t)name->len));
    return ret < 0 ? ret : user_write(t, len_addr, &name->len, sizeof(name->len));
}

/* ---- making ---- */

/* Splits the flags off a type argument: SOCK_* as O_*. */
static int split_type(int *type, unsigned *flags, bool *cloexec)
{
    int extra = *type & ~TYPE_MASK;

    if (extra & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    *type &= TYPE_MASK;
    *flags = extra & SOCK_NONBLOCK ? O_NONBLOCK : 0;
    *cloexec = extra & SOCK_CLOEXEC;
    return 0;
}

static int create(struct task *t, int family, int type, int protocol, struct socket **out)
{
    if (family < 0 || family >= AF_MAX)
        return -EAFNOSUPPORT;
    if (type >= TYPE_MAX)
        return -EINVAL;
    return socket_create(t, family, type, protocol, out);
}

long sys_socket(struct task *t, const struct sysargs *a)
{
    int type = (int)a->a[1];
    struct socket *s;
    struct file *f;
    unsigned flags;
    bool cloexec;

    int ret = split_type(&type, &flags, &cloexec);
    if (ret == 0)
        ret = create(t, (int)a->a[0], type, (int)a->a[2], &s);
    if (ret == 0)
        ret = socket_file_new(s, flags, &f);
    return ret < 0 ? ret : fd_add(t, f, cloexec);
}

/* Two joined sockets as files. */
static int make_pair(struct task *t, int family, int type, int protocol, unsigned flags, struct file *out[2])
{
    struct socket *s[2];

    int ret = create(t, family, type, protocol, &s[0]);
    if (ret == 0)
        ret = socket_file_new(s[0], flags, &out[0]);
    if (ret < 0)
        return ret;
    ret = create(t, family, type, protocol, &s[1]);
    if (ret == 0)
        ret = socket_file_new(s[1], flags, &out[1]);
    if (ret < 0) {
        file_put(out[0]);
        return ret;
    }
    ret = s[0]->ops->pair ? s[0]->ops->pair(s[0], s[1], t) : -EOPNOTSUPP;
    if (ret < 0) {
        file_put(out[0]);
        file_put(out[1]);
    }
    return ret;
}

long sys_socketpair(struct task *t, const struct sysargs *a)
{
    int type = (int)a->a[1], fds[2];
    struct file *f[2];
    unsigned flags;
    bool cloexec;

    int ret = split_type(&type, &flags, &cloexec);
    if (ret < 0)
        return ret;
    ret = fd_reserve_pair(t, a->a[3], fds);
    if (ret < 0)
        return ret;
    ret = make_pair(t, (int)a->a[0], type, (int)a->a[2], flags, f);
    if (ret < 0) {
        fd_unreserve(t, fds[1]);
        fd_unreserve(t, fds[0]);
        return ret;
    }
    fd_install(t, fds[0], f[0], cloexec);
    fd_install(t, fds[1], f[1], cloexec);
    return 0;
}

/* ---- names and connections ---- */

/* The socket and the name that bind(2) and connect(2) are given; *out_file is to be put if 0 is returned. */
static int named_socket_arg(struct task *t, const struct sysargs *a, struct file **out_file, struct socket **out,
                            struct sock_name *out_name)
{
    int ret = socket_arg(t, (int)a->a[0], out_file, out);

    if (ret < 0)
        return ret;
    ret = sock_name_arg(t, a->a[1], (int)a->a[2], out_name);
    if (ret < 0)
        file_put(*out_file);
    return ret;
}

long sys_bind(struct task *t, const struct sysargs *a)
{
    struct sock_name name;
    struct socket *s;
    struct file *f;

    int ret = named_socket_arg(t, a, &f, &s, &name);
    if (ret < 0)
        return ret;
    ret = s->ops->bind ? s->ops->bind(s, t, &name) : -EOPNOTSUPP;
    file_put(f);
    return ret;
}

long sys_listen(struct task *t, const struct sysargs *a)
{
    int backlog = (int)MIN((unsigned)a->a[1], (unsigned)SOMAX);
    struct socket *s;
    struct file *f;

    int ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    ret = s->ops->listen ? s->ops->listen(s, t, backlog) : -EOPNOTSUPP;
    file_put(f);
    return ret;
}

long sys_connect(struct task *t, const struct sysargs *a)
{
    struct sock_name name;
    struct socket *s;
    struct file *f;

    int ret = named_socket_arg(t, a, &f, &s, &name);
    if (ret < 0)
        return ret;
    ret = s->ops->connect ? s->ops->connect(s, t, &name, f->flags & O_NONBLOCK) : -EOPNOTSUPP;
    file_put(f);
    return ret;
}

/* The next connection as a file, its peer's address given to the guest. */
static int accept_file(struct task *t, struct file *listener, struct socket *s, const struct sysargs *a, unsigned flags,
                       struct file **out)
{
    struct sock_name name = {0};
    struct socket *conn;

    if (!s->ops->accept)
        return -EOPNOTSUPP;
    int ret = s->ops->accept(s, t, listener->flags & O_NONBLOCK, &conn);
    if (ret == 0)
        ret = socket_file_new(conn, flags, out);
    if (ret < 0 || !a->a[1])
        return ret;
    ret = conn->ops->getname(conn, true, &name);
    if (ret < 0)
        ret = -ECONNABORTED;
    else
        ret = sock_name_result(t, &name, a->a[1], a->a[2]);
    if (ret < 0)
        file_put(*out);
    return ret;
}

static long do_accept(struct task *t, const struct sysargs *a, int type_flags)
{
    struct file *f, *conn;
    struct socket *s;
    unsigned flags;
    bool cloexec;

    int ret = type_flags & TYPE_MASK ? -EINVAL : split_type(&type_flags, &flags, &cloexec);
    if (ret == 0)
        ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    int fd = fd_reserve(t, 0);
    if (fd >= 0) {
        ret = accept_file(t, f, s, a, flags, &conn);
        if (ret < 0)
            fd_unreserve(t, fd);
        else
            fd_install(t, fd, conn, cloexec);
    }
    file_put(f);
    return ret < 0 ? ret : fd;
}

long sys_accept(struct task *t, const struct sysargs *a)
{
    return do_accept(t, a, 0);
}

long sys_accept4(struct task *t, const struct sysargs *a)
{
    return do_accept(t, a, (int)a->a[3]);
}

long sys_shutdown(struct task *t, const struct sysargs *a)
{
    int how = (int)a->a[1];
    struct socket *s;
    struct file *f;

    int ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    if (how < SHUT_RD || how > SHUT_RDWR)
        ret = -EINVAL;
    else
        ret = s->ops->shutdown ? s->ops->shutdown(s, how) : -EOPNOTSUPP;
    file_put(f);
    return ret;
}

static long get_name(struct task *t, const struct sysargs *a, bool peer)
{
    struct sock_name name = {0};
    struct socket *s;
    struct file *f;

    int ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    ret = s->ops->getname ? s->ops->getname(s, peer, &name) : -EOPNOTSUPP;
    file_put(f);
    if (ret == 0 && !a->a[1])
        ret = -EFAULT;
    return ret < 0 ? ret : sock_name_result(t, &name, a->a[1], a->a[2]);
}

long sys_getsockname(struct task *t, const struct sysargs *a)
{
    return get_name(t, a, false);
}

long sys_getpeername(struct task *t, const struct sysargs *a)
{
    return get_name(t, a, true);
}

/* ---- options ---- */

long sys_setsockopt(struct task *t, const struct sysargs *a)
{
    int len = (int)a->a[4];
    char val[OPT_MAX] = {0};
    struct socket *s;
    struct file *f;

    int ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    if (len < 0)
        ret = -EINVAL;
    else
        ret = user_read(t, val, a->a[3], MIN((size_t)len, sizeof(val)));
    if (ret == 0)
        ret = socket_setsockopt(s, t, (int)a->a[1], (int)a->a[2], val, MIN((size_t)len, sizeof(val)));
    file_put(f);
    return ret;
}

/* -ERANGE too tells the length that is needed. */
static int read_option(struct task *t, struct socket *s, const struct sysargs *a, size_t cap, char *val)
{
    size_t len = cap;
    int level = (int)a->a[1], name = (int)a->a[2];

    int ret = socket_getsockopt(s, t, level, name, val, &len);
    int shown = (int)len;
    if (ret == 0)
        ret = user_write(t, a->a[3], val, len);
    if (ret == 0 || ret == -ERANGE) {
        int fault = user_write(t, a->a[4], &shown, sizeof(shown));
        ret = fault < 0 ? fault : ret;
    }
    return ret;
}

long sys_getsockopt(struct task *t, const struct sysargs *a)
{
    char fixed[OPT_MAX], *val = fixed;
    struct socket *s;
    struct file *f;
    int len;

    int ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    ret = user_read(t, &len, a->a[4], sizeof(len));
    if (ret == 0 && len < 0)
        ret = -EINVAL;
    if (ret < 0)
        goto out;
    size_t cap = MIN((size_t)len, GROUPS_MAX_LEN);
    if (cap > sizeof(fixed) && !(val = malloc(cap)))
        ret = -ENOMEM;
    else
        ret = read_option(t, s, a, cap, val);
    if (val != fixed)
        free(val);
out:
    file_put(f);
    return ret;
}
