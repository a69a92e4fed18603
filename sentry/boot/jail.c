/*
 * How the sentry locks itself in: an empty root, no capabilities, no new privileges, and a filter that kills the
 * process at any call that is not in the table below. With --debug a forbidden call ends it by SIGSYS with its number
 * logged. Calls that glibc can do without are refused with an error instead.
 */
#include "lib/jail.h"
#include "include/boot.h"
#include "lib/log.h"
#include "sentry/boot/boot_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

/* No arguments to check: they act on the process itself or on descriptors that it was given. */
static const int plain_calls[] = {
    /* descriptors */
    CALL(read),
    CALL(write),
    CALL(readv),
    CALL(writev),
    CALL(pread64),
    CALL(pwrite64),
    CALL(preadv),
    CALL(pwritev),
    CALL(preadv2),
    CALL(pwritev2),
    CALL(close),
    CALL(close_range),
    CALL(dup),
    CALL(dup3),
    CALL(lseek),
    CALL(fstat),
    CALL(ftruncate),
    CALL(fallocate),
    CALL(fsync),
    CALL(fdatasync),
    CALL(getdents64),
    CALL(pipe2),
    CALL(eventfd2),
    CALL(memfd_create),
    CALL(poll),
    CALL(ppoll),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(sendmsg),
    CALL(recvmsg),
    CALL(sendto),
    CALL(recvfrom),
    CALL(shutdown),
    CALL(fstatfs),
    CALL(sync_file_range),
    CALL(fadvise64),
    CALL(copy_file_range),
    CALL(splice),
    /* memory */
    CALL(munmap),
    CALL(madvise),
    CALL(mremap),
    CALL(brk),
    /* threads and time */
    CALL(futex),
    CALL(set_robust_list),
    CALL(rseq),
    CALL(sched_yield),
    CALL(sched_getaffinity),
    CALL(sched_setaffinity),
    CALL(gettid),
    CALL(getpid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(clock_gettime),
    CALL(clock_getres),
    CALL(clock_nanosleep),
    CALL(nanosleep),
    CALL(gettimeofday),
    CALL(getcpu),
    CALL(getrandom),
    CALL(sysinfo),
    CALL(uname),
    CALL(membarrier),
    CALL(restart_syscall),
    /* signals and ends */
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(rt_sigtimedwait),
    CALL(sigaltstack),
    CALL(tgkill),
    CALL(exit),
    CALL(exit_group),
    CALL(getrusage),
    CALL(prlimit64),
    /* stubs: the kernel lets it reach only its own children, in its own PID namespace */
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(wait4),
    CALL(waitid),
    CALL(kill),
    CALL(pidfd_open),
    CALL(pidfd_send_signal),
    CALL(pidfd_getfd),
};

/* Refused softly: libraries try them and go on without. clone3's flags lie in memory, where no filter can look. */
static const int soft_calls[] = {CALL(clone3),     CALL(access), CALL(faccessat), CALL(readlink),
                                 CALL(readlinkat), CALL(open),   CALL(prctl)};

static int add_plain(scmp_filter_ctx f)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(plain_calls); i++)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, plain_calls[i], 0);
    for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(soft_calls); i++)
        ret = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), soft_calls[i], 0);
    return ret;
}

/* Memory is never executable; new tasks are threads only. */
static int add_memory_and_threads(scmp_filter_ctx f)
{
    const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const uint64_t apart =
        CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

    int ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (ret == 0)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (ret == 0)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, thread | apart, thread));
    return ret;
}

static const unsigned long ioctls[] = {
    SECCOMP_IOCTL_NOTIF_RECV,
    SECCOMP_IOCTL_NOTIF_SEND,
    SECCOMP_IOCTL_NOTIF_ID_VALID,
    SECCOMP_IOCTL_NOTIF_ADDFD,
    0x40082104UL /* SECCOMP_IOCTL_NOTIF_SET_FLAGS */,
    0x5401 /* TCGETS */,
    0x5402,
    0x5403,
    0x5404 /* TCSETSF */,
    0x5409 /* TCSBRK */,
    0x540A /* TCXONC */,
    0x540B /* TCFLSH */,
    0x5413 /* TIOCGWINSZ */,
    0x5414 /* TIOCSWINSZ */,
    0x541B /* FIONREAD */,
    0x5411 /* TIOCOUTQ */,
};

static int add_descriptors(scmp_filter_ctx f, int proc_fd)
{
    const uint64_t writing = O_ACCMODE | O_CREAT | O_TRUNC;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(ioctls); i++)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 1, SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)ioctls[i]));
    const int fcntls[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS};
    for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(fcntls); i++)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(fcntl), 1, SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)fcntls[i]));
    /* glibc's fstat(). A name could only be looked up in the empty root. */
    if (ret == 0)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(newfstatat), 1, SCMP_A3_32(SCMP_CMP_EQ, AT_EMPTY_PATH));
    if (ret == 0)
        ret = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), CALL(newfstatat), 1, SCMP_A3_32(SCMP_CMP_NE, AT_EMPTY_PATH));
    if (ret == 0 && proc_fd >= 0)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(openat), 2, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)proc_fd),
                               SCMP_A2(SCMP_CMP_MASKED_EQ, writing, 0));
    if (ret == 0)
        ret = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), CALL(openat), 1, SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)AT_FDCWD));
    return ret;
}

static void forbidden(int sig unused_arg, siginfo_t *info, void *context unused_arg)
{
    log_user("the sentry made system call %d, which its own filter forbids", info->si_syscall);
    _exit(125);
}

static int load_filter(int proc_fd, bool ptrace, bool debug)
{
    struct sigaction sa = {.sa_sigaction = forbidden, .sa_flags = SA_SIGINFO};
    scmp_filter_ctx f = seccomp_init(debug ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS);

    if (!f)
        return -ENOMEM;
    if (debug && sigaction(SIGSYS, &sa, NULL) < 0) {
        seccomp_release(f);
        return -errno;
    }
    int ret = add_plain(f);
    if (ret == 0)
        ret = add_memory_and_threads(f);
    if (ret == 0)
        ret = add_descriptors(f, proc_fd);
    if (ret == 0 && ptrace)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ptrace), 0);
    if (ret == 0)
        ret = seccomp_load(f);
    seccomp_release(f);
    return ret;
}

int boot_lock_in(int proc_fd, bool ptrace, bool debug, const char **out_why)
{
    struct rlimit files;

    if (!debug)
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    mallopt(M_ARENA_MAX, 2);
    *out_why = "raise the limit of open files";
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    *out_why = "enter an empty root";
    int ret = jail_empty_root();
    if (ret < 0)
        return ret;
    *out_why = "drop capabilities";
    ret = jail_drop_privileges();
    if (ret < 0)
        return ret;
    *out_why = "load the system call filter";
    return load_filter(proc_fd, ptrace, debug);
}
