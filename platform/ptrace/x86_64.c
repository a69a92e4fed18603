/* x86-64: registers through PTRACE_GETREGS, and the stub's code. */
#include "platform/ptrace/internal.h"

#include "platform/ptrace/stub_image.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <sys/user.h>

/*
 * Entered once with the initial stack: sends {stack pointer, image base, brk} to descriptor 3 and waits for signals.
 * The data page lies one page behind the image's base, which is the page that holds this code.
 */
__asm__(".pushsection .rodata\n"
        ".globl stub_image_start, stub_image_syscall, stub_image_cmpxchg, stub_image_end\n"
        "stub_image_start:\n"
        "    lea stub_image_start(%rip), %rbx\n"
        "    and $-4096, %rbx\n"
        "    mov %rsp, 4096(%rbx)\n"
        "    mov %rbx, 4104(%rbx)\n"
        "    xor %edi, %edi\n"
        "    mov $12, %eax\n" /* brk(0) */
        "    syscall\n"
        "    mov %rax, 4112(%rbx)\n"
        "    mov $3, %edi\n"
        "    lea 4096(%rbx), %rsi\n"
        "    mov $24, %edx\n"
        "    mov $1, %eax\n" /* write(3, hello, 24) */
        "    syscall\n"
        "1:  mov $34, %eax\n" /* pause() */
        "    syscall\n"
        "    jmp 1b\n"
        "stub_image_syscall:\n"
        "    syscall\n"
        "    int3\n"
        "stub_image_cmpxchg:\n"
        "    mov %esi, %eax\n"
        "    lock cmpxchg %edx, (%rdi)\n"
        "    int3\n"
        "stub_image_end:\n"
        ".popsection\n");

int arch_fetch_regs(pid_t tid, struct regs *out)
{
    struct user_regs_struct u;

    if (ptrace(PTRACE_GETREGS, tid, NULL, &u) < 0)
        return -errno;
    *out = (struct regs){.r15 = u.r15,
                         .r14 = u.r14,
                         .r13 = u.r13,
                         .r12 = u.r12,
                         .r11 = u.r11,
                         .r10 = u.r10,
                         .r9 = u.r9,
                         .r8 = u.r8,
                         .rbp = u.rbp,
                         .rbx = u.rbx,
                         .rdx = u.rdx,
                         .rcx = u.rcx,
                         .rax = u.rax,
                         .rsi = u.rsi,
                         .rdi = u.rdi,
                         .rsp = u.rsp,
                         .rip = u.rip,
                         .eflags = u.eflags,
                         .orig_nr = u.orig_rax};
    return 0;
}

/* Segment registers and bases stay as they are; a system call in progress is forgotten, so that none is restarted. */
int arch_store_regs(pid_t tid, const struct regs *r)
{
    struct user_regs_struct u;

    if (ptrace(PTRACE_GETREGS, tid, NULL, &u) < 0)
        return -errno;
    u.r15 = r->r15, u.r14 = r->r14, u.r13 = r->r13, u.r12 = r->r12, u.r11 = r->r11, u.r10 = r->r10;
    u.r9 = r->r9, u.r8 = r->r8, u.rbp = r->rbp, u.rbx = r->rbx, u.rdx = r->rdx, u.rcx = r->rcx;
    u.rax = r->rax, u.rsi = r->rsi, u.rdi = r->rdi, u.rsp = r->rsp, u.rip = r->rip, u.eflags = r->eflags;
    u.orig_rax = (unsigned long long)-1;
    return ptrace(PTRACE_SETREGS, tid, NULL, &u) < 0 ? -errno : 0;
}

void arch_set_call(struct regs *regs, uint64_t ip, const struct call *c)
{
    regs->rip = ip;
    regs->rax = (uint64_t)c->nr;
    regs->rdi = c->args[0], regs->rsi = c->args[1], regs->rdx = c->args[2];
    regs->r10 = c->args[3], regs->r8 = c->args[4], regs->r9 = c->args[5];
}

void arch_set_cmpxchg(struct regs *regs, uint64_t ip, const struct cmpxchg_request *c)
{
    regs->rip = ip;
    regs->rdi = c->addr, regs->rsi = c->old, regs->rdx = c->new_value;
}

void arch_syscall_event(const struct regs *regs, struct plat_event *ev)
{
    ev->nr = regs->orig_nr;
    ev->args[0] = regs->rdi, ev->args[1] = regs->rsi, ev->args[2] = regs->rdx;
    ev->args[3] = regs->r10, ev->args[4] = regs->r8, ev->args[5] = regs->r9;
    ev->ip = regs->rip;
}

#define ERR_PRESENT 1U /* of a page fault: there is a page, and its protection forbids this */
#define ERR_USER 4U
#define ERR_PKEY 0x20U

static struct fault page_fault(const siginfo_t *info, uint64_t err)
{
    return (struct fault){.trapno = 14, .err = ERR_USER | err, .cr2 = (uint64_t)(uintptr_t)info->si_addr};
}

/* Of a page fault nobody tells whether it was a read, a write or a fetch: it is told as a read. */
void arch_fault(const siginfo_t *info, struct fault *out)
{
    *out = (struct fault){0};
    switch (info->si_signo) {
    case SIGSEGV:
        if (info->si_code == SEGV_MAPERR)
            *out = page_fault(info, 0);
        else if (info->si_code == SEGV_ACCERR)
            *out = page_fault(info, ERR_PRESENT);
        else if (info->si_code == SEGV_PKUERR)
            *out = page_fault(info, ERR_PRESENT | ERR_PKEY);
        else
            out->trapno = 13; /* general protection */
        break;
    case SIGBUS:
        if (info->si_code == BUS_ADRALN)
            out->trapno = 17; /* alignment check */
        else
            *out = page_fault(info, 0);
        break;
    case SIGFPE:
        out->trapno = info->si_code == FPE_INTDIV ? 0 : info->si_code == FPE_INTOVF ? 4 : 19; /* 19: SIMD */
        break;
    case SIGILL:
        out->trapno = 6;
        break;
    case SIGTRAP:
        out->trapno = info->si_code == SI_KERNEL ? 3 : 1; /* a breakpoint instruction, or single steps and the like */
        break;
    }
}

int arch_set_tls(pid_t tid, uint64_t tls)
{
    return ptrace(PTRACE_POKEUSER, tid, offsetof(struct user, regs.fs_base), tls) < 0 ? -errno : 0;
}

int arch_get_tls(pid_t tid, uint64_t *tls)
{
    struct user_regs_struct u;

    if (ptrace(PTRACE_GETREGS, tid, NULL, &u) < 0)
        return -errno;
    *tls = u.fs_base;
    return 0;
}
