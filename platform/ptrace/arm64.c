/*
 * arm64: registers through PTRACE_GETREGSET and NT_ARM_SYSTEM_CALL, and the stub's code. At a system call stop of
 * PTRACE_SYSEMU x8 holds the number and x0 still the first argument.
 */
#include "platform/ptrace/internal.h"

#include "platform/ptrace/stub_image.h"

#include <asm/ptrace.h>
#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* See x86_64.c: sends {stack pointer, image base, brk} to descriptor 3 once, and waits. */
__asm__(".pushsection .rodata\n"
        ".balign 4\n"
        ".globl stub_image_start, stub_image_syscall, stub_image_cmpxchg, stub_image_end\n"
        "stub_image_start:\n"
        "    adr x19, stub_image_start\n"
        "    and x19, x19, #-4096\n"
        "    add x20, x19, #4096\n"
        "    mov x21, sp\n"
        "    stp x21, x19, [x20]\n"
        "    mov x0, #0\n"
        "    mov x8, #214\n" /* brk(0) */
        "    svc #0\n"
        "    str x0, [x20, #16]\n"
        "    mov x0, #3\n"
        "    mov x1, x20\n"
        "    mov x2, #24\n"
        "    mov x8, #64\n" /* write(3, hello, 24) */
        "    svc #0\n"
        "1:  mov x0, #0\n"
        "    mov x1, #0\n"
        "    mov x2, #0\n"
        "    mov x3, #0\n"
        "    mov x8, #73\n" /* ppoll(NULL, 0, NULL, NULL) */
        "    svc #0\n"
        "    b 1b\n"
        "stub_image_syscall:\n"
        "    svc #0\n"
        "    brk #0\n"
        "stub_image_cmpxchg:\n"
        "1:  ldaxr w9, [x0]\n"
        "    cmp w9, w1\n"
        "    b.ne 2f\n"
        "    stlxr w10, w2, [x0]\n"
        "    cbnz w10, 1b\n"
        "2:  mov w0, w9\n"
        "    brk #0\n"
        "stub_image_end:\n"
        ".popsection\n");

static int get_set(pid_t tid, int request, int note, void *buf, size_t len)
{
    struct iovec iov = {buf, len};

    return ptrace(request, tid, (void *)(uintptr_t)note, &iov) < 0 ? -errno : 0;
}

int arch_fetch_regs(pid_t tid, struct regs *out)
{
    struct user_pt_regs u;
    int nr = -1;

    int ret = get_set(tid, PTRACE_GETREGSET, NT_PRSTATUS, &u, sizeof(u));
    if (ret == 0)
        ret = get_set(tid, PTRACE_GETREGSET, NT_ARM_SYSTEM_CALL, &nr, sizeof(nr));
    if (ret < 0)
        return ret;
    memcpy(out->x, u.regs, sizeof(out->x));
    out->sp = u.sp, out->pc = u.pc, out->pstate = u.pstate;
    out->orig_x0 = u.regs[0];
    out->orig_nr = nr < 0 ? (uint64_t)-1 : (uint64_t)(uint32_t)nr;
    return 0;
}

int arch_store_regs(pid_t tid, const struct regs *r)
{
    struct user_pt_regs u = {.sp = r->sp, .pc = r->pc, .pstate = r->pstate};
    int none = -1;

    memcpy(u.regs, r->x, sizeof(u.regs));
    int ret = get_set(tid, PTRACE_SETREGSET, NT_ARM_SYSTEM_CALL, &none, sizeof(none));
    return ret < 0 ? ret : get_set(tid, PTRACE_SETREGSET, NT_PRSTATUS, &u, sizeof(u));
}

void arch_set_call(struct regs *regs, uint64_t ip, const struct call *c)
{
    regs->pc = ip;
    regs->x[8] = (uint64_t)c->nr;
    memcpy(regs->x, c->args, sizeof(c->args));
}

void arch_set_cmpxchg(struct regs *regs, uint64_t ip, const struct cmpxchg_request *c)
{
    regs->pc = ip;
    regs->x[0] = c->addr, regs->x[1] = c->old, regs->x[2] = c->new_value;
}

void arch_syscall_event(const struct regs *regs, struct plat_event *ev)
{
    ev->nr = regs->orig_nr;
    ev->args[0] = regs->orig_x0;
    memcpy(&ev->args[1], &regs->x[1], 5 * sizeof(uint64_t));
    ev->ip = regs->pc;
}

void arch_fault(const siginfo_t *info, struct fault *out)
{
    const bool addressed = info->si_signo == SIGSEGV || info->si_signo == SIGBUS;

    out->address = addressed && info->si_code < SI_KERNEL ? (uint64_t)(uintptr_t)info->si_addr : 0;
}

int arch_set_tls(pid_t tid, uint64_t tls)
{
    return get_set(tid, PTRACE_SETREGSET, NT_ARM_TLS, &tls, sizeof(tls));
}

int arch_get_tls(pid_t tid, uint64_t *tls)
{
    return get_set(tid, PTRACE_GETREGSET, NT_ARM_TLS, tls, sizeof(*tls));
}
