/* timerfd, signalfd and pidfd: reads, poll and epoll, errors. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000L

static int readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1 && (p.revents & POLLIN);
}

static void test_timerfd(void)
{
    struct itimerspec its = {.it_value.tv_sec = 100}, old;
    struct timespec now;
    uint64_t n;

    CHECK_ERRNO(timerfd_create(99, 0), EINVAL);
    CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK_ERRNO(read(fd, &n, 8), EAGAIN);
    CHECK_ERRNO(read(fd, &n, 4), EINVAL);
    CHECK_ERRNO(timerfd_settime(0, 0, &its, NULL), EINVAL);
    CHECK_ERRNO(timerfd_settime(fd, 16, &its, NULL), EINVAL);
    CHECK(timerfd_settime(fd, 0, &its, &old) == 0 && !old.it_value.tv_nsec && !old.it_value.tv_sec);
    CHECK(timerfd_gettime(fd, &old) == 0 && old.it_value.tv_sec > 0 && old.it_value.tv_sec <= 100);
    CHECK(!readable(fd, 0));
    its.it_value = (struct timespec){.tv_nsec = 20 * MS};
    CHECK(timerfd_settime(fd, 0, &its, &old) == 0 && old.it_value.tv_sec > 0);
    CHECK(readable(fd, -1));
    CHECK(read(fd, &n, 8) == 8 && n == 1);
    CHECK(timerfd_gettime(fd, &old) == 0 && !old.it_value.tv_nsec && !old.it_value.tv_sec);

    /* A period, counted while nobody reads; blocking reads. */
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    its.it_value.tv_nsec = 5 * MS;
    its.it_interval.tv_nsec = 5 * MS;
    CHECK(timerfd_settime(fd, 0, &its, NULL) == 0);
    usleep(60000);
    CHECK(read(fd, &n, 8) == 8 && n >= 10 && n < 100000);
    CHECK(read(fd, &n, 8) == 8 && n >= 1);
    its = (struct itimerspec){0};
    CHECK(timerfd_settime(fd, 0, &its, &old) == 0 && old.it_interval.tv_nsec == 5 * MS);
    CHECK(!readable(fd, 20));
    its.it_value.tv_nsec = 1000000000;
    CHECK_ERRNO(timerfd_settime(fd, 0, &its, NULL), EINVAL);
    CHECK(close(fd) == 0);

    /* An absolute time that has passed, by epoll. */
    fd = timerfd_create(CLOCK_REALTIME, 0);
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = 7};
    CHECK(fd >= 0 && ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
    CHECK(epoll_wait(ep, &ev, 1, 0) == 0);
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    its = (struct itimerspec){.it_value = {now.tv_sec - 1, 0}};
    CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL) == 0);
    CHECK(epoll_wait(ep, &ev, 1, 2000) == 1 && ev.data.u64 == 7 && read(fd, &n, 8) == 8 && n == 1);
    close(ep);
    close(fd);
}

static void test_signalfd(void)
{
    struct signalfd_siginfo s[4];
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    CHECK(fd >= 0);
    CHECK_ERRNO(read(fd, s, sizeof(s)), EAGAIN);
    CHECK_ERRNO(read(fd, s, 8), EINVAL);
    CHECK_ERRNO(signalfd(0, &set, 0), EINVAL);
    CHECK_ERRNO(signalfd(99, &set, 0), EBADF);
    CHECK(!readable(fd, 0));
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 42}) == 0);
    CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 43}) == 0);
    CHECK(readable(fd, 0) && epoll_wait(ep, &ev, 1, 0) == 1);
    CHECK(read(fd, s, sizeof(s)) == 3 * (long)sizeof(s[0]));
    CHECK(s[0].ssi_signo == SIGUSR1 && s[0].ssi_code == SI_USER && s[0].ssi_pid == (uint32_t)getpid());
    CHECK(s[1].ssi_signo == (uint32_t)SIGRTMIN && s[1].ssi_code == SI_QUEUE && s[1].ssi_int == 42 &&
          s[2].ssi_int == 43);
    CHECK(!readable(fd, 0) && epoll_wait(ep, &ev, 1, 0) == 0);

    /* A child's signal ends a blocking read; another mask. */
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    sigdelset(&set, SIGRTMIN);
    CHECK(signalfd(fd, &set, 0) == fd);
    CHECK(raise(SIGRTMIN) == 0 && !readable(fd, 0));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        usleep(30000);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    CHECK(read(fd, s, sizeof(s)) == sizeof(s[0]) && s[0].ssi_signo == SIGUSR1 && s[0].ssi_pid == (uint32_t)pid);
    CHECK(waitpid(pid, NULL, 0) == pid);
    pid = fork();
    if (pid == 0) {
        usleep(30000);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    CHECK(epoll_wait(ep, &ev, 1, 5000) == 1 && read(fd, s, sizeof(s[0])) == sizeof(s[0]));
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(ep);
    close(fd);
    signal(SIGRTMIN, SIG_IGN);
}

static int pidfd_open_(pid_t pid, unsigned flags)
{
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

static void test_pidfd(void)
{
    siginfo_t info;
    int go[2];
    char c;

    CHECK_ERRNO(pidfd_open_(-1, 0), EINVAL);
    CHECK_ERRNO(pidfd_open_(getpid(), 1), EINVAL);
    CHECK(pipe(go) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        CHECK(read(go[0], &c, 1) == 1);
        for (;;)
            pause();
    }
    int fd = pidfd_open_(pid, 0);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && !readable(fd, 0));
    CHECK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0), EBADF);
    int dup = (int)syscall(SYS_pidfd_getfd, fd, go[0], 0);
    CHECK(dup >= 0 && write(go[1], "xy", 2) == 2);
    CHECK(read(dup, &c, 1) == 1 && close(dup) == 0);
    CHECK_ERRNO(syscall(SYS_pidfd_getfd, fd, 999, 0), EBADF);
    CHECK(waitid((idtype_t)3, (id_t)fd, &info, WEXITED | WNOHANG) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    CHECK_ERRNO(waitid((idtype_t)3, (id_t)fd, &info, WEXITED), EAGAIN);
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    CHECK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) == 0);
    CHECK(readable(fd, 5000));
    CHECK(waitid((idtype_t)3, (id_t)fd, &info, WEXITED) == 0 && info.si_pid == pid && info.si_status == SIGTERM);
    CHECK(readable(fd, 0));
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
    CHECK_ERRNO(waitid((idtype_t)3, (id_t)fd, &info, WEXITED), ECHILD);
    CHECK_ERRNO(pidfd_open_(pid, 0), ESRCH);
    close(fd);

    /* A process's directory names it too, to this call alone. */
    fd = open("/proc/self", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0);
    CHECK_ERRNO(syscall(SYS_pidfd_getfd, fd, 0, 0), EBADF);
    close(fd);
    fd = open("/proc", O_RDONLY | O_DIRECTORY);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), EBADF);
    close(fd);

    fd = -1;
    pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &fd, 0, 0);
    if (pid == 0)
        _exit(3);
    CHECK(pid > 0 && fd >= 0 && readable(fd, 5000));
    CHECK(waitid((idtype_t)3, (id_t)fd, &info, WEXITED) == 0 && info.si_pid == pid && info.si_status == 3);
    close(fd);
}

int main(void)
{
    test_timerfd();
    test_signalfd();
    test_pidfd();
    return 0;
}
