/* clone and clone3: what is shared and what is copied, tids written and cleared, exit signals, refused flag sets;
 * vfork. */
#include "check.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define STACK 65536

static volatile int value;
static char stack[STACK] __attribute__((aligned(16)));

static long clone3(struct clone_args *args)
{
    return syscall(SYS_clone3, args, sizeof(*args));
}

static int set_value(void *arg)
{
    value = (int)(intptr_t)arg;
    _exit(3);
}

static void test_memory(void)
{
    value = 1;
    CHECK(check_child(clone(set_value, stack + STACK, SIGCHLD, (void *)5)) == 3);
    EXPECT(value == 1);
    CHECK(check_child(clone(set_value, stack + STACK, CLONE_VM | SIGCHLD, (void *)6)) == 3);
    EXPECT(value == 6);
    CHECK(check_child(clone(set_value, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)7)) == 3);
    EXPECT(value == 7);
}

static int close_fd(void *arg)
{
    close((int)(intptr_t)arg);
    return 0;
}

static void test_files(void)
{
    int fd = dup(0);
    CHECK(fd >= 0);
    CHECK(check_child(clone(close_fd, stack + STACK, SIGCHLD, (void *)(intptr_t)fd)) == 0);
    EXPECT(fcntl(fd, F_GETFD) == 0);
    CHECK(check_child(clone(close_fd, stack + STACK, CLONE_FILES | SIGCHLD, (void *)(intptr_t)fd)) == 0);
    EXPECT_ERRNO(fcntl(fd, F_GETFD), EBADF);
}

static int leave_folder(void *arg)
{
    (void)arg;
    umask(0123);
    return chdir("/proc");
}

static void test_fs(void)
{
    char cwd[256];
    umask(022);
    CHECK(chdir("/") == 0);
    CHECK(check_child(clone(leave_folder, stack + STACK, SIGCHLD, NULL)) == 0);
    EXPECT(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/") && umask(022) == 022);
    CHECK(check_child(clone(leave_folder, stack + STACK, CLONE_FS | SIGCHLD, NULL)) == 0);
    EXPECT(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/proc") && umask(022) == 0123);
}

static void on_signal(int sig)
{
    value = sig;
}

static int set_handler(void *arg)
{
    (void)arg;
    signal(SIGUSR1, SIG_IGN);
    return 0;
}

static void test_sighand(void)
{
    struct sigaction sa;
    signal(SIGUSR1, on_signal);
    CHECK(check_child(clone(set_handler, stack + STACK, CLONE_VM | SIGCHLD, NULL)) == 0);
    EXPECT(sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == on_signal);
    CHECK(check_child(clone(set_handler, stack + STACK, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL)) == 0);
    EXPECT(sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
}

static void test_exit_signal(void)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct clone_args args = {.exit_signal = SIGUSR2};
    pid_t pid = (pid_t)clone3(&args);
    if (pid == 0)
        _exit(4);
    CHECK(pid > 0);
    EXPECT(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_pid == pid && info.si_status == 4);
    EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD);
    EXPECT(waitpid(pid, NULL, __WCLONE) == pid);

    args.exit_signal = 0;
    pid = (pid_t)clone3(&args);
    if (pid == 0)
        _exit(0);
    CHECK(pid > 0);
    EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
    EXPECT(waitpid(-1, NULL, __WALL) == pid);
}

static void test_tids(void)
{
    pid_t *tids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct clone_args args = {.flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID,
                              .exit_signal = SIGCHLD,
                              .parent_tid = (uintptr_t)&tids[0],
                              .child_tid = (uintptr_t)&tids[1]};
    pid_t pid = (pid_t)clone3(&args);
    if (pid == 0)
        _exit(tids[1] == getpid() && tids[1] == syscall(SYS_gettid) ? 0 : 1);
    EXPECT(tids[0] == pid && check_child(pid) == 0 && tids[1] == pid);

    /* The word is cleared at the end of a thread that shares memory. */
    tids[2] = 1;
    args = (struct clone_args){.flags = CLONE_VM | CLONE_VFORK | CLONE_CHILD_CLEARTID,
                               .exit_signal = SIGCHLD,
                               .child_tid = (uintptr_t)&tids[2],
                               .stack = (uintptr_t)stack,
                               .stack_size = STACK};
    pid = clone(set_value, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_CHILD_CLEARTID | SIGCHLD, (void *)1, NULL,
                NULL, &tids[2]);
    EXPECT(check_child(pid) == 3 && tids[2] == 0);
}

static void test_pidfd(void)
{
    int pidfd = -1;
    struct clone_args args = {.flags = CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = (uintptr_t)&pidfd};
    pid_t pid = (pid_t)clone3(&args);
    if (pid == 0)
        for (;;)
            pause();
    CHECK(pid > 0 && pidfd >= 0);
    EXPECT(fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
    EXPECT(syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) == 0);
    EXPECT(check_child(pid) == 1000 + SIGTERM);
    EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), ESRCH);
}

