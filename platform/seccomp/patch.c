/*
 * Patched call sites, x86-64: where a program makes a call in one of the C libraries' ways,
 *
 *     b8 nr nr nr nr   mov $nr, %eax        4c 8b 4c 24 08   mov 8(%rsp), %r9        31 c0   xor %eax, %eax
 *     0f 05            syscall              0f 05            syscall                 0f 05   syscall
 *
 * the first instruction becomes a jump to a *trampoline*, which does its work, loads the place and goes on to
 * stub_fast. The system call instruction stays where it is: for whoever jumps straight to it, and for calls that are
 * not fast ones, which stub_fast makes there. So a signal never finds a thread at an address that is not the program's
 * own (stub.c, step_out()).
 *
 * The third form has room for a short jump only. It leads to where the function has returned and nothing but padding
 * follows, as the C library's read(2) has it, and there the long jump is.
 *
 * The trampolines of a process lie in one page, near its files. It is changed, like the program's text, by jobs:
 * writable for that moment and not executable, executable and not writable ever else. Programs that read their own
 * text see the patches.
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PATCH_JUMP_LEN 5 /* bytes of the long jump */
#define PAGE 4096UL
#define TRAMPOLINES_MAX (unsigned)(PAGE / TRAMPOLINE_SIZE)
#define POKES ((TRAMPOLINE_FROM + 8) / sizeof(uint64_t))
#define SITE_JOBS (POKES + 4) /* at most, of one site */
_Static_assert(PATCH_MAX *SITE_JOBS + 4 <= STUB_JOBS_MAX, "they are ordered at once");

#define WINDOW 64UL /* bytes from a site on that are looked at */

/* ---- what stands there ---- */

struct place {
    uint64_t site;                  /* address of the system call instruction */
    uint64_t first;                 /* of the instruction before it, which is changed */
    uint64_t jump_at;               /* of the long jump: the same, or of the padding */
    uint8_t bytes[WINDOW];          /* from `first` on */
    uint8_t before[PATCH_JUMP_LEN]; /* what the trampoline does instead */
    bool any_nr;                    /* the number is not part of it */
};

static const uint8_t mov_eax = 0xb8, syscall_insn[] = {0x0f, 0x05}, xor_eax[] = {0x31, 0xc0},
                     load_r9[] = {0x4c, 0x8b, 0x4c, 0x24, 0x08};

/*
 * How the C library's read(2) goes on: cmp $-4096, %rax; ja …; ret; and then a nop of at least five bytes, which
 * nothing falls into and nothing jumps to, for it is there to align what follows. Returns its offset in what comes
 * after the system call instruction, or 0.
 */
static size_t padding_after(const uint8_t *code)
{
    static const uint8_t compare[] = {0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff};
    static const uint8_t nops[][10] = {
        {0x66, 0x2e, 0x0f, 0x1f, 0x84}, {0x0f, 0x1f, 0x84}, {0x0f, 0x1f, 0x80}, {0x66, 0x0f, 0x1f, 0x84}};
    static const uint8_t lengths[] = {10, 8, 7, 9};

    if (memcmp(code, compare, sizeof(compare)) != 0 || code[6] != 0x77 || code[8] != 0xc3)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
        if (!memcmp(code + 9, nops[i], lengths[i]))
            return 9;
    return 0;
}

/* mov $nr, %eax, or the last instruction before the call in syscall(2). */
static bool look_for_five(struct plat_thread *t, const struct site *site, struct place *out)
{
    const uint32_t nr = site->nr;

    out->site = site->ip - sizeof(syscall_insn);
    out->first = out->jump_at = out->site - PATCH_JUMP_LEN;
    if (memory_read(t, out->bytes, out->first, 8) < 0 || memcmp(out->bytes + 5, syscall_insn, 2) != 0)
        return false;
    memcpy(out->before, out->bytes, PATCH_JUMP_LEN);
    out->any_nr = !memcmp(out->bytes, load_r9, sizeof(load_r9));
    return out->any_nr || (out->bytes[0] == mov_eax && !memcmp(out->bytes + 1, &nr, sizeof(nr)));
}

