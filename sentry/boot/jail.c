/*
 * How the sentry, in an empty root by then, locks itself in: no capabilities, no new privileges, and a filter that
 * kills the process at any call that is not in the table below. With --debug a forbidden call ends it by SIGSYS with
 * its number logged. Calls that glibc can do without are refused with an error instead.
 */
#include "lib/jail.h"
#include "include/boot.h"
#include "lib/filter.h"
#include "lib/log.h"
#include "sentry/boot/boot_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define CALL(name) SYS_##name

/* No arguments to check: they act on the process itself or on descriptors that it was given. */
static const int plain_calls[] = {
    /* descriptors that it was given, or that the gofer donated */
    CALL(read),
    CALL(write),
    CALL(pread64),
    CALL(pwrite64),
    CALL(pwritev2),
    CALL(lseek),
    CALL(close),
    CALL(fstat),
    CALL(ftruncate),
    CALL(fallocate),
    CALL(fsync),
    CALL(fdatasync),
    /* files of its own in memory (tmpfs, shared memory) */
    CALL(memfd_create),
    /* sockets to runtime and gofer */
    CALL(sendmsg),
    CALL(recvmsg),
    CALL(sendto),
    CALL(recvfrom),
    CALL(shutdown),
    /* waiting for standard input and output, and for the gofer */
    CALL(ppoll),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_pwait),
    /* malloc and thread stacks */
    CALL(munmap),
    CALL(madvise),
    CALL(mremap),
    CALL(brk),
    /* threads */
    CALL(futex),
    CALL(set_robust_list),
    CALL(get_robust_list),
    CALL(rseq),
    CALL(sched_yield),
    CALL(gettid),
    CALL(getpid),
    CALL(exit),
    /* time and what the guest is told of the machine */
    CALL(clock_gettime),
    CALL(clock_getres),
    CALL(clock_nanosleep),
    CALL(getrandom),
    CALL(sysinfo),
    CALL(sched_getaffinity),
    CALL(prlimit64),
    CALL(sched_setaffinity), /* both: of stubs too, for the guest's limits and masks */
    /* its own signals and its end */
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(tgkill),
    CALL(exit_group),
    CALL(restart_syscall),
    /* stubs: the kernel lets it reach only its own children, in its own PID namespace */
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(waitid),
    CALL(wait4),
    CALL(kill),
#if defined(__x86_64__)
    /* older forms of the waiting calls */
    CALL(poll),
    CALL(epoll_wait),
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    /* the runtime of a sanitizer, in builds for tests */
    CALL(sigaltstack),
    CALL(nanosleep),
    CALL(gettimeofday),
#endif
};

/* The ptrace platform's tracer, which can reach only its own children. */
static const int ptrace_calls[] = {CALL(ptrace), CALL(rt_sigtimedwait)};

/* Refused softly: libraries try them and go on without. clone3's flags lie in memory, where no filter can look. */
static const int soft_calls[] = {
    CALL(clone3), CALL(faccessat), CALL(readlinkat), CALL(prctl),
#if defined(__x86_64__)
    CALL(access), CALL(readlink),  CALL(open),
#endif
};

static const uint32_t ioctls[] = {
    SECCOMP_IOCTL_NOTIF_SEND,
    SECCOMP_IOCTL_NOTIF_RECV,
    SECCOMP_IOCTL_NOTIF_ID_VALID,
    SECCOMP_IOCTL_NOTIF_ADDFD,
    0x40082104, /* SECCOMP_IOCTL_NOTIF_SET_FLAGS */
    0x5401,     /* TCGETS */
    0x5402,     /* TCSETS */
    0x5403,     /* TCSETSW */
    0x5404,     /* TCSETSF */
    0x802c542a, /* TCGETS2 */
    0x402c542b, /* TCSETS2 */
    0x402c542c, /* TCSETSW2 */
    0x402c542d, /* TCSETSF2 */
    0x5409,     /* TCSBRK */
    0x5425,     /* TCSBRKP */
    0x540a,     /* TCXONC */
    0x540b,     /* TCFLSH */
    0x5413,     /* TIOCGWINSZ */
    0x5414,     /* TIOCSWINSZ */
    0x541b,     /* FIONREAD */
    0x5411,     /* TIOCOUTQ */
};

