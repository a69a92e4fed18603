/* Datagram and seqpacket sockets: boundaries, truncation, names, connecting, full queues, many messages in one call. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

struct name {
    struct sockaddr_un a;
    socklen_t len;
};

#define ADDR(n) ((struct sockaddr *)&(n)->a)

/* An abstract name. */
static struct name name_of(const char *text)
{
    struct name n = {.a.sun_family = AF_UNIX};
    snprintf(n.a.sun_path + 1, sizeof(n.a.sun_path) - 1, "%s-%d", text, (int)getpid());
    n.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(n.a.sun_path + 1));
    return n;
}

static int bound(struct name *n, const char *text, int type)
{
    int s = socket(AF_UNIX, type, 0);
    *n = name_of(text);
    CHECK(s >= 0 && bind(s, ADDR(n), n->len) == 0);
    return s;
}

static void test_pair(void)
{
    int p[2], n;
    char buf[100];
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, p) == 0);
    CHECK(write(p[0], "one", 3) == 3 && write(p[0], "", 0) == 0 && send(p[0], "three", 5, 0) == 5);
    CHECK(ioctl(p[1], FIONREAD, &n) == 0 && n == 3);
    CHECK(recv(p[1], buf, 2, MSG_PEEK) == 2 && recv(p[1], buf, 2, MSG_PEEK | MSG_TRUNC) == 3);
    CHECK(recv(p[1], buf, 2, MSG_TRUNC) == 3 && !memcmp(buf, "on", 2));
    CHECK(recv(p[1], buf, 100, 0) == 0);
    struct iovec v[2] = {{buf, 1}, {buf + 50, 2}};
    struct msghdr h = {.msg_iov = v, .msg_iovlen = 2};
    CHECK(recvmsg(p[1], &h, 0) == 3 && h.msg_flags == MSG_TRUNC && buf[0] == 't' && !memcmp(buf + 50, "hr", 2));
    CHECK_ERRNO(recv(p[1], buf, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(send(p[0], buf, 1, MSG_OOB), EOPNOTSUPP);
    char *big = calloc(1, 300000);
    CHECK_ERRNO(send(p[0], big, 300000, 0), EMSGSIZE);
    CHECK(send(p[0], big, 150000, 0) == 150000 && recv(p[1], big, 300000, 0) == 150000);
    free(big);
    CHECK_ERRNO(listen(p[0], 1), EOPNOTSUPP);
    CHECK_ERRNO(accept(p[0], NULL, NULL), EOPNOTSUPP);
    close(p[1]);
    CHECK_ERRNO(write(p[0], "x", 1), ECONNREFUSED);
    CHECK_ERRNO(write(p[0], "x", 1), ENOTCONN);
    close(p[0]);
}

static void test_names(void)
{
    struct name n, m, got;
    char buf[100];
    int a = bound(&n, "a", SOCK_DGRAM), b = bound(&m, "b", SOCK_DGRAM), c = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_ERRNO(write(c, "x", 1), ENOTCONN);
    CHECK(sendto(b, "from b", 6, 0, ADDR(&n), n.len) == 6);
    CHECK(sendto(c, "from c", 6, 0, ADDR(&n), n.len) == 6);
    got.len = sizeof(got.a);
    CHECK(recvfrom(a, buf, 100, 0, ADDR(&got), &got.len) == 6 && got.len == m.len && !memcmp(&got.a, &m.a, m.len));
    got.len = sizeof(got.a);
    CHECK(recvfrom(a, buf, 100, 0, ADDR(&got), &got.len) == 6 && got.len == 0);
    /* Connected: only the peer may send to it. */
    CHECK(connect(a, ADDR(&m), m.len) == 0);
    got.len = sizeof(got.a);
    CHECK(getpeername(a, ADDR(&got), &got.len) == 0 && got.len == m.len);
    CHECK_ERRNO(sendto(c, "x", 1, 0, ADDR(&n), n.len), EPERM);
    CHECK_ERRNO(connect(c, ADDR(&n), n.len), EPERM);
    CHECK(write(a, "to b", 4) == 4 && read(b, buf, 100) == 4);
    CHECK(sendto(b, "to a", 4, 0, ADDR(&n), n.len) == 4 && read(a, buf, 100) == 4);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK(connect(a, &none, sizeof(none)) == 0);
    CHECK_ERRNO(write(a, "x", 1), ENOTCONN);
    CHECK(sendto(c, "x", 1, 0, ADDR(&n), n.len) == 1 && read(a, buf, 100) == 1);
    /* The peer is gone. */
    CHECK(connect(c, ADDR(&m), m.len) == 0);
    close(b);
    CHECK_ERRNO(write(c, "x", 1), ECONNREFUSED);
    CHECK_ERRNO(sendto(c, "x", 1, 0, ADDR(&m), m.len), ECONNREFUSED);
    /* Two that talk to each other: one of them turns away. */
    b = bound(&m, "b", SOCK_DGRAM);
    CHECK(connect(a, ADDR(&m), m.len) == 0 && connect(b, ADDR(&n), n.len) == 0);
    CHECK(write(b, "lost", 4) == 4 && connect(a, &none, sizeof(none)) == 0);
    CHECK_ERRNO(recv(b, buf, 1, MSG_DONTWAIT), ECONNRESET);
    CHECK_ERRNO(recv(b, buf, 1, MSG_DONTWAIT), EAGAIN);
    close(a);
    close(b);
    close(c);
}

static void *late_reader(void *arg)
{
    char buf[8];
    usleep(30000);
    CHECK(read(*(int *)arg, buf, 8) == 1);
    return NULL;
}

static void test_full(void)
{
    struct name n;
    int a = bound(&n, "full", SOCK_DGRAM), c = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), count = 0;
    char buf[8];
    CHECK(connect(c, ADDR(&n), n.len) == 0);
    while (send(c, "x", 1, 0) == 1)
        count++;
    CHECK(errno == EAGAIN && count == 11);
    struct pollfd p = {.fd = c, .events = POLLOUT};
    CHECK(poll(&p, 1, 20) == 0);
    pthread_t th;
    CHECK(pthread_create(&th, NULL, late_reader, &a) == 0);
    CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLOUT);
    pthread_join(th, NULL);
    CHECK(send(c, "x", 1, 0) == 1);
    CHECK(fcntl(c, F_SETFL, 0) == 0 && pthread_create(&th, NULL, late_reader, &a) == 0);
    CHECK(send(c, "x", 1, 0) == 1);
    pthread_join(th, NULL);
    struct timeval tv = {.tv_usec = 30000};
    CHECK(setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
    CHECK_ERRNO(send(c, "x", 1, 0), EAGAIN);
    for (int i = 0; i < 11; i++)
        CHECK(recv(a, buf, 8, MSG_DONTWAIT) == 1);
    CHECK_ERRNO(recv(a, buf, 8, MSG_DONTWAIT), EAGAIN);
    /* A pair has no such limit, only SO_SNDBUF. */
    int q[2];
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, q) == 0);
    for (int i = 0; i < 50; i++)
        CHECK(send(q[0], "x", 1, 0) == 1);
    char big[4096] = {0};
    while (send(q[0], big, sizeof(big), 0) > 0)
        ;
    CHECK(errno == EAGAIN);
    p.fd = q[0];
    CHECK(poll(&p, 1, 0) == 0);
    while (recv(q[1], big, sizeof(big), 0) > 0)
        ;
    CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLOUT);
    close(q[0]);
    close(q[1]);
    close(a);
    close(c);
}

