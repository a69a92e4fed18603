/* Arithmetic on sizes that foreign bytes chose: false means overflow, and *out is then not to be used. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stdint.h>

static inline must_check bool checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline must_check bool checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Rounds n up to a multiple of align (a power of two). */
static inline must_check bool checked_align_up(uint64_t n, uint64_t align, uint64_t *out)
{
    if (!checked_add(n, align - 1, out))
        return false;
    *out &= ~(align - 1);
    return true;
}
