/* See filter.h. Jumps go forward over at most 255 instructions; each block here is shorter, or is checked to be. */
#include "lib/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_NUMBERS 0x40000000U /* x32 */
#else
#define OUR_ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_NUMBERS 0x80000000U
#endif

static size_t emit(struct filter *f, uint16_t code, size_t yes, size_t no, uint32_t k)
{
    if (yes > 255 || no > 255)
        f->count = FILTER_MAX; /* a jump that cannot be made: the filter is too long */
    if (f->count < FILTER_MAX)
        f->insns[f->count] = (struct sock_filter){code, (uint8_t)yes, (uint8_t)no, k};
    return f->count++;
}

static void load(struct filter *f, size_t offset)
{
    emit(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void answer(struct filter *f, uint32_t action)
{
    emit(f, BPF_RET | BPF_K, 0, 0, action);
}

static size_t arg_low(unsigned arg)
{
    return offsetof(struct seccomp_data, args) + 8 * arg;
}

void filter_begin(struct filter *f, uint32_t default_action)
{
    f->count = 0;
    f->default_action = default_action;
    load(f, offsetof(struct seccomp_data, arch));
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, OUR_ARCH);
    answer(f, SECCOMP_RET_KILL_PROCESS);
    load(f, offsetof(struct seccomp_data, nr));
    emit(f, BPF_JMP | BPF_JGE | BPF_K, 0, 1, FOREIGN_NUMBERS);
    answer(f, default_action);
}

/* Instructions of one rule: load, mask and jump for each test, and the answer. */
static size_t rule_length(const struct filter_rule *r)
{
    return 3 * r->test_count + 1;
}

/* The accumulator holds the number, before and after; a rule that does not fit falls through. */
void filter_rules(struct filter *f, const struct filter_rule *rules, size_t count)
{
    size_t length = 1;

    for (size_t i = 0; i < count; i++)
        length += rule_length(&rules[i]);
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, 0, length, (uint32_t)rules[0].nr);
    for (size_t i = 0; i < count; i++) {
        const struct filter_rule *r = &rules[i];
        for (unsigned t = 0; t < r->test_count; t++) {
            load(f, arg_low(r->tests[t].arg));
            emit(f, BPF_ALU | BPF_AND | BPF_K, 0, 0, r->tests[t].mask);
            emit(f, BPF_JMP | BPF_JEQ | BPF_K, 0, rule_length(r) - 3 * (t + 1), r->tests[t].value);
        }
        answer(f, r->action);
    }
    answer(f, f->default_action);
}

/* Compared in pieces, so that no jump is too long. */
void filter_plain(struct filter *f, const int *nrs, size_t count, uint32_t action)
{
    while (count) {
        size_t n = MIN(count, 200);
        for (size_t i = 0; i < n; i++)
            emit(f, BPF_JMP | BPF_JEQ | BPF_K, n - i, 0, (uint32_t)nrs[i]);
        emit(f, BPF_JMP | BPF_JA, 0, 0, 1);
        answer(f, action);
        nrs += n;
        count -= n;
    }
}

int filter_load(struct filter *f)
{
    answer(f, f->default_action);
    if (f->count > FILTER_MAX)
        return -E2BIG;
    struct sock_fprog program = {.len = (unsigned short)f->count, .filter = f->insns};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}
