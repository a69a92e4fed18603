/*
 * Host calls made in a stopped thread's name: injection. On the tracer only.
 *
 * The thread gets the registers of the wanted call at the image's system call instruction, runs to the breakpoint
 * behind it, and gets its own registers back when it is resumed. A descriptor that a call needs comes over the stubs'
 * socket: it is sent here, received by an injected call, and closed by another.
 */
#include "platform/ptrace/internal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* ---- running to the breakpoint ---- */

/* Runs t from regs up to the breakpoint. 0, -ESRCH, or -EFAULT when it faulted on the way. */
static int run_to_breakpoint(struct plat_thread *t, const struct regs *regs)
{
    int status;

    if (atomic_load(&t->gone))
        return -ESRCH;
    int ret = arch_store_regs(t->tid, regs);
    if (ret < 0)
        return ret;
    for (;;) {
        if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
            return -ESRCH;
        if (!tracer_wait_stop(t, &status))
            return -ESRCH;
        int sig = WSTOPSIG(status), event = status >> 16;
        if (event)
            continue; /* an interrupt, or a clone event: the caller asks for its message afterwards */
        if (sig == SIGTRAP)
            return 0;
        if (sig == SIGSEGV || sig == SIGBUS)
            return -EFAULT;
    }
}

static int64_t result_of(struct plat_thread *t)
{
    struct regs after;

    int ret = arch_fetch_regs(t->tid, &after);
    return ret < 0 ? ret : (int64_t)*regs_result(&after);
}

int64_t inject(struct plat_thread *t, const struct call *c)
{
    struct regs regs = t->regs;

    arch_set_call(&regs, image.syscall_ip, c);
    int ret = run_to_breakpoint(t, &regs);
    return ret < 0 ? ret : result_of(t);
}

void request_cmpxchg(struct request *r)
{
    struct cmpxchg_request *c = r->arg;
    struct regs regs = r->t->regs;

    arch_set_cmpxchg(&regs, image.cmpxchg_ip, c);
    r->result = run_to_breakpoint(r->t, &regs);
    if (r->result == 0)
        c->seen = (uint32_t)result_of(r->t);
}

void request_host_call(struct request *r)
{
    r->result = inject(r->t, r->arg);
}

void inject_exit(pid_t tid, const struct regs *from)
{
    struct regs regs = *from;
    const struct call c = {.nr = SYS_exit};

    arch_set_call(&regs, image.syscall_ip, &c);
    if (arch_store_regs(tid, &regs) == 0)
        ptrace(PTRACE_CONT, tid, NULL, NULL);
}

void request_exit_thread(struct request *r)
{
    if (!atomic_load(&r->t->gone))
        inject_exit(r->t->tid, &r->t->regs);
}

/* ---- descriptors for mappings ---- */

static int copy_to_stub(struct plat_thread *t, uint64_t dst, const void *src, size_t len)
{
    struct iovec local = {(void *)src, len}, remote = {(void *)(uintptr_t)dst, len};

    return process_vm_writev(t->tid, &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -ESRCH;
}

static int send_descriptor(int fd)
{
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return sendmsg(image.send_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* What the stub's recvmsg needs, laid out in its scratch page. */
struct receive_block {
    struct msghdr msg;
    struct iovec iov;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    char byte;
};

/* Gives the stub a copy of our fd; returns its number there. */
static int64_t donate(struct plat_thread *t, int fd)
{
    const uint64_t at = image.scratch;
    struct receive_block b = {
        .msg = {.msg_iov = (void *)(uintptr_t)(at + offsetof(struct receive_block, iov)),
                .msg_iovlen = 1,
                .msg_control = (void *)(uintptr_t)(at + offsetof(struct receive_block, control)),
                .msg_controllen = sizeof(b.control)},
        .iov = {(void *)(uintptr_t)(at + offsetof(struct receive_block, byte)), 1},
    };
    int ret = copy_to_stub(t, at, &b, sizeof(b));
    if (ret == 0)
        ret = send_descriptor(fd);
    if (ret < 0)
        return ret;
    const struct call receive = {.nr = SYS_recvmsg, .args = {IMAGE_SOCKET_FD, at, MSG_DONTWAIT | MSG_CMSG_CLOEXEC}};
    int64_t n = inject(t, &receive);
    if (n < 0) { /* do not leave it to the next one */
        char drop;
        recv(image.send_fd, &drop, 1, MSG_DONTWAIT);
        return n;
    }
    int got;
    struct iovec local = {&got, sizeof(got)},
                 remote = {(void *)(uintptr_t)(at + offsetof(struct receive_block, control) + CMSG_LEN(0)),
                           sizeof(got)};
    if (process_vm_readv(t->tid, &local, 1, &remote, 1, 0) != sizeof(got))
        return -ESRCH;
    return got;
}

static int64_t map_one(struct plat_thread *t, const struct plat_mapping *m)
{
    int64_t fd = -1;

    if (m->fd >= 0) {
        fd = donate(t, m->fd);
        if (fd < 0)
            return fd;
    }
    const struct call map = {.nr = SYS_mmap,
                             .args = {m->addr, m->len, (uint64_t)m->prot, (uint64_t)m->flags, (uint64_t)fd, m->off}};
    int64_t addr = inject(t, &map);
    if (fd >= 0) {
        const struct call close_fd = {.nr = SYS_close, .args = {(uint64_t)fd}};
        inject(t, &close_fd);
    }
    return addr;
}

void request_map(struct request *r)
{
    struct map_request *m = r->arg;

    for (size_t i = 0; i < m->n && r->result >= 0; i++) {
        m->last = map_one(r->t, &m->maps[i]);
        if (m->last < 0 && m->last >= -4095)
            r->result = m->last;
    }
}
