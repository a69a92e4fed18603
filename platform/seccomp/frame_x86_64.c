/*
 * x86-64: the frame that the host kernel saved when it entered the stub's handler. Everything in it is the guest's to
 * change; what the kernel does not accept when it loads the frame again becomes the guest's SIGSEGV.
 *
 * The FP state lies right above the frame, so one copy brings both. What comes after the registers is kept by the
 * worker that copied it until its next stop, for the signal that is likely to need it.
 */
#include "platform/seccomp/internal.h"

#include "include/arch/sigcontext.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the kernel's struct sigcontext lies in the frame. */
#define CONTEXT_OFFSET offsetof(struct stub_frame, r8)
_Static_assert(offsetof(struct stub_frame, fpstate) - CONTEXT_OFFSET == offsetof(struct sigcontext_x86, fpstate),
               "one block");

/* ---- what was read ---- */

#define KEPT_MAX (sizeof(struct stub_frame) + 64 + XSTATE_MAX)

/*
 * The last frame that a thread of ours read, with what is above it in the area. Each thread has its own at its first
 * need: as a thread-local variable all of it would be cleared for each thread that is started.
 */
struct kept {
    uint64_t id; /* of the stop: no two are alike */
    uint64_t frame;
    size_t len;
    uint8_t bytes[KEPT_MAX];
};

static pthread_once_t kept_once = PTHREAD_ONCE_INIT;
static pthread_key_t kept_key;
static _Thread_local struct kept *kept;

/* The key is there for its destructor. */
static void make_key(void)
{
    if (pthread_key_create(&kept_key, free))
        abort(); /* there are a thousand keys, and few are taken */
}

static int kept_ensure(void)
{
    if (likely(kept))
        return 0;
    pthread_once(&kept_once, make_key);
    struct kept *k = malloc(sizeof(*k));
    if (!k || pthread_setspecific(kept_key, k)) {
        free(k);
        return -ENOMEM;
    }
    k->frame = 0; /* nothing is kept yet */
    kept = k;
    return 0;
}

static uint64_t area_end(const struct plat_thread *t)
{
    return area_address(t->area) + STUB_SELF_OFFSET;
}

static int keep_frame(struct plat_thread *t)
{
    int ret = kept_ensure();
    if (ret < 0)
        return ret;
    kept->id = t->id;
    kept->frame = t->frame;
    kept->len = MIN(sizeof(kept->bytes), area_end(t) - t->frame);
    return memory_read(t, kept->bytes, t->frame, kept->len);
}

/* The bytes of t's frame or above it at addr, or NULL if they were not read at this stop. */
static uint8_t *kept_bytes(const struct plat_thread *t, uint64_t addr, size_t len)
{
    if (!kept || kept->frame != t->frame || kept->id != t->id || addr < kept->frame || addr - kept->frame > kept->len ||
        len > kept->len - (addr - kept->frame))
        return NULL;
    return kept->bytes + (addr - kept->frame);
}

/* ---- registers ---- */

int frame_read(struct plat_thread *t, siginfo_t *out_info, struct fault *out_fault)
{
    struct sigcontext_x86 mc;

    if (keep_frame(t) < 0)
        return sc_thread_violation(t, "its frame cannot be read");
    memcpy(&mc, kept->bytes + CONTEXT_OFFSET, sizeof(mc));
    t->regs = sigcontext_regs(&mc);
    t->fpstate = mc.fpstate;
    _Static_assert(sizeof(((struct stub_frame *)0)->info) == sizeof(*out_info), "the kernel's siginfo");
    memcpy(out_info, kept->bytes + offsetof(struct stub_frame, info), sizeof(*out_info));
    *out_fault = (struct fault){.trapno = mc.trapno, .err = mc.err, .cr2 = mc.cr2};
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
    struct sigcontext_x86 mc;

    if (!t->regs_changed && !t->result_changed)
        return 0;
    sigcontext_set_regs(&mc, &t->regs);
    if (memory_write(t, t->frame + CONTEXT_OFFSET, &mc, offsetof(struct sigcontext_x86, cs)) < 0)
        return sc_thread_violation(t, "its frame cannot be written");
    t->regs_changed = t->result_changed = false;
    return 0;
}

/* ---- FP state: the XSAVE area that the frame points to ---- */

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
    if (*out_addr < start || *out_addr > end - XSTATE_LEGACY || *out_addr % 64)
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
    if (len < XSTATE_LEGACY)
        return -EINVAL;
    const uint8_t *known = kept_bytes(t, addr, len);
    if (known)
        memcpy(buf, known, len);
    else if (memory_read(t, buf, addr, len) < 0)
        return -ESRCH;
    if (word_at(buf, XSTATE_NOTE) != XSTATE_MAGIC1)
        return XSTATE_LEGACY;
    const uint32_t size = word_at(buf, XSTATE_NOTE + offsetof(struct xstate_note, size));
    if (size < XSTATE_MIN || size > len)
        return size > len && len == cap ? -EINVAL : sc_thread_violation(t, "its FP state has no size");
    return (ssize_t)size;
}

/* What the processor would refuse to load. */
static bool well_formed(const uint8_t *buf, size_t len)
{
    if (word_at(buf, XSTATE_MXCSR) & ~0x2ffffU)
        return false;
    if (len == XSTATE_LEGACY)
        return true;
    if (quad_at(buf, XSTATE_HEADER) & ~xstate_host_features())
        return false;
    for (size_t i = 8; i < 64; i += 8)
        if (quad_at(buf, XSTATE_HEADER + i))
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
    if (len > room || len > XSTATE_MAX || (len != XSTATE_LEGACY && len < XSTATE_MIN) || !well_formed(buf, len))
        return -EINVAL;
    uint8_t *known = kept_bytes(t, addr, len);
    if (known && !memcmp(known, buf, len))
        return 0; /* most handlers leave it as it was */
    if (memory_write(t, addr, buf, len) < 0)
        return -ESRCH;
    if (known)
        memcpy(known, buf, len);
    else if (kept)
        kept->frame = 0; /* part of it may be there */
    return 0;
}
