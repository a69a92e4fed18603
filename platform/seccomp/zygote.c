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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STUB_FILES 128 /* descriptors of ours that may be open in one stub at a time */
#define TASK_SIZE 0x7ffffffff000UL

extern const unsigned char sc_stub_elf[], sc_stub_elf_end[];

static int socket_fd = -1; /* to the zygote, until it is behind its filter */

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

int zygote_start(pid_t *out_pid, const char **out_why)
{
    *out_why = "the seccomp platform is not written for this architecture yet: use --platform ptrace";
    if (&sc_stub_elf[0] == &sc_stub_elf_end[0])
        return -ENOSYS;
    *out_why = "cannot start the stub program";
    int memfd = stub_memfd();
    if (memfd < 0)
        return memfd;
    *out_pid = jail_spawn_stub(memfd, STUB_SOCKET_FD, STUB_FILES, &socket_fd);
    return *out_pid < 0 ? *out_pid : 0;
}

static int greet(void)
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
                                   .futex_ip = h.futex_ip,
                                   .undo = h.undo,
                                   .fast = h.fast,
                                   .slot = h.slot,
                                   .trampolines = h.trampolines};
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

static int send_filter(void)
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

/* The stub cannot tell us that it is behind its filter, as telling is a call too; but it may close its socket. */
static int take_listener(pid_t pid)
{
    int64_t error;

    if (recv(socket_fd, &error, sizeof(error), 0) == sizeof(error))
        return error < 0 ? (int)error : -EPROTO;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return -errno;
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, 0, 0);
    int ret = fd < 0 ? -errno : fd;
    close(pidfd);
    return ret;
}

int zygote_greet(pid_t pid, const char **out_why)
{
    *out_why = "cannot start the stub program";
    int ret = greet();
    if (ret == 0) {
        *out_why = "the host refuses the stub's system call filter";
        ret = send_filter();
    }
    if (ret == 0)
        ret = take_listener(pid);
    close(socket_fd);
    if (ret < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return ret;
    }
    notify_init(ret);
    return 0;
}
