/*
 * See loader.h. Headers are read and checked first; then all mappings of program, interpreter and stack are made in one
 * batch, the ends of the file parts are cleared, and the initial stack is written in one copy.
 *
 * Addresses: a position-independent program goes to a random place below the heap, the interpreter where the host puts
 * it, and the stack (all of it at once, touched lazily) to a random place below the top of the mapping area.
 */
#include "sentry/mm/loader.h"

#include "sentry/kernel/cred.h"
#include "sentry/mm/elf.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/vma.h"
#include "sentry/vfs/vfs.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>

#define PIE_LOW 0x550000000000UL
#define PIE_PAGES (0x500000000UL / PAGE_SIZE) /* range of the random base */
#define STACK_DEFAULT (8UL << 20)
#define STACK_MAX (64UL << 20)
#define STACK_GAP_PAGES (1UL << 22)
#define MAX_MAPPINGS (4 * ELF_MAX_SEGMENTS + 1) /* of program and interpreter, and the stack */

struct object {
    struct file *file;
    struct elf_header header;
    struct elf_image image;
    uint64_t bias; /* added to every address */
};

struct load {
    struct plat_mapping maps[MAX_MAPPINGS];
    struct file *files[MAX_MAPPINGS]; /* borrowed; NULL: anonymous */
    uint64_t offsets[MAX_MAPPINGS];   /* as the guest knows them: without the file system's delta */
    size_t count;
    struct object exe, interp;
    uint64_t stack_start, stack_end;
};

static uint64_t random_below(uint64_t n)
{
    uint64_t r = 0;

    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
        return 0;
    return r % n;
}

/* ---- headers ---- */

static int read_headers(struct object *o)
{
    char bytes[ELF_MAX_PHDRS * ELF_PHDR_BYTES];

    ssize_t n = file_pread_kernel(o->file, bytes, ELF_HEADER_BYTES, 0);
    if (n < 0)
        return (int)n;
    int ret = elf_parse_header(bytes, (size_t)n, &o->header);
    if (ret < 0)
        return ret;
    const size_t len = o->header.phdr_count * ELF_PHDR_BYTES;
    n = file_pread_kernel(o->file, bytes, len, (int64_t)o->header.phdr_offset);
    if (n < 0)
        return (int)n;
    if ((size_t)n != len)
        return -ENOEXEC;
    return elf_parse_phdrs(bytes, &o->header, plat_layout()->task_size, &o->image);
}

/* Opens what PT_INTERP names and reads its headers. */
static int open_interpreter(struct task *t, struct load *l)
{
    const struct elf_image *img = &l->exe.image;
    char path[PATH_MAX];

    if (!img->interp_len)
        return 0;
    if (img->interp_len > sizeof(path))
        return -ENOEXEC;
    ssize_t n = file_pread_kernel(l->exe.file, path, img->interp_len, (int64_t)img->interp_offset);
    if (n < 0)
        return (int)n;
    if ((size_t)n != img->interp_len || path[n - 1])
        return -ENOEXEC;
    int ret = vfs_open_exec(t, AT_FDCWD, path, LOOKUP_FOLLOW, &l->interp.file);
    if (ret < 0)
        return ret;
    ret = read_headers(&l->interp);
    return ret == -ENOEXEC ? -ELIBBAD : ret;
}

/* ---- mappings ---- */

static int add_map(struct load *l, uint64_t start, uint64_t end, int prot, int flags, struct file *file, uint64_t off)
{
    int fd = -1;
    uint64_t delta = 0;

    if (start >= end)
        return 0;
    if (l->count == MAX_MAPPINGS)
        return -ENOMEM;
    if (file) {
        if (!file->ops->mmap_fd)
            return -EACCES;
        int ret = file->ops->mmap_fd(file, prot, flags, &fd, &delta);
        if (ret < 0)
            return ret;
    }
    l->files[l->count] = file;
    l->offsets[l->count] = off;
    l->maps[l->count++] = (struct plat_mapping){
        .addr = start, .len = end - start, .off = off + delta, .prot = prot, .flags = flags, .fd = fd};
    return 0;
}

static uint64_t page_up(uint64_t addr)
{
    return (addr + PAGE_SIZE - 1) & PAGE_MASK;
}

