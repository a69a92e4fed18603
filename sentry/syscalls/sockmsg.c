/*
 * Sending and receiving: sendto(2), sendmsg(2), sendmmsg(2), recvfrom(2), recvmsg(2), recvmmsg(2).
 *
 * A message header is read and checked once; the control messages of a send become a struct scm before the family sees
 * them, those of a receive are made from one afterwards. Received descriptors are reserved first and installed only
 * when their numbers have reached the guest.
 */
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/net/scm.h"
#include "sentry/syscalls/polltime.h"
#include "sentry/syscalls/socket.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#define CONTROL_MAX 20480 /* net.core.optmem_max: the longest control buffer of a send */
#define CONTROL_OUT 2048  /* more than all that a receive can bring */
#define MSGS_MAX 1024     /* of sendmmsg and recvmmsg */

_Static_assert(sizeof(struct msghdr) == 56 && sizeof(struct mmsghdr) == 64, "the kernel's struct user_msghdr");

static bool nonblocking(const struct file *f, unsigned flags)
{
    return (flags & MSG_DONTWAIT) || (f->flags & O_NONBLOCK);
}

/* ---- headers ---- */

static int header_arg(struct task *t, uint64_t addr, struct msghdr *out)
{
    int ret = user_read(t, out, addr, sizeof(*out));
    if (ret < 0)
        return ret;
    if (!out->msg_name)
        out->msg_namelen = 0;
    if ((int)out->msg_namelen < 0)
        return -EINVAL;
    out->msg_namelen = MIN(out->msg_namelen, (socklen_t)sizeof(struct sockaddr_storage));
    return out->msg_iovlen > IOV_MAX ? -EMSGSIZE : 0;
}

/* Sends or receives one message with the header at addr. Bytes, or -errno. */
typedef long (*message_fn)(struct task *t, struct file *f, struct socket *s, uint64_t addr, unsigned flags);

/* sendmsg(2) or recvmsg(2). */
static long one_message(struct task *t, const struct sysargs *a, message_fn fn)
{
    struct socket *s;
    struct file *f;

    long ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    ret = fn(t, f, s, a->a[1], (unsigned)a->a[2]);
    file_put(f);
    return ret;
}

/* ---- sending ---- */

static int control_arg(struct task *t, const struct msghdr *h, struct scm *out)
{
    size_t len = h->msg_controllen;
    unsigned char fixed[256], *buf = fixed;

    if (!len || !h->msg_control)
        return 0;
    if (len > CONTROL_MAX)
        return -ENOBUFS;
    if (len > sizeof(fixed) && !(buf = malloc(len)))
        return -ENOBUFS;
    int ret = user_read(t, buf, (uint64_t)(uintptr_t)h->msg_control, len);
    if (ret == 0)
        ret = scm_parse(t, buf, len, out);
    if (buf != fixed)
        free(buf);
    return ret;
}

static long send_one(struct task *t, struct file *f, struct socket *s, uint64_t addr, unsigned flags)
{
    struct sock_name name = {0};
    struct scm scm = {0};
    struct msghdr h;
    struct uio u;

    long ret = header_arg(t, addr, &h);
    if (ret == 0)
        ret = sock_name_arg(t, (uint64_t)(uintptr_t)h.msg_name, (int)h.msg_namelen, &name);
    if (ret < 0)
        return ret;
    ret = uio_user_iov(&u, t, (uint64_t)(uintptr_t)h.msg_iov, h.msg_iovlen);
    if (ret < 0)
        return ret;
    ret = control_arg(t, &h, &scm);
    if (ret == 0) {
        struct sock_msg m = {.u = &u, .flags = flags, .nonblock = nonblocking(f, flags), .name = &name, .scm = &scm};
        ret = socket_send(s, t, &m);
    }
    scm_free(&scm);
    uio_free(&u);
    return ret;
}

long sys_sendto(struct task *t, const struct sysargs *a)
{
    struct sock_name name = {0};
    struct socket *s;
    struct file *f;
    struct uio u;

    long ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    if (a->a[4])
        ret = sock_name_arg(t, a->a[4], (int)a->a[5], &name);
    if (ret == 0) {
        unsigned flags = (unsigned)a->a[3];
        uio_user(&u, t, a->a[1], a->a[2]);
        struct sock_msg m = {.u = &u, .flags = flags, .nonblock = nonblocking(f, flags), .name = &name};
        ret = socket_send(s, t, &m);
    }
    file_put(f);
    return ret;
}

long sys_sendmsg(struct task *t, const struct sysargs *a)
{
    return one_message(t, a, send_one);
}

/* Where the i-th header of an array is, and where its result goes. */
static uint64_t header_at(uint64_t array, unsigned i)
{
    return array + i * sizeof(struct mmsghdr);
}

static int put_length(struct task *t, uint64_t header, long bytes)
{
    unsigned n = (unsigned)bytes;

    return user_write(t, header + offsetof(struct mmsghdr, msg_len), &n, sizeof(n));
}

long sys_sendmmsg(struct task *t, const struct sysargs *a)
{
    unsigned n = MIN((unsigned)a->a[2], (unsigned)MSGS_MAX), done = 0;
    struct socket *s;
    struct file *f;

    long ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    for (; done < n; done++) {
        uint64_t at = header_at(a->a[1], done);
        ret = send_one(t, f, s, at, (unsigned)a->a[3]);
        if (ret >= 0)
            ret = put_length(t, at, ret);
        if (ret < 0)
            break;
    }
    file_put(f);
    return done ? done : ret;
}

/* ---- receiving ---- */

/* Makes the control messages of scm, which is used up, and writes them. *len is the buffer's size, then what is used.
 */
