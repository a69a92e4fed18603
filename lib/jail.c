/* See jail.h: capabilities(7), user_namespaces(7), pivot_root(2). */
#include "lib/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t jail_fork(unsigned long namespaces)
{
    long pid = syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0);

    return pid < 0 ? -errno : (pid_t)pid;
}

static int write_proc(pid_t pid, const char *name, const char *text)
{
    char path[64];
    int ret = 0;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) < 0)
        ret = -errno;
    close(fd);
    return ret;
}

int jail_map_ids(pid_t pid, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid, gid_t outside_gid)
{
    char line[64];

    int ret = write_proc(pid, "setgroups", "deny");
    if (ret < 0)
        return ret;
    snprintf(line, sizeof(line), "%u %u 1\n", inside_uid, outside_uid);
    ret = write_proc(pid, "uid_map", line);
    if (ret < 0)
        return ret;
    snprintf(line, sizeof(line), "%u %u 1\n", inside_gid, outside_gid);
    return write_proc(pid, "gid_map", line);
}

int jail_die_with_parent(int fd)
{
    struct pollfd p = {.fd = fd, .events = 0};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) ? -ESRCH : 0;
}

int jail_empty_root(void)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=555") < 0 || chdir("/tmp") < 0 ||
        syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ||
        mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return -errno;
    return 0;
}

/* The new mount API by number: the C library has it only since 2.36. */
enum { DETACH_CLONE = 1, DETACH_RECURSIVE = 0x8000, FS_SET_STRING = 1, FS_CREATE = 6, FS_CLOEXEC = 1 };
enum { ATTR_RDONLY = 1, ATTR_NOSUID = 2, ATTR_NODEV = 4, ATTR_NOEXEC = 8 };

static int fresh_proc(void)
{
    int ctx = (int)syscall(SYS_fsopen, "proc", FS_CLOEXEC);
    int fd = -1;

    if (ctx < 0)
        return -errno;
    if (syscall(SYS_fsconfig, ctx, FS_SET_STRING, "subset", "pid", 0) == 0 &&
        syscall(SYS_fsconfig, ctx, FS_CREATE, NULL, NULL, 0) == 0)
        fd = (int)syscall(SYS_fsmount, ctx, FS_CLOEXEC, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC);
    int ret = fd < 0 ? -errno : fd;
    close(ctx);
    return ret;
}

static int copied_proc(void)
{
    const uint64_t attr[4] = {ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC, 0, MS_PRIVATE, 0};

    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc", DETACH_CLONE | DETACH_RECURSIVE | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | DETACH_RECURSIVE, attr, sizeof(attr)) < 0) {
        int ret = -errno;
        close(fd);
        return ret;
    }
    return fd;
}

int jail_detached_proc(void)
{
    int fd = fresh_proc();

    return fd >= 0 ? fd : copied_proc();
}

/* Ubuntu's switch: namespaces can be made, but nothing can be done in them. */
static bool apparmor_restricts(void)
{
    char c = '0';
    int fd = open("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    bool on = read(fd, &c, 1) == 1 && c == '1';
    close(fd);
    return on;
}

const char *jail_way_out(int err)
{
    if (err == -ENOSYS || err == -EINVAL)
        return "; sbox needs Linux 5.12 or later";
    if (err == -EAGAIN)
        return "; the user's limit of processes is reached (ulimit -u)";
    if (err == -EMFILE || err == -ENFILE)
        return "; the limit of open files is reached (ulimit -n)";
    if (err != -EPERM && err != -EACCES)
        return "";
    if (apparmor_restricts())
        return "; AppArmor keeps ordinary users from namespaces here: run sbox as root, or as root "
               "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
    return "; this system does not let sbox mount in a namespace of its own: run it as root, or in a container "
           "that was started with --privileged";
}

/* Nothing of ours gains anything by an exec. Forty calls, so not again for a child: it has our bounding set. */
static int empty_bounding_set(void)
{
    static bool empty;

    if (empty)
        return 0;
    /* EINVAL: past the last one; EPERM: we have none that could be dropped. */
    for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
        ;
    empty = errno == EINVAL || errno == EPERM;
    return empty ? 0 : -errno;
}

int jail_keep_capabilities(const int *keep, size_t count)
{
    int ret = empty_bounding_set();

    if (ret < 0)
        return ret;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    cap_t caps = cap_init();
    if (!caps)
        return -ENOMEM;
    if (count && (cap_set_flag(caps, CAP_PERMITTED, (int)count, keep, CAP_SET) < 0 ||
                  cap_set_flag(caps, CAP_EFFECTIVE, (int)count, keep, CAP_SET) < 0))
        ret = -errno;
    if (ret == 0 && cap_set_proc(caps) < 0)
        ret = -errno;
    cap_free(caps);
    if (ret == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        ret = -errno;
    return ret;
}

int jail_drop_privileges(void)
{
    return jail_keep_capabilities(NULL, 0);
}

/* Asks the host to end this process and its children before others when memory runs out. Where it refuses: nothing. */
static void die_first(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    ssize_t ignored = write(fd, "1000", 4);
    (void)ignored;
    close(fd);
}

/* Closes all descriptors but the socket, which goes to number `at`, and the program's, whose new number is returned. */
static int keep_two_fds(int program_fd, int socket_fd, int at)
{
    /* The program must not land on the socket's number, nor the socket vanish under it. */
    int exe = fcntl(program_fd, F_DUPFD_CLOEXEC, at + 1);

    if (exe < 0 || dup2(socket_fd, at) < 0)
        return -errno;
    syscall(SYS_close_range, 0, at - 1, 0);
    if (exe != at + 1)
        syscall(SYS_close_range, at + 1, exe - 1, 0);
    syscall(SYS_close_range, exe + 1, ~0U, 0);
    return exe;
}

_Noreturn static void become_stub(int program_fd, int socket_fd, int socket_at, unsigned max_files)
{
    static char name[] = "stub";
    char *const argv[] = {name, NULL}, *const envp[] = {NULL};
    const struct rlimit files = {max_files, max_files}, no_core = {0, 0};
    sigset_t none;

    int exe = keep_two_fds(program_fd, socket_fd, socket_at);
    if (exe < 0 || (max_files && setrlimit(RLIMIT_NOFILE, &files) < 0) || setrlimit(RLIMIT_CORE, &no_core) < 0)
        _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* No more power than the sentry will have: without that the kernel would not let it trace or read a stub. */
    if (jail_drop_privileges() < 0)
        _exit(1);
    die_first();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    syscall(SYS_execveat, exe, "", argv, envp, AT_EMPTY_PATH);
    _exit(1);
}

/*
 * With vfork(2): copying our memory, and then each page that either side writes, would take longer than all the rest.
 * What the child changes besides, descriptors, limits and credentials, is its own.
 */
pid_t jail_spawn_stub(int program_fd, int socket_at, unsigned max_files, int *out_socket)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        int ret = -errno;
        close(program_fd);
        return ret;
    }
    pid_t pid = empty_bounding_set() < 0 ? -1 : vfork();
    if (pid == 0)
        become_stub(program_fd, pair[1], socket_at, max_files);
    if (pid < 0)
        pid = -errno;
    close(program_fd);
    close(pair[1]);
    if (pid < 0)
        close(pair[0]);
    else
        *out_socket = pair[0];
    return pid;
}
