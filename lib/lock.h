/*
 * Mutexes with a rank.
 *
 * Every lock has a rank (sentry/kernel/locking.h lists them); a thread may take a lock only if its rank is higher than
 * that of every lock it holds, or, for two locks of one rank, through lock_pair(). Builds with SBOX_DEBUG check this
 * at every lock(), so that a test run finds a possible deadlock without having to hit it.
 */
#pragma once

#include "lib/compiler.h"

#include <pthread.h>
#include <stdbool.h>

struct CAPABILITY("mutex") lock {
    pthread_mutex_t mutex;
#ifdef SBOX_DEBUG
    int rank;
    pthread_t owner; /* valid while held; read by lock_held() only */
    bool held;
#endif
};

/* Prepares a lock; rank as in locking.h (0: never checked). */
void lock_init(struct lock *l, int rank);
void lock_destroy(struct lock *l);

/* Takes l, waiting as long as it takes. Pair of unlock(). */
void lock(struct lock *l) ACQUIRES(l);
void unlock(struct lock *l) RELEASES(l);

/* Takes two different locks of one rank, in the order of their addresses. a == b takes it once. */
void lock_pair(struct lock *a, struct lock *b) NO_THREAD_SAFETY;
void unlock_pair(struct lock *a, struct lock *b) NO_THREAD_SAFETY;

/* Takes l while locks of its own rank are held; the caller has an order among them (a directory before what is in it).
 */
void lock_nested(struct lock *l) ACQUIRES(l);

/* For asserts: true if the caller may hold l (always true without SBOX_DEBUG). */
bool lock_held(struct lock *l);
