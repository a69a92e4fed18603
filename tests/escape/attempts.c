/*
 * Forbidden acts, each tried from inside the locked-in sentry or gofer, as code would that an attacker has taken over.
 *
 * An act returns -1 with errno when it was refused. If it succeeds the line "ESCAPED who:act" goes to the log, which
 * run.py looks for; a kill by the filter is a refusal too. Calls are made directly, so that no library check helps.
 */
#include "lib/jail.h"
#include "lib/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long do_open_passwd(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}

static long do_open_above(void)
{
    return syscall(SYS_openat, AT_FDCWD, "../../../../../../etc/passwd", O_RDONLY, 0);
}

static long do_create_file(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/tmp/escaped", O_CREAT | O_WRONLY, 0600);
}

static long do_open_below_fds(void)
{
    /* Any directory descriptor that was left open would lead out. */
    for (int fd = 0; fd < 64; fd++)
        if (syscall(SYS_openat, fd, "etc/shadow", O_RDONLY, 0) >= 0 ||
            syscall(SYS_openat, fd, "../etc/shadow", O_RDONLY, 0) >= 0)
            return 0;
    errno = ENOENT;
    return -1;
}

static long do_exec(void)
{
    char *argv[] = {"true", NULL};

    return syscall(SYS_execve, "/bin/true", argv, NULL);
}

static long do_exec_memfd(void)
{
    char *argv[] = {"x", NULL};

    return syscall(SYS_execveat, 0, "", argv, NULL, AT_EMPTY_PATH);
}

static long do_fork(void)
{
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static long do_clone3(void)
{
    uint64_t args[8] = {0, 0, 0, 0, SIGCHLD};

    return syscall(SYS_clone3, args, sizeof(args));
}

static long do_new_namespace(void)
{
    return syscall(SYS_unshare, CLONE_NEWUSER);
}

static long do_socket_inet(void)
{
    return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long do_socket_unix(void)
{
    return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static long do_socket_netlink(void)
{
    return syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0);
}

static long do_mount(void)
{
    return syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
}

static long do_chroot(void)
{
    return syscall(SYS_chroot, ".");
}

static long do_pivot_root(void)
{
    return syscall(SYS_pivot_root, ".", ".");
}

static long do_exec_memory(void)
{
    void *p = (void *)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? -1 : 0;
}

static long do_make_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return syscall(SYS_mprotect, p, 4096, PROT_READ | PROT_EXEC);
}

/* A process outside, started by run.py. Its id should mean nothing in here. */
static pid_t outside(void)
{
    const char *pid = getenv("SBOX_ESCAPE_PID");

    return pid ? (pid_t)atoi(pid) : 1;
}

static long do_trace_outside(void)
{
    return syscall(SYS_ptrace, PTRACE_SEIZE, outside(), NULL, NULL);
}

static long do_kill_outside(void)
{
    return syscall(SYS_kill, outside(), SIGUSR1);
}

static long do_read_outside_memory(void)
{
    char buf[16];
    struct iovec local = {buf, sizeof(buf)}, remote = {(void *)environ, sizeof(buf)};

    return syscall(SYS_process_vm_readv, outside(), &local, 1, &remote, 1, 0);
}

static long do_setuid(void)
{
    return syscall(SYS_setuid, 12345);
}

static long do_capset(void)
{
    uint32_t header[2] = {0x20080522, 0}, data[6] = {0xffffffff, 0xffffffff, 0, 0xff, 0xff, 0};

    return syscall(SYS_capset, header, data);
}

static long do_bpf(void)
{
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY};

    return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static long do_perf(void)
{
    struct perf_event_attr attr = {.size = sizeof(attr)};

    return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static long do_io_uring(void)
{
    char params[256] = {0};

    return syscall(SYS_io_uring_setup, 4, params);
}

static long do_userfaultfd(void)
{
    return syscall(SYS_userfaultfd, 0);
}

static long do_keyctl(void)
{
    return syscall(SYS_keyctl, 0, -3, 1);
}

static long do_personality(void)
{
    return syscall(SYS_personality, 0x0040000);
}

static long do_mknod_device(void)
{
    return syscall(SYS_mknodat, AT_FDCWD, "/escaped", S_IFBLK | 0600, 0x801);
}

static long do_tiocsti(void)
{
    /* Typing into the terminal outside. */
    return syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

static long do_module(void)
{
    return syscall(SYS_init_module, "", 0UL, "");
}

static long do_set_dumpable(void)
{
    return syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long do_unblock_death(void)
{
    /* Outliving the one that started us. */
    return syscall(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

static long do_setns(void)
{
    return syscall(SYS_setns, 3, 0);
}

static long do_by_handle(void)
{
    char handle[64] = {8};

    return syscall(SYS_open_by_handle_at, 3, handle, O_RDONLY);
}

static const struct act {
    const char *name;
    long (*fn)(void);
} acts[] = {
    {"open-passwd", do_open_passwd},
    {"open-above", do_open_above},
    {"create-file", do_create_file},
    {"open-below-fds", do_open_below_fds},
    {"exec", do_exec},
    {"exec-fd", do_exec_memfd},
    {"fork", do_fork},
    {"clone3", do_clone3},
    {"new-namespace", do_new_namespace},
    {"socket-inet", do_socket_inet},
    {"socket-unix", do_socket_unix},
    {"socket-netlink", do_socket_netlink},
    {"mount", do_mount},
    {"chroot", do_chroot},
    {"pivot-root", do_pivot_root},
    {"exec-memory", do_exec_memory},
    {"make-executable", do_make_executable},
    {"trace-outside", do_trace_outside},
    {"kill-outside", do_kill_outside},
    {"read-outside-memory", do_read_outside_memory},
    {"setuid", do_setuid},
    {"capset", do_capset},
    {"bpf", do_bpf},
    {"perf", do_perf},
    {"io-uring", do_io_uring},
    {"userfaultfd", do_userfaultfd},
    {"keyctl", do_keyctl},
    {"personality", do_personality},
    {"mknod-device", do_mknod_device},
    {"tiocsti", do_tiocsti},
    {"module", do_module},
    {"set-dumpable", do_set_dumpable},
    {"unblock-death", do_unblock_death},
    {"setns", do_setns},
    {"open-by-handle", do_by_handle},
};

/* The acts, one a line, for run.py: any act named "list". */
static void list_acts(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
        log_user("ACT %s", acts[i].name);
}

void escape_attempt(const char *who)
{
    const char *wanted = getenv("SBOX_ESCAPE");
    size_t len = strlen(who);

    if (!wanted || strncmp(wanted, who, len) || wanted[len] != ':')
        return;
    wanted += len + 1;
    if (!strcmp(wanted, "list"))
        list_acts();
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        if (strcmp(acts[i].name, wanted))
            continue;
        log_user("TRYING %s:%s", who, wanted);
        errno = 0;
        long ret = acts[i].fn();
        if (ret >= 0)
            log_user("ESCAPED %s:%s", who, wanted);
        else
            log_user("REFUSED %s:%s: %s", who, wanted, strerror(errno));
    }
}