static int control_result(struct task *t, struct socket *s, struct scm *scm, uint64_t addr, size_t *len, unsigned flags,
                          unsigned *out_flags)
{
    unsigned char buf[CONTROL_OUT];
    struct scm_writer w = {.buf = buf, .cap = MIN(*len, sizeof(buf))};
    int fds[SCM_MAX_FILES];
    unsigned n = 0;

    if (s->flags & SOCKF_TIMESTAMP && s->type == SOCK_DGRAM) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        const struct timeval tv = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
        scm_put(&w, SOL_SOCKET, SO_TIMESTAMP, &tv, sizeof(tv));
    }
    if (scm->has_cred)
        scm_put(&w, SOL_SOCKET, SCM_CREDENTIALS, &scm->cred, sizeof(scm->cred));
    if (scm->rights)
        n = scm_put_files(&w, t, scm->rights, fds);
    int ret = user_write(t, addr, buf, w.len);
    if (scm->rights)
        scm_install_files(t, scm->rights, fds, n, flags & MSG_CMSG_CLOEXEC, ret == 0);
    scm->rights = NULL;
    if (w.truncated)
        *out_flags |= MSG_CTRUNC;
    *len = w.len;
    return ret;
}

/* Writes what a receive found out back to the header at addr. */
static int header_result(struct task *t, uint64_t addr, const struct msghdr *h, const struct sock_msg *m,
                         size_t control_len)
{
    int ret = 0, flags = (int)m->out_flags;

    if (h->msg_name) {
        size_t n = MIN((size_t)h->msg_namelen, (size_t)m->name->len);
        ret = user_write(t, (uint64_t)(uintptr_t)h->msg_name, &m->name->addr, n);
        if (ret == 0)
            ret = user_write(t, addr + offsetof(struct msghdr, msg_namelen), &m->name->len, sizeof(m->name->len));
    }
    if (ret == 0)
        ret = user_write(t, addr + offsetof(struct msghdr, msg_flags), &flags, sizeof(flags));
    if (ret == 0)
        ret = user_write(t, addr + offsetof(struct msghdr, msg_controllen), &control_len, sizeof(control_len));
    return ret;
}

static long recv_one(struct task *t, struct file *f, struct socket *s, uint64_t addr, unsigned flags)
{
    struct sock_name name = {0};
    struct scm scm = {0};
    struct msghdr h;
    struct uio u;

    long ret = header_arg(t, addr, &h);
    if (ret == 0)
        ret = uio_user_iov(&u, t, (uint64_t)(uintptr_t)h.msg_iov, h.msg_iovlen);
    if (ret < 0)
        return ret;
    struct sock_msg m = {.u = &u,
                         .flags = flags,
                         .nonblock = nonblocking(f, flags),
                         .out_flags = flags & MSG_CMSG_CLOEXEC,
                         .name = &name,
                         .scm = &scm};
    ret = socket_recv(s, t, &m);
    uio_free(&u);
    size_t control_len = h.msg_control ? h.msg_controllen : 0;
    int err = 0;
    if (ret >= 0)
        err = control_result(t, s, &scm, (uint64_t)(uintptr_t)h.msg_control, &control_len, flags, &m.out_flags);
    scm_free(&scm);
    if (ret >= 0 && err == 0)
        err = header_result(t, addr, &h, &m, control_len);
    return err < 0 ? err : ret;
}

long sys_recvfrom(struct task *t, const struct sysargs *a)
{
    struct sock_name name = {0};
    struct socket *s;
    struct file *f;
    struct uio u;

    long ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    unsigned flags = (unsigned)a->a[3];
    uio_user(&u, t, a->a[1], a->a[2]);
    struct sock_msg m = {.u = &u, .flags = flags, .nonblock = nonblocking(f, flags), .name = a->a[4] ? &name : NULL};
    ret = socket_recv(s, t, &m);
    file_put(f);
    if (ret >= 0 && a->a[4]) {
        int err = sock_name_result(t, &name, a->a[4], a->a[5]);
        ret = err < 0 ? err : ret;
    }
    return ret;
}

long sys_recvmsg(struct task *t, const struct sysargs *a)
{
    return one_message(t, a, recv_one);
}

/* The messages there are, up to n. As the manual page says, the time limit is looked at only between messages. */
static long recv_many(struct task *t, struct file *f, struct socket *s, const struct sysargs *a, int64_t deadline)
{
    unsigned n = MIN((unsigned)a->a[2], (unsigned)MSGS_MAX), flags = (unsigned)a->a[3], done = 0;
    long ret = socket_take_error(s);

    while (ret >= 0 && done < n) {
        uint64_t at = header_at(a->a[1], done);
        ret = recv_one(t, f, s, at, flags & ~(unsigned)MSG_WAITFORONE);
        if (ret >= 0)
            ret = put_length(t, at, ret);
        if (ret < 0)
            break;
        done++;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (deadline != NO_DEADLINE && now_monotonic() >= deadline)
            break;
    }
    if (done && ret < 0 && ret != -EAGAIN && ret > -ERESTARTSYS)
        s->error = (int)-ret; /* for the next call: this one tells what it got */
    return done ? done : ret;
}

long sys_recvmmsg(struct task *t, const struct sysargs *a)
{
    struct poll_limit limit;
    struct socket *s;
    struct file *f;

    long ret = poll_limit_user(t, a->a[4], false, &limit);
    if (ret == 0)
        ret = socket_arg(t, (int)a->a[0], &f, &s);
    if (ret < 0)
        return ret;
    ret = recv_many(t, f, s, a, limit.deadline);
    if (ret >= 0)
        poll_limit_write_back(t, a->a[4], false, &limit);
    file_put(f);
    return ret;
}
