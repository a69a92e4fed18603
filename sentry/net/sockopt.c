/*
 * Options of level SOL_SOCKET, socket(7). Switches are rows of a table; numbers and structures have a case each; what
 * is not here, and every other level, is the family's.
 */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/net/socket.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>

#define BUF_MAX 212992           /* net.core.wmem_max and rmem_max */
#define BUF_MAX_FORCED (8 << 20) /* SO_SNDBUFFORCE: what even the privileged get, since it is the sentry's memory */
#define SNDBUF_MIN 4608
#define RCVBUF_MIN 2304
#define NS_PER_SEC 1000000000LL

/* Their numbers in the ABI that passes 64-bit times everywhere; the same layout on 64-bit guests. */
#define RCVTIMEO_NEW 66
#define SNDTIMEO_NEW 67

static const struct {
    int name;
    unsigned flag;
} switches[] = {
    {SO_PASSCRED, SOCKF_PASSCRED},   {SO_REUSEADDR, SOCKF_REUSEADDR}, {SO_KEEPALIVE, SOCKF_KEEPALIVE},
    {SO_BROADCAST, SOCKF_BROADCAST}, {SO_OOBINLINE, SOCKF_OOBINLINE}, {SO_DONTROUTE, SOCKF_DONTROUTE},
    {SO_DEBUG, SOCKF_DEBUG},         {SO_TIMESTAMP, SOCKF_TIMESTAMP},
};

static unsigned switch_of(int name)
{
    for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
        if (switches[i].name == name)
            return switches[i].flag;
    return 0;
}

/* ---- setting ---- */

static int set_switch(struct socket *s, struct task *t, unsigned flag, bool on)
{
    if (flag == SOCKF_DEBUG && on && !cred_capable(t->cred, CAP_NET_ADMIN))
        return -EACCES;
    if (on)
        atomic_fetch_or(&s->flags, flag);
    else
        atomic_fetch_and(&s->flags, ~flag);
    return 0;
}

/* The kernel doubles what is asked for, to make up for its own overhead, and shows the doubled value. */
static int set_buffer(struct socket *s, int val, bool sending, int max)
{
    val = 2 * (val < 0 || val > max ? (val < 0 && max == BUF_MAX_FORCED ? 0 : max) : val);
    if (sending) {
        s->sndbuf = MAX(val, SNDBUF_MIN);
        waitq_wake(&s->wq, EPOLLOUT | EPOLLWRNORM);
    } else {
        s->rcvbuf = MAX(val, RCVBUF_MIN);
    }
    return 0;
}

static int set_timeout(_Atomic int64_t *timeo, const void *val, size_t len)
{
    struct timeval tv;
    int64_t ns;

    if (len < sizeof(tv))
        return -EINVAL;
    memcpy(&tv, val, sizeof(tv));
    if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
        return -EDOM;
    if (tv.tv_sec < 0)
        ns = 1; /* a time that is over at once */
    else if (__builtin_mul_overflow(tv.tv_sec, NS_PER_SEC, &ns) || __builtin_add_overflow(ns, tv.tv_usec * 1000, &ns))
        ns = 0;
    *timeo = ns;
    return 0;
}

static int set_linger(struct socket *s, const void *val, size_t len)
{
    struct linger l;

    if (len < sizeof(l))
        return -EINVAL;
    memcpy(&l, val, sizeof(l));
    s->linger = l.l_onoff ? (int)MIN((unsigned)l.l_linger, (unsigned)INT_MAX) : -1;
    return 0;
}

static int set_priority(struct socket *s, struct task *t, int val)
{
    if ((val < 0 || val > 6) && !cred_capable(t->cred, CAP_NET_ADMIN) && !cred_capable(t->cred, CAP_NET_RAW))
        return -EPERM;
    s->priority = val;
    return 0;
}

/* The options whose value is an int. 1: not one of them. */
static int set_number(struct socket *s, struct task *t, int name, int val)
{
    unsigned flag = switch_of(name);

    if (flag)
        return set_switch(s, t, flag, val != 0);
    switch (name) {
    case SO_SNDBUF:
    case SO_RCVBUF:
        return set_buffer(s, val, name == SO_SNDBUF, BUF_MAX);
    case SO_SNDBUFFORCE:
    case SO_RCVBUFFORCE:
        if (!cred_capable(t->cred, CAP_NET_ADMIN))
            return -EPERM;
        return set_buffer(s, val, name == SO_SNDBUFFORCE, BUF_MAX_FORCED);
    case SO_PRIORITY:
        return set_priority(s, t, val);
    case SO_RCVLOWAT:
        s->rcvlowat = val < 0 ? INT_MAX : MAX(val, 1);
        return 0;
    case SO_BSDCOMPAT:
        return 0;
    default:
        return 1;
    }
}

