/* See lock.h. In debug builds each thread keeps the stack of the ranks it holds. */
#include "lib/lock.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef SBOX_DEBUG
#define MAX_HELD 32
static _Thread_local struct lock *held_locks[MAX_HELD];
static _Thread_local int held_count;

/* equal_fine: locks of l's own rank may be held. */
static void check_order(const struct lock *l, bool equal_fine)
{
    for (int i = 0; i < held_count; i++) {
        const struct lock *h = held_locks[i];
        if (h == l || (l->rank != 0 && h->rank != 0 && h->rank >= l->rank + (equal_fine ? 1 : 0))) {
            fprintf(stderr, "sbox: lock order: rank %d taken while rank %d is held\n", l->rank, h->rank);
            abort();
        }
    }
}

static void note_held(struct lock *l)
{
    if (held_count == MAX_HELD)
        abort();
    held_locks[held_count++] = l;
    l->owner = pthread_self();
    l->held = true;
}

static void note_released(struct lock *l)
{
    l->held = false;
    for (int i = held_count - 1; i >= 0; i--) {
        if (held_locks[i] != l)
            continue;
        held_count--;
        for (; i < held_count; i++)
            held_locks[i] = held_locks[i + 1];
        return;
    }
    fprintf(stderr, "sbox: unlock of a lock that this thread does not hold\n");
    abort();
}
#endif

void lock_init(struct lock *l, int rank)
{
    pthread_mutex_init(&l->mutex, NULL);
#ifdef SBOX_DEBUG
    l->rank = rank;
    l->held = false;
#else
    (void)rank;
#endif
}

void lock_destroy(struct lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

/*
 * Of several locks of one rank their callers know the order: that of the tree for directories, where a rename may turn
 * two around while it holds the lock of all renames. ThreadSanitizer knows only orders that never change, and would
 * report those two; it draws no conclusions from locks that were tried for.
 */
static void wait_for(struct lock *l, bool equal_fine) NO_THREAD_SAFETY
{
#ifdef __SANITIZE_THREAD__
    while (equal_fine && pthread_mutex_trylock(&l->mutex) != 0)
        sched_yield();
    if (equal_fine)
        return;
#else
    (void)equal_fine;
#endif
    pthread_mutex_lock(&l->mutex);
}

static void lock_checked(struct lock *l, bool equal_fine) NO_THREAD_SAFETY
{
#ifdef SBOX_DEBUG
    check_order(l, equal_fine);
#endif
    wait_for(l, equal_fine);
#ifdef SBOX_DEBUG
    note_held(l);
#endif
}

void lock(struct lock *l) NO_THREAD_SAFETY
{
    lock_checked(l, false);
}

void lock_nested(struct lock *l) NO_THREAD_SAFETY
{
    lock_checked(l, true);
}

void unlock(struct lock *l) NO_THREAD_SAFETY
{
#ifdef SBOX_DEBUG
    note_released(l);
#endif
    pthread_mutex_unlock(&l->mutex);
}

void lock_pair(struct lock *a, struct lock *b) NO_THREAD_SAFETY
{
    if (a == b) {
        lock(a);
        return;
    }
    struct lock *first = (uintptr_t)a < (uintptr_t)b ? a : b;
    lock(first);
    lock_checked(first == a ? b : a, true);
}

void unlock_pair(struct lock *a, struct lock *b) NO_THREAD_SAFETY
{
    unlock(a);
    if (a != b)
        unlock(b);
}

bool lock_held(struct lock *l)
{
#ifdef SBOX_DEBUG
    return l->held && pthread_equal(l->owner, pthread_self());
#else
    (void)l;
    return true;
#endif
}