static bool look_for_xor(struct plat_thread *t, const struct site *site, struct place *out)
{
    out->site = site->ip - sizeof(syscall_insn);
    out->first = out->site - sizeof(xor_eax);
    if (site->nr != 0 || memory_read(t, out->bytes, out->first, 32) < 0 ||
        memcmp(out->bytes, xor_eax, sizeof(xor_eax)) != 0 ||
        memcmp(out->bytes + 2, syscall_insn, sizeof(syscall_insn)) != 0)
        return false;
    const size_t padding = padding_after(out->bytes + 4);
    memcpy(out->before, (uint8_t[]){mov_eax, 0, 0, 0, 0}, PATCH_JUMP_LEN);
    out->any_nr = false;
    out->jump_at = out->first + 4 + padding;
    return padding != 0;
}

/* Whether a site can be patched; if so, what stands there, and in *out_space where its trampoline may be. */
static bool look(struct plat_thread *t, const struct site *site, struct place *out, uint64_t *out_space)
{
    if (!look_for_five(t, site, out) && !look_for_xor(t, site, out))
        return false;
    /* Bytes are changed eight at a time, within one page. */
    const uint64_t end = out->jump_at + sizeof(uint64_t);
    if ((out->first ^ (end - 1)) & ~(PAGE - 1))
        return false;
    *out_space = sc_client->code_space(t->cookie, out->first & ~(PAGE - 1), PAGE);
    return *out_space != 0;
}

/* ---- the jobs ---- */

struct batch {
    struct stub_job jobs[STUB_JOBS_MAX];
    size_t n;
};

static void add_call(struct batch *b, long nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
    b->jobs[b->n++] = (struct stub_job){.op = STUB_CALL, .nr = (uint64_t)nr, .args = {a0, a1, a2}, .close_fd = -1};
}

static void add_poke(struct batch *b, uint64_t addr, const void *eight)
{
    struct stub_job *j = &b->jobs[b->n++];

    *j = (struct stub_job){.op = STUB_POKE, .args = {addr}, .close_fd = -1};
    memcpy(&j->args[1], eight, sizeof(uint64_t));
}

static void protect(struct batch *b, uint64_t page, int prot)
{
    add_call(b, SYS_mprotect, page, PAGE, (uint64_t)prot);
}

/* The changed instruction; movabs $site, %r11; jmp *0(%rip); the address of stub_fast. And where one comes from. */
static void add_trampoline(struct batch *b, uint64_t addr, const struct place *p)
{
    uint8_t code[TRAMPOLINE_FROM + 8] = {[5] = 0x49, [6] = 0xbb, [15] = 0xff, [16] = 0x25};

    memcpy(code, p->before, sizeof(p->before));
    memcpy(code + 7, &p->site, sizeof(p->site));
    memcpy(code + 21, &sc_stub.fast, sizeof(sc_stub.fast));
    memcpy(code + TRAMPOLINE_FROM, &p->first, sizeof(p->first));
    for (size_t i = 0; i < POKES; i++)
        add_poke(b, addr + i * sizeof(uint64_t), code + i * sizeof(uint64_t));
}

/* The long jump first: what leads to it comes last. */
static bool add_jumps(struct batch *b, struct place *p, uint64_t to)
{
    const int64_t distance = (int64_t)(to - (p->jump_at + PATCH_JUMP_LEN));
    const size_t at = p->jump_at - p->first;
    const int32_t offset = (int32_t)distance;

    if (offset != distance)
        return false;
    const uint64_t page = p->first & ~(PAGE - 1);
    protect(b, page, PROT_READ | PROT_WRITE);
    p->bytes[at] = 0xe9;
    memcpy(p->bytes + at + 1, &offset, sizeof(offset));
    add_poke(b, p->jump_at, p->bytes + at);
    if (at) {
        p->bytes[0] = 0xeb;
        p->bytes[1] = (uint8_t)(at - 2);
        add_poke(b, p->first, p->bytes);
    }
    protect(b, page, PROT_READ | PROT_EXEC);
    return true;
}

