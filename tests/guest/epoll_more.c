/* epoll in detail: edges, one-shot, exclusive, nesting and its loops, files that close, copies of descriptors, errors.
 */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

static int ep;

static int add(int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static int change(int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}

/* Number of events, the first of them in *out. */
static int look(struct epoll_event *out)
{
    struct epoll_event got[16];
    int n = epoll_wait(ep, got, 16, 0);
    if (n > 0 && out)
        *out = got[0];
    return n;
}

static void fresh(void)
{
    ep = epoll_create1(0);
    CHECK(ep >= 0);
}

static void test_errors(void)
{
    struct epoll_event e = {.events = EPOLLIN};
    int fds[2], file = open("/etc/passwd", O_RDONLY);
    fresh();
    CHECK(pipe(fds) == 0);
    EXPECT_ERRNO(add(file, EPOLLIN), EPERM);
    EXPECT_ERRNO(add(99, EPOLLIN), EBADF);
    EXPECT_ERRNO(add(ep, EPOLLIN), EINVAL);
    EXPECT_ERRNO(epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &e), EINVAL);
    EXPECT_ERRNO(epoll_ctl(ep, 99, fds[0], &e), EINVAL);
    EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_MOD, fds[0], &e), ENOENT);
    EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], (void *)8), EFAULT);
    EXPECT_ERRNO(epoll_wait(ep, &e, 0, 0), EINVAL);
    EXPECT_ERRNO(epoll_wait(ep, &e, -1, 0), EINVAL);
    EXPECT_ERRNO(epoll_wait(fds[0], &e, 1, 0), EINVAL);
    EXPECT_ERRNO(epoll_create(0), EINVAL);
    EXPECT_ERRNO(epoll_create1(1), EINVAL);
    EXPECT(add(fds[0], EPOLLIN) == 0);
    EXPECT_ERRNO(add(fds[0], EPOLLIN), EEXIST);
}

static void test_levels(void)
{
    struct epoll_event e;
    char c;
    int fds[2];
    fresh();
    CHECK(pipe2(fds, O_NONBLOCK) == 0 && add(fds[0], EPOLLIN) == 0 && add(fds[1], EPOLLOUT) == 0);
    EXPECT(look(&e) == 1 && e.data.fd == fds[1] && e.events == EPOLLOUT && look(NULL) == 1);
    CHECK(write(fds[1], "ab", 2) == 2);
    EXPECT(look(NULL) == 2 && read(fds[0], &c, 1) == 1 && look(NULL) == 2 && read(fds[0], &c, 1) == 1 &&
           look(NULL) == 1);
    EXPECT(change(fds[1], 0) == 0 && look(NULL) == 0);
    close(fds[0]); /* an error is always told */
    EXPECT(look(&e) == 1 && e.data.fd == fds[1] && (e.events & EPOLLERR));
}

static void test_edges(void)
{
    struct epoll_event e;
    char buf[8];
    int fds[2];
    fresh();
    CHECK(pipe2(fds, O_NONBLOCK) == 0 && add(fds[0], EPOLLIN | EPOLLET) == 0);
    CHECK(write(fds[1], "a", 1) == 1);
    EXPECT(look(&e) == 1 && look(NULL) == 0);
    CHECK(write(fds[1], "b", 1) == 1); /* more data, a new edge */
    EXPECT(look(&e) == 1 && look(NULL) == 0);
    EXPECT(read(fds[0], buf, 1) == 1 && look(NULL) == 0);
    EXPECT(change(fds[0], EPOLLIN | EPOLLET) == 0 && look(NULL) == 1); /* armed again */
    close(fds[1]);
    EXPECT(look(&e) == 1 && (e.events & EPOLLHUP) && (e.events & EPOLLIN));
}

static void test_oneshot(void)
{
    int ev = eventfd(1, EFD_NONBLOCK);
    fresh();
    CHECK(add(ev, EPOLLIN | EPOLLONESHOT) == 0);
    EXPECT(look(NULL) == 1 && look(NULL) == 0 && eventfd_write(ev, 1) == 0 && look(NULL) == 0);
    EXPECT(change(ev, EPOLLIN | EPOLLONESHOT) == 0 && look(NULL) == 1 && look(NULL) == 0);
}

