/*
 * x86-64: the frame that the host kernel saved when it entered the stub's handler. Everything in it is the guest's to
 * change; what the kernel does not accept when it loads the frame again becomes the guest's SIGSEGV.
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <string.h>

/* The registers as they lie in the frame, from r8 on. */
struct frame_regs {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
};
#define REGS_OFFSET offsetof(struct stub_frame, r8)
_Static_assert(offsetof(struct stub_frame, eflags) - REGS_OFFSET == offsetof(struct frame_regs, eflags), "one block");

int frame_read(struct plat_thread *t, siginfo_t *out_info)
{
    struct stub_frame f;

    if (memory_read(t, &f, t->frame, sizeof(f)) < 0)
        return sc_thread_violation(t, "its frame cannot be read");
    t->regs = (struct regs){.r15 = f.r15,
                            .r14 = f.r14,
                            .r13 = f.r13,
                            .r12 = f.r12,
                            .r11 = f.r11,
                            .r10 = f.r10,
                            .r9 = f.r9,
                            .r8 = f.r8,
                            .rbp = f.rbp,
                            .rbx = f.rbx,
                            .rdx = f.rdx,
                            .rcx = f.rcx,
                            .rax = f.rax,
                            .rsi = f.rsi,
                            .rdi = f.rdi,
                            .rsp = f.rsp,
                            .rip = f.rip,
                            .eflags = f.eflags,
                            .orig_nr = (uint64_t)-1};
    t->fpstate = f.fpstate;
    _Static_assert(sizeof(f.info) == sizeof(*out_info), "the kernel's siginfo");
    memcpy(out_info, f.info, sizeof(*out_info));
    return 0;
}

void frame_call_event(struct plat_thread *t)
{
    const struct regs *r = &t->regs;

    t->event = (struct plat_event){.kind = PLAT_EV_SYSCALL,
                                   .nr = (uint64_t)(int64_t)(int32_t)r->rax,
                                   .args = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9},
                                   .ip = r->rip};
    t->regs.orig_nr = t->event.nr;
}

int frame_write(struct plat_thread *t)
{
    const struct regs *r = &t->regs;
    const struct frame_regs f = {.r8 = r->r8,
                                 .r9 = r->r9,
                                 .r10 = r->r10,
                                 .r11 = r->r11,
                                 .r12 = r->r12,
                                 .r13 = r->r13,
                                 .r14 = r->r14,
                                 .r15 = r->r15,
                                 .rdi = r->rdi,
                                 .rsi = r->rsi,
                                 .rbp = r->rbp,
                                 .rbx = r->rbx,
                                 .rdx = r->rdx,
                                 .rax = r->rax,
                                 .rcx = r->rcx,
                                 .rsp = r->rsp,
                                 .rip = r->rip,
                                 .eflags = r->eflags};

    if (!t->regs_changed && !t->result_changed)
        return 0;
    if (memory_write(t, t->frame + REGS_OFFSET, &f, sizeof(f)) < 0)
        return sc_thread_violation(t, "its frame cannot be written");
    t->regs_changed = t->result_changed = false;
    return 0;
}

/* ---- FP state: the XSAVE area that the frame points to ---- */

#define LEGACY_SIZE 512
#define SW_RESERVED 464 /* the kernel's note in the legacy part: magic, whole size, features (8 bytes), XSAVE size */
#define MAGIC1 0x46505853U
#define XSAVE_MIN 576
#define HEADER 512 /* XSTATE_BV, XCOMP_BV, zeros */
#define MXCSR 24
#define XSTATE_MAX 16384U

static uint32_t word_at(const uint8_t *p, size_t offset)
{
    uint32_t v;

    memcpy(&v, p + offset, sizeof(v));
    return v;
}

static uint64_t quad_at(const uint8_t *p, size_t offset)
{
    uint64_t v;

    memcpy(&v, p + offset, sizeof(v));
    return v;
}

/* Where the area is, and how much room is behind it in the thread's own area. */
static int find_fpstate(struct plat_thread *t, uint64_t *out_addr, size_t *out_room)
{
    const uint64_t start = area_address(t->area) + STUB_STACK_OFFSET, end = area_address(t->area) + STUB_AREA_SIZE;

    if (!t->fpstate && memory_read(t, &t->fpstate, t->frame + offsetof(struct stub_frame, fpstate), 8) < 0)
        return -ESRCH;
    *out_addr = t->fpstate;
    if (*out_addr < start || *out_addr > end - LEGACY_SIZE || *out_addr % 64)
        return sc_thread_violation(t, "its frame has no FP state");
    *out_room = end - *out_addr;
    return 0;
}

ssize_t frame_get_fpstate(struct plat_thread *t, void *buf, size_t cap)
{
    uint64_t addr;
    size_t room;

    int ret = find_fpstate(t, &addr, &room);
    if (ret < 0)
        return ret;
    const size_t len = MIN(MIN(cap, room), XSTATE_MAX);
    if (len < LEGACY_SIZE || memory_read(t, buf, addr, len) < 0)
        return len < LEGACY_SIZE ? -EINVAL : -ESRCH;
    if (word_at(buf, SW_RESERVED) != MAGIC1)
        return LEGACY_SIZE;
    const uint32_t size = word_at(buf, SW_RESERVED + 16);
    if (size < XSAVE_MIN || size > len)
        return size > len && len == cap ? -EINVAL : sc_thread_violation(t, "its FP state has no size");
    return (ssize_t)size;
}

static uint64_t host_features(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((uint64_t)hi << 32) | lo;
}

/* What the processor would refuse to load. */
static bool well_formed(const uint8_t *buf, size_t len)
{
    if (word_at(buf, MXCSR) & ~0x2ffffU)
        return false;
    if (len == LEGACY_SIZE)
        return true;
    if (quad_at(buf, HEADER) & ~host_features())
        return false;
    for (size_t i = 8; i < 64; i += 8)
        if (quad_at(buf, HEADER + i))
            return false;
    return true;
}

int frame_set_fpstate(struct plat_thread *t, const void *buf, size_t len)
{
    uint64_t addr;
    size_t room;

    int ret = find_fpstate(t, &addr, &room);
    if (ret < 0)
        return ret;
    if (len > room || len > XSTATE_MAX || (len != LEGACY_SIZE && len < XSAVE_MIN) || !well_formed(buf, len))
        return -EINVAL;
    return memory_write(t, addr, buf, len) < 0 ? -ESRCH : 0;
}
