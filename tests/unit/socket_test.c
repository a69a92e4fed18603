/* Unix sockets with a task that has no guest behind it; run under a leak checker this also counts what is left over. */
#include "sentry/fs/fs.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/net/scm.h"
#include "sentry/net/socket.h"
#include "sentry/net/unix/info.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/vfs.h"

#include <check.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>

static struct task me;
static struct thread_group group;
static struct path root;

static void setup(void)
{
    struct dentry *d;

    me.tg = &group;
    me.tg->tgid = 7;
    me.tg->rlimits[RLIMIT_NOFILE] = (struct rlimit64){100, 100};
    me.cred = cred_new(0, 0, NULL, 0);
    ck_assert_int_eq(tmpfs_mount(1 << 20, 0755, &d), 0);
    ck_assert_int_eq(mount_root(d, 0, "none", &root), 0);
    me.fs = fs_context_new(&root, &root, 022);
    me.files = files_new();
    current = &me;
}

static void count_one(const struct unix_info *info, void *ctx)
{
    (void)info;
    ++*(int *)ctx;
}

static int count_sockets(void)
{
    int n = 0;

    unix_for_each(count_one, &n);
    return n;
}

static struct file *make(int type)
{
    struct socket *s;
    struct file *f;

    ck_assert_int_eq(socket_create(&me, AF_UNIX, type, 0, &s), 0);
    ck_assert_int_eq(socket_file_new(s, O_NONBLOCK, &f), 0);
    return f;
}

static void make_pair(int type, struct file *out[2])
{
    out[0] = make(type);
    out[1] = make(type);
    struct socket *a = socket_of(out[0]);
    ck_assert_int_eq(a->ops->pair(a, socket_of(out[1]), &me), 0);
}

static ssize_t put(struct file *f, const char *text, size_t n, struct scm *scm)
{
    struct uio u;
    struct sock_msg m = {.u = &u, .nonblock = true, .scm = scm};

    uio_kernel(&u, (void *)text, n);
    return socket_send(socket_of(f), &me, &m);
}

static ssize_t get(struct file *f, char *buf, size_t n, unsigned flags, struct scm *scm)
{
    struct uio u;
    struct sock_msg m = {.u = &u, .flags = flags, .nonblock = true, .scm = scm};

    uio_kernel(&u, buf, n);
    return socket_recv(socket_of(f), &me, &m);
}

