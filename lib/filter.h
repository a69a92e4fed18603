/*
 * Filters of host system calls for our own processes, from tables of rules: seccomp(2).
 *
 * The rules of one call stand together; the first of them whose tests all hold decides, and none: the default. Calls
 * without tests, the plain ones, come last: the kernel remembers that they always pass and does not run the filter.
 */
#pragma once

#include "lib/compiler.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#define FILTER_MAX 1024 /* instructions */
#define FILTER_ALLOW SECCOMP_RET_ALLOW
#define FILTER_ERRNO(err) (SECCOMP_RET_ERRNO | (uint32_t)(err))

/* (argument & mask) == value, in the argument's lower 32 bits: flags, commands and descriptors have no others. */
struct filter_test {
    uint8_t arg; /* 0..5 */
    uint32_t mask, value;
};

struct filter_rule {
    int nr;
    uint32_t action; /* FILTER_* */
    struct filter_test tests[2];
    unsigned test_count;
};

struct filter {
    struct sock_filter insns[FILTER_MAX];
    size_t count; /* may exceed FILTER_MAX: too long */
    uint32_t default_action;
};

/* Anything from another architecture ends the process in any case. */
void filter_begin(struct filter *f, uint32_t default_action);
/* Rules for one call. */
void filter_rules(struct filter *f, const struct filter_rule *rules, size_t count);
/* The same action for each of these calls, whatever their arguments. */
void filter_plain(struct filter *f, const int *nrs, size_t count, uint32_t action);
/* For this process and for good; it must have no_new_privs and one thread. -errno; -E2BIG: too long. */
int filter_load(struct filter *f) must_check;
