/*
 * The stack that a program starts with: strings, the vectors that point at them, and the auxiliary vector, as the psABI
 * lays them out. Pure: it fills a buffer that the loader then writes to the guest in one copy.
 */
#pragma once

#include "lib/compiler.h"

#include <stddef.h>
#include <stdint.h>

#define AUXV_WORDS 48

/* Argument and environment strings, gathered before the old program is given up. */
struct exec_strings {
    char *bytes; /* malloced: NUL-terminated strings one after the other, arguments first */
    size_t len, cap;
    size_t argc, envc;
};

/* Appends one string of len bytes (without NUL). -E2BIG: beyond limit bytes in all; -ENOMEM. */
int exec_strings_add(struct exec_strings *s, const char *text, size_t len, size_t limit) must_check;
/* Puts strings in front of the arguments, dropping the first `drop` of those (scripts). -E2BIG, -ENOMEM. */
int exec_strings_prepend(struct exec_strings *s, const char *const *texts, size_t n, size_t drop,
                         size_t limit) must_check;
void exec_strings_free(struct exec_strings *s);

struct stack_image {
    char *bytes; /* malloced: what lies from sp up to the top */
    size_t len;
    uint64_t sp; /* initial stack pointer, 16-byte aligned, pointing at argc */
    uint64_t arg_start, arg_end, env_start, env_end;
    uint64_t auxv[AUXV_WORDS];
};

/*
 * Builds the image that ends at address top. auxv: pairs up to AT_NULL, in which AT_RANDOM, AT_EXECFN and AT_PLATFORM
 * are added here. random: 16 bytes for AT_RANDOM. -ENOMEM, -E2BIG (does not fit into room bytes).
 */
int stack_image_build(const struct exec_strings *s, const char *execfn, const uint64_t *auxv, const void *random,
                      uint64_t top, size_t room, struct stack_image *out) must_check;
void stack_image_free(struct stack_image *img);