static int set_by_family(struct socket *s, struct task *t, int level, int name, const void *val, size_t len)
{
    if (s->ops->setsockopt)
        return s->ops->setsockopt(s, t, level, name, val, len);
    return level == SOL_SOCKET ? -ENOPROTOOPT : -EOPNOTSUPP;
}

int socket_setsockopt(struct socket *s, struct task *t, int level, int name, const void *val, size_t len)
{
    int number;

    if (level != SOL_SOCKET)
        return set_by_family(s, t, level, name, val, len);
    if (len < sizeof(number))
        return -EINVAL;
    switch (name) {
    case SO_RCVTIMEO:
    case RCVTIMEO_NEW:
        return set_timeout(&s->rcvtimeo, val, len);
    case SO_SNDTIMEO:
    case SNDTIMEO_NEW:
        return set_timeout(&s->sndtimeo, val, len);
    case SO_LINGER:
        return set_linger(s, val, len);
    }
    memcpy(&number, val, sizeof(number));
    int ret = set_number(s, t, name, number);
    return ret == 1 ? set_by_family(s, t, level, name, val, len) : ret;
}

/* ---- reading ---- */

static int put(void *val, size_t *len, const void *from, size_t n)
{
    *len = MIN(*len, n);
    memcpy(val, from, *len);
    return 0;
}

static int put_int(void *val, size_t *len, int n)
{
    return put(val, len, &n, sizeof(n));
}

static int get_timeout(int64_t ns, void *val, size_t *len)
{
    const struct timeval tv = {.tv_sec = ns / NS_PER_SEC, .tv_usec = ns % NS_PER_SEC / 1000};

    return put(val, len, &tv, sizeof(tv));
}

static int get_peer_name(struct socket *s, void *val, size_t *len)
{
    struct sock_name name = {0};

    int ret = s->ops->getname ? s->ops->getname(s, true, &name) : -ENOTCONN;
    if (ret < 0)
        return ret;
    if (name.len < *len)
        return -EINVAL;
    return put(val, len, &name.addr, *len);
}

static int get_linger(struct socket *s, void *val, size_t *len)
{
    int seconds = s->linger;
    const struct linger l = {.l_onoff = seconds >= 0, .l_linger = MAX(seconds, 0)};

    return put(val, len, &l, sizeof(l));
}

static int get_by_family(struct socket *s, struct task *t, int level, int name, void *val, size_t *len)
{
    if (s->ops->getsockopt)
        return s->ops->getsockopt(s, t, level, name, val, len);
    return level == SOL_SOCKET ? -ENOPROTOOPT : -EOPNOTSUPP;
}

int socket_getsockopt(struct socket *s, struct task *t, int level, int name, void *val, size_t *len)
{
    unsigned flag = level == SOL_SOCKET ? switch_of(name) : 0;

    if (level != SOL_SOCKET)
        return get_by_family(s, t, level, name, val, len);
    if (flag)
        return put_int(val, len, (s->flags & flag) != 0);
    switch (name) {
    case SO_TYPE:
        return put_int(val, len, s->type);
    case SO_DOMAIN:
        return put_int(val, len, s->family);
    case SO_PROTOCOL:
        return put_int(val, len, s->protocol);
    case SO_ERROR:
        return put_int(val, len, -socket_take_error(s));
    case SO_ACCEPTCONN:
        return put_int(val, len, s->ops->accepting && s->ops->accepting(s));
    case SO_SNDBUF:
        return put_int(val, len, s->sndbuf);
    case SO_RCVBUF:
        return put_int(val, len, s->rcvbuf);
    case SO_RCVLOWAT:
        return put_int(val, len, s->rcvlowat);
    case SO_SNDLOWAT:
        return put_int(val, len, 1);
    case SO_PRIORITY:
        return put_int(val, len, s->priority);
    case SO_BSDCOMPAT:
        return put_int(val, len, 0);
    case SO_RCVTIMEO:
    case RCVTIMEO_NEW:
        return get_timeout(s->rcvtimeo, val, len);
    case SO_SNDTIMEO:
    case SNDTIMEO_NEW:
        return get_timeout(s->sndtimeo, val, len);
    case SO_LINGER:
        return get_linger(s, val, len);
    case SO_PEERNAME:
        return get_peer_name(s, val, len);
    default:
        return get_by_family(s, t, level, name, val, len);
    }
}
