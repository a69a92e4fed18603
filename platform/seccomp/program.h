/* Writing filter programs: what filter.c and native.c share. A program that does not fit is counted, not written. */
#pragma once

#include "lib/compiler.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

struct program {
    struct sock_filter *insns;
    size_t n, cap;
};

/* A place further on in the program, and the jumps to it. */
struct label {
    size_t from[24];
    size_t count;
};

#define LOW(field) offsetof(struct seccomp_data, field)
#define HIGH(field) (offsetof(struct seccomp_data, field) + 4)
#define LOW_ARG(i) (offsetof(struct seccomp_data, args) + 8 * (i))
#define HIGH_ARG(i) (LOW_ARG(i) + 4)

static inline void emit(struct program *p, uint16_t code, uint8_t yes, uint8_t no, uint32_t k)
{
    if (p->n < p->cap)
        p->insns[p->n] = (struct sock_filter){code, yes, no, k};
    p->n++;
}

static inline void load(struct program *p, size_t offset)
{
    emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static inline void answer(struct program *p, uint32_t action)
{
    emit(p, BPF_RET | BPF_K, 0, 0, action);
}

static inline void answer_if_equal(struct program *p, uint32_t value, uint32_t action)
{
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
    answer(p, action);
}

static inline void jump(struct program *p, struct label *to)
{
    if (to->count < ARRAY_SIZE(to->from))
        to->from[to->count++] = p->n;
    else
        p->n += p->cap; /* too long */
    emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
}

static inline void jump_if_equal(struct program *p, uint32_t value, struct label *to)
{
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
    jump(p, to);
}

/* The label is here. */
static inline void land(struct program *p, struct label *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->from[i] < p->cap)
            p->insns[l->from[i]].k = (uint32_t)(p->n - l->from[i] - 1);
    l->count = 0;
}
