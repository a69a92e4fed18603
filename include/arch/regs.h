/*
 * A guest thread's general registers, one type per architecture, and the names by which portable code uses them.
 * FP and vector state is not here: see plat_get_fpstate().
 */
#pragma once

#include <stdint.h>

#if defined(__x86_64__)

/* Order and widths are ours; the platforms convert from signal frames and ptrace. TLS bases are not included. */
struct regs {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rbx, rdx, rcx, rax, rsi, rdi, rsp;
    uint64_t rip, eflags;
    uint64_t orig_nr; /* system call number at a system call stop, else (uint64_t)-1 */
};

/* What the processor said of a fault, as signal frames tell it. */
struct fault {
    uint64_t trapno, err, cr2; /* number of the exception, its error code, address of a page fault */
};

#define SYSCALL_INSN_LEN 2

static inline uint64_t *regs_ip(struct regs *r)
{
    return &r->rip;
}
static inline uint64_t *regs_sp(struct regs *r)
{
    return &r->rsp;
}
static inline uint64_t *regs_result(struct regs *r)
{
    return &r->rax;
}

/* Makes the thread execute its system call instruction again, with number nr. */
static inline void regs_restart_syscall(struct regs *r, uint64_t nr)
{
    r->rip -= SYSCALL_INSN_LEN;
    r->rax = nr;
}

#elif defined(__aarch64__)

struct regs {
    uint64_t x[31];
    uint64_t sp, pc, pstate;
    uint64_t orig_x0; /* first argument at a system call stop (the result replaces x0) */
    uint64_t orig_nr; /* system call number at a system call stop, else (uint64_t)-1 */
};

struct fault {
    uint64_t address;
};

#define SYSCALL_INSN_LEN 4

static inline uint64_t *regs_ip(struct regs *r)
{
    return &r->pc;
}
static inline uint64_t *regs_sp(struct regs *r)
{
    return &r->sp;
}
static inline uint64_t *regs_result(struct regs *r)
{
    return &r->x[0];
}

static inline void regs_restart_syscall(struct regs *r, uint64_t nr)
{
    r->pc -= SYSCALL_INSN_LEN;
    r->x[0] = r->orig_x0;
    r->x[8] = nr;
}

#else
#error "unsupported architecture"
#endif
