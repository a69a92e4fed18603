/*
 * The stub: the guest-side half of the seccomp platform. A freestanding static PIE without relocations, alone in every
 * guest's address space together with the guest.
 *
 * stub_main() runs once, in the zygote: it sets up handlers, tells the sentry its addresses, receives its filter and
 * enters the handler for good with a breakpoint. All other stub processes are forked from there.
 * stub_handler() is entered whenever a guest thread stops with registers: it reports, does the jobs it is given, and
 * returns to the guest through rt_sigreturn with whatever the sentry has put into the frame.
 *
 * No SSE (the guest's state is live only in the frame, but the handler must not depend on MXCSR either), no FS or GS.
 */
#include "platform/stub/abi.h"

#include <elf.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN long stub_syscall(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);
HIDDEN long stub_close(int64_t fd);
HIDDEN long stub_pdeathsig(void);
HIDDEN long stub_futex(const uint32_t *word, int op, uint32_t value, const void *timeout);
HIDDEN long stub_cmpxchg(uint64_t addr, uint64_t old, uint64_t new_value);
HIDDEN long stub_copy_word(uint64_t to, uint64_t from);
HIDDEN void stub_sigreturn(void);
HIDDEN void stub_child_entry(void);
HIDDEN void stub_child(struct stub_frame *frame, uint64_t token);
HIDDEN void stub_main(uint64_t *sp);
extern const char stub_site[] HIDDEN, stub_close_site[] HIDDEN, stub_prctl_site[] HIDDEN, stub_sigreturn_site[] HIDDEN,
    stub_futex_site[] HIDDEN;
extern const char stub_cmpxchg_insn[] HIDDEN, stub_load_insn[] HIDDEN, stub_store_insn[] HIDDEN, stub_fault[] HIDDEN;
extern const char __ehdr_start[] HIDDEN, _end[] HIDDEN;

extern const char stub_fast[] HIDDEN, stub_fast_numbered[] HIDDEN, stub_fast_posted[] HIDDEN, stub_fast_done[] HIDDEN,
    stub_fast_redo[] HIDDEN, stub_fast_end[] HIDDEN;

/* Set by jobs. */
HIDDEN uint64_t stub_slot;        /* the only thread's, 0: patched call sites make their calls themselves */
HIDDEN uint64_t stub_trampolines; /* the page of them, 0: there are none */

static struct stub_filter message; /* kept for the second filter */
static struct sock_fprog undo;
static char stub_areas[(STUB_AREAS + 1) * STUB_AREA_SIZE] __attribute__((aligned(4096)));

#define SIGNAL_SEGV 11
#define SIGNAL_BUS 7
#define SIGNAL_SYS 31
#define SIG_BIT(n) (1UL << ((n)-1))

/*
 * System calls of the time before the filter, which knows nothing of this address: afterwards it is a place like the
 * guest's own. So no loop may lie around it, in which a guest's calls would go on without the guest.
 */
