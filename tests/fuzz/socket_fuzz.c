/*
 * Unix sockets under a random program: it makes, joins, binds, sends (with control buffers of its own bytes and with
 * the program's sockets as descriptors), receives, shuts down and closes. Nothing blocks. At its end every socket is
 * closed, and none may be left: what only messages refer to has to be collected.
 */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/net/scm.h"
#include "sentry/net/socket.h"
#include "sentry/net/unix/info.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define FILES 16

struct input {
    const uint8_t *at, *end;
};

static struct task me;
static struct thread_group group;
static struct file *files[FILES];

static uint8_t byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static struct file *pick(struct input *in)
{
    return files[byte(in) % FILES];
}

static void place(struct input *in, struct file *f)
{
    unsigned i = byte(in) % FILES;

    file_put(files[i]);
    files[i] = f;
}

static struct file *make(int type)
{
    struct socket *s;
    struct file *f;

    if (socket_create(&me, AF_UNIX, type, 0, &s) < 0 || socket_file_new(s, O_NONBLOCK, &f) < 0)
        abort();
    return f;
}

static int type_of(struct input *in)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

    return types[byte(in) % 3];
}

static void make_pair(struct input *in)
{
    int type = type_of(in);
    struct file *a = make(type), *b = make(type);
    struct socket *s = socket_of(a);

    if (s->ops->pair(s, socket_of(b), &me) < 0)
        abort();
    place(in, a);
    place(in, b);
}

/* One of a few abstract names, an unnamed address, or anything. */
static struct sock_name name_of(struct input *in)
{
    struct sock_name n = {.len = 4, .addr.ss_family = AF_UNIX};
    uint8_t kind = byte(in);

    ((char *)&n.addr)[3] = (char)(kind & 3);
    if (kind & 4)
        n.len = 2;
    if (kind & 8)
        n.addr.ss_family = AF_UNSPEC;
    if (kind & 16) {
        n.len = byte(in) % sizeof(struct sockaddr_un);
        memset((char *)&n.addr + 2, 'a', sizeof(struct sockaddr_un) - 2);
        ((char *)&n.addr)[2] = 0;
    }
    return n;
}

/* A control buffer: some of the files as SCM_RIGHTS, or raw bytes. */
static int control(struct input *in, struct scm *out)
{
    uint8_t buf[200] = {0}, n = byte(in) % 5;
    int fds[4], ret;

    if (byte(in) & 1) {
        size_t len = byte(in) % sizeof(buf);
        for (size_t i = 0; i < len; i++)
            buf[i] = byte(in);
        return scm_parse(&me, buf, len, out);
    }
    for (unsigned i = 0; i < n % 5 && i < 4; i++) {
        struct file *f = pick(in);
        fds[i] = f ? fd_add(&me, file_get(f), false) : -1;
    }
    n = n > 4 ? 4 : n;
    const struct cmsghdr h = {.cmsg_len = CMSG_LEN(n * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(buf, &h, sizeof(h));
    memcpy(buf + CMSG_LEN(0), fds, n * sizeof(int));
    ret = scm_parse(&me, buf, CMSG_LEN(n * sizeof(int)), out);
    for (unsigned i = 0; i < n; i++)
        if (fds[i] >= 0 && fd_close(&me, fds[i]) < 0)
            abort();
    return ret;
}

static void send_some(struct input *in, struct socket *s)
{
    static uint8_t bytes[70000];
    struct sock_name name = name_of(in);
    struct scm scm = {0};
    struct uio u;
    uint8_t how = byte(in);
    size_t len = byte(in);

    if ((how & 1) && control(in, &scm) < 0)
        return;
    uio_kernel(&u, bytes, how & 2 ? len * 256 : len);
    struct sock_msg m = {
        .u = &u, .nonblock = true, .flags = how & 4 ? MSG_NOSIGNAL : 0, .name = how & 8 ? &name : NULL, .scm = &scm};
    ssize_t n = s->ops->send(s, &me, &m);
    (void)n;
    scm_free(&scm);
}

static void receive_some(struct input *in, struct socket *s)
{
    static uint8_t bytes[70000];
    struct sock_name name = {0};
    struct scm scm = {0};
    struct uio u;
    uint8_t how = byte(in);
    size_t len = byte(in);

    uio_kernel(&u, bytes, how & 1 ? len * 256 : len);
    struct sock_msg m = {.u = &u,
                         .nonblock = true,
                         .flags = (how & 2 ? MSG_PEEK : 0) | (how & 4 ? MSG_WAITALL : 0) | (how & 8 ? MSG_TRUNC : 0),
                         .name = how & 16 ? &name : NULL,
                         .scm = how & 32 ? NULL : &scm};
    ssize_t n = s->ops->recv(s, &me, &m);
    if (n > (ssize_t)(len * 256) && !(m.flags & MSG_TRUNC))
        abort();
    if (scm.rights && (how & 64))
        place(in, file_get(scm.rights->files[0]));
    scm_free(&scm);
}

static void accept_one(struct input *in, struct socket *s)
{
    struct socket *conn;
    struct file *f;

    if (s->ops->accept && s->ops->accept(s, &me, true, &conn) == 0) {
        if (socket_file_new(conn, O_NONBLOCK, &f) < 0)
            abort();
        place(in, f);
    }
}

static void option(struct input *in, struct socket *s)
{
    int name = byte(in) % 70, value = byte(in) * 100 - 1000, ret;
    char buf[64];
    size_t len = byte(in) % sizeof(buf);

    ret = socket_setsockopt(s, &me, SOL_SOCKET, name, &value, sizeof(value));
    s->sndtimeo = s->rcvtimeo = 0;
    ret = socket_getsockopt(s, &me, SOL_SOCKET, name, buf, &len);
    (void)ret;
}

static void step(struct input *in)
{
    uint8_t op = byte(in) % 12;
    struct file *f = pick(in);
    struct socket *s = f ? socket_of(f) : NULL;
    struct sock_name name;

    if (op == 0)
        make_pair(in);
    else if (op == 1)
        place(in, make(type_of(in)));
    else if (op == 2)
        place(in, NULL);
    if (op <= 2 || !s)
        return;
    file_get(f);
    name = op == 3 || op == 4 ? name_of(in) : (struct sock_name){0};
    if (op == 3)
        s->ops->bind(s, &me, &name);
    else if (op == 4)
        s->ops->connect(s, &me, &name, true);
    else if (op == 5 && s->ops->listen)
        s->ops->listen(s, &me, byte(in) % 4);
    else if (op == 6)
        accept_one(in, s);
    else if (op == 7)
        s->ops->shutdown(s, byte(in) % 3);
    else if (op == 8)
        option(in, s);
    else if (op == 9)
        receive_some(in, s);
    else
        send_some(in, s);
    s->ops->poll(s, NULL);
    file_put(f);
}

static void count_one(const struct unix_info *info, void *ctx)
{
    (void)info;
    ++*(int *)ctx;
}

static void begin(void)
{
    lock_init(&tasks_lock, RANK_TASKS);
    me.tg = &group;
    group.tgid = 7;
    group.rlimits[RLIMIT_NOFILE] = (struct rlimit64){1000, 1000};
    me.cred = cred_new(0, 0, NULL, 0);
    me.files = files_new();
    current = &me;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    int left = 0;

    if (!me.tg)
        begin();
    while (in.at < in.end)
        step(&in);
    for (unsigned i = 0; i < FILES; i++) {
        file_put(files[i]);
        files[i] = NULL;
    }
    file_put(make(SOCK_DGRAM)); /* the last collection */
    unix_for_each(count_one, &left);
    if (left)
        abort();
    return 0;
}
