/* Pipes, FIFOs, poll, select, epoll, eventfd: readiness, EOF, EPIPE, atomic writes, edge triggering. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_pipe(void)
{
    int fds[2], n;
    char buf[70000];

    CHECK(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    CHECK((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) && (fcntl(fds[0], F_GETFL) & O_NONBLOCK));
    CHECK_ERRNO(read(fds[0], buf, 1), EAGAIN);
    CHECK(write(fds[1], "hello", 5) == 5);
    CHECK(ioctl(fds[0], FIONREAD, &n) == 0 && n == 5);
    CHECK(read(fds[0], buf, 3) == 3 && !memcmp(buf, "hel", 3));
    CHECK(read(fds[0], buf, 10) == 2);
    CHECK(write(fds[1], buf, sizeof(buf)) == 65536);
    CHECK_ERRNO(write(fds[1], buf, 1), EAGAIN);
    close(fds[1]);
    CHECK(read(fds[0], buf, sizeof(buf)) == 65536);
    CHECK(read(fds[0], buf, 1) == 0);
    close(fds[0]);

    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe(fds) == 0);
    close(fds[0]);
    CHECK_ERRNO(write(fds[1], "x", 1), EPIPE);
    close(fds[1]);
    CHECK_ERRNO(lseek(0, 0, 99), EINVAL);
}

static void test_poll(void)
{
    int fds[2];
    CHECK(pipe(fds) == 0);
    struct pollfd p[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLOUT}};
    CHECK(poll(p, 2, 0) == 1 && p[0].revents == 0 && p[1].revents == POLLOUT);
    CHECK(poll(p, 1, 20) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(20000);
        CHECK(write(fds[1], "x", 1) == 1);
        _exit(0);
    }
    CHECK(poll(p, 1, -1) == 1 && p[0].revents == POLLIN);
    CHECK(waitpid(pid, NULL, 0) == pid);
    fd_set r;
    FD_ZERO(&r);
    FD_SET(fds[0], &r);
    struct timeval tv = {.tv_sec = 1};
    CHECK(select(fds[0] + 1, &r, NULL, NULL, &tv) == 1 && FD_ISSET(fds[0], &r));
    close(fds[1]);
    char c;
    CHECK(read(fds[0], &c, 1) == 1);
    CHECK(poll(p, 1, 0) == 1 && p[0].revents == POLLHUP);
    close(fds[0]);
    p[0].fd = fds[0];
    CHECK(poll(p, 1, 0) == 1 && p[0].revents == POLLNVAL);
}

static void test_epoll(void)
{
    int ep = epoll_create1(EPOLL_CLOEXEC), ev = eventfd(0, EFD_NONBLOCK);
    uint64_t v = 1;
    CHECK(ep >= 0 && ev >= 0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = 42}, got[4];
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e) == 0);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e), EEXIST);
    CHECK(epoll_wait(ep, got, 4, 0) == 0);
    CHECK(write(ev, &v, 8) == 8);
    CHECK(epoll_wait(ep, got, 4, 100) == 1 && got[0].data.u64 == 42 && got[0].events == EPOLLIN);
    CHECK(epoll_wait(ep, got, 4, 0) == 0); /* edge: reported once */
    CHECK(write(ev, &v, 8) == 8);
    CHECK(epoll_wait(ep, got, 4, 0) == 1);
    CHECK(read(ev, &v, 8) == 8 && v == 2);
    CHECK_ERRNO(read(ev, &v, 8), EAGAIN);
    e.events = EPOLLIN | EPOLLONESHOT;
    CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, ev, &e) == 0);
    CHECK(write(ev, &v, 8) == 8);
    CHECK(epoll_wait(ep, got, 4, 0) == 1 && epoll_wait(ep, got, 4, 0) == 0);
    CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, ev, NULL) == 0);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, ev, NULL), ENOENT);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e), EINVAL);
    close(ev);
    close(ep);
}

static void test_fifo(void)
{
    char name[] = "/tmp/fifoXXXXXX", buf[8];
    CHECK(mkdtemp(name));
    CHECK(chdir(name) == 0);
    CHECK(mkfifo("f", 0600) == 0);
    CHECK_ERRNO(open("f", O_WRONLY | O_NONBLOCK), ENXIO);
    pid_t pid = fork();
    if (pid == 0) {
        int w = open("f", O_WRONLY);
        CHECK(w >= 0 && write(w, "data", 4) == 4);
        _exit(0);
    }
    int r = open("f", O_RDONLY);
    CHECK(r >= 0 && read(r, buf, 8) == 4 && read(r, buf, 8) == 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(unlink("f") == 0 && chdir("/") == 0 && rmdir(name) == 0);
}

int main(void)
{
    test_pipe();
    test_poll();
    test_epoll();
    test_fifo();
    return 0;
}
