/*
 * Futexes, futex(2): waiters hashed by the word they wait on. The word itself lives in guest memory; its value is
 * compared under the bucket's lock, so a wake that follows a change of the word cannot fall between.
 *
 * Where the platform has native futexes, the host's kernel does all that, and what is left is the end of a thread.
 */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stdint.h>

struct task;

/* A word to wait on. */
struct futex_wait_item {
    uint64_t addr;
    uint32_t value;
    bool private_key;
};

#define FUTEX_WAITV_LIMIT 128

/*
 * Sleeps until one of the n words is woken (a wake must share a bit with bitset). Returns its index, -EAGAIN (a value
 * differs), -ETIMEDOUT, -ERESTARTSYS (a signal), -EFAULT, -EINVAL (not aligned), -ENOMEM.
 */
long futex_wait(struct task *t, const struct futex_wait_item *items, unsigned n, uint32_t bitset,
                int64_t deadline) must_check;
/* Wakes up to n waiters that share a bit with bitset; returns how many, or -EINVAL. */
long futex_wake(struct task *t, uint64_t addr, bool private_key, int n, uint32_t bitset);
/* FUTEX_REQUEUE, and with cmp not NULL FUTEX_CMP_REQUEUE: wakes n, moves up to m. Returns as futex(2) says. */
long futex_requeue(struct task *t, uint64_t from, uint64_t to, bool private_key, int n, int m, const uint32_t *cmp);
/* FUTEX_WAKE_OP. */
long futex_wake_op(struct task *t, uint64_t addr1, uint64_t addr2, bool private_key, int n1, int n2, uint32_t op);

/* The guest address that t registered by set_robust_list(2), 0: none. */
uint64_t futex_robust_list(const struct task *t);
/* The end of a thread, or of its memory at execve: robust list, clear_child_tid. In the task's own worker. */
void futex_exit(struct task *t);
