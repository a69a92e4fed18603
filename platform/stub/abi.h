/*
 * What the stub and the sentry agree on: the areas, the jobs and the reports.
 *
 * Each guest thread has an area in the stub's own range of addresses: a block of jobs at its bottom, above it the
 * signal stack on which the stub's handler runs, and at the top what the stub keeps about the thread. Handler code
 * finds its area by masking an address on that stack, so neither FS nor GS is used. When a guest thread stops with all
 * its registers, the handler makes a *report*: system call number STUB_REPORT_NR at the one address that only the stub
 * uses, with (address of the saved ucontext, kind, result of the last job, jobs done, token) whose answer is 0 (go back
 * to the guest), a number of jobs that the sentry has put into the area, or, with STUB_ANSWER_RESULT in its low byte, a
 * system call's result to go back with. Everything here lies in guest memory: the sentry believes none of it.
 */
#pragma once

#include "platform/stub/slot.h"

#include <linux/filter.h>
#include <linux/sched.h>
#include <stdint.h>

#define STUB_AREA_SIZE 65536UL
#define STUB_AREAS 4096UL                        /* threads in one address space */
#define STUB_STACK_OFFSET 8192UL                 /* of the signal stack in the area */
#define STUB_SELF_OFFSET (STUB_AREA_SIZE - 64UL) /* of struct stub_self; the end of the stack */
#define STUB_JOBS_MAX 48UL
#define STUB_FILTER_MAX 256 /* instructions */
#define STUB_UNDO_MAX 32
#define STUB_SOCKET_FD 3
#define STUB_KICK_SIGNAL 10 /* SIGUSR1: not queued, however often it is sent */

#define STUB_REPORT_NR 0x00535542L

#define STUB_ANSWER_RESULT 0xffL /* the result lies in the upper 56 bits */

/* Kinds of report; 1..64 are signal numbers. */
#define STUB_JOBS_DONE 0x100L
#define STUB_START 0x101L /* first report of a new host thread, with its token */
#define STUB_READY 0x102L /* the zygote has its filter */
#define STUB_RECALLED                                                                                                  \
    0x103L /* SIGSYS of an rt_sigprocmask that met the recall of the mask; the token: the mask before */
#define STUB_NO_THREAD 0x104L /* the host did not make the thread that we let it make; its result */

enum stub_op {
    STUB_CALL,     /* host system call nr(args) */
    STUB_FORK,     /* clone(args): the child goes on in a copy of this handler */
    STUB_CLONE_VM, /* clone(args) with shared memory: the child runs in the area of its stack pointer args[1] */
    STUB_CMPXCHG,  /* address, old, new: result is the word seen, or -EFAULT */
    STUB_POKE,     /* address, value: stores eight bytes */
};

struct stub_job {
    uint64_t op, nr, args[6];
    uint64_t token;   /* of a child's first report */
    int64_t close_fd; /* closed afterwards if >= 0 */
};

struct stub_area {
    struct stub_job jobs[STUB_JOBS_MAX];
};
_Static_assert(sizeof(struct stub_area) <= STUB_STACK_OFFSET, "the jobs fit below the stack");

/*
 * What the stub keeps about a thread.
 *
 * Its signal mask, while the sentry lends it: rt_sigprocmask(2) is then served by the handler. The sentry takes it back
 * by clearing `lent` and reading `mask` after that; the stub stores `mask` and looks at `lent` after that.
 *
 * And the area that the sentry offers it for a new thread. The stub then prepares the child there, and makes the host's
 * clone(2) itself, in place of a report: (flags, stack pointer, where the host's id is to be stored, clear_child_tid,
 * TLS, the guest's parent_tid). The sentry lets that call through, having stored the child's id in the guest, or
 * answers as it answers a report.
 */
struct stub_self {
    uint64_t lent, mask;
    uint64_t offer;  /* address of the area; 0: there is none */
    uint64_t result; /* of the guest's call, if the thread is made, … */
    uint32_t made;   /* … for which the sentry lets the clone(2) through. 0: it does not */
    uint32_t tid; /* of the thread itself, if it was made so: its host id, from the kernel before its parent goes on */
};
/* The threads it makes: these flags of clone(2), any of these options of the guest's, and that the host's id is told.
 */
#define STUB_THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define STUB_THREAD_OPTIONS (CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
#define STUB_CHILD_ROOM 64UL /* below the child's copy of the frame: its stack pointer is so much lower */
_Static_assert(sizeof(struct stub_self) <= 64, "there is room above the stack");

/* The zygote's first message. */
struct stub_hello {
    uint64_t start, end;                                          /* the stub's range of addresses */
    uint64_t areas;                                               /* address of area 0 */
    uint64_t site_ip, close_ip, prctl_ip, sigreturn_ip, futex_ip; /* after its system call instructions */
    uint64_t vdso, brk, mmap_top;
    uint64_t undo;              /* address of the struct sock_fprog for the second filter */
    uint64_t fast;              /* addresses for fast calls: of stub_fast, … */
    uint64_t slot, trampolines; /* … and of the variables of these names */
};

/* The answer to it: for seccomp(2), now and, as a job of single processes, later. */
struct stub_filter {
    uint64_t flags;
    uint64_t count, undo_count;
    struct sock_filter insns[STUB_FILTER_MAX];
    struct sock_filter undo[STUB_UNDO_MAX];
};

/* What the host kernel saves at a signal: its ucontext, and the siginfo that follows it (x86-64). */
#if defined(__x86_64__)
struct stub_frame {
    uint64_t uc_flags, uc_link;
    uint64_t ss_sp;
    int32_t ss_flags, ss_pad;
    uint64_t ss_size;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2;
    uint64_t fpstate; /* address */
    uint64_t reserved[8];
    uint64_t sigmask;
    unsigned char info[128];
};
_Static_assert(sizeof(struct stub_frame) == 304 + 128, "as the kernel lays it out");
#elif defined(__aarch64__)
struct stub_frame {
    unsigned char info[128];
};
#endif
