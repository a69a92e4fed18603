/*
 * A connection to a gofer: one exchange at a time, under the connection's lock. Fids that inodes gave up are queued,
 * and an Xforget for them goes out in one piece with the next request, since an inode can die under locks that come
 * after the connection's. A peer that is slow beyond the socket's time limits, hangs up, or sends anything but the one
 * reply that is due, is done for.
 */
#include "sentry/fs/gofer/gofer.h"

#include "include/platform.h"
#include "lib/fdpass.h"
#include "lib/log.h"
#include "sentry/fs/fs.h"
#include "sentry/kernel/locking.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAG 1
#define FORGET_SIZE (P9_HEADER + 2 + 4 * P9_MAX_FORGET)
#define NEAR_SIZE (P9_HEADER + 4)
#define ROOM_BEFORE (NEAR_SIZE + FORGET_SIZE) /* for what goes out in front of a request */
#define MAX_ERRNO 133                         /* EHWPOISON: what is beyond has a meaning inside the sentry only */

int gofer_conn_init(struct gofer_conn *c, int sock)
{
    *c = (struct gofer_conn){.sock = sock, .msize = P9_MSIZE_MAX};
    lock_init(&c->lock, RANK_GOFER_CONN);
    lock_init(&c->fids, RANK_LEAF);
    c->in = malloc(P9_MSIZE_MAX);
    c->out = malloc(ROOM_BEFORE + P9_MSIZE_MAX);
    if (c->in && c->out)
        return 0;
    gofer_conn_destroy(c);
    return -ENOMEM;
}

void gofer_conn_destroy(struct gofer_conn *c)
{
    close(c->sock);
    free(c->in);
    free(c->out);
    free(c->free.ids);
    free(c->forget.ids);
    lock_destroy(&c->lock);
    lock_destroy(&c->fids);
}

/* ---- fids ---- */

/* Of all connections, which lead to one gofer; those that are queued to be forgotten do not count any more. */
static atomic_uint fids_taken;

unsigned gofer_fids_to_forget(void)
{
    static _Atomic(rlim_t) limit;
    struct rlimit r;

    /* The gofer was started with our limit. */
    if (!atomic_load_explicit(&limit, memory_order_relaxed) && getrlimit(RLIMIT_NOFILE, &r) == 0)
        atomic_store_explicit(&limit, MIN(r.rlim_max, UINT_MAX), memory_order_relaxed);
    const unsigned most = (unsigned)limit, taken = atomic_load_explicit(&fids_taken, memory_order_relaxed);
    return taken > most / 4 * 3 ? taken - most / 4 * 3 + most / 32 : 0;
}

static bool push(struct fid_list *l, uint32_t id)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        uint32_t *more = reallocarray(l->ids, cap, sizeof(*more));
        if (!more)
            return false;
        l->ids = more;
        l->cap = cap;
    }
    l->ids[l->count++] = id;
    return true;
}

int gofer_fid_alloc(struct gofer_conn *c, uint32_t *out, size_t count)
{
    int ret = 0;

    lock(&c->fids);
    for (size_t i = 0; i < count && ret == 0; i++) {
        if (c->free.count)
            out[i] = c->free.ids[--c->free.count];
        else if (c->next_fid < P9_NOFID)
            out[i] = c->next_fid++;
        else
            ret = -ENFILE;
    }
    unlock(&c->fids);
    atomic_fetch_add_explicit(&fids_taken, (unsigned)count, memory_order_relaxed);
    return ret;
}

/* Without memory for the list the numbers are lost, which does no harm. */
static void recycle(struct gofer_conn *c, const uint32_t *ids, size_t count)
{
    lock(&c->fids);
    for (size_t i = count; i > 0; i--)
        push(&c->free, ids[i - 1]);
    unlock(&c->fids);
}

void gofer_fid_unused(struct gofer_conn *c, const uint32_t *ids, size_t count)
{
    recycle(c, ids, count);
    atomic_fetch_sub_explicit(&fids_taken, (unsigned)count, memory_order_relaxed);
}

void gofer_fid_forget(struct gofer_conn *c, uint32_t id)
{
    lock(&c->fids);
    push(&c->forget, id);
    unlock(&c->fids);
    atomic_fetch_sub_explicit(&fids_taken, 1, memory_order_relaxed);
}

/* Writes an Xforget for some of what is queued to buf; its length, 0: nothing to forget. */
static size_t put_forget(struct gofer_conn *c, uint8_t *buf)
{
    struct wirebuf b;
    uint32_t ids[P9_MAX_FORGET];
    size_t n = 0;

    lock(&c->fids);
    while (c->forget.count && n < P9_MAX_FORGET)
        ids[n++] = c->forget.ids[--c->forget.count];
    unlock(&c->fids);
    if (!n)
        return 0;
    p9_begin(&b, buf, FORGET_SIZE);
    wire_put16(&b, (uint16_t)n);
    for (size_t i = 0; i < n; i++)
        wire_put32(&b, ids[i]);
    p9_end(&b, P9_XFORGET, TAG);
    recycle(c, ids, n); /* messages are handled in order: used again, they come after */
    return b.pos;
}

/* ---- exchanges ---- */