static void test_parent(void)
{
    int fds[2];
    pid_t me = getpid(), seen;
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct clone_args args = {.flags = CLONE_PARENT};
        pid_t sibling = (pid_t)clone3(&args);
        if (sibling == 0) {
            seen = getppid();
            _exit(write(fds[1], &seen, sizeof(seen)) != sizeof(seen));
        }
        _exit(sibling < 0);
    }
    CHECK(check_child(pid) == 0);
    CHECK(read(fds[0], &seen, sizeof(seen)) == sizeof(seen));
    EXPECT(seen == me);
    EXPECT(wait(NULL) > 0);
}

static void test_refused(void)
{
    static const uint64_t sets[] = {CLONE_SIGHAND, CLONE_THREAD, CLONE_THREAD | CLONE_SIGHAND, CLONE_FS | CLONE_NEWNS,
                                    CLONE_SIGHAND | CLONE_CLEAR_SIGHAND | CLONE_VM};
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        struct clone_args args = {.flags = sets[i], .exit_signal = SIGCHLD};
        if (sets[i] & CLONE_THREAD)
            args.exit_signal = 0;
        EXPECT_ERRNO(clone3(&args), EINVAL);
    }
    struct clone_args args = {.exit_signal = 65};
    EXPECT_ERRNO(clone3(&args), EINVAL);
    args = (struct clone_args){.exit_signal = SIGCHLD, .stack = (uintptr_t)stack};
    EXPECT_ERRNO(clone3(&args), EINVAL);
    args = (struct clone_args){.exit_signal = SIGCHLD, .stack_size = STACK};
    EXPECT_ERRNO(clone3(&args), EINVAL);
    EXPECT_ERRNO(syscall(SYS_clone3, &args, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_clone3, NULL, sizeof(args)), EFAULT);
    struct {
        struct clone_args args;
        uint64_t more;
    } longer = {.args = {.exit_signal = SIGCHLD}, .more = 1};
    EXPECT_ERRNO(syscall(SYS_clone3, &longer, sizeof(longer)), E2BIG);
}

static void test_clear_sighand(void)
{
    struct sigaction sa;
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, SIG_IGN);
    struct clone_args args = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)clone3(&args);
    if (pid == 0) {
        sigaction(SIGUSR1, NULL, &sa);
        int wrong = sa.sa_handler != SIG_DFL;
        sigaction(SIGUSR2, NULL, &sa);
        _exit(wrong | (sa.sa_handler != SIG_IGN) << 1);
    }
    EXPECT(check_child(pid) == 0);
}

/* The parent stops until the child ends or executes, and shares memory meanwhile. */
static void test_vfork(void)
{
    value = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        usleep(50000);
        value = 9;
        _exit(1);
    }
    EXPECT(value == 9 && check_child(pid) == 1);
    pid = vfork();
    if (pid == 0) {
        value = 10;
        execl("/bin/sh", "sh", "-c", "exit 6", NULL);
        _exit(2);
    }
    EXPECT(value == 10 && check_child(pid) == 6);
    pid = vfork();
    if (pid == 0) {
        raise(SIGKILL);
        _exit(2);
    }
    EXPECT(check_child(pid) == 1000 + SIGKILL);
    pid = vfork();
    if (pid == 0) { /* descriptors are copies */
        close(0);
        _exit(0);
    }
    EXPECT(check_child(pid) == 0 && fcntl(0, F_GETFD) >= 0);
}

int main(void)
{
    RUN(test_memory);
    RUN(test_files);
    RUN(test_fs);
    RUN(test_sighand);
    RUN(test_exit_signal);
    RUN(test_tids);
    RUN(test_pidfd);
    RUN(test_parent);
    RUN(test_refused);
    RUN(test_clear_sighand);
    RUN(test_vfork);
    return check_end();
}
