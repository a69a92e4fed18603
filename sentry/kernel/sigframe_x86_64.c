/*
 * x86-64 signal frames (uapi asm/sigcontext.h and asm/ucontext.h, psABI 3.2.2 for the red zone).
 *
 * From the stack pointer up: return address (the restorer), struct ucontext, siginfo; above that, aligned to 64 bytes,
 * the XSAVE area with its software-reserved bytes and the closing magic. The frame is built in one buffer of the
 * worker's and written at once. The XSAVE area comes back through the guest's hands: sigreturn cleans its header so
 * that the host accepts it or the guest gets SIGSEGV, as on Linux.
 */
#include "sentry/kernel/sigframe.h"

#include "include/arch/sigcontext.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <string.h>

#define RED_ZONE 128
#define AMX_FEATURES (3ULL << 17)
#define AMX_SIZE 10000 /* an area without the tile data is smaller than this */

#define UC_FLAGS 7 /* UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS */
#define USER_CS 0x33
#define USER_SS 0x2b
#define EFLAGS_USER 0x50dd5ULL  /* AC RF OF DF TF SF ZF AF PF CF */
#define EFLAGS_CLEAR 0x10500ULL /* RF DF TF */
#define EFLAGS_FIXED 0x202ULL   /* IF and the bit that is always one */

struct altstack_x86 {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};

struct frame_x86 {
    uint64_t restorer;
    uint64_t uc_flags, uc_link;
    struct altstack_x86 stack;
    struct sigcontext_x86 mc;
    uint64_t mask;
    siginfo_t info;
};
_Static_assert(sizeof(struct frame_x86) == 440, "the kernel's struct rt_sigframe");

/* What an area of this size can hold. */
static uint64_t features_of(size_t size)
{
    const uint64_t features = xstate_host_features();

    return size < AMX_SIZE ? features & ~AMX_FEATURES : features;
}

/* Completes the area as the kernel's frames have it; returns its size with the closing magic. */
static size_t finish_xstate(uint8_t *area, size_t size)
{
    struct xstate_note note = {.magic1 = XSTATE_MAGIC1, .extended_size = (uint32_t)size + 4, .size = (uint32_t)size};
    uint32_t magic2 = XSTATE_MAGIC2;

    if (size < XSTATE_MIN)
        return size;
    note.features = features_of(size);
    memcpy(area + XSTATE_NOTE, &note, sizeof(note));
    memcpy(area + size, &magic2, sizeof(magic2));
    return size + sizeof(magic2);
}

static void save_regs(struct sigcontext_x86 *mc, const struct regs *r, const struct fault *last, sigset64_t mask)
{
    *mc = (struct sigcontext_x86){
        .cs = USER_CS, .ss = USER_SS, .err = last->err, .trapno = last->trapno, .cr2 = last->cr2, .oldmask = mask};
    sigcontext_set_regs(mc, r);
}

int sigframe_build(struct task *t, struct regs *regs, const struct ksigaction *sa, const siginfo_t *info,
                   sigset64_t mask)
{
    not_cleared uint8_t buffer[sizeof(struct frame_x86) + 128 + XSTATE_MAX + 4] __attribute__((aligned(64)));
    struct frame_x86 *f = (struct frame_x86 *)(void *)buffer;
    uint64_t sp = sigframe_stack(t, regs->rsp, sa, RED_ZONE), fp, frame;
    uint8_t *area = buffer + sizeof(*f) + 64; /* out of the way until its place is known */
    ssize_t size = plat_get_fpstate(t->pt, area, XSTATE_MAX);

    if (size < 0)
        return (int)size;
    if (!(sa->flags & SA_RESTORER_FLAG))
        return -EFAULT;
    size_t total = finish_xstate(area, (size_t)size);

    fp = (sp - total) & ~63ULL;
    frame = ((fp - sizeof(*f)) & ~15ULL) - 8;
    if (frame >= sp || !sigframe_fits(t, regs->rsp, sa, frame)) /* the subtraction went below zero */
        return -EFAULT;
    memmove(buffer + (fp - frame), area, total);
    memset(buffer + sizeof(*f), 0, fp - frame - sizeof(*f));
    *f = (struct frame_x86){.restorer = sa->restorer, .uc_flags = UC_FLAGS, .mask = mask, .info = *info};
    f->stack = (struct altstack_x86){
        .sp = (uint64_t)(uintptr_t)t->altstack.ss_sp, .flags = t->altstack.ss_flags, .size = t->altstack.ss_size};
    save_regs(&f->mc, regs, &t->fault, mask);
    f->mc.fpstate = fp;
    int ret = user_write(t, frame, buffer, (size_t)(fp - frame) + total);
    if (ret < 0)
        return ret;
    regs->rdi = (uint64_t)info->si_signo;
    regs->rsi = frame + offsetof(struct frame_x86, info);
    regs->rdx = frame + offsetof(struct frame_x86, uc_flags);
    regs->rax = 0;
    regs->rip = sa->handler;
    regs->rsp = frame;
    regs->eflags &= ~EFLAGS_CLEAR;
    regs->orig_nr = (uint64_t)-1;
    return 0;
}

/* ---- the way back ---- */

/* Guest memory that was read ahead: the frame, and the XSAVE area where frames have it. Only pointers say where it is.
 */
