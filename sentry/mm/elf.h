/* Reading ELF headers that a guest chose: pure functions over bytes, so that a fuzzer can call them. elf(5). */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_HEADER_BYTES 64 /* what elf_parse_header() needs */
#define ELF_PHDR_BYTES 56   /* of one program header */
#define ELF_MAX_PHDRS 128
#define ELF_MAX_SEGMENTS 64
#define ELF_INTERP_MAX 4096

/* What the header says; offsets are checked against 64-bit overflow, not against the file's size. */
struct elf_header {
    bool position_independent; /* ET_DYN */
    uint64_t entry;            /* not yet relocated */
    uint64_t phdr_offset;
    size_t phdr_count;
};

/* One PT_LOAD: page-aligned ranges, checked to lie in [0, limit) and not to overlap the one before. */
struct elf_segment {
    uint64_t start;    /* page of the first byte */
    uint64_t file_end; /* address behind the last byte that comes from the file */
    uint64_t mem_end;  /* address behind the last byte in memory */
    uint64_t offset;   /* in the file, of start */
    int prot;          /* PROT_* */
};

struct elf_image {
    struct elf_segment segments[ELF_MAX_SEGMENTS];
    size_t segment_count;
    uint64_t low, high;                 /* pages that the whole occupies */
    uint64_t interp_offset, interp_len; /* PT_INTERP with its NUL; len 0: none */
    uint64_t phdr_address;              /* where the program headers lie in memory, 0: nowhere */
    bool executable_stack;              /* PT_GNU_STACK missing or with PF_X */
    uint64_t alignment;                 /* largest p_align of a PT_LOAD, a power of two, at least a page */
};

/* bytes: the first ELF_HEADER_BYTES of the file (len is what it has). -ENOEXEC: not a program for this machine. */
int elf_parse_header(const void *bytes, size_t len, struct elf_header *out) must_check;

/* bytes: the count program headers. limit: addresses must stay below it. -ENOEXEC, -EINVAL. */
int elf_parse_phdrs(const void *bytes, const struct elf_header *h, uint64_t limit, struct elf_image *out) must_check;