int gofer_errno(uint32_t err)
{
    return err > MAX_ERRNO ? -EIO : -(int)err;
}

static int hang_up(struct gofer_conn *c, const char *why)
{
    if (!atomic_exchange(&c->dead, true))
        log_debug("a gofer is lost: %s", why);
    shutdown(c->sock, SHUT_RDWR);
    return -EIO;
}

static int lost(struct gofer_conn *c, int err)
{
    return hang_up(c, err == -EAGAIN ? "it does not answer" : strerror(-err));
}

void gofer_begin(struct gofer_conn *c, struct gofer_call *call) NO_THREAD_SAFETY
{
    lock(&c->lock);
    *call = (struct gofer_call){.c = c, .fd = -1};
    p9_begin(&call->req, c->out + ROOM_BEFORE, c->msize);
}

static size_t put_near(const struct gofer_near *n, uint8_t *buf)
{
    struct wirebuf b;

    if (!n->tell)
        return 0;
    p9_begin(&b, buf, NEAR_SIZE);
    wire_put32(&b, n->cpu);
    p9_end(&b, P9_XNEAR, TAG);
    return b.pos;
}

/* Sends the request, behind an Xnear and an Xforget where they are due: all are adjacent in the buffer. */
static int send_request(struct gofer_call *call, uint8_t type, const struct gofer_near *n)
{
    struct gofer_conn *c = call->c;

    p9_end(&call->req, type, TAG);
    size_t before = put_near(n, c->out);
    before += put_forget(c, c->out + before);
    uint8_t *start = c->out + ROOM_BEFORE - before;
    memmove(start, c->out, before);
    return fdpass_send(c->sock, start, before + call->req.pos, -1);
}

/* One whole message into c->in; a descriptor that comes with it into call->fd. */
static int receive(struct gofer_call *call, size_t *out_len)
{
    struct gofer_conn *c = call->c;
    size_t have = 0, want = P9_HEADER;

    while (have < want) {
        int fd;
        ssize_t n = fdpass_recv(c->sock, c->in + have, c->msize - have, 0, &fd);
        if (fd >= 0 && call->fd >= 0)
            close(fd);
        else if (fd >= 0)
            call->fd = fd;
        if (n <= 0)
            return n < 0 ? (int)n : -EPIPE;
        have += (size_t)n;
        if (have >= P9_HEADER && want == P9_HEADER) {
            struct wirebuf b;
            wire_init(&b, c->in, 4);
            want = wire_get32(&b);
            if (want < P9_HEADER || want > c->msize)
                return -EPROTO;
        }
    }
    *out_len = have;
    return have == want ? 0 : -EPROTO;
}

void gofer_greet(int sock)
{
    uint8_t buf[64];
    struct wirebuf b;

    p9_begin(&b, buf, sizeof(buf));
    wire_put32(&b, P9_MSIZE_MAX);
    wire_put_str(&b, P9_VERSION_SBOX, strlen(P9_VERSION_SBOX));
    wire_put32(&b, 0);
    p9_end(&b, P9_XATTACH, TAG);
    if (fdpass_send(sock, buf, b.pos, -1) < 0)
        log_debug("a gofer is gone already"); /* as gofer_mount() will find */
}

int gofer_exchange(struct gofer_call *call, uint8_t type)
{
    struct gofer_conn *c = call->c;
    struct gofer_near near;

    if (call->req.bad)
        return -ENAMETOOLONG;
    if (atomic_load(&c->dead))
        return -EIO;
    atomic_fetch_add_explicit(&c->exchanges, 1, memory_order_relaxed);
    gofer_near_begin(&near);
    int ret = send_request(call, type, &near);
    ret = ret < 0 ? lost(c, ret) : gofer_await(call, type);
    gofer_near_end(&near);
    return ret;
}

int gofer_await(struct gofer_call *call, uint8_t type)
{
    struct gofer_conn *c = call->c;
    size_t len;

    plat_block_begin(); /* other guest threads are served meanwhile */
    int ret = receive(call, &len);
    plat_block_end();
    if (ret < 0)
        return lost(c, ret);
    wire_init(&call->reply, c->in, len);
    wire_get32(&call->reply);
    uint8_t got = wire_get8(&call->reply);
    uint16_t tag = wire_get16(&call->reply);
    if (tag != TAG || (got != type + 1 && got != P9_RLERROR))
        return hang_up(c, "it answers something else");
    if (got != P9_RLERROR)
        return 0;
    uint32_t err = wire_get32(&call->reply);
    if (call->reply.bad || call->reply.pos != len || call->fd >= 0)
        return hang_up(c, "its error is malformed");
    return err ? gofer_errno(err) : -EIO;
}

int gofer_end(struct gofer_call *call, int ret) NO_THREAD_SAFETY
{
    struct gofer_conn *c = call->c;

    if (call->fd >= 0) { /* nobody asked for it, or the reply was no good */
        close(call->fd);
        ret = hang_up(c, "it hands over what was not asked for");
    }
    if (ret == 0 && (call->reply.bad || call->reply.pos != call->reply.cap))
        ret = hang_up(c, "its reply is malformed");
    unlock(&c->lock);
    return ret;
}