static const uint32_t fcntls[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS};

/* Commands that are allowed for a call that takes one as its second argument. */
static void allow_commands(struct filter *f, int nr, const uint32_t *commands, size_t count)
{
    struct filter_rule rules[32];

    for (size_t i = 0; i < count && i < ARRAY_SIZE(rules); i++)
        rules[i] = (struct filter_rule){nr, FILTER_ALLOW, {{1, ~0U, commands[i]}}, 1};
    filter_rules(f, rules, MIN(count, ARRAY_SIZE(rules)));
}
_Static_assert(ARRAY_SIZE(ioctls) <= 32 && ARRAY_SIZE(fcntls) <= 32, "allow_commands() has room");

/* Memory is never executable; new tasks are threads only. */
static void allow_memory_and_threads(struct filter *f)
{
    const uint32_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const uint32_t apart =
        CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    const struct filter_rule map = {CALL(mmap), FILTER_ALLOW, {{2, PROT_EXEC, 0}}, 1};
    const struct filter_rule protect = {CALL(mprotect), FILTER_ALLOW, {{2, PROT_EXEC, 0}}, 1};
    const struct filter_rule make = {CALL(clone), FILTER_ALLOW, {{0, thread | apart, thread}}, 1};

    filter_rules(f, &map, 1);
    filter_rules(f, &protect, 1);
    filter_rules(f, &make, 1);
}

/* Names: below proc_fd for reading; and glibc's fstat(), which gives none. */
static void allow_names(struct filter *f, int proc_fd)
{
    const uint32_t writing = O_ACCMODE | O_CREAT | O_TRUNC;
    const struct filter_rule stat[] = {
        {CALL(newfstatat), FILTER_ALLOW, {{3, ~0U, AT_EMPTY_PATH}}, 1},
        {CALL(newfstatat), FILTER_ERRNO(ENOSYS), {{0}}, 0},
    };
    const struct filter_rule open[] = {
        {CALL(openat), FILTER_ERRNO(EACCES), {{0, ~0U, (uint32_t)AT_FDCWD}}, 1},
        {CALL(openat), FILTER_ALLOW, {{0, ~0U, (uint32_t)proc_fd}, {2, writing, 0}}, 2},
    };

    filter_rules(f, stat, ARRAY_SIZE(stat));
    filter_rules(f, open, proc_fd >= 0 ? 2 : 1);
}

static void forbidden(int sig unused_arg, siginfo_t *info, void *context unused_arg)
{
    log_user("the sentry made system call %d, which its own filter forbids", info->si_syscall);
    _exit(125);
}

static int load_filter(int proc_fd, bool ptrace, bool debug)
{
    static struct filter f;
    struct sigaction sa = {.sa_sigaction = forbidden, .sa_flags = SA_SIGINFO};

    if (debug && sigaction(SIGSYS, &sa, NULL) < 0)
        return -errno;
    filter_begin(&f, debug ? SECCOMP_RET_TRAP : SECCOMP_RET_KILL_PROCESS);
    allow_commands(&f, CALL(ioctl), ioctls, ARRAY_SIZE(ioctls));
    allow_memory_and_threads(&f);
    allow_names(&f, proc_fd);
    allow_commands(&f, CALL(fcntl), fcntls, ARRAY_SIZE(fcntls));
    filter_plain(&f, plain_calls, ARRAY_SIZE(plain_calls), FILTER_ALLOW);
    filter_plain(&f, soft_calls, ARRAY_SIZE(soft_calls), FILTER_ERRNO(ENOSYS));
    if (ptrace)
        filter_plain(&f, ptrace_calls, ARRAY_SIZE(ptrace_calls), FILTER_ALLOW);
    return filter_load(&f);
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
    *out_why = "drop capabilities";
    int ret = jail_drop_privileges();
    if (ret < 0)
        return ret;
    *out_why = "load the system call filter";
    return load_filter(proc_fd, ptrace, debug);
}
