/* Readiness of sockets: poll and epoll, level and edge, hang-ups; and a chatter of many threads over few sockets. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ALL (POLLIN | POLLOUT | POLLRDHUP | POLLPRI)

static int now(int fd)
{
    struct pollfd p = {.fd = fd, .events = ALL};
    CHECK(poll(&p, 1, 0) >= 0);
    return p.revents;
}

static socklen_t abstract(struct sockaddr_un *a, const char *text)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    int n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "%s-%d", text, (int)getpid());
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static void test_states(int type)
{
    int p[2];
    char buf[10];
    int s = socket(AF_UNIX, type, 0);
    CHECK(now(s) == (POLLOUT | POLLHUP));
    close(s);
    CHECK(socketpair(AF_UNIX, type, 0, p) == 0);
    CHECK(now(p[0]) == POLLOUT);
    CHECK(write(p[1], "x", 1) == 1 && now(p[0]) == (POLLIN | POLLOUT));
    CHECK(read(p[0], buf, 10) == 1 && now(p[0]) == POLLOUT);
    CHECK(shutdown(p[1], SHUT_WR) == 0 && now(p[0]) == (POLLIN | POLLOUT | POLLRDHUP));
    CHECK(now(p[1]) == POLLOUT);
    CHECK(shutdown(p[1], SHUT_RD) == 0 && now(p[0]) == (POLLIN | POLLOUT | POLLRDHUP | POLLHUP));
    close(p[1]);
    CHECK(now(p[0]) == (POLLIN | POLLOUT | POLLRDHUP | POLLHUP));
    close(p[0]);
    CHECK(socketpair(AF_UNIX, type, 0, p) == 0);
    CHECK(write(p[0], "unread", 6) == 6);
    close(p[1]);
    CHECK(now(p[0]) == (POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR));
    int err;
    socklen_t len = sizeof(err);
    CHECK(getsockopt(p[0], SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == ECONNRESET);
    CHECK(now(p[0]) == (POLLIN | POLLOUT | POLLRDHUP | POLLHUP));
    close(p[0]);
}

static void test_listener(void)
{
    struct sockaddr_un a;
    socklen_t n = abstract(&a, "poll");
    int l = socket(AF_UNIX, SOCK_STREAM, 0), s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(l, (struct sockaddr *)&a, n) == 0 && listen(l, 4) == 0 && now(l) == 0);
    CHECK(connect(s, (struct sockaddr *)&a, n) == 0 && now(l) == POLLIN && now(s) == POLLOUT);
    int c = accept(l, NULL, NULL);
    CHECK(now(l) == 0 && now(c) == POLLOUT);
    close(c);
    close(s);
    close(l);
}

static void test_write_room(void)
{
    int p[2];
    char buf[65536] = {0};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p) == 0);
    size_t total = 0;
    ssize_t n;
    while ((n = write(p[0], buf, sizeof(buf))) > 0)
        total += (size_t)n;
    CHECK(errno == EAGAIN && total > 100000 && now(p[0]) == 0);
    CHECK(read(p[1], buf, 1000) == 1000 && now(p[0]) == 0); /* not before most of it is read */
    while ((n = read(p[1], buf, sizeof(buf))) > 0)
        ;
    CHECK(now(p[0]) == POLLOUT);
    close(p[0]);
    close(p[1]);
}

static void test_edge(void)
{
    int p[2], ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET}, got;
    char buf[65536] = {0};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p) == 0);
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e) == 0);
    CHECK(epoll_wait(ep, &got, 1, 0) == 1 && got.events == EPOLLOUT);
    CHECK(epoll_wait(ep, &got, 1, 0) == 0);
    CHECK(write(p[1], "a", 1) == 1);
    CHECK(epoll_wait(ep, &got, 1, 0) == 1 && got.events == (EPOLLIN | EPOLLOUT));
    CHECK(epoll_wait(ep, &got, 1, 0) == 0);
    CHECK(write(p[1], "b", 1) == 1 && epoll_wait(ep, &got, 1, 0) == 1);
    CHECK(read(p[0], buf, 10) == 2);
    while (write(p[0], buf, sizeof(buf)) > 0)
        ;
    CHECK(epoll_wait(ep, &got, 1, 0) == 0);
    while (read(p[1], buf, sizeof(buf)) > 0)
        ;
    CHECK(epoll_wait(ep, &got, 1, 0) == 1 && got.events == EPOLLOUT);
    close(p[1]);
    CHECK(epoll_wait(ep, &got, 1, 0) == 1 && got.events == (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP));
    close(p[0]);
    CHECK(epoll_wait(ep, &got, 1, 0) == 0);
    close(ep);
}

/* An echo server on epoll, and clients that check what comes back. */
#define CLIENTS 8
#define ROUNDS 200

static struct sockaddr_un server_name;
static socklen_t server_len;

static void *client(void *arg)
{
    unsigned seed = (unsigned)(size_t)arg + 1;
    char out[3000], in[3000];
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(s, (struct sockaddr *)&server_name, server_len) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        size_t n = 1 + (size_t)rand_r(&seed) % sizeof(out);
        memset(out, rand_r(&seed) & 255, n);
        CHECK(write(s, out, n) == (ssize_t)n);
        CHECK(recv(s, in, n, MSG_WAITALL) == (ssize_t)n && !memcmp(in, out, n));
    }
    close(s);
    return NULL;
}

/* True at the end of the connection, which is then closed. */
static int echo(int fd)
{
    char buf[4096];
    ssize_t n;
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        for (ssize_t at = 0; at < n;) {
            ssize_t w = write(fd, buf + at, (size_t)(n - at));
            CHECK(w > 0 || errno == EAGAIN);
            at += w > 0 ? w : 0;
        }
    CHECK(n == 0 || errno == EAGAIN);
    return n == 0 && close(fd) == 0;
}

static void test_server(void)
{
    pthread_t th[CLIENTS];
    int ep = epoll_create1(0), l = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), gone = 0;
    server_len = abstract(&server_name, "server");
    CHECK(bind(l, (struct sockaddr *)&server_name, server_len) == 0 && listen(l, 2) == 0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = l}, got[4];
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e) == 0);
    for (int i = 0; i < CLIENTS; i++)
        CHECK(pthread_create(&th[i], NULL, client, (void *)(size_t)i) == 0);
    while (gone < CLIENTS) {
        int n = epoll_wait(ep, got, 4, 10000);
        CHECK(n > 0);
        for (int i = 0; i < n; i++) {
            if (got[i].data.fd != l) {
                gone += echo(got[i].data.fd);
                continue;
            }
            int c = accept4(l, NULL, NULL, SOCK_NONBLOCK);
            e = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = c};
            CHECK(c >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, c, &e) == 0);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(th[i], NULL);
    close(l);
    close(ep);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    test_states(SOCK_STREAM);
    test_states(SOCK_SEQPACKET);
    test_listener();
    test_write_room();
    test_edge();
    test_server();
    return 0;
}
