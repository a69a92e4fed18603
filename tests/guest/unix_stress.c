/*
 * Many threads do at random what sockets can do, to the same few sockets, descriptors of which they send through one
 * another, while others close and replace them. Nothing is expected but that it ends.
 */
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

#define SLOTS 24
#define THREADS 6
#define STEPS 4000

static int slots[SLOTS]; /* duplicated into with dup2(), so a number is always open */
static int pipe_end, epoll;

static int slot(unsigned *seed)
{
    return slots[(unsigned)rand_r(seed) % SLOTS];
}

/* Puts fd in the place of a random slot. */
static void put(unsigned *seed, int fd)
{
    if (fd < 0)
        return;
    int to = slot(seed);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    dup2(fd, to);
    close(fd);
}

static void make(unsigned *seed)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    int type = types[rand_r(seed) % 3], p[2];
    if (rand_r(seed) % 4 == 0) {
        put(seed, socket(AF_UNIX, type | SOCK_NONBLOCK, 0));
    } else if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, p) == 0) {
        put(seed, p[0]);
        put(seed, p[1]);
    }
}

static socklen_t name_of(unsigned *seed, struct sockaddr_un *a)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    snprintf(a->sun_path + 1, 40, "stress-%d-%d", (int)getpid(), rand_r(seed) % 4);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a->sun_path + 1));
}

static void transfer(unsigned *seed, int out)
{
    char bytes[20000] = {0};
    union {
        char buf[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } c = {{0}};
    struct iovec v = {bytes, 1 + (size_t)rand_r(seed) % (rand_r(seed) % 4 ? 300 : sizeof(bytes) - 1)};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
    int fds[3], n = rand_r(seed) % 4;
    if (!out || n)
        h.msg_control = c.buf, h.msg_controllen = out ? CMSG_SPACE((size_t)n * sizeof(int)) : sizeof(c.buf);
    if (!out) {
        if (recvmsg(slot(seed), &h, MSG_DONTWAIT) < 0)
            return;
        struct cmsghdr *m = CMSG_FIRSTHDR(&h);
        size_t got = m ? (m->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
        if (m)
            memcpy(fds, CMSG_DATA(m), got * sizeof(int));
        for (size_t i = 0; i < got; i++)
            put(seed, fds[i]);
        return;
    }
    if (n) {
        struct cmsghdr *m = CMSG_FIRSTHDR(&h);
        *m = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN((size_t)n * sizeof(int))};
        for (int i = 0; i < n; i++)
            fds[i] = rand_r(seed) % 4 ? slot(seed) : pipe_end;
        memcpy(CMSG_DATA(m), fds, (size_t)n * sizeof(int));
    }
    sendmsg(slot(seed), &h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void connect_things(unsigned *seed)
{
    struct sockaddr_un a;
    socklen_t n = name_of(seed, &a);
    int s = slot(seed);
    switch (rand_r(seed) % 4) {
    case 0:
        bind(s, (struct sockaddr *)&a, n);
        break;
    case 1:
        listen(s, rand_r(seed) % 3);
        break;
    case 2:
        connect(s, (struct sockaddr *)&a, n);
        break;
    case 3:
        put(seed, accept4(s, NULL, NULL, SOCK_NONBLOCK));
    }
}

static void look(unsigned *seed)
{
    int s = slot(seed);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | (rand_r(seed) % 2 ? EPOLLET : 0)}, got[4];
    struct pollfd p[2] = {{.fd = s, .events = POLLIN | POLLOUT}, {.fd = slot(seed), .events = POLLIN}};
    switch (rand_r(seed) % 4) {
    case 0:
        epoll_ctl(epoll, rand_r(seed) % 3 ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, s, &e);
        break;
    case 1:
        epoll_wait(epoll, got, 4, 0);
        break;
    case 2:
        poll(p, 2, rand_r(seed) % 2);
        break;
    case 3:
        shutdown(s, rand_r(seed) % 3);
    }
}

static void *worker(void *arg)
{
    unsigned seed = (unsigned)(size_t)arg;
    for (int i = 0; i < STEPS; i++) {
        switch (rand_r(&seed) % 8) {
        case 0:
            make(&seed);
            break;
        case 1:
            connect_things(&seed);
            break;
        case 2:
            look(&seed);
            break;
        default:
            transfer(&seed, rand_r(&seed) % 5 < 3);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t th[THREADS];
    int pipes[2];
    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe(pipes) == 0);
    pipe_end = pipes[1];
    epoll = epoll_create1(0);
    for (int i = 0; i < SLOTS; i += 2)
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, slots + i) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&th[i], NULL, worker, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(th[i], NULL);
    for (int i = 0; i < SLOTS; i++)
        close(slots[i]);
    close(epoll);
    close(pipe_end);
    return 0;
}
