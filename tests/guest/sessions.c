/* Process groups and sessions: who may be moved where, and what happens to stopped groups whose last relative leaves.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/ioctl.h>

static void pause_for_ever(void)
{
    for (;;)
        pause();
}

static void test_ids(void)
{
    EXPECT(getpgrp() == getpid() && getpgid(0) == getpid()); /* RUN made a group */
    EXPECT(getsid(0) == getsid(getpid())); /* 0 where the session's leader is outside this PID namespace */
    EXPECT_ERRNO(getpgid(-1), ESRCH);
    EXPECT_ERRNO(getsid(0x3fffff), ESRCH);
    EXPECT_ERRNO(setsid(), EPERM); /* a group's leader may not */
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT(getpgrp() == getppid());
        EXPECT(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
        EXPECT_ERRNO(setsid(), EPERM);
        EXPECT_ERRNO(setpgid(0, 0), EPERM); /* a session's leader stays */
        EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0);
}

static void test_setpgid(void)
{
    int fds[2];
    char c;
    CHECK(pipe(fds) == 0);
    EXPECT_ERRNO(setpgid(0, -1), EINVAL);
    EXPECT_ERRNO(setpgid(0x3fffff, 0), ESRCH);
    EXPECT_ERRNO(setpgid(getppid(), 0), ESRCH); /* not a child */
    pid_t a = fork();
    if (a == 0)
        pause_for_ever();
    pid_t b = fork();
    if (b == 0)
        pause_for_ever();
    EXPECT(setpgid(a, a) == 0 && getpgid(a) == a);
    EXPECT(setpgid(b, a) == 0 && getpgid(b) == a);
    EXPECT_ERRNO(setpgid(b, 0x3fffff), EPERM);
    EXPECT(setpgid(b, getpgrp()) == 0 && getpgid(b) == getpgrp());
    pid_t c1 = fork();
    if (c1 == 0) {
        setsid();
        CHECK(write(fds[1], "x", 1) == 1);
        pause_for_ever();
    }
    CHECK(read(fds[0], &c, 1) == 1);
    EXPECT_ERRNO(setpgid(c1, 0), EPERM); /* of another session */
    EXPECT_ERRNO(setpgid(b, c1), EPERM);
    EXPECT(kill(a, SIGKILL) == 0 && kill(b, SIGKILL) == 0 && kill(c1, SIGKILL) == 0);
    while (wait(NULL) > 0)
        ;
    /* A child that has executed cannot be moved. */
    int ex[2];
    CHECK(pipe2(ex, O_CLOEXEC) == 0);
    a = fork();
    if (a == 0) {
        execl("/bin/sleep", "sleep", "100", NULL);
        _exit(1);
    }
    close(ex[1]);
    CHECK(read(ex[0], &c, 1) == 0);
    EXPECT_ERRNO(setpgid(a, a), EACCES);
    EXPECT(kill(a, SIGKILL) == 0 && wait(NULL) == a);
}

static void test_kill_group(void)
{
    int status, count = 0;
    pid_t leader = 0;
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0)
            pause_for_ever();
        CHECK(setpgid(pid, leader) == 0);
        if (!leader)
            leader = pid;
    }
    EXPECT(kill(-leader, 0) == 0 && killpg(leader, SIGTERM) == 0);
    while (wait(&status) > 0)
        count += WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    EXPECT(count == 3);
    EXPECT_ERRNO(kill(-leader, 0), ESRCH);
    signal(SIGUSR1, SIG_IGN);
    EXPECT(kill(0, SIGUSR1) == 0);
}

static int out = -1;

static void note(int sig)
{
    char c = sig == SIGHUP ? 'h' : 'c';
    if (write(out, &c, 1) != 1)
        _exit(1);
}

/* The group of a stopped grandchild is orphaned when its parent ends: SIGHUP, then SIGCONT. */
static void test_orphaned_group(void)
{
    int fds[2];
    char seen[3] = "";
    CHECK(pipe(fds) == 0);
    out = fds[1];
    pid_t parent = fork();
    if (parent == 0) {
        int status;
        setsid(); /* init, which inherits the child, is then in another session wherever the test runs */
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            signal(SIGHUP, note);
            signal(SIGCONT, note);
            raise(SIGSTOP);
            _exit(0);
        }
        setpgid(child, child);
        CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
        _exit(0);
    }
    close(fds[1]);
    EXPECT(check_child(parent) == 0);
    size_t got = 0;
    for (ssize_t n; got < 2 && (n = read(fds[0], seen + got, 2 - got)) > 0;)
        got += (size_t)n;
    EXPECT(strchr(seen, 'h') && strchr(seen, 'c'));
}

/* In an orphaned group SIGTSTP does not stop anybody; SIGSTOP does. */
static void test_orphan_tstp(void)
{
    int fds[2];
    char c = 0;
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        setsid(); /* nobody of this session outside of the group: orphaned */
        raise(SIGTSTP);
        raise(SIGTTIN);
        CHECK(write(fds[1], "x", 1) == 1);
        _exit(0);
    }
    close(fds[1]);
    EXPECT(read(fds[0], &c, 1) == 1 && c == 'x' && check_child(pid) == 0);
}

int main(void)
{
    RUN(test_ids);
    RUN(test_setpgid);
    RUN(test_kill_group);
    RUN(test_orphaned_group);
    RUN(test_orphan_tstp);
    return check_end();
}
