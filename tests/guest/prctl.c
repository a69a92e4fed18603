/* prctl: names, death signals, subreapers, dumpable, no new privileges, capability bounds, and what it refuses. */
#include "check.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void test_name(void)
{
    char name[32] = "", comm[32] = "";
    EXPECT(prctl(PR_SET_NAME, "a name that is too long", 0, 0, 0) == 0);
    EXPECT(prctl(PR_GET_NAME, name, 0, 0, 0) == 0 && !strcmp(name, "a name that is "));
    FILE *f = fopen("/proc/self/comm", "r");
    EXPECT(f && fgets(comm, sizeof(comm), f) && !strcmp(comm, "a name that is \n"));
    f = fopen("/proc/self/comm", "w");
    EXPECT(f && fputs("other", f) >= 0 && fclose(f) == 0);
    EXPECT(prctl(PR_GET_NAME, name, 0, 0, 0) == 0 && !strcmp(name, "other"));
    EXPECT_ERRNO(prctl(PR_SET_NAME, (char *)8, 0, 0, 0), EFAULT);
}

static void test_pdeathsig(void)
{
    int sig = -1, fds[2];
    char c = 0;
    EXPECT(prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0) == 0 && sig == 0);
    EXPECT_ERRNO(prctl(PR_SET_PDEATHSIG, 65, 0, 0, 0), EINVAL);
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR1);
            sigprocmask(SIG_BLOCK, &set, NULL);
            prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0);
            CHECK(write(fds[1], "r", 1) == 1);
            siginfo_t info;
            c = sigwaitinfo(&set, &info) == SIGUSR1 ? 'd' : 'n';
            CHECK(write(fds[1], &c, 1) == 1);
            _exit(0);
        }
        CHECK(read(fds[0], &c, 1) == 1); /* ready */
        _exit(0);
    }
    CHECK(check_child(pid) == 0);
    EXPECT(read(fds[0], &c, 1) == 1 && c == 'd');
    /* Not inherited. */
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0);
        _exit(sig);
    }
    EXPECT(check_child(pid) == 0);
}

static void test_subreaper(void)
{
    int on = -1, status;
    EXPECT(prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0) == 0 && on == 0);
    EXPECT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    EXPECT(prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0) == 0 && on == 1);
    pid_t me = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0);
        if (on)
            _exit(99);
        if (fork() == 0) {
            while (getppid() != me)
                usleep(1000);
            _exit(77);
        }
        _exit(0);
    }
    EXPECT(check_child(pid) == 0);
    EXPECT(wait(&status) > 0 && WEXITSTATUS(status) == 77);
}

static void test_flags(void)
{
    EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
    EXPECT_ERRNO(prctl(PR_SET_DUMPABLE, 2, 0, 0, 0), EINVAL);
    EXPECT(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
    EXPECT(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 1);
    EXPECT_ERRNO(prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0), EINVAL);
    EXPECT(prctl(PR_SET_TIMERSLACK, 1234, 0, 0, 0) == 0 && prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 1234);
    EXPECT_ERRNO(prctl(0x7ffffff, 0, 0, 0, 0), EINVAL);
    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
    EXPECT_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    EXPECT(check_child(pid) == 1);
    unsigned long tsc = 0;
#ifdef __x86_64__
    EXPECT(prctl(PR_GET_TSC, &tsc, 0, 0, 0) == 0 && tsc == PR_TSC_ENABLE);
#endif
    (void)tsc;
    EXPECT(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) >= 0 || errno == EINVAL);
}

static void test_bounds(void)
{
    EXPECT_ERRNO(prctl(PR_CAPBSET_READ, 99, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 99, 0, 0), EINVAL);
    EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 0);
    EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0);
    EXPECT(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == 0);
    if (geteuid() != 0)
        return;
    EXPECT(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0);
    EXPECT(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == SECBIT_NO_SETUID_FIXUP);
    EXPECT(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0) == 0);
    EXPECT(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0) == 0);
    EXPECT_ERRNO(prctl(PR_CAPBSET_DROP, 99, 0, 0, 0), EINVAL);
    /* Ambient: only what is permitted and inheritable. */
    EXPECT_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_FOWNER, 0, 0), EPERM);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    EXPECT(syscall(SYS_capget, &head, data) == 0);
    data[0].inheritable |= 1u << CAP_FOWNER;
    EXPECT(syscall(SYS_capset, &head, data) == 0);
    EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_FOWNER, 0, 0) == 0);
    EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_FOWNER, 0, 0) == 1);
    EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_FOWNER, 0, 0) == 0);
    EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_FOWNER, 0, 0) == 0);
}

int main(void)
{
    RUN(test_name);
    RUN(test_pdeathsig);
    RUN(test_subreaper);
    RUN(test_flags);
    RUN(test_bounds);
    return check_end();
}
