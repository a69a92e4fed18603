/*
 * x86-64: the registers and the FP state as signal frames hold them (uapi asm/sigcontext.h): the host kernel's, which
 * the seccomp platform reads, and ours, which the sentry builds for guests.
 */
#pragma once

#if defined(__x86_64__)

#include "include/arch/regs.h"

/* The kernel's struct sigcontext. */
struct sigcontext_x86 {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2;
    uint64_t fpstate; /* address of the XSAVE area */
    uint64_t reserved[8];
};

/* Fills the general registers; the rest of mc stays. */
static inline void sigcontext_set_regs(struct sigcontext_x86 *mc, const struct regs *r)
{
    mc->r8 = r->r8;
    mc->r9 = r->r9;
    mc->r10 = r->r10;
    mc->r11 = r->r11;
    mc->r12 = r->r12;
    mc->r13 = r->r13;
    mc->r14 = r->r14;
    mc->r15 = r->r15;
    mc->rdi = r->rdi;
    mc->rsi = r->rsi;
    mc->rbp = r->rbp;
    mc->rbx = r->rbx;
    mc->rdx = r->rdx;
    mc->rax = r->rax;
    mc->rcx = r->rcx;
    mc->rsp = r->rsp;
    mc->rip = r->rip;
    mc->eflags = r->eflags;
}

/* The registers of a thread that is at no system call. */
static inline struct regs sigcontext_regs(const struct sigcontext_x86 *mc)
{
    return (struct regs){.r15 = mc->r15,
                         .r14 = mc->r14,
                         .r13 = mc->r13,
                         .r12 = mc->r12,
                         .r11 = mc->r11,
                         .r10 = mc->r10,
                         .r9 = mc->r9,
                         .r8 = mc->r8,
                         .rbp = mc->rbp,
                         .rbx = mc->rbx,
                         .rdx = mc->rdx,
                         .rcx = mc->rcx,
                         .rax = mc->rax,
                         .rsi = mc->rsi,
                         .rdi = mc->rdi,
                         .rsp = mc->rsp,
                         .rip = mc->rip,
                         .eflags = mc->eflags,
                         .orig_nr = (uint64_t)-1};
}

/*
 * The XSAVE area: a legacy part of 512 bytes, whose last 48 the processor leaves to the kernel, a header (which
 * components there are), and the components.
 */
#define XSTATE_LEGACY 512U
#define XSTATE_HEADER 512U /* offset: components, compaction, zeros */
#define XSTATE_MIN 576U    /* with a header */
#define XSTATE_MAX 16384U
#define XSTATE_MXCSR 24U /* offset */
#define XSTATE_NOTE 464U /* offset of the kernel's note */
#define XSTATE_MAGIC1 0x46505853U
#define XSTATE_MAGIC2 0x46505845U /* after the area */

struct xstate_note {
    uint32_t magic1;
    uint32_t extended_size; /* of the area with the magic after it */
    uint64_t features;
    uint32_t size; /* of the area */
    uint32_t padding[7];
};
_Static_assert(XSTATE_NOTE + sizeof(struct xstate_note) == XSTATE_LEGACY, "the end of the legacy part");

/* What the host has switched on. */
static inline uint64_t xstate_host_features(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((uint64_t)hi << 32) | lo;
}

#endif