/* The interpreter replaces its own reservation; the program must not land on anything that is there. */
static int add_object(struct load *l, const struct object *o)
{
    const int fixed = MAP_PRIVATE | (o == &l->exe ? MAP_FIXED_NOREPLACE : MAP_FIXED);
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < o->image.segment_count; i++) {
        const struct elf_segment *s = &o->image.segments[i];
        const uint64_t start = s->start + o->bias, file_end = page_up(s->file_end) + o->bias,
                       mem_end = page_up(s->mem_end) + o->bias;
        bool from_file = page_up(s->file_end) > s->start;
        if (from_file)
            ret = add_map(l, start, file_end, s->prot, fixed, o->file, s->offset);
        if (ret == 0)
            ret = add_map(l, from_file ? file_end : start, mem_end, s->prot, fixed | MAP_ANONYMOUS, NULL, 0);
    }
    return ret;
}

static int place_program(struct object *o)
{
    if (!o->header.position_independent)
        return 0;
    const uint64_t align = o->image.alignment;
    uint64_t base = (PIE_LOW + random_below(PIE_PAGES) * PAGE_SIZE) & ~(align - 1);
    if (o->image.high - o->image.low > PIE_LOW)
        return -ENOMEM;
    o->bias = base - o->image.low;
    return 0;
}

/*
 * The interpreter goes where mappings of files go, or else where the host finds room for the whole of it; its segments
 * then replace that reservation.
 */
static int place_interpreter(struct plat_thread *pt, struct mm *mm, struct object *o)
{
    const uint64_t size = o->image.high - o->image.low;

    if (!o->file || !o->header.position_independent)
        return 0;
    int64_t at = (int64_t)(mm_place(mm, size) & ~(o->image.alignment - 1));
    if (!at)
        at = plat_mmap(pt, 0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at < 0)
        return (int)at;
    o->bias = (uint64_t)at - o->image.low;
    return 0;
}

/* Nothing else is near the top of a fresh address space; a program that is linked to go there cannot be run. */
static int place_stack(struct load *l, uint64_t limit)
{
    uint64_t size = limit > STACK_MAX ? STACK_MAX : page_up(MAX(limit, 128UL << 10));
    int prot = PROT_READ | PROT_WRITE | (l->exe.image.executable_stack ? PROT_EXEC : 0);

    if (limit == RLIM_INFINITY)
        size = STACK_DEFAULT;
    const uint64_t top = plat_layout()->mmap_top - (STACK_GAP_PAGES + random_below(STACK_GAP_PAGES)) * PAGE_SIZE;
    l->stack_start = (top - size) & PAGE_MASK;
    l->stack_end = l->stack_start + size;
    return add_map(l, l->stack_start, l->stack_end, prot,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK | MAP_FIXED_NOREPLACE, NULL, 0);
}

/* Clears what lies behind the file's bytes on their last page, in writable segments. */
static int clear_tails(struct plat_thread *pt, const struct object *o)
{
    static const char zeros[PAGE_SIZE];

    for (size_t i = 0; i < o->image.segment_count; i++) {
        const struct elf_segment *s = &o->image.segments[i];
        const uint64_t end = page_up(s->file_end);
        size_t n = end - s->file_end;
        if (!n || s->file_end == s->mem_end || !(s->prot & PROT_WRITE) || end == s->start)
            continue;
        if (plat_copy_out(pt, s->file_end + o->bias, zeros, n) != (ssize_t)n)
            return -ENOEXEC; /* the file ends before its page does: nothing is mapped there */
    }
    return 0;
}

/* ---- stack and start ---- */

static void fill_auxv(const struct load *l, const struct load_request *req, uint64_t *a)
{
    const struct object *x = &l->exe;
    const uint64_t pairs[] = {
        AT_SYSINFO_EHDR, plat_layout()->vdso,
        AT_HWCAP,        getauxval(AT_HWCAP),
        AT_HWCAP2,       getauxval(AT_HWCAP2),
        AT_PAGESZ,       PAGE_SIZE,
        AT_CLKTCK,       100,
        AT_PHDR,         x->image.phdr_address ? x->image.phdr_address + x->bias : 0,
        AT_PHENT,        ELF_PHDR_BYTES,
        AT_PHNUM,        x->header.phdr_count,
        AT_BASE,         l->interp.file ? l->interp.image.low + l->interp.bias : 0,
        AT_FLAGS,        0,
        AT_ENTRY,        x->header.entry + x->bias,
        AT_UID,          req->cred->ruid,
        AT_EUID,         req->cred->euid,
        AT_GID,          req->cred->rgid,
        AT_EGID,         req->cred->egid,
        AT_SECURE,       req->secure,
        AT_MINSIGSTKSZ,  getauxval(AT_MINSIGSTKSZ),
        AT_NULL,         0,
    };
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i += 2) {
        if (pairs[i + 1] == 0 && (pairs[i] == AT_SYSINFO_EHDR || pairs[i] == AT_MINSIGSTKSZ))
            continue;
        a[n++] = pairs[i];
        a[n++] = pairs[i + 1];
    }
}

