/* poll, ppoll, select and pselect: masks that are set atomically, timeouts that are written back, odd sets. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/syscall.h>

static volatile int hits;

static void count(int sig)
{
    (void)sig;
    hits++;
}

/* SIGUSR1 is caught, blocked and pending: it can only arrive while a mask of nothing is in force. */
static void prepare(sigset_t *none)
{
    sigset_t set;
    signal(SIGUSR1, count);
    sigemptyset(none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    hits = 0;
}

static int blocked_again(void)
{
    sigset_t now;
    return sigprocmask(0, NULL, &now) == 0 && sigismember(&now, SIGUSR1) == 1;
}

static void test_ppoll(void)
{
    sigset_t none;
    int fds[2];
    CHECK(pipe(fds) == 0);
    struct pollfd p = {.fd = fds[0], .events = POLLIN};
    prepare(&none);
    EXPECT(poll(&p, 1, 10) == 0 && hits == 0);
    EXPECT_ERRNO(ppoll(&p, 1, NULL, &none), EINTR);
    EXPECT(hits == 1 && blocked_again());
    raise(SIGUSR1);
    CHECK(write(fds[1], "x", 1) == 1);
    EXPECT(ppoll(&p, 1, &(struct timespec){0}, &none) == 1 && blocked_again()); /* ready wins */
    hits = 0;
    EXPECT_ERRNO(ppoll(&p, 0, &(struct timespec){.tv_sec = 10}, &none), EINTR);
    EXPECT_ERRNO(ppoll(&p, 1, &(struct timespec){.tv_nsec = -1}, NULL), EINVAL);
    EXPECT_ERRNO(poll((void *)8, 1, 0), EFAULT);
    p.fd = -5; /* left out */
    p.revents = 7;
    EXPECT(poll(&p, 1, 0) == 0 && p.revents == 0);
    struct pollfd two[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[0], .events = POLLIN | POLLOUT}};
    EXPECT(poll(two, 2, 0) == 2 && two[0].revents == POLLIN && two[1].revents == POLLIN);
    int file = open("/etc/passwd", O_RDONLY);
    two[0] = (struct pollfd){.fd = file, .events = POLLIN | POLLOUT};
    EXPECT(poll(two, 1, -1) == 1 && two[0].revents == (POLLIN | POLLOUT));
}

static void test_pselect(void)
{
    sigset_t none;
    fd_set r, w;
    int fds[2];
    CHECK(pipe(fds) == 0);
    prepare(&none);
    FD_ZERO(&r);
    FD_SET(fds[0], &r);
    EXPECT_ERRNO(pselect(fds[0] + 1, &r, NULL, NULL, NULL, &none), EINTR);
    EXPECT(hits == 1 && blocked_again() && FD_ISSET(fds[0], &r)); /* sets are left alone */
    struct timespec ts = {.tv_nsec = 5000000};
    EXPECT(pselect(fds[0] + 1, &r, NULL, NULL, &ts, NULL) == 0 && !FD_ISSET(fds[0], &r));
    EXPECT_ERRNO(pselect(-1, NULL, NULL, NULL, &ts, NULL), EINVAL);
    FD_ZERO(&r);
    FD_SET(59, &r); /* below 64: the kernel takes no notice of bits beyond the table's present size */
    EXPECT_ERRNO(select(60, &r, NULL, NULL, &(struct timeval){0}), EBADF);
    EXPECT(select(59, &r, NULL, NULL, &(struct timeval){0}) == 0); /* beyond the count */
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(fds[0], &r), FD_SET(fds[1], &w);
    EXPECT(select(FD_SETSIZE, &r, &w, NULL, NULL) == 1 && FD_ISSET(fds[1], &w) && !FD_ISSET(fds[0], &r));
    struct timeval tv = {.tv_sec = 50};
    CHECK(write(fds[1], "x", 1) == 1);
    FD_SET(fds[0], &r);
    EXPECT(select(fds[0] + 1, &r, NULL, NULL, &tv) == 1 && tv.tv_sec >= 48); /* what is left is written back */
    tv = (struct timeval){.tv_usec = 5000};
    EXPECT(select(0, NULL, NULL, NULL, &tv) == 0 && tv.tv_sec == 0 && tv.tv_usec == 0);
    tv.tv_sec = -1;
    EXPECT_ERRNO(select(0, NULL, NULL, NULL, &tv), EINVAL);
    close(fds[1]);
    char c;
    CHECK(read(fds[0], &c, 1) == 1);
    FD_ZERO(&r);
    FD_SET(fds[0], &r);
    EXPECT(select(fds[0] + 1, &r, NULL, NULL, NULL) == 1); /* the end is readable */
}

/* Somebody who waits is woken by what another process does. */
static void test_wakeup(void)
{
    int fds[2], full[2];
    char big[4096] = "";
    CHECK(pipe(fds) == 0 && pipe2(full, O_NONBLOCK) == 0);
    while (write(full[1], big, sizeof(big)) > 0)
        ;
    for (int kind = 0; kind < 3; kind++) {
        pid_t pid = fork();
        if (pid == 0) {
            usleep(20000);
            if (kind == 0)
                CHECK(write(fds[1], "x", 1) == 1);
            if (kind == 1)
                CHECK(read(full[0], big, sizeof(big)) > 0);
            _exit(0);
        }
        struct pollfd p = {.fd = kind == 1 ? full[1] : fds[0], .events = kind == 1 ? POLLOUT : POLLIN};
        if (kind == 2) { /* the last writer ends */
            char c;
            CHECK(read(fds[0], &c, 1) == 1);
            close(fds[1]);
        }
        EXPECT(poll(&p, 1, 20000) == 1);
        EXPECT(check_child(pid) == 0);
    }
}

int main(void)
{
    RUN(test_ppoll);
    RUN(test_pselect);
    RUN(test_wakeup);
    return check_end();
}
