/*
 * The gofer's lock-in, in steps: an empty root, the working directory on its own descriptors, limits, capabilities, no
 * new privileges, and last the filter of host calls, which kills on anything that is not in the table below. Needs
 * mount and PID namespaces of its own.
 */
#include "gofer/server.h"

#include "lib/filter.h"
#include "lib/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const int allowed_calls[] = {
    SYS_recvmsg,     /* requests */
    SYS_sendmsg,     /* replies, with descriptors */
    SYS_ppoll,       /* wait for requests, where there is no poll */
    SYS_close,       /* drop fids */
    SYS_openat,      /* walk one component; open for data */
    SYS_statx,       /* attributes */
    SYS_fstatfs,     /* statfs */
    SYS_pread64,     /* data, for plain clients */
    SYS_pwrite64,    /* data, for plain clients */
    SYS_getdents64,  /* readdir */
    SYS_fsync,       /* fsync of directories */
    SYS_lseek,       /* readdir's position */
    SYS_readlinkat,  /* readlink */
    SYS_mkdirat,     /* mkdir */
    SYS_mknodat,     /* create files, FIFOs, sockets */
    SYS_symlinkat,   /* symlink */
    SYS_linkat,      /* link */
    SYS_unlinkat,    /* unlink, rmdir */
    SYS_renameat2,   /* rename */
    SYS_fchmodat,    /* mode */
    SYS_fchownat,    /* owner */
    SYS_utimensat,   /* times */
    SYS_truncate,    /* size */
    SYS_getxattr,    /* extended attributes */
    SYS_setxattr,    /* extended attributes */
    SYS_listxattr,   /* extended attributes */
    SYS_removexattr, /* extended attributes */
    SYS_fcntl,       /* duplicate a fid's descriptor */
    SYS_write,       /* the log */
    SYS_gettid,      /* the log */
    SYS_brk,         /* malloc */
    SYS_munmap,      /* malloc */
    SYS_mremap,      /* malloc */
    SYS_getrandom,   /* malloc's first use */
    SYS_exit_group,  /* the end */

    SYS_restart_syscall, /* goes on waiting after the process was stopped or frozen */
#if defined(__x86_64__)
    SYS_poll, /* wait for requests */
#endif
};

/* With root's ids, to act as the guest's users on the host's files. */
static const int file_caps[] = {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_CHOWN, CAP_FOWNER, CAP_FSETID};

static int install_filter(void)
{
    static struct filter f;
    /* malloc: memory that is never executable. */
    const struct filter_rule map = {SYS_mmap, FILTER_ALLOW, {{2, PROT_EXEC, 0}}, 1};
    const struct filter_rule protect = {SYS_mprotect, FILTER_ALLOW, {{2, PROT_EXEC, 0}}, 1};
    const struct filter_rule move = {SYS_sched_setaffinity, FILTER_ALLOW, {{0, ~0U, 0}}, 1}; /* itself: near.c */

    filter_begin(&f, SECCOMP_RET_KILL_PROCESS);
    filter_rules(&f, &map, 1);
    filter_rules(&f, &protect, 1);
    filter_rules(&f, &move, 1);
    filter_plain(&f, allowed_calls, ARRAY_SIZE(allowed_calls), FILTER_ALLOW);
    return filter_load(&f);
}

static void set_limits(void)
{
    struct rlimit files;

    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/*
 * Leaves every host file behind but the trees: the root becomes empty, and the working directory is that of our own
 * descriptors in a procfs that shows nobody else.
 */
static int leave_files(void)
{
    int proc = jail_detached_proc();
    int ret = proc < 0 ? proc : jail_empty_root();
    int dir = ret < 0 ? -1 : openat(proc, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (ret == 0 && (dir < 0 || fchdir(dir) < 0))
        ret = -errno;
    if (dir >= 0)
        close(dir);
    if (proc >= 0)
        close(proc);
    return ret;
}

int gofer_lock_in(const struct gofer_config *cfg)
{
    umask(0);
    signal(SIGPIPE, SIG_IGN);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    int ret = leave_files();
    if (ret < 0)
        return ret;
    set_limits();
    ret = jail_keep_capabilities(file_caps, cfg->privileged ? ARRAY_SIZE(file_caps) : 0);
    if (ret < 0)
        return ret;
    return install_filter();
}
