/* Calls that are small or refused: scheduling attributes, I/O priorities, kcmp, unshare, adjtimex, file handles. */
#include "check.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static void test_sched(void)
{
    struct attr a = {0};

    CHECK(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) == 0 && a.size == 48 && a.policy == SCHED_OTHER);
    CHECK_ERRNO(syscall(SYS_sched_getattr, 0, &a, 8, 0), EINVAL);
    a.policy = SCHED_BATCH;
    a.nice = 3;
    CHECK(syscall(SYS_sched_setattr, 0, &a, 0) == 0);
    a = (struct attr){0};
    CHECK(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) == 0 && a.policy == SCHED_BATCH && a.nice == 3);
    CHECK(sched_getscheduler(0) == SCHED_BATCH);
    a.policy = 77;
    CHECK_ERRNO(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_setattr, 0, &a, 1), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getattr, 999999, &a, sizeof(a), 0), ESRCH);
}

static void test_ioprio(void)
{
    const int best_effort_7 = 2 << 13 | 7;

    CHECK(syscall(SYS_ioprio_set, 1, 0, best_effort_7) == 0);
    CHECK(syscall(SYS_ioprio_get, 1, 0) == best_effort_7);
    CHECK(syscall(SYS_ioprio_get, 1, getpid()) == best_effort_7);
    CHECK_ERRNO(syscall(SYS_ioprio_set, 1, 0, 5 << 13), EINVAL);
    CHECK_ERRNO(syscall(SYS_ioprio_set, 9, 0, best_effort_7), EINVAL);
    CHECK_ERRNO(syscall(SYS_ioprio_get, 1, 999999), ESRCH);
}

static long compare(pid_t a, pid_t b, int type, unsigned long x, unsigned long y)
{
    return syscall(SYS_kcmp, a, b, type, x, y);
}

static void test_kcmp(void)
{
    pid_t self = getpid();
    int d = dup(0), other = open("/dev/null", O_RDONLY);

    if (compare(self, self, KCMP_FILE, 0, (unsigned long)d) == -1 && errno == ENOSYS)
        return; /* a kernel that was built without it */
    CHECK(compare(self, self, KCMP_FILE, 0, (unsigned long)d) == 0);
    long ab = compare(self, self, KCMP_FILE, 0, (unsigned long)other);
    long ba = compare(self, self, KCMP_FILE, (unsigned long)other, 0);
    CHECK((ab == 1 && ba == 2) || (ab == 2 && ba == 1));
    CHECK(compare(self, self, KCMP_VM, 0, 0) == 0);
    CHECK_ERRNO(compare(self, self, KCMP_FILE, 0, 999), EBADF);
    CHECK_ERRNO(compare(self, self, 99, 0, 0), EINVAL);
    CHECK_ERRNO(compare(self, 999999, KCMP_VM, 0, 0), ESRCH);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    CHECK(compare(self, pid, KCMP_FILE, 0, 0) == 0 && compare(self, pid, KCMP_VM, 0, 0) > 0);
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    close(d);
    close(other);
}

static int closes_null(void *fd)
{
    CHECK(unshare(CLONE_FILES | CLONE_FS) == 0);
    umask(0);
    close(*(int *)fd);
    return 0;
}

static void test_unshare(void)
{
    static char stack[65536];
    int fd = open("/dev/null", O_RDONLY), status;

    CHECK(unshare(0) == 0);
    CHECK_ERRNO(unshare(1), EINVAL);
    umask(022);
    pid_t pid = clone(closes_null, stack + sizeof(stack), CLONE_FILES | CLONE_FS | SIGCHLD, &fd);
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(fcntl(fd, F_GETFD) == 0 && umask(022) == 022);
    close(fd);
}

static void test_refused(void)
{
    struct timex tx = {0};
    struct file_handle *h = calloc(1, sizeof(*h) + 128);
    int mount;

    CHECK(adjtimex(&tx) >= 0 && tx.time.tv_sec > 1600000000);
    h->handle_bytes = 128;
    CHECK(name_to_handle_at(AT_FDCWD, "/proc/self/status", h, &mount, 0) == -1 &&
          (errno == EOPNOTSUPP || errno == EPERM || errno == EOVERFLOW));
    free(h);
}

int main(void)
{
    test_sched();
    test_ioprio();
    test_kcmp();
    test_unshare();
    test_refused();
    return 0;
}
