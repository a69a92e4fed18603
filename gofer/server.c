/*
 * The gofer's loop: poll over the connections, cut the bytes into messages, look each up in the tables of operations,
 * check its length, version and right to write, call its handler, and reply at one point. A connection that breaks the
 * framing, or does not take its replies, is closed; when the last one is gone the process exits.
 */
#include "gofer/server.h"

#include "lib/fdpass.h"
#include "lib/jail.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SEND_TIMEOUT_SECONDS 30

struct conn *conn_new(int sock, const struct gofer_tree *tree, bool privileged)
{
    struct conn *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    *c = (struct conn){.sock = sock,
                       .tree = tree,
                       .privileged = privileged,
                       .msize = P9_MSIZE_MIN,
                       .uid = P9_NOUID,
                       .reply_fd = -1,
                       .in = malloc(P9_MSIZE_MAX),
                       .out = malloc(P9_MSIZE_MAX)};
    RB_INIT(&c->fids);
    if (!c->in || !c->out) {
        conn_free(c);
        return NULL;
    }
    return c;
}

static void drop_reply_fd(struct conn *c)
{
    if (c->reply_fd >= 0 && c->reply_fd_owned)
        close(c->reply_fd);
    c->reply_fd = -1;
    c->reply_fd_owned = false;
}

void conn_free(struct conn *c)
{
    drop_reply_fd(c);
    fid_remove_all(c);
    if (c->sock >= 0)
        close(c->sock);
    free(c->in);
    free(c->out);
    free(c);
}

int gofer_enter_fd_dir(void)
{
    return chdir("/proc/self/fd") < 0 ? -errno : 0;
}

static const struct gofer_op *op_find(uint8_t type)
{
    const struct {
        const struct gofer_op *ops;
        size_t count;
    } tables[] = {{ops_sbox, ops_sbox_count},
                  {ops_names, ops_names_count},
                  {ops_data, ops_data_count},
                  {ops_xattr, ops_xattr_count},
                  {ops_plain, ops_plain_count}};

    for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
        for (size_t i = 0; i < tables[t].count; i++)
            if (tables[t].ops[i].type == type)
                return &tables[t].ops[i];
    return NULL;
}

/* Every check that needs no decoding, then the handler. */
static int dispatch(struct conn *c, const struct gofer_op *op, struct wirebuf *in, struct wirebuf *out)
{
    if (!op || (op->flags & (c->extended ? OP_PLAIN : OP_EXTENDED)))
        return -EOPNOTSUPP;
    if (!c->versioned && !(op->flags & OP_UNVERSIONED))
        return -EPROTO;
    if (in->cap - in->pos < op->min_len)
        return -EPROTO;
    if ((op->flags & OP_WRITES) && c->tree->readonly)
        return -EROFS;
    return op->handler(c, in, out);
}

ssize_t conn_message(struct conn *c, uint8_t *msg, size_t len)
{
    struct wirebuf in, out;

    wire_init(&in, msg, len);
    wire_get32(&in);
    uint8_t type = wire_get8(&in);
    uint16_t tag = wire_get16(&in);
    if (in.bad)
        return -EPROTO;
    const struct gofer_op *op = op_find(type);
    p9_begin(&out, c->out, c->msize);
    int ret = dispatch(c, op, &in, &out);
    log_debug("9p: type %u tag %u length %zu -> %d", type, tag, len, ret);
    if (op && (op->flags & OP_NO_REPLY) && c->extended)
        return 0;
    if (ret == 0 && out.bad)
        ret = -EOVERFLOW;
    if (ret < 0) {
        drop_reply_fd(c);
        p9_begin(&out, c->out, P9_MSIZE_MIN);
        wire_put32(&out, (uint32_t)-ret);
        p9_end(&out, P9_RLERROR, tag);
    } else {
        p9_end(&out, (uint8_t)(type + 1), tag);
    }
    return (ssize_t)out.pos;
}

/* The one place that replies. */
static int reply(struct conn *c, size_t len)
{
    int ret = len ? fdpass_send(c->sock, c->out, len, c->reply_fd) : 0;

    drop_reply_fd(c);
    return ret;
}

static uint32_t message_size(const uint8_t *p)
{
    struct wirebuf b;

    wire_init(&b, (void *)(uintptr_t)p, 4);
    return wire_get32(&b);
}

/* Handles the complete messages that c has received. */
static int serve_buffered(struct conn *c)
{
    size_t pos = 0;

    while (c->in_len - pos >= P9_HEADER) {
        uint32_t size = message_size(c->in + pos);
        if (size < P9_HEADER || size > c->msize)
            return -EPROTO;
        if (size > c->in_len - pos)
            break;
        ssize_t len = conn_message(c, c->in + pos, size);
        if (len < 0)
            return (int)len;
        int ret = reply(c, (size_t)len);
        if (ret < 0)
            return ret;
        pos += size;
    }
    memmove(c->in, c->in + pos, c->in_len - pos);
    c->in_len -= pos;
    return 0;
}

static int serve_ready(struct conn *c)
{
    ssize_t n = fdpass_recv(c->sock, c->in + c->in_len, P9_MSIZE_MAX - c->in_len, MSG_DONTWAIT, NULL);

    if (n == -EAGAIN)
        return 0;
    if (n <= 0)
        return n < 0 ? (int)n : -EPIPE;
    c->in_len += (size_t)n;
    return serve_buffered(c);
}

static void serve_all(struct conn **conns, struct pollfd *fds, size_t count)
{
    size_t open_conns = count;

    while (open_conns) {
        if (poll(fds, count, -1) < 0) {
            if (errno == EINTR)
                continue;
            return;
        }
        for (size_t i = 0; i < count; i++) {
            if (!conns[i] || !fds[i].revents)
                continue;
            if (serve_ready(conns[i]) < 0) {
                conn_free(conns[i]);
                conns[i] = NULL;
                fds[i].fd = -1;
                open_conns--;
            }
        }
    }
}

int gofer_serve(const struct gofer_config *cfg, int (*ready)(const struct gofer_config *))
{
    struct conn **conns = calloc(cfg->tree_count + 1, sizeof(struct conn *));
    struct pollfd *fds = calloc(cfg->tree_count + 1, sizeof(*fds));
    struct timeval timeout = {.tv_sec = SEND_TIMEOUT_SECONDS};
    int ret = conns && fds ? 0 : -ENOMEM;

    for (size_t i = 0; i < cfg->tree_count && ret == 0; i++) {
        const struct gofer_tree *tree = &cfg->trees[i];
        setsockopt(tree->conn_fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
        conns[i] = conn_new(tree->conn_fd, tree, cfg->privileged);
        if (!conns[i])
            ret = -ENOMEM;
        fds[i] = (struct pollfd){.fd = tree->conn_fd, .events = POLLIN};
    }
    if (ret == 0)
        ret = ready(cfg);
    if (ret == 0) {
        escape_attempt("gofer");
        serve_all(conns, fds, cfg->tree_count);
    }
    free(conns);
    free(fds);
    return ret;
}

void gofer_main(const struct gofer_config *cfg)
{
    log_init(cfg->log_fd, "gofer", cfg->debug);
    if (!cfg->privileged && geteuid() != 65534)
        fd_show_unmapped_as_root();
    gofer_near_init();
    int ret = gofer_serve(cfg, gofer_lock_in);
    if (ret < 0)
        log_user("the gofer cannot lock itself in: %s%s", strerror(-ret), jail_way_out(ret));
    _exit(ret < 0 ? GOFER_EXIT_TOLD : 0);
}