static void test_seqpacket(void)
{
    struct name n;
    char buf[100];
    int l = bound(&n, "seq", SOCK_SEQPACKET), s = socket(AF_UNIX, SOCK_SEQPACKET, 0), p[2];
    CHECK_ERRNO(send(s, "x", 1, 0), ENOTCONN);
    CHECK_ERRNO(recv(s, buf, 1, 0), ENOTCONN);
    CHECK(listen(l, 3) == 0 && connect(s, ADDR(&n), n.len) == 0);
    CHECK(send(s, "first", 5, MSG_EOR) == 5 && send(s, "second", 6, 0) == 6);
    int c = accept(l, NULL, NULL);
    CHECK(c >= 0 && recv(c, buf, 3, 0) == 3 && recv(c, buf, 100, 0) == 6 && !memcmp(buf, "second", 6));
    CHECK(send(c, "", 0, 0) == 0 && send(c, "end", 3, 0) == 3);
    close(c);
    CHECK(recv(s, buf, 100, 0) == 0 && recv(s, buf, 100, 0) == 3 && recv(s, buf, 100, 0) == 0);
    CHECK(recv(s, buf, 100, MSG_DONTWAIT) == 0);
    CHECK_ERRNO(send(s, "x", 1, MSG_NOSIGNAL), EPIPE);
    close(s);
    close(l);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p) == 0);
    CHECK(send(p[0], "unread", 6, 0) == 6);
    close(p[1]);
    CHECK_ERRNO(recv(p[0], buf, 1, 0), ECONNRESET);
    CHECK(recv(p[0], buf, 1, 0) == 0);
    close(p[0]);
}

static void test_many(void)
{
    int p[2];
    char in[4][8] = {{0}};
    struct iovec v[3] = {{"one", 3}, {"two", 3}, {"three", 5}}, w[4];
    struct mmsghdr out[3] = {{{0}, 0}}, got[4] = {{{0}, 0}};
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, p) == 0);
    for (int i = 0; i < 3; i++)
        out[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
    for (int i = 0; i < 4; i++) {
        w[i] = (struct iovec){in[i], sizeof(in[i])};
        got[i].msg_hdr = (struct msghdr){.msg_iov = &w[i], .msg_iovlen = 1};
    }
    CHECK(sendmmsg(p[0], out, 3, 0) == 3 && out[0].msg_len == 3 && out[2].msg_len == 5);
    CHECK(recvmmsg(p[1], got, 4, MSG_WAITFORONE, NULL) == 3);
    CHECK(got[0].msg_len == 3 && got[2].msg_len == 5 && !strcmp(in[1], "two"));
    CHECK_ERRNO(recvmmsg(p[1], got, 4, MSG_DONTWAIT, NULL), EAGAIN);
    CHECK(sendmmsg(p[0], out, 2, 0) == 2);
    struct timespec ts = {.tv_sec = 1};
    CHECK(recvmmsg(p[1], got, 2, 0, &ts) == 2);
    close(p[0]);
    close(p[1]);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    test_pair();
    test_names();
    test_full();
    test_seqpacket();
    test_many();
    return 0;
}
