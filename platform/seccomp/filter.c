/*
 * The filter of all stub processes: what becomes of a system call before anything of ours runs.
 *
 *   passed     calls of the stub's own, each at the one address where the stub makes it: rt_sigreturn (which only loads
 *              registers), close, prctl(PR_SET_PDEATHSIG, SIGKILL), and futex to wait and to wake. A guest that jumps
 *              there gains nothing, and has its other calls treated as anywhere.
 *   notified   everything at the stub's other system call instruction (reports, and jobs, which are checked against
 *              the order), and every guest call that can be served by its number and register arguments.
 *   trapped    guest calls that need all registers more often than not (a signal sent is mostly sent to oneself, and
 *              is delivered when the call returns), or that the stub has to do in the guest's place: SIGSYS takes them
 *              into the handler at once, which is cheaper than to stop them twice; and changes of the signal mask.
 *   native     guest calls that are the host's business alone, see native.c.
 *   refused    calls that are not x86-64's own: ENOSYS, as from a kernel without that emulation; and rseq, which the
 *              kernel would have to look at whenever it switches between guest and sentry.
 *
 * Numbers are compared in 32 bits, as the kernel does. There is no default that lets anything pass.
 */
#include "platform/seccomp/internal.h"
#include "platform/seccomp/program.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define REFUSE (SECCOMP_RET_ERRNO | ENOSYS)
#define FOREIGN_NUMBERS 0x40000000U /* x32, and everything that is negative */

/* Skips the next `len` instructions unless the accumulator is `value`. */
static void unless_equal_skip(struct program *p, uint32_t value, uint8_t len)
{
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, len, value);
}

/* At the address ip, call nr passes: 4 instructions, which leave the accumulator at the number if they do not answer.
 */
static void pass_call(struct program *p, uint64_t ip, uint32_t nr)
{
    load(p, LOW(instruction_pointer));
    unless_equal_skip(p, (uint32_t)ip, 3);
    load(p, LOW(nr));
    answer_if_equal(p, nr, SECCOMP_RET_ALLOW);
}
#define PASS_CALL_LEN 5

static void pass_prctl(struct program *p, uint64_t ip)
{
    load(p, LOW(instruction_pointer));
    unless_equal_skip(p, (uint32_t)ip, 7);
    load(p, LOW(nr));
    unless_equal_skip(p, SYS_prctl, 5);
    load(p, LOW_ARG(0));
    unless_equal_skip(p, PR_SET_PDEATHSIG, 3);
    load(p, LOW_ARG(1));
    answer_if_equal(p, 9 /* SIGKILL */, SECCOMP_RET_ALLOW);
}
#define PASS_PRCTL_LEN 9

static void pass_futex(struct program *p, uint64_t ip)
{
    load(p, LOW(instruction_pointer));
    unless_equal_skip(p, (uint32_t)ip, 6);
    load(p, LOW(nr));
    unless_equal_skip(p, SYS_futex, 4);
    load(p, LOW_ARG(1));
    emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, ~(uint32_t)FUTEX_PRIVATE_FLAG);
    emit(p, BPF_JMP | BPF_JGT | BPF_K, 1, 0, FUTEX_WAKE);
    answer(p, SECCOMP_RET_ALLOW);
}
#define PASS_FUTEX_LEN 8

/* The stub's own instructions. */
static void add_stub_sites(struct program *p)
{
    load(p, HIGH(instruction_pointer));
    unless_equal_skip(p, (uint32_t)(sc_stub.site_ip >> 32), 3 + 2 * PASS_CALL_LEN + PASS_PRCTL_LEN + PASS_FUTEX_LEN);
    load(p, LOW(instruction_pointer));
    answer_if_equal(p, (uint32_t)sc_stub.site_ip, SECCOMP_RET_USER_NOTIF);
    pass_call(p, sc_stub.sigreturn_ip, SYS_rt_sigreturn);
    pass_call(p, sc_stub.close_ip, SYS_close);
    pass_prctl(p, sc_stub.prctl_ip);
    pass_futex(p, sc_stub.futex_ip);
}

/*
 * A mapping needs the stub if one of our descriptors is behind it and the sentry has to say where: all but private ones
 * that are anonymous or at a fixed address.
 */
static void add_mmap(struct program *p)
{
    unless_equal_skip(p, SYS_mmap, 8);
    load(p, LOW_ARG(3));
    emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, MAP_ANONYMOUS | MAP_SHARED | MAP_PRIVATE | MAP_FIXED);
    answer_if_equal(p, MAP_FIXED | MAP_PRIVATE, SECCOMP_RET_USER_NOTIF);
    emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, MAP_ANONYMOUS | MAP_SHARED | MAP_PRIVATE);
    answer_if_equal(p, MAP_ANONYMOUS | MAP_PRIVATE, SECCOMP_RET_USER_NOTIF);
    answer(p, SECCOMP_RET_TRAP);
}

static void add_trapped(struct program *p)
{
    static const uint32_t trapped[] = {
        SYS_rt_sigreturn, SYS_clone, SYS_clone3, SYS_sigaltstack, SYS_kill, SYS_tkill, SYS_tgkill,
#ifdef SYS_fork
        SYS_fork,         SYS_vfork,
#endif
    };

    for (size_t i = 0; i < ARRAY_SIZE(trapped); i++)
        answer_if_equal(p, trapped[i], SECCOMP_RET_TRAP);
    if (!see_all)
        answer_if_equal(p, SYS_rt_sigprocmask, SECCOMP_RET_TRAP); /* the stub may do it alone: mask.c */
}

/* Writes the filter; returns its instructions, or more than cap if they do not fit. Needs the stub's addresses. */
size_t filter_build(struct sock_filter *out, size_t cap)
{
    struct program p = {.insns = out, .cap = cap};

    load(&p, LOW(arch));
#if defined(__x86_64__)
    emit(&p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64);
#else
    emit(&p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_AARCH64);
#endif
    answer(&p, REFUSE);
    add_stub_sites(&p);
    load(&p, LOW(nr));
    emit(&p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, FOREIGN_NUMBERS);
    answer(&p, REFUSE);
    if (!see_all) {
        answer_if_equal(&p, SYS_rseq, REFUSE);
        native_pass(&p);
    }
    if (trap_everything) {
        answer(&p, SECCOMP_RET_TRAP);
        return p.n;
    }
    add_trapped(&p);
    add_mmap(&p);
    answer(&p, SECCOMP_RET_USER_NOTIF);
    return p.n;
}
