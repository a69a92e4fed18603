/* See elf.h. Everything is copied out of the bytes before it is looked at; nothing is trusted to be aligned or sane. */
#include "sentry/mm/elf.h"

#include "lib/checked.h"
#include "sentry/mm/mm.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#else
#define OUR_MACHINE EM_AARCH64
#endif

_Static_assert(sizeof(Elf64_Ehdr) == ELF_HEADER_BYTES, "ELF header size");
_Static_assert(sizeof(Elf64_Phdr) == ELF_PHDR_BYTES, "program header size");

int elf_parse_header(const void *bytes, size_t len, struct elf_header *out)
{
    Elf64_Ehdr e;

    if (len < sizeof(e))
        return -ENOEXEC;
    memcpy(&e, bytes, sizeof(e));
    if (memcmp(e.e_ident, ELFMAG, SELFMAG) || e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_ident[EI_DATA] != ELFDATA2LSB)
        return -ENOEXEC;
    if ((e.e_type != ET_EXEC && e.e_type != ET_DYN) || e.e_machine != OUR_MACHINE)
        return -ENOEXEC;
    if (e.e_phentsize != sizeof(Elf64_Phdr) || !e.e_phnum || e.e_phnum > ELF_MAX_PHDRS)
        return -ENOEXEC;
    uint64_t end;
    if (!checked_add(e.e_phoff, (uint64_t)e.e_phnum * sizeof(Elf64_Phdr), &end) || end > INT64_MAX)
        return -ENOEXEC;
    *out = (struct elf_header){.position_independent = e.e_type == ET_DYN,
                               .entry = e.e_entry,
                               .phdr_offset = e.e_phoff,
                               .phdr_count = e.e_phnum};
    return 0;
}

static int prot_of(uint32_t flags)
{
    return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
}

static int add_segment(struct elf_image *img, const Elf64_Phdr *p, uint64_t limit)
{
    uint64_t mem_end, mem_page_end, file_end;

    if (p->p_filesz > p->p_memsz || (p->p_vaddr & (PAGE_SIZE - 1)) != (p->p_offset & (PAGE_SIZE - 1)))
        return -ENOEXEC;
    if (!p->p_memsz)
        return 0;
    if (!checked_add(p->p_vaddr, p->p_memsz, &mem_end) || !checked_align_up(mem_end, PAGE_SIZE, &mem_page_end) ||
        mem_page_end > limit)
        return -ENOEXEC;
    if (!checked_add(p->p_offset, p->p_filesz, &file_end) || file_end > INT64_MAX)
        return -ENOEXEC;
    if (p->p_align > PAGE_SIZE && (p->p_align & (p->p_align - 1)) == 0 && p->p_align <= (1UL << 30))
        img->alignment = MAX(img->alignment, p->p_align);

    uint64_t start = p->p_vaddr & PAGE_MASK;
    if (img->segment_count == ELF_MAX_SEGMENTS || (img->segment_count && start < img->high))
        return -ENOEXEC; /* too many, out of order, or sharing a page */
    if (!img->segment_count)
        img->low = start;
    img->high = mem_page_end;
    img->segments[img->segment_count++] =
        (struct elf_segment){.start = start,
                             .file_end = p->p_filesz ? p->p_vaddr + p->p_filesz : start,
                             .mem_end = mem_end,
                             .offset = p->p_offset & PAGE_MASK,
                             .prot = prot_of(p->p_flags)};
    return 0;
}

/* The program headers' place in memory: inside the segment whose file part holds them. */
static void find_phdrs(struct elf_image *img, const Elf64_Phdr *p, const struct elf_header *h)
{
    uint64_t bytes = h->phdr_count * sizeof(Elf64_Phdr);

    if (h->phdr_offset >= p->p_offset && h->phdr_offset - p->p_offset <= p->p_filesz &&
        bytes <= p->p_filesz - (h->phdr_offset - p->p_offset))
        img->phdr_address = p->p_vaddr + (h->phdr_offset - p->p_offset);
}

int elf_parse_phdrs(const void *bytes, const struct elf_header *h, uint64_t limit, struct elf_image *out)
{
    const char *at = bytes;
    int ret = 0;

    *out = (struct elf_image){.executable_stack = true, .alignment = PAGE_SIZE};
    for (size_t i = 0; ret == 0 && i < h->phdr_count; i++, at += sizeof(Elf64_Phdr)) {
        Elf64_Phdr p;
        memcpy(&p, at, sizeof(p));
        switch (p.p_type) {
        case PT_LOAD:
            ret = add_segment(out, &p, limit);
            if (ret == 0)
                find_phdrs(out, &p, h);
            break;
        case PT_INTERP:
            if (p.p_filesz < 2 || p.p_filesz > ELF_INTERP_MAX || p.p_offset > INT64_MAX - ELF_INTERP_MAX)
                return -ENOEXEC;
            if (out->interp_len)
                break; /* only the first counts */
            out->interp_offset = p.p_offset;
            out->interp_len = p.p_filesz;
            break;
        case PT_GNU_STACK:
            out->executable_stack = p.p_flags & PF_X;
            break;
        default:
            break;
        }
    }
    return ret == 0 && !out->segment_count ? -ENOEXEC : ret;
}