struct window {
    uint64_t addr;
    size_t len;
    uint8_t bytes[sizeof(struct frame_x86) + 64 + XSTATE_MAX + 4];
};

/* The most that can be read of the len bytes at addr. */
static void window_open(struct window *w, struct task *t, uint64_t addr, size_t len)
{
    ssize_t n = plat_copy_in(t->pt, w->bytes, addr, MIN(len, sizeof(w->bytes)));

    w->addr = addr;
    w->len = (size_t)MAX(n, 0);
}

/* user_read(), out of the window if it is all there. */
static int window_read(const struct window *w, struct task *t, void *dst, uint64_t addr, size_t len)
{
    const uint64_t at = addr - w->addr;

    if (addr < w->addr || at > w->len || len > w->len - at)
        return user_read(t, dst, addr, len);
    memcpy(dst, w->bytes + at, len);
    return 0;
}

/* The size of the extended area at addr, whose first XSTATE_LEGACY bytes are in area; XSTATE_LEGACY if it is not valid.
 */
static size_t extended_size(struct task *t, const struct window *w, uint64_t addr, const uint8_t *area)
{
    struct xstate_note note;
    uint32_t magic2;

    memcpy(&note, area + XSTATE_NOTE, sizeof(note));
    if (note.magic1 != XSTATE_MAGIC1 || note.size < XSTATE_MIN || note.size > XSTATE_MAX ||
        note.size > note.extended_size)
        return XSTATE_LEGACY;
    if (window_read(w, t, &magic2, addr + note.size, sizeof(magic2)) < 0 || magic2 != XSTATE_MAGIC2)
        return XSTATE_LEGACY;
    return note.size;
}

static void clean_header(uint8_t *area, size_t got, size_t size)
{
    uint64_t present = 3; /* x87 and SSE, which the legacy area holds */
    uint32_t mxcsr;

    memcpy(&mxcsr, area + XSTATE_MXCSR, sizeof(mxcsr));
    mxcsr &= 0xffff;
    memcpy(area + XSTATE_MXCSR, &mxcsr, sizeof(mxcsr));
    if (size < XSTATE_MIN)
        return;
    if (got > XSTATE_LEGACY)
        memcpy(&present, area + XSTATE_HEADER, sizeof(present));
    present &= features_of(size);
    memset(area + XSTATE_HEADER, 0, 64);
    memcpy(area + XSTATE_HEADER, &present, sizeof(present));
}

/* The state of a fresh thread. */
static void initial_xstate(uint8_t *area)
{
    uint16_t fcw = 0x37f;
    uint32_t mxcsr = 0x1f80;

    memcpy(area, &fcw, sizeof(fcw));
    memcpy(area + XSTATE_MXCSR, &mxcsr, sizeof(mxcsr));
}

/* Sets the FP state to what is at addr. area: what it is now, size bytes, of which the host's reserved ones stay. */
static int restore_xstate(struct task *t, const struct window *w, uint64_t addr, uint8_t *area, size_t size)
{
    uint8_t host_note[sizeof(struct xstate_note)];
    size_t got = XSTATE_LEGACY;

    memcpy(host_note, area + XSTATE_NOTE, sizeof(host_note));
    memset(area, 0, size);
    if (!addr) {
        initial_xstate(area);
    } else {
        int ret = window_read(w, t, area, addr, XSTATE_LEGACY);
        if (ret < 0)
            return ret;
        got = MIN(extended_size(t, w, addr, area), size);
        if (got > XSTATE_LEGACY)
            ret = window_read(w, t, area + XSTATE_LEGACY, addr + XSTATE_LEGACY, got - XSTATE_LEGACY);
        if (ret < 0)
            return ret;
    }
    memcpy(area + XSTATE_NOTE, host_note, sizeof(host_note));
    clean_header(area, got, size);
    return plat_set_fpstate(t->pt, area, size);
}

static void load_regs(struct regs *r, const struct sigcontext_x86 *mc)
{
    const uint64_t kept = r->eflags & ~EFLAGS_USER;

    *r = sigcontext_regs(mc);
    r->eflags = (mc->eflags & EFLAGS_USER) | kept | EFLAGS_FIXED;
}

int sigframe_restore(struct task *t, struct regs *regs, sigset64_t *mask, stack_t *altstack)
{
    not_cleared uint8_t area[XSTATE_MAX] __attribute__((aligned(64)));
    not_cleared struct window w;
    struct frame_x86 f;

    ssize_t size = plat_get_fpstate(t->pt, area, XSTATE_MAX);
    if (size < XSTATE_LEGACY)
        return size < 0 ? (int)size : -EFAULT;
    window_open(&w, t, regs->rsp - 8, sizeof(f) + 64 + (size_t)size + 4);
    int ret = window_read(&w, t, &f, regs->rsp - 8, offsetof(struct frame_x86, info));
    if (ret < 0)
        return ret;
    if (f.mc.rip >= plat_layout()->task_size)
        return -EFAULT;
    ret = restore_xstate(t, &w, f.mc.fpstate, area, (size_t)size);
    if (ret < 0)
        return ret;
    load_regs(regs, &f.mc);
    *mask = f.mask;
    *altstack = (stack_t){
        .ss_sp = (void *)(uintptr_t)f.stack.sp, .ss_flags = f.stack.flags, .ss_size = f.stack.size}; /* NOLINT */
    return 0;
}