__attribute__((noinline)) static long plain_call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                                 uint64_t f)
{
    register uint64_t r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

static struct stub_area *area_of(const void *p)
{
    return (struct stub_area *)((uintptr_t)p & ~(STUB_AREA_SIZE - 1));
}

static struct stub_self *self_of(const void *p)
{
    return (struct stub_self *)((char *)area_of(p) + STUB_SELF_OFFSET);
}

/*
 * Copies this thread's frame, and what is above it, into the area that holds stack pointer sp, and leaves there what
 * stub_child_entry pops. Returns the copy.
 */
static struct stub_frame *prepare_child(struct stub_frame *frame, uint64_t sp, uint64_t token)
{
    char *area = (char *)area_of(frame), *child = (char *)area_of((void *)sp);
    struct stub_frame *copy = (struct stub_frame *)(child + ((char *)frame - area));
    uint64_t *stack = (uint64_t *)sp;

    __builtin_memcpy(copy, frame, (size_t)(area + STUB_AREA_SIZE - (char *)frame));
    copy->fpstate += (uint64_t)(child - area);
    copy->ss_sp = (uint64_t)child + STUB_STACK_OFFSET;
    self_of(child)->offer = 0;
    self_of(child)->tid = 0;
    stack[0] = (uint64_t)stub_child_entry;
    stack[1] = (uint64_t)copy;
    stack[2] = token;
    return copy;
}

static long run_job(struct stub_frame *frame, const struct stub_job *j)
{
    if (j->op == STUB_CMPXCHG)
        return stub_cmpxchg(j->args[0], j->args[1], j->args[2]);
    if (j->op == STUB_POKE) {
        __builtin_memcpy((void *)j->args[0], &j->args[1], sizeof(uint64_t));
        return 0;
    }
    if (j->op == STUB_CLONE_VM)
        prepare_child(frame, j->args[1], j->token);
    return stub_syscall((long)j->nr, j->args[0], j->args[1], j->args[2], j->args[3], j->args[4], j->args[5]);
}

static long report(struct stub_frame *frame, long kind, long result, long done, uint64_t token)
{
    return stub_syscall(STUB_REPORT_NR, (uint64_t)frame, (uint64_t)kind, (uint64_t)result, (uint64_t)done, token, 0);
}

/* Does what the answer to a report says, and what the next ones say, until the sentry lets the guest go on. */
static void obey(struct stub_frame *frame, long n)
{
    struct stub_area *area = area_of(frame);

    while (n != 0) {
        if ((n & 0xff) == STUB_ANSWER_RESULT) {
            frame->rax = (uint64_t)(n >> 8);
            return;
        }
        if (n < 0 || n > (long)STUB_JOBS_MAX)
            __builtin_trap(); /* the sentry is gone */
        long kind = STUB_JOBS_DONE, done = 0, result = 0;
        uint64_t token = 0;
        for (; done < n && (result >= 0 || result < -4095); done++) {
            struct stub_job *j = &area->jobs[done];
            uint64_t job_token = j->token;
            int is_fork = j->op == STUB_FORK;
            result = run_job(frame, j);
            if (is_fork && result == 0) {
                stub_pdeathsig();
                stub_slot = 0; /* it is the parent's, and not mapped here */
                self_of(frame)->offer = 0;
                kind = STUB_START;
                token = job_token;
                break;
            }
        }
        for (long i = 0; i < n && kind == STUB_JOBS_DONE; i++)
            if (area->jobs[i].close_fd >= 0)
                stub_close(area->jobs[i].close_fd);
        n = report(frame, kind, result, done, token);
    }
}

static void serve(struct stub_frame *frame, long kind, uint64_t token)
{
    obey(frame, report(frame, kind, 0, 0, token));
}

/* ---- fast calls: what a signal finds in the middle of one ---- */

#define FLAGS_SAVED 0x8d5UL /* CF PF AF ZF SF OF */

/* What the assembly may have changed on the way, as it was. */
static void restore(struct stub_frame *f, const struct stub_slot *s)
{
    const uint64_t flags = __atomic_load_n(&s->flags, __ATOMIC_RELAXED);

    f->eflags = (f->eflags & ~FLAGS_SAVED) | (flags >> 8 & 0xd5) | (flags & 1) << 11;
    f->rdi = s->args[0];
    f->rsi = s->args[1];
    f->rdx = s->args[2];
    f->r10 = s->args[3];
}

static void before_call(struct stub_frame *f, uint64_t site, uint64_t nr)
{
    f->rip = site;
    f->rax = nr;
}

/* True if the call was taken back, or refused: it has not been made. Else its result is there. */
static int take_back(struct stub_slot *s)
{
    uint32_t state = SLOT_POSTED;

    if (__atomic_compare_exchange_n(&s->state, &state, SLOT_IDLE, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return 1;
    for (;;) {
        state = __atomic_load_n(&s->state, __ATOMIC_SEQ_CST);
        if (state != SLOT_TAKEN && state != SLOT_ASLEEP)
            return state != SLOT_DONE;
        if (state == SLOT_TAKEN)
            __atomic_compare_exchange_n(&s->state, &state, SLOT_ASLEEP, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        else
            stub_futex(&s->state, FUTEX_WAIT, SLOT_ASLEEP, NULL);
    }
}

/* In a trampoline, which has changed nothing that the jump to it does not change again: back to that. */
static void leave_trampoline(struct stub_frame *f)
{
    const uint64_t code = f->rip & ~(TRAMPOLINE_SIZE - 1UL);

    __builtin_memcpy(&f->rip, (const void *)(code + TRAMPOLINE_FROM), sizeof(f->rip));
}

static void leave_fast(struct stub_frame *f)
{
    struct stub_slot *s = (struct stub_slot *)stub_slot;

    if (f->rip < (uint64_t)stub_fast_numbered) { /* no register but RCX has changed */
        f->rip = f->r11;
    } else if (f->rip < (uint64_t)stub_fast_posted) {
        before_call(f, f->r11, s->nr);
    } else if (f->rip >= (uint64_t)stub_fast_redo || (f->rip < (uint64_t)stub_fast_done && take_back(s))) {
        restore(f, s);
        before_call(f, s->site, s->nr);
        s->state = SLOT_IDLE;
    } else {
        restore(f, s);
        f->rip = s->site + 2;
        f->rax = (uint64_t)s->result;
        s->state = SLOT_IDLE;
    }
}

/* A signal finds its thread before or after a system call, never within what takes its place. */
static void step_out(struct stub_frame *f)
{
    if (f->rip >= (uint64_t)stub_fast && f->rip < (uint64_t)stub_fast_end)
        leave_fast(f);
    else if (stub_trampolines && f->rip - stub_trampolines < 4096)
        leave_trampoline(f);
}

/* ---- the signal mask, while it is lent ---- */

#define UNBLOCKABLE (SIG_BIT(9) | SIG_BIT(19)) /* SIGKILL, SIGSTOP */

enum mask_outcome { MASK_ASK, MASK_CHANGED, MASK_RECALLED };

/*
 * rt_sigprocmask(2). What is not plainly right is left to the sentry, with nothing changed: MASK_ASK. If the sentry
 * takes the mask back meanwhile, it may have read the new one or the old one, and does the call again from the old one.
 */
static enum mask_outcome change_mask(struct stub_frame *f, uint64_t *out_before)
{
    struct stub_self *self = self_of(f);
    const uint64_t before = __atomic_load_n(&self->mask, __ATOMIC_RELAXED);
    uint64_t set = 0, after = before;

    if (!__atomic_load_n(&self->lent, __ATOMIC_RELAXED) || f->r10 != sizeof(set))
        return MASK_ASK;
    if (f->rsi) {
        if (stub_copy_word((uint64_t)&set, f->rsi) < 0)
            return MASK_ASK;
        switch ((uint32_t)f->rdi) {
        case 0: /* SIG_BLOCK */
            after = before | set;
            break;
        case 1: /* SIG_UNBLOCK */
            after = before & ~set;
            break;
        case 2: /* SIG_SETMASK */
            after = set;
            break;
        default:
            return MASK_ASK;
        }
    }
    if (f->rdx && stub_copy_word(f->rdx, (uint64_t)&before) < 0)
        return MASK_ASK;
    __atomic_store_n(&self->mask, after & ~UNBLOCKABLE, __ATOMIC_SEQ_CST);
    *out_before = before;
    f->rax = 0;
    return __atomic_load_n(&self->lent, __ATOMIC_SEQ_CST) ? MASK_CHANGED : MASK_RECALLED;
}

/* ---- new threads, in an area that is offered ---- */

#define GUEST_END (1UL << 47)

/* As clone(2) has them. */
struct thread_request {
    uint64_t flags, sp, parent_tid, child_tid, tls;
};

static int read_clone3(const struct stub_frame *f, struct thread_request *r)
{
    struct clone_args a = {0};

    if (f->rsi < CLONE_ARGS_SIZE_VER0 || f->rsi > sizeof(a) || f->rsi % sizeof(uint64_t))
        return 0;
    for (uint64_t at = 0; at < f->rsi; at += sizeof(uint64_t))
        if (stub_copy_word((uint64_t)&a + at, f->rdi + at) < 0)
            return 0;
    *r = (struct thread_request){a.flags, a.stack + a.stack_size, a.parent_tid, a.child_tid, a.tls};
    return a.stack && a.stack_size && r->sp > a.stack && r->sp < GUEST_END && !a.exit_signal && !a.set_tid &&
           !a.set_tid_size && !a.cgroup;
}

/* True if the call asks for a thread as libraries make them, and nothing about it is in doubt. */
static int read_request(const struct stub_frame *f, struct thread_request *r)
{
    if ((uint32_t)f->rax == SYS_clone3) {
        if (!read_clone3(f, r))
            return 0;
    } else if ((uint32_t)f->rax == SYS_clone && f->rsi) {
        /* CLONE_DETACHED means nothing any more, but is there in some. */
        *r = (struct thread_request){(uint32_t)f->rdi & ~CLONE_DETACHED, f->rsi, f->rdx, f->r10, f->r8};
    } else {
        return 0;
    }
    return (r->flags & ~(uint64_t)STUB_THREAD_OPTIONS) == STUB_THREAD_FLAGS;
}

/*
 * Makes a thread if the area for it is there: the clone(2) that the sentry lets through, in place of a report. Whether
 * it did is told by `made`, since the host's ids may be as small as other answers. False: it is to be reported.
 */
static int make_thread(struct stub_frame *f)
{
    struct stub_self *self = self_of(f);
    const uint64_t area = self->offer;
    struct thread_request r;

    if (!area || !read_request(f, &r))
        return 0;
    const uint64_t sp = area + (uint64_t)((char *)f - (char *)area_of(f)) - STUB_CHILD_ROOM;
    struct stub_frame *child = prepare_child(f, sp, 0);
    child->rax = 0;
    child->rsp = r.sp;
    self->made = 0;
    long n = stub_syscall(SYS_clone, r.flags | CLONE_PARENT_SETTID, sp, (uint64_t)&self_of(child)->tid,
                          r.flags & CLONE_CHILD_CLEARTID ? r.child_tid : 0, r.flags & CLONE_SETTLS ? r.tls : 0,
                          r.flags & CLONE_PARENT_SETTID ? r.parent_tid : 0);
    if (!self->made)
        obey(f, n);
    else if (n > 0)
        f->rax = self->result;
    else
        obey(f, report(f, STUB_NO_THREAD, n, 0, 0));
    return 1;
}

/* A call that the filter traps. */
static void trapped_call(struct stub_frame *frame)
{
    uint64_t before = 0;

    switch ((uint32_t)frame->rax) {
    case SYS_rt_sigprocmask:
        switch (change_mask(frame, &before)) {
        case MASK_CHANGED:
            return;
        case MASK_RECALLED:
            frame->rax = SYS_rt_sigprocmask;
            serve(frame, STUB_RECALLED, before);
            return;
        case MASK_ASK:
            break;
        }
        break;
    case SYS_clone:
    case SYS_clone3:
        if (make_thread(frame))
            return;
        break;
    }
    serve(frame, SIGNAL_SYS, 0);
}

/* True if the handler itself was at an instruction that may fault on the guest's memory. */
static int fault_of_ours(const struct stub_frame *f)
{
    return f->rip == (uint64_t)stub_cmpxchg_insn || f->rip == (uint64_t)stub_load_insn ||
           f->rip == (uint64_t)stub_store_insn;
}

static void stub_handler(int sig, void *info, struct stub_frame *frame)
{
    (void)info;
    if ((sig == SIGNAL_SEGV || sig == SIGNAL_BUS) && fault_of_ours(frame)) {
        frame->rip = (uint64_t)stub_fault;
        return;
    }
    step_out(frame);
    if (sig == SIGNAL_SYS)
        trapped_call(frame);
    else
        serve(frame, sig, 0);
}

/*
 * A new thread in its own area; it returns into the guest through the copied frame. token 0: the sentry knows of it.
 * Its process has asked to be killed with us.
 */
void stub_child(struct stub_frame *frame, uint64_t token)
{
    if (token) {
        stub_pdeathsig();
        serve(frame, STUB_START, token);
    }
}

/* ---- once, in the zygote ---- */

/* The kernel's struct sigaction and stack_t. */
struct action {
    uint64_t handler, flags, restorer, mask;
};
struct alt_stack {
    uint64_t sp;
    int flags;
    uint64_t size;
};

#define FLAG_SIGINFO 4UL
#define FLAG_RESTORER 0x04000000UL
#define FLAG_ONSTACK 0x08000000UL
#define FLAG_RESTART 0x10000000UL
#define FLAG_NODEFER 0x40000000UL

static void set_handlers(uint64_t area)
{
    static const unsigned char signals[] = {4, 5, 7, 8, 11, 31, STUB_KICK_SIGNAL}; /* ILL TRAP BUS FPE SEGV SYS */
    const struct alt_stack stack = {area + STUB_STACK_OFFSET, 0, STUB_SELF_OFFSET - STUB_STACK_OFFSET};
    /* SIGSEGV and SIGBUS stay open in the handler for the instructions that may fault there. */
    const struct action act = {(uint64_t)stub_handler,
                               FLAG_SIGINFO | FLAG_RESTORER | FLAG_ONSTACK | FLAG_RESTART | FLAG_NODEFER,
                               (uint64_t)stub_sigreturn, ~(SIG_BIT(SIGNAL_SEGV) | SIG_BIT(SIGNAL_BUS))};

    plain_call(SYS_sigaltstack, (uint64_t)&stack, 0, 0, 0, 0, 0);
    for (size_t i = 0; i < sizeof(signals); i++)
        plain_call(SYS_rt_sigaction, signals[i], (uint64_t)&act, 0, 8, 0, 0);
}

static uint64_t find_vdso(const uint64_t *sp)
{
    const uint64_t *p = sp + sp[0] + 2; /* argc, argv, NULL */

    while (*p++)
        ;
    for (; p[0] != AT_NULL; p += 2)
        if (p[0] == AT_SYSINFO_EHDR)
            return p[1];
    return 0;
}

static void say_hello(const uint64_t *sp, uint64_t areas)
{
    uint64_t top = (uint64_t)plain_call(SYS_mmap, 0, 4096, 0, 0x22, (uint64_t)-1, 0);

    plain_call(SYS_munmap, top, 4096, 0, 0, 0, 0);
    const struct stub_hello h = {
        .start = (uint64_t)__ehdr_start,
        .end = ((uint64_t)_end + 4095) & ~4095UL,
        .areas = areas,
        .site_ip = (uint64_t)stub_site,
        .close_ip = (uint64_t)stub_close_site,
        .prctl_ip = (uint64_t)stub_prctl_site,
        .sigreturn_ip = (uint64_t)stub_sigreturn_site,
        .futex_ip = (uint64_t)stub_futex_site,
        .vdso = find_vdso(sp),
        .brk = (uint64_t)plain_call(SYS_brk, 0, 0, 0, 0, 0, 0),
        .mmap_top = top + 4096,
        .undo = (uint64_t)&undo,
        .fast = (uint64_t)stub_fast,
        .slot = (uint64_t)&stub_slot,
        .trampolines = (uint64_t)&stub_trampolines,
    };
    plain_call(SYS_sendto, STUB_SOCKET_FD, (uint64_t)&h, sizeof(h), 0, 0, 0);
}

void stub_main(uint64_t *sp)
{
    uint64_t areas = ((uint64_t)stub_areas + STUB_AREA_SIZE - 1) & ~(STUB_AREA_SIZE - 1);

    /* A huge page for a few touched ones would be cleared for every process. */
    plain_call(SYS_madvise, (uint64_t)stub_areas & ~4095UL, sizeof(stub_areas), 15 /* MADV_NOHUGEPAGE */, 0, 0, 0);
    set_handlers(areas);
    say_hello(sp, areas);
    long n = plain_call(SYS_recvfrom, STUB_SOCKET_FD, (uint64_t)&message, sizeof(message), 0, 0, 0);
    struct sock_fprog prog = {(unsigned short)message.count, message.insns};
    undo = (struct sock_fprog){(unsigned short)message.undo_count, message.undo};
    /* Descriptor 0 is the lowest free one: the sentry takes the listener from there. */
    long fd = plain_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, message.flags, (uint64_t)&prog, 0, 0, 0);
    if (n != sizeof(message) || fd != 0) {
        plain_call(SYS_sendto, STUB_SOCKET_FD, (uint64_t)&fd, sizeof(fd), 0, 0, 0);
        plain_call(SYS_exit_group, 1, 0, 0, 0, 0, 0);
    }
    stub_close(STUB_SOCKET_FD); /* which the sentry waits for */
    stub_syscall(STUB_REPORT_NR, 0, STUB_READY, 0, 0, 0, 0);
    stub_close(0);
    for (;;)
        __asm__ volatile("int3");
}