static void test_copies(void)
{
    struct epoll_event e;
    int fds[2];
    fresh();
    CHECK(pipe(fds) == 0 && add(fds[0], EPOLLIN) == 0);
    int copy = dup(fds[0]);
    EXPECT(add(copy, EPOLLIN) == 0); /* another number: another item */
    CHECK(write(fds[1], "x", 1) == 1);
    EXPECT(look(NULL) == 2 && epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL) == 0 && look(NULL) == 1);
    close(fds[0]); /* the file is open through its copy: events still come, under the old number */
    EXPECT(look(&e) == 1 && e.data.fd == fds[0]);
    EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], NULL), EBADF);
    close(copy);
    EXPECT(look(NULL) == 0);
    /* A child shares the interest list. */
    int ev = eventfd(0, 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(add(ev, EPOLLIN) != 0);
    EXPECT(check_child(pid) == 0 && eventfd_write(ev, 1) == 0 && look(NULL) == 1);
}

static void test_nesting(void)
{
    struct epoll_event e = {.events = EPOLLIN};
    int ev = eventfd(0, 0);
    fresh();
    int inner = ep;
    CHECK(add(ev, EPOLLIN) == 0);
    fresh();
    int outer = ep;
    EXPECT(add(inner, EPOLLIN) == 0 && look(NULL) == 0 && eventfd_write(ev, 1) == 0 && look(&e) == 1 &&
           e.data.fd == inner);
    e.events = EPOLLIN;
    EXPECT_ERRNO(epoll_ctl(inner, EPOLL_CTL_ADD, outer, &e), ELOOP);
    /* Chains may not be too deep either. */
    int chain = outer, ret = 0, depth = 2;
    for (; depth < 12; depth++) {
        fresh();
        if ((ret = add(chain, EPOLLIN)) < 0)
            break;
        chain = ep;
    }
    EXPECT(ret == -1 && (errno == EINVAL || errno == ELOOP) && depth <= 6);
}

static _Atomic int returned;

static void *wait_one(void *arg)
{
    struct epoll_event e;
    long n = epoll_wait((int)(long)arg, &e, 1, -1);
    returned++;
    return (void *)n;
}

static void test_wakeups(void)
{
    pthread_t t[3];
    void *n;
    int ev = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
    fresh();
    CHECK(add(ev, EPOLLIN | EPOLLET) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&t[i], NULL, wait_one, (void *)(long)ep) == 0);
    while (returned < 3) { /* each edge wakes one at most; who does not wait yet needs another */
        CHECK(eventfd_write(ev, 1) == 0);
        usleep(5000);
    }
    long total = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_join(t[i], &n) == 0);
        total += (long)n;
    }
    EXPECT(total == 3);
    EXPECT_ERRNO(change(ev, EPOLLIN | EPOLLEXCLUSIVE), EINVAL);
    CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, ev, NULL) == 0);
    EXPECT(add(ev, EPOLLIN | EPOLLEXCLUSIVE) == 0 && look(NULL) == 1);
    EXPECT_ERRNO(add(eventfd(0, 0), EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), EINVAL);
}

static void test_timeouts(void)
{
    struct epoll_event e;
    sigset_t none;
    fresh();
    EXPECT(epoll_wait(ep, &e, 1, 10) == 0);
    struct timespec ts = {.tv_nsec = 5000000};
    EXPECT(syscall(SYS_epoll_pwait2, ep, &e, 1, &ts, NULL, 8) == 0);
    ts.tv_nsec = -1;
    EXPECT_ERRNO(syscall(SYS_epoll_pwait2, ep, &e, 1, &ts, NULL, 8), EINVAL);
    sigemptyset(&none);
    EXPECT(epoll_pwait(ep, &e, 1, 0, &none) == 0);
    EXPECT_ERRNO(syscall(SYS_epoll_pwait, ep, &e, 1, 0, &none, 4), EINVAL);
}

/* All that is ready comes at once, if there is room for it. */
static void test_many(void)
{
    enum { MANY = 400 };
    static struct epoll_event got[MANY + 1];

    fresh();
    for (int i = 0; i < MANY; i++) {
        int fd = eventfd(1, 0);
        CHECK(fd >= 0 && add(fd, EPOLLIN) == 0);
    }
    EXPECT(epoll_wait(ep, got, MANY + 1, 0) == MANY);
    EXPECT(epoll_wait(ep, got, MANY - 1, 0) == MANY - 1);
    EXPECT(epoll_wait(ep, got, MANY, 0) == MANY);
}

int main(void)
{
    RUN(test_errors);
    RUN(test_levels);
    RUN(test_edges);
    RUN(test_oneshot);
    RUN(test_copies);
    RUN(test_nesting);
    RUN(test_wakeups);
    RUN(test_timeouts);
    RUN(test_many);
    return check_end();
}
