/*
 * x86-64: the frame that the host kernel saved when it entered the stub's handler. Everything in it is the guest's to
 * change; what the kernel does not accept when it loads the frame again becomes the guest's SIGSEGV.
 *
 * The FP state lies right above the frame, so one copy brings both. What comes after the registers is kept by the
 * worker that copied it until its next stop, for the signal that is likely to need it.
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

/* ---- what was read ---- */

#define XSTATE_MAX 16384U
#define KEPT_MAX (sizeof(struct stub_frame) + 64 + XSTATE_MAX)

/* The last frame that this thread of ours read, with what is above it in the area. */
static _Thread_local struct {
    uint64_t id; /* of the stop: no two are alike */
    uint64_t frame;
    size_t len;
    uint8_t bytes[KEPT_MAX];
} kept;

static uint64_t area_end(const struct plat_thread *t)
{
    return area_address(t->area) + STUB_AREA_SIZE;
}

static int keep_frame(struct plat_thread *t)
{
    kept.id = t->id;
    kept.frame = t->frame;
    kept.len = MIN(sizeof(kept.bytes), area_end(t) - t->frame);
    return memory_read(t, kept.bytes, t->frame, kept.len);
}

/* The bytes of t's frame or above it at addr, or NULL if they were not read at this stop. */
static uint8_t *kept_bytes(const struct plat_thread *t, uint64_t addr, size_t len)
{
    if (kept.id != t->id || kept.frame != t->frame || addr < kept.frame || addr - kept.frame > kept.len ||
        len > kept.len - (addr - kept.frame))
        return NULL;
    return kept.bytes + (addr - kept.frame);
}

/* ---- registers ---- */

int frame_read(struct plat_thread *t, siginfo_t *out_info)
{
    struct stub_frame f;

    if (keep_frame(t) < 0)
        return sc_thread_violation(t, "its frame cannot be read");
    memcpy(&f, kept.bytes, sizeof(f));
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

bool frame_at_call(struct plat_thread *t)
{
    static const uint8_t syscall_insn[SYSCALL_INSN_LEN] = {0x0f, 0x05};
    uint8_t insn[SYSCALL_INSN_LEN];

    return memory_read(t, insn, t->regs.rip, sizeof(insn)) == 0 && !memcmp(insn, syscall_insn, sizeof(insn));
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
    const uint64_t start = area_address(t->area) + STUB_STACK_OFFSET, end = area_end(t);

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
    if (len < LEGACY_SIZE)
        return -EINVAL;
    const uint8_t *known = kept_bytes(t, addr, len);
    if (known)
        memcpy(buf, known, len);
    else if (memory_read(t, buf, addr, len) < 0)
        return -ESRCH;
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
    uint8_t *known = kept_bytes(t, addr, len);
    if (known && !memcmp(known, buf, len))
        return 0; /* most handlers leave it as it was */
    if (memory_write(t, addr, buf, len) < 0)
        return -ESRCH;
    if (known)
        memcpy(known, buf, len);
    else
        kept.frame = 0; /* part of it may be there */
    return 0;
}
