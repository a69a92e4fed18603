/* waitid and wait4 in all their forms, the siginfo they fill, times of children, children that nobody waits for. */
#include "check.h"

#include <linux/wait.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static pid_t start(int status)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(status);
    return pid;
}

static pid_t start_waiting(void)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void test_waitid(void)
{
    siginfo_t info;
    pid_t pid = start(9);
    memset(&info, 0xff, sizeof(info));
    EXPECT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    EXPECT(info.si_signo == SIGCHLD && info.si_errno == 0 && info.si_code == CLD_EXITED && info.si_status == 9);
    EXPECT(info.si_pid == pid && info.si_uid == getuid());
    EXPECT(waitid(P_ALL, 0, &info, WEXITED) == 0 && info.si_pid == pid);
    EXPECT_ERRNO(waitid(P_PID, (id_t)pid, &info, WEXITED), ECHILD);

    pid = start_waiting();
    memset(&info, 0xff, sizeof(info));
    EXPECT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0 && info.si_signo == 0);
    EXPECT_ERRNO(waitid(P_PID, (id_t)pid, &info, 0), EINVAL);
    EXPECT_ERRNO(waitid(P_PID, (id_t)pid, &info, WNOHANG), EINVAL);
    EXPECT_ERRNO(waitid(P_PID, (id_t)pid, &info, WEXITED | 0x100), EINVAL);
    EXPECT_ERRNO(waitid((idtype_t)77, 1, &info, WEXITED), EINVAL);
    EXPECT(kill(pid, SIGSTOP) == 0 && waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0);
    EXPECT(info.si_code == CLD_STOPPED && info.si_status == SIGSTOP);
    EXPECT(waitid(P_PID, (id_t)pid, &info, WSTOPPED) == 0);
    EXPECT(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == 0);
    EXPECT(kill(pid, SIGCONT) == 0 && waitid(P_PID, (id_t)pid, &info, WCONTINUED) == 0);
    EXPECT(info.si_code == CLD_CONTINUED && info.si_status == SIGCONT);
    EXPECT(kill(pid, SIGKILL) == 0 && waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT) == 0);
    EXPECT(waitid(P_PID, (id_t)pid, &info, WEXITED) == 0 && info.si_code == CLD_KILLED && info.si_status == SIGKILL);
}

static void test_core_flag(void)
{
    siginfo_t info;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        raise(SIGABRT);
        _exit(0);
    }
    EXPECT(waitid(P_PID, (id_t)pid, &info, WEXITED) == 0 && info.si_status == SIGABRT);
    EXPECT(info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED);
}

static void test_wait4(void)
{
    int status;
    pid_t pid = start_waiting();
    EXPECT(waitpid(pid, &status, WNOHANG) == 0 && waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED) == 0);
    EXPECT_ERRNO(waitpid(pid, &status, 0x40), EINVAL);
    EXPECT_ERRNO(waitpid(1, &status, 0), ECHILD);
    EXPECT_ERRNO(waitpid(-getpgrp() - 1000, &status, 0), ECHILD);
    EXPECT(kill(pid, SIGSTOP) == 0 && waitpid(0, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    EXPECT(kill(pid, SIGCONT) == 0 && waitpid(-1, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    EXPECT(kill(pid, SIGUSR1) == 0 && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGUSR1);
    pid = start(256 + 7);
    EXPECT(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
    pid = start(3);
    EXPECT_ERRNO(wait4(pid, (int *)8, 0, NULL), EFAULT);
}

static void test_groups(void)
{
    siginfo_t info;
    pid_t a = start_waiting(), b = start_waiting();
    CHECK(setpgid(a, a) == 0 && setpgid(b, b) == 0);
    EXPECT(kill(-b, SIGKILL) == 0 && waitpid(-b, NULL, 0) == b);
    EXPECT_ERRNO(waitpid(0, NULL, 0), ECHILD);
    EXPECT(kill(-a, SIGTERM) == 0 && waitid(P_PGID, (id_t)a, &info, WEXITED) == 0 && info.si_pid == a);
}

static void test_pidfd(void)
{
    siginfo_t info;
    pid_t pid = start_waiting();
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    CHECK(fd >= 0);
    EXPECT(waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0);
    EXPECT(kill(pid, SIGKILL) == 0 && waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED) == 0 && info.si_pid == pid);
    EXPECT_ERRNO(waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED), ECHILD);
    EXPECT_ERRNO(waitid((idtype_t)P_PIDFD, 0, &info, WEXITED), EBADF);
    EXPECT_ERRNO(syscall(SYS_pidfd_open, pid, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_pidfd_open, getpid(), 0x10000000), EINVAL);
    EXPECT_ERRNO(syscall(SYS_pidfd_open, -1, 0), EINVAL);
}

/* With SIGCHLD ignored children vanish, and wait only returns when the last is gone. */
static void test_autoreap(void)
{
    signal(SIGCHLD, SIG_IGN);
    start(0), start(1), start(2);
    EXPECT_ERRNO(wait(NULL), ECHILD);
    struct sigaction sa = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    CHECK(sigaction(SIGCHLD, &sa, NULL) == 0);
    start(0);
    EXPECT_ERRNO(wait(NULL), ECHILD);
}

enum { TOUCHED_BYTES = 8 << 20 };

static void test_usage(void)
{
    struct rusage self, children, one;
    pid_t pid = fork();
    if (pid == 0) {
        /* The kernel counts pages by batches for each CPU: a few would not show. */
        volatile char *touched = malloc(TOUCHED_BYTES);
        for (size_t i = 0; i < TOUCHED_BYTES; i += 4096)
            touched[i] = 1;
        do
            getrusage(RUSAGE_SELF, &self);
        while (self.ru_utime.tv_sec == 0 && self.ru_utime.tv_usec + self.ru_stime.tv_usec < 60000);
        _exit(0);
    }
    int status;
    EXPECT(wait4(pid, &status, 0, &one) == pid && getrusage(RUSAGE_CHILDREN, &children) == 0);
    EXPECT(one.ru_utime.tv_usec + one.ru_stime.tv_usec + one.ru_utime.tv_sec * 1000000 >= 50000);
    EXPECT(children.ru_utime.tv_sec > one.ru_utime.tv_sec ||
           (children.ru_utime.tv_sec == one.ru_utime.tv_sec && children.ru_utime.tv_usec >= one.ru_utime.tv_usec));
    EXPECT(one.ru_maxrss >= TOUCHED_BYTES / 2 / 1024 && getrusage(RUSAGE_THREAD, &self) == 0);
    EXPECT_ERRNO(getrusage(99, &self), EINVAL);
}

/* A grandchild goes to the child subreaper or to init, never to the grandparent. */
static void test_orphan(void)
{
    int fds[2];
    pid_t seen, middle = 0;
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        middle = getpid();
        if (fork() == 0) {
            while (getppid() == middle)
                usleep(1000);
            seen = getppid();
            CHECK(write(fds[1], &seen, sizeof(seen)) == sizeof(seen));
            _exit(0);
        }
        _exit(0);
    }
    CHECK(check_child(pid) == 0 && read(fds[0], &seen, sizeof(seen)) == sizeof(seen));
    EXPECT(seen != getpid() && seen != pid);
    EXPECT_ERRNO(wait(NULL), ECHILD);
}

int main(void)
{
    RUN(test_waitid);
    RUN(test_core_flag);
    RUN(test_wait4);
    RUN(test_groups);
    RUN(test_pidfd);
    RUN(test_autoreap);
    RUN(test_usage);
    RUN(test_orphan);
    return check_end();
}