static int write_stack(struct plat_thread *pt, const struct load *l, const struct load_request *req, struct loaded *out)
{
    uint64_t auxv[AUXV_WORDS] = {0}, top = l->stack_end - (random_below(512) * 16);
    unsigned char random[16];
    struct stack_image img;

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    fill_auxv(l, req, auxv);
    int ret = stack_image_build(req->strings, req->execfn, auxv, random, top & ~15UL, (top - l->stack_start) / 2, &img);
    if (ret < 0)
        return ret;
    if (plat_copy_out(pt, img.sp, img.bytes, img.len) != (ssize_t)img.len)
        ret = -ENOMEM;
    struct mm *mm = out->mm;
    mm->stack_top = img.sp;
    mm->arg_start = img.arg_start, mm->arg_end = img.arg_end;
    mm->env_start = img.env_start, mm->env_end = img.env_end;
    memcpy(mm->auxv, img.auxv, sizeof(mm->auxv));
    out->regs = (struct regs){.orig_nr = (uint64_t)-1};
    *regs_sp(&out->regs) = img.sp;
    stack_image_free(&img);
    return ret;
}

/* Notes in the tree what was mapped, and where code and data lie. */
static int fill_mm(struct mm *mm, struct plat_thread *pt, const struct load *l)
{
    int ret = 0;

    mm_lock(mm);
    for (size_t i = 0; ret == 0 && i < l->count; i++) {
        const struct plat_mapping *m = &l->maps[i];
        ret = vma_cut(mm, m->addr, m->addr + m->len);
        if (ret == 0 && l->files[i])
            ret = vma_add(mm, m->addr, m->addr + m->len, l->files[i], l->offsets[i], m->prot, MAP_PRIVATE);
    }
    for (size_t i = 0; i < l->exe.image.segment_count; i++) {
        const struct elf_segment *s = &l->exe.image.segments[i];
        const uint64_t start = s->start + l->exe.bias, end = s->file_end + l->exe.bias;
        if (s->prot & PROT_EXEC) {
            mm->code_start = start;
            mm->code_end = end;
        } else if (s->prot & PROT_WRITE) {
            mm->data_start = start;
            mm->data_end = end;
        }
    }
    mm->brk_start = plat_layout()->brk_start;
    mm->stack_start = l->stack_start;
    mm->stack_end = l->stack_end;
    mm->exe = file_get(l->exe.file);
    mm_unlock(mm);
    for (size_t i = 0; ret == 0 && i < l->count; i++)
        if (l->files[i])
            ret = mm_watch_mapping(mm, pt, l->maps[i].addr + l->maps[i].len);
    return ret;
}

static int place_and_map(struct plat_thread *pt, struct mm *mm, struct load *l, const struct load_request *req)
{
    int ret = place_program(&l->exe);

    if (ret == 0)
        ret = place_stack(l, req->stack_size);
    if (ret == 0)
        ret = place_interpreter(pt, mm, &l->interp);
    if (ret == 0)
        ret = add_object(l, &l->exe);
    if (ret == 0 && l->interp.file)
        ret = add_object(l, &l->interp);
    if (ret == 0)
        ret = plat_mmap_batch(pt, l->maps, l->count);
    if (ret == 0)
        ret = clear_tails(pt, &l->exe);
    if (ret == 0 && l->interp.file)
        ret = clear_tails(pt, &l->interp);
    return ret;
}

int load_program(struct task *t, struct plat_thread *pt, const struct load_request *req, struct loaded *out)
{
    struct load *l = calloc(1, sizeof(*l));
    int ret = -ENOMEM;

    *out = (struct loaded){.mm = mm_new()};
    if (!l || !out->mm)
        goto out;
    mm_choose_files_top(out->mm);
    l->exe.file = req->exe;
    ret = read_headers(&l->exe);
    if (ret == 0)
        ret = open_interpreter(t, l);
    if (ret == 0)
        ret = place_and_map(pt, out->mm, l, req);
    if (ret == 0)
        ret = fill_mm(out->mm, pt, l);
    if (ret == 0)
        ret = write_stack(pt, l, req, out);
    if (ret == 0) {
        const struct object *start = l->interp.file ? &l->interp : &l->exe;
        *regs_ip(&out->regs) = start->header.entry + start->bias;
    }
out:
    if (l && l->interp.file)
        file_put(l->interp.file);
    free(l);
    if (ret < 0) {
        mm_put(out->mm);
        out->mm = NULL;
    }
    return ret;
}
