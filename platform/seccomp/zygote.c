/*
 * The zygote: the first stub process, from which all others are forked.
 *
 * Its program comes from a memfd and holds nothing of ours. It tells us its addresses over a socket, receives the
 * filter that is made for them, and puts itself behind it; the listener then lies at its descriptor 0, from where we
 * take it. From then on it is a stub like the others: stopped in its handler, and ready to be told to fork.
 */
#include "platform/seccomp/internal.h"

#include "lib/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STUB_FILES 128 /* descriptors of ours that may be open in one stub at a time */
#define TASK_SIZE 0x7ffffffff000UL

extern const unsigned char sc_stub_elf[], sc_stub_elf_end[];

static int stub_memfd(void)
{
    const size_t len = (size_t)(sc_stub_elf_end - sc_stub_elf);

    if (len == 0)
        return -ENOSYS;
    int fd = memfd_create("sbox-stub", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (write(fd, sc_stub_elf, len) != (ssize_t)len) {
        close(fd);
        return -EIO;
    }
    return fd;
}

static _Noreturn void become_zygote(int memfd, int socket_fd)
{
    const struct rlimit files = {STUB_FILES, STUB_FILES}, no_core = {0, 0};

    int exe = jail_keep_two_fds(memfd, socket_fd, STUB_SOCKET_FD);
    if (exe < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
        _exit(1);
    jail_exec_stub(exe);
}

/* Starts the program; returns our end of the socket. */
static int spawn(pid_t *out_pid)
{
    int pair[2];

    int memfd = stub_memfd();
    if (memfd < 0)
        return memfd;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        int ret = -errno;
        close(memfd);
        return ret;
    }
    *out_pid = fork();
    if (*out_pid == 0)
        become_zygote(memfd, pair[1]);
    int ret = *out_pid < 0 ? -errno : pair[0];
    close(memfd);
    close(pair[1]);
    if (ret < 0)
        close(pair[0]);
    return ret;
}

static int greet(int socket_fd)
{
    struct stub_hello h;

    if (recv(socket_fd, &h, sizeof(h), 0) != sizeof(h))
        return -EIO;
    sc_stub = (struct stub_layout){.start = h.start,
                                   .end = h.end,
                                   .areas = h.areas,
                                   .site_ip = h.site_ip,
                                   .close_ip = h.close_ip,
                                   .prctl_ip = h.prctl_ip,
                                   .sigreturn_ip = h.sigreturn_ip,
                                   .undo = h.undo};
    sc_host = (struct plat_layout){
        .vdso = h.vdso, .brk_start = h.brk, .mmap_top = h.mmap_top, .task_size = TASK_SIZE, .native_start = TASK_SIZE};
    if (!see_all)
        native_announce();
    return 0;
}

/* The kernel looks at the flags before it looks at the (missing) filter. */
static bool flag_known(unsigned long flag)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flag, NULL) < 0 &&
           errno == EFAULT;
}

static int send_filter(int socket_fd)
{
    struct stub_filter message = {.flags = SECCOMP_FILTER_FLAG_NEW_LISTENER};

    trap_everything = sc_force_trap || !flag_known(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    if (!trap_everything)
        message.flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    message.count = filter_build(message.insns, ARRAY_SIZE(message.insns));
    message.undo_count = native_build_undo(message.undo, ARRAY_SIZE(message.undo));
    if (message.count > ARRAY_SIZE(message.insns) || message.undo_count > ARRAY_SIZE(message.undo))
        return -E2BIG;
    return send(socket_fd, &message, sizeof(message), MSG_NOSIGNAL) == sizeof(message) ? 0 : -EIO;
}

/* The stub cannot tell us that it is behind its filter, as telling is a call too: look until descriptor 0 is there. */
static int take_listener(pid_t pid, int socket_fd)
{
    const struct timespec pause = {.tv_nsec = 20000};
    int64_t error;

    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return -errno;
    int fd, ret;
    for (;;) {
        fd = (int)syscall(SYS_pidfd_getfd, pidfd, 0, 0);
        ret = fd < 0 ? -errno : fd;
        if (fd >= 0 || errno != EBADF)
            break;
        ssize_t n = recv(socket_fd, &error, sizeof(error), MSG_DONTWAIT);
        if (n == 0 || n == sizeof(error)) {
            ret = n ? (int)error : -ECHILD;
            break;
        }
        nanosleep(&pause, NULL);
    }
    close(pidfd);
    return ret;
}

int zygote_make(pid_t *out_pid, const char **out_why)
{
    *out_why = "the seccomp platform is not written for this architecture yet: use --platform ptrace";
    if (&sc_stub_elf[0] == &sc_stub_elf_end[0])
        return -ENOSYS;
    *out_why = "cannot start the stub program";
    int socket_fd = spawn(out_pid);
    if (socket_fd < 0)
        return socket_fd;
    int ret = greet(socket_fd);
    if (ret == 0) {
        *out_why = "the host refuses the stub's system call filter";
        ret = send_filter(socket_fd);
    }
    if (ret == 0)
        ret = take_listener(*out_pid, socket_fd);
    close(socket_fd);
    if (ret < 0) {
        kill(*out_pid, SIGKILL);
        waitpid(*out_pid, NULL, 0);
        return ret;
    }
    notify_init(ret);
    return 0;
}
