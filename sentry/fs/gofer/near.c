/*
 * Where the gofer runs. A thread that asks and waits, again and again on the same processor, has the gofer come there
 * (Xnear), and stays there itself for as long as it waits: then no other processor has to be woken, neither for the
 * question nor for the answer (lib/placement.h). When requests come from several, the kernel places the gofer again.
 */
#include "sentry/fs/gofer/gofer.h"

#include <sched.h>

#define SETTLED 8      /* requests in a row from one processor, before the gofer is told to come */
#define TELL_AGAIN 256 /* requests; what several connections said may have arrived in another order */

/* Of all connections, since one process serves them. */
static atomic_uint last_cpu, streak;             /* of the last request, and how many before came from there */
static _Atomic uint32_t gofer_cpu = P9_NEAR_ANY; /* what the gofer was told */

void gofer_near_begin(struct gofer_near *n)
{
    const unsigned cpu = (unsigned)sched_getcpu();

    *n = (struct gofer_near){.cpu = P9_NEAR_ANY};
    if (atomic_exchange_explicit(&last_cpu, cpu, memory_order_relaxed) != cpu)
        atomic_store_explicit(&streak, 0, memory_order_relaxed);
    const unsigned before = atomic_fetch_add_explicit(&streak, 1, memory_order_relaxed);
    if (before >= SETTLED) {
        n->cpu = cpu;
        placement_hold(&n->here, 0);
    }
    const uint32_t told = atomic_exchange_explicit(&gofer_cpu, n->cpu, memory_order_relaxed);
    n->tell = told != n->cpu || (n->cpu != P9_NEAR_ANY && before % TELL_AGAIN == 0);
}

void gofer_near_end(const struct gofer_near *n)
{
    placement_release(&n->here, 0);
}