/* A send of the file f through s; no reference of the caller's is used up. */
static ssize_t put_file(struct file *s, struct file *f)
{
    int fd = fd_add(&me, file_get(f), false);
    const struct cmsghdr h = {.cmsg_len = CMSG_LEN(sizeof(fd)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    char control[CMSG_SPACE(sizeof(fd))] = {0};
    struct scm scm;

    memcpy(control, &h, sizeof(h));
    memcpy(control + CMSG_LEN(0), &fd, sizeof(fd));
    ck_assert_int_eq(scm_parse(&me, control, sizeof(control), &scm), 0);
    ck_assert_int_eq(fd_close(&me, fd), 0);
    ssize_t n = put(s, "f", 1, &scm);
    scm_free(&scm);
    return n;
}

START_TEST(streams)
{
    static char big[300000], back[300000];
    struct file *p[2];
    char buf[16];

    make_pair(SOCK_STREAM, p);
    ck_assert_int_eq(put(p[0], "abc", 3, NULL), 3);
    ck_assert_int_eq(put(p[0], "def", 3, NULL), 3);
    ck_assert_int_eq(get(p[1], buf, 16, MSG_PEEK, NULL), 6);
    ck_assert_int_eq(get(p[1], buf, 4, 0, NULL), 4);
    ck_assert_int_eq(get(p[1], buf, 16, 0, NULL), 2);
    ck_assert_int_eq(get(p[1], buf, 16, 0, NULL), -EAGAIN);
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 31 + i / 1000);
    ssize_t sent = put(p[0], big, sizeof(big), NULL);
    ck_assert_int_gt(sent, 200000);
    ck_assert_int_lt(sent, (int)sizeof(big));
    ck_assert_int_eq(put(p[0], big, 1, NULL), -EAGAIN);
    size_t at = 0;
    for (ssize_t n; (n = get(p[1], back + at, 777, 0, NULL)) > 0;)
        at += (size_t)n;
    ck_assert_int_eq((int)at, (int)sent);
    ck_assert_int_eq(memcmp(big, back, at), 0);
    file_put(p[0]);
    ck_assert_int_eq(get(p[1], buf, 16, 0, NULL), 0);
    file_put(p[1]);
    ck_assert_int_eq(count_sockets(), 0);
}
END_TEST

/* Tiny messages that cannot be merged are charged with all they take: a sender cannot fill the memory with them. */
START_TEST(tiny_messages)
{
    struct file *p[2];
    int n = 0;

    make_pair(SOCK_STREAM, p);
    for (; n < 100000; n++) {
        me.tg->tgid ^= 1; /* another sender each time */
        if (put(p[0], "x", 1, NULL) != 1)
            break;
    }
    ck_assert_int_gt(n, 10);
    ck_assert_int_lt(n, 100);
    file_put(p[0]);
    file_put(p[1]);
}
END_TEST

START_TEST(names)
{
    struct sock_name name = {.len = sizeof(struct sockaddr_un)}, got = {0};
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/s"};
    struct file *l = make(SOCK_STREAM), *c = make(SOCK_STREAM), *other;
    struct socket *ls = socket_of(l), *cs = socket_of(c), *conn;

    memcpy(&name.addr, &a, sizeof(a));
    ck_assert_int_eq(ls->ops->bind(ls, &me, &name), 0);
    ck_assert_int_eq(cs->ops->bind(cs, &me, &name), -EADDRINUSE);
    ck_assert_int_eq(cs->ops->connect(cs, &me, &name, true), -ECONNREFUSED);
    ck_assert_int_eq(ls->ops->listen(ls, &me, 0), 0);
    ck_assert_int_eq(ls->ops->accept(ls, &me, true, &conn), -EAGAIN);
    ck_assert_int_eq(cs->ops->connect(cs, &me, &name, true), 0);
    ck_assert_int_eq(ls->ops->accept(ls, &me, true, &conn), 0);
    ck_assert_int_eq(socket_file_new(conn, 0, &other), 0);
    ck_assert_int_eq(conn->ops->getname(conn, false, &got), 0);
    ck_assert_int_eq((int)got.len, (int)offsetof(struct sockaddr_un, sun_path) + 3);
    file_put(l);
    ck_assert_int_eq(put(other, "x", 1, NULL), 1); /* lives on without the listener */
    file_put(other);
    ck_assert_int_ne(socket_of(c)->ops->poll(cs, NULL) & EPOLLHUP, 0);
    ck_assert_int_eq(cs->ops->connect(cs, &me, &name, true), -ECONNREFUSED);
    file_put(c);
    ck_assert_int_eq(count_sockets(), 0);
}
END_TEST

START_TEST(rights)
{
    struct scm scm = {0};
    struct file *p[2], *q[2];
    char buf[4];

    make_pair(SOCK_STREAM, p);
    make_pair(SOCK_DGRAM, q);
    ck_assert_int_eq(put_file(p[0], q[0]), 1);
    ck_assert_int_eq(put_file(q[0], p[0]), 1);
    ck_assert_int_eq(get(p[1], buf, 4, 0, &scm), 1);
    ck_assert_ptr_nonnull(scm.rights);
    ck_assert_ptr_eq(scm.rights->files[0], q[0]);
    scm_free(&scm);
    for (int i = 0; i < 2; i++) {
        file_put(p[i]);
        file_put(q[i]);
    }
    ck_assert_int_eq(count_sockets(), 0);
}
END_TEST

/* A ring of sockets, each in the queue of the next, and a tail that hangs on it. */
START_TEST(cycles)
{
    enum { N = 50 };
    struct file *p[N][2], *tail[2];

    make_pair(SOCK_SEQPACKET, tail);
    for (int i = 0; i < N; i++)
        make_pair(i % 2 ? SOCK_STREAM : SOCK_DGRAM, p[i]);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(put_file(p[i][1], p[(i + 1) % N][0]), 1); /* into the queue of p[i][0] */
    ck_assert_int_eq(put_file(p[3][1], tail[0]), 1);
    for (int i = 0; i < N; i++) {
        file_put(p[i][0]);
        file_put(p[i][1]);
    }
    file_put(tail[0]);
    ck_assert_int_ne(socket_of(tail[1])->ops->poll(socket_of(tail[1]), NULL) & EPOLLHUP, 0);
    file_put(tail[1]);
    ck_assert_int_eq(count_sockets(), 0);
}
END_TEST

/* The same, still reached from outside through one of them. */
START_TEST(live_cycles)
{
    struct file *p[2], *q[2];
    struct scm scm = {0};
    char buf[4];

    make_pair(SOCK_STREAM, p);
    make_pair(SOCK_STREAM, q);
    ck_assert_int_eq(put_file(p[1], q[0]), 1);
    ck_assert_int_eq(put_file(q[1], p[0]), 1);
    file_put(q[0]);
    file_put(q[1]);
    file_put(p[1]);
    file_put(make(SOCK_DGRAM)); /* a collection */
    ck_assert_int_eq(get(p[0], buf, 4, 0, &scm), 1);
    ck_assert_ptr_nonnull(scm.rights);
    scm_free(&scm);
    file_put(p[0]);
    ck_assert_int_eq(count_sockets(), 0);
}
END_TEST

/* Deep enough to end a stack, were it freed by recursion. */
START_TEST(chains)
{
    struct file *carry = make(SOCK_STREAM), *p[2];

    for (int i = 0; i < 20000; i++) {
        make_pair(SOCK_DGRAM, p);
        ck_assert_int_eq(put_file(p[1], carry), 1);
        file_put(carry);
        file_put(p[1]);
        carry = p[0];
    }
    file_put(carry);
    ck_assert_int_eq(count_sockets(), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("socket");
    TCase *c = tcase_create("all");

    lock_init(&tasks_lock, RANK_TASKS);
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, streams);
    tcase_add_test(c, tiny_messages);
    tcase_add_test(c, names);
    tcase_add_test(c, rights);
    tcase_add_test(c, cycles);
    tcase_add_test(c, live_cycles);
    tcase_add_test(c, chains);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