static int make_page(struct plat_thread *t, struct sites *sites, uint64_t addr)
{
    const struct plat_mapping map = {.addr = addr,
                                     .len = PAGE,
                                     .prot = PROT_READ | PROT_EXEC,
                                     .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                                     .fd = -1};
    const struct stub_job tell = {.op = STUB_POKE, .args = {sc_stub.trampolines, addr}, .close_fd = -1};
    int64_t result;
    size_t done;

    const int64_t at = memory_map(t, &map);
    if (at < 0)
        return (int)at;
    sites->trampolines = addr;
    return jobs_run(t, &tell, 1, &result, &done);
}

/* The bytes of two places must not be read before and written after each other. */
static bool near_another(const struct site *site, struct site *const *some, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (some[i]->ip - site->ip + WINDOW < 2 * WINDOW)
            return true;
    return false;
}

/*
 * After a job that failed, for want of memory: what was done before it holds, and text that could not be made writable
 * is as it was.
 */
static int recover(struct plat_thread *t, struct sites *sites)
{
    const uint64_t args[6] = {sites->trampolines, PAGE, PROT_READ | PROT_EXEC};

    const int64_t ret = job_call(t, SYS_mprotect, args);
    sites->off = true;
    return ret == 0 ? -ENOMEM : sc_thread_violation(t, "its code could not be changed back");
}

/* Adds the jobs for one site. False: it is none. *out_any_nr: its calls may have any number. */
static bool add_site(struct plat_thread *t, struct sites *sites, const struct site *site, struct batch *b,
                     bool *out_any_nr, int *out_error)
{
    struct place place;
    uint64_t space;

    if (sites->trampolines_used == TRAMPOLINES_MAX || !look(t, site, &place, &space))
        return false;
    *out_error = sites->trampolines ? 0 : make_page(t, sites, space);
    if (*out_error < 0)
        return false;
    const size_t before = b->n;
    if (!before)
        protect(b, sites->trampolines, PROT_READ | PROT_WRITE);
    const uint64_t to = sites->trampolines + sites->trampolines_used * TRAMPOLINE_SIZE;
    add_trampoline(b, to, &place);
    if (!add_jumps(b, &place, to)) {
        b->n = before;
        return false;
    }
    sites->trampolines_used++;
    *out_any_nr = place.any_nr;
    return true;
}

int patch(struct plat_thread *t, struct sites *sites, struct site *const *some, size_t n)
{
    struct batch b = {0};
    size_t ends[PATCH_MAX] = {0}; /* jobs up to the last one of each site */
    int64_t result = 0;
    size_t done;
    int ret = 0;

    for (size_t i = 0; i < n && ret == 0; i++) {
        bool any_nr = false;
        if (near_another(some[i], some, i))
            continue; /* next time */
        some[i]->state = SITE_BAD;
        if (!add_site(t, sites, some[i], &b, &any_nr, &ret))
            continue;
        ends[i] = b.n;
        if (any_nr)
            some[i]->nr = SITE_ANY_NR;
    }
    if (ret < 0)
        sites->off = true;
    if (!b.n)
        return ret;
    protect(&b, sites->trampolines, PROT_READ | PROT_EXEC);
    ret = jobs_run(t, b.jobs, b.n, &result, &done);
    if (ret < 0)
        return ret;
    const size_t good = result < 0 ? done - 1 : done;
    for (size_t i = 0; i < n; i++)
        if (ends[i] && ends[i] <= good)
            some[i]->state = SITE_PATCHED;
    return result == 0 && done == b.n ? 0 : recover(t, sites);
}
