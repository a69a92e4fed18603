/* Reference counts. A count that reaches zero is final: taking a reference from zero, or overflow, aborts. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct {
    atomic_int n;
} refcount_t;

static inline void ref_init(refcount_t *r)
{
    atomic_init(&r->n, 1);
}

static inline void ref_get(refcount_t *r)
{
    if (atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed) <= 0)
        abort();
}

/* Takes a reference unless the object is already on its way out; for look-ups in tables that hold no reference. */
static inline bool ref_get_unless_zero(refcount_t *r)
{
    int n = atomic_load_explicit(&r->n, memory_order_relaxed);
    while (n > 0)
        if (atomic_compare_exchange_weak_explicit(&r->n, &n, n + 1, memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

/* True if that was the last reference: the caller frees the object. */
static inline bool ref_put(refcount_t *r)
{
    int n = atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel);
    if (n <= 0)
        abort();
    return n == 1;
}

/* There are others besides the caller's, just now. */
static inline bool ref_shared(refcount_t *r)
{
    return atomic_load(&r->n) > 1;
}
