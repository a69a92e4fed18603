/*
 * The gofer's lock-in, in steps: an empty root, the working directory on its own descriptors, limits, capabilities, no
 * new privileges, and last the filter of host calls, which kills on anything that is not in the table below. Needs
 * mount and PID namespaces of its own.
 */
#include "gofer/server.h"

#include "lib/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct allowed_call {
    int nr;
    const char *reason;
};

static const struct allowed_call allowed_calls[] = {
    {SCMP_SYS(recvmsg), "requests"},
    {SCMP_SYS(sendmsg), "replies, with descriptors"},
    {SCMP_SYS(poll), "wait for requests"},
    {SCMP_SYS(ppoll), "wait for requests, where there is no poll"},
    {SCMP_SYS(close), "drop fids"},
    {SCMP_SYS(openat), "walk one component; open for data"},
    {SCMP_SYS(statx), "attributes"},
    {SCMP_SYS(fstatfs), "statfs"},
    {SCMP_SYS(pread64), "data, for plain clients"},
    {SCMP_SYS(pwrite64), "data, for plain clients"},
    {SCMP_SYS(getdents64), "readdir"},
    {SCMP_SYS(fsync), "fsync of directories"},
    {SCMP_SYS(lseek), "readdir's position"},
    {SCMP_SYS(readlinkat), "readlink"},
    {SCMP_SYS(mkdirat), "mkdir"},
    {SCMP_SYS(mknodat), "create files, FIFOs, sockets"},
    {SCMP_SYS(symlinkat), "symlink"},
    {SCMP_SYS(linkat), "link"},
    {SCMP_SYS(unlinkat), "unlink, rmdir"},
    {SCMP_SYS(renameat2), "rename"},
    {SCMP_SYS(fchmodat), "mode"},
    {SCMP_SYS(fchownat), "owner"},
    {SCMP_SYS(utimensat), "times"},
    {SCMP_SYS(truncate), "size"},
    {SCMP_SYS(getxattr), "extended attributes"},
    {SCMP_SYS(setxattr), "extended attributes"},
    {SCMP_SYS(listxattr), "extended attributes"},
    {SCMP_SYS(removexattr), "extended attributes"},
    {SCMP_SYS(fcntl), "duplicate a fid's descriptor"},
    {SCMP_SYS(write), "the log"},
    {SCMP_SYS(gettid), "the log"},
    {SCMP_SYS(brk), "malloc"},
    {SCMP_SYS(munmap), "malloc"},
    {SCMP_SYS(mremap), "malloc"},
    {SCMP_SYS(getrandom), "malloc's first use"},
    {SCMP_SYS(exit_group), "the end"},
};

/* With root's ids, to act as the guest's users on the host's files. */
static const int file_caps[] = {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_CHOWN, CAP_FOWNER, CAP_FSETID};

static int install_filter(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int ret = f ? 0 : -ENOMEM;

    for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(allowed_calls); i++)
        if (allowed_calls[i].nr >= 0) /* negative: this machine has no such call */
            ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed_calls[i].nr, 0);
    /* malloc: memory that is never executable. */
    if (ret == 0)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (ret == 0)
        ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (ret == 0)
        ret = seccomp_load(f);
    seccomp_release(f);
    return ret;
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
