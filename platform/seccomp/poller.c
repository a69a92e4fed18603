/*
 * The poller: a thread that watches the slots of busy guest threads while a processor is idle, so that their calls are
 * served by another processor at the cost of a few cache misses, without entering the kernel.
 *
 * A thread is *listed* when it has made several calls in quick succession by notification, and its slot is *armed*
 * while it is polled. The poller disarms all and sleeps as soon as nothing was posted for a while or no processor is
 * left for it; then calls are notified again. So an idle guest costs nothing, and a busy machine little: a poller that
 * finds itself held up stays away, each time for longer. A call that it serves may wait; if that lasts, and a poller is
 * wanted, another one takes the office.
 *
 * Whoever disarms a slot looks at it once more; the guest posts and then looks whether it is armed. So no call is left
 * lying; should the poller be preempted, the guest takes its call back after some 20 µs and disarms the slot itself.
 */
#include "platform/seccomp/internal.h"

#include "lib/placement.h"
#include "lib/thread.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define POLLER_STACK (256u << 10)
#define LISTED_MAX 8U
#define IDLE_NS 100000UL        /* without a call: sleep */
#define HELD_UP_NS 500000UL     /* between two looks at the clock: it was preempted */
#define AWAY_MIN_NS 1000000UL   /* how long to stay away then, … */
#define AWAY_MAX_NS 500000000UL /* … at first and at last */
#define MANY 256U               /* calls without an end of the polling */
#define LONG_WAIT_NS 2000000UL  /* in a call: then another poller is started when one is wanted */
#define LOOK_ROUNDS 64U         /* rounds between two looks at the clock */
#define WORTHWHILE 8U           /* calls served; with fewer, the next time takes more calls in succession */

static pthread_mutex_t poll_lock = PTHREAD_MUTEX_INITIALIZER;
/* Appended under poll_lock, each with a reference; emptied by the poller. Its count is what the poller sleeps on. */
static struct plat_thread *listed[LISTED_MAX];
static atomic_uint listed_count;       /* written under poll_lock */
static bool exists;                    /* poll_lock: there is a poller */
static atomic_ulong waits_since;       /* ns of the clock: the poller waits in a call; 0: it does not */
static atomic_ulong away_until;        /* ns of the clock */
static uint64_t away_ns = AWAY_MIN_NS; /* the poller's */
static unsigned cores;                 /* (c) */
static cpu_set_t allowed;              /* (c) */
static atomic_int guest_cpu;           /* where the thread listed last was served */

static _Thread_local bool is_poller;
static _Thread_local uint64_t my_wait; /* the value of waits_since, while this thread is the waiting poller */

uint64_t poller_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000UL + (uint64_t)ts.tv_nsec;
}

bool poller_possible(void)
{
    return cores > 1 || sc_fast_calls == PLAT_FAST_ALWAYS;
}

/* A processor is left for the poller beside `more` guest threads than are running now. */
static bool core_left(unsigned more)
{
    return guests_running() + more < cores || sc_fast_calls == PLAT_FAST_ALWAYS;
}

/* ---- the list ---- */

/* Disarms all and empties the list. Returns how many threads there were, whose references are the caller's. */
static unsigned unlist_all(struct plat_thread *out[LISTED_MAX])
{
    pthread_mutex_lock(&poll_lock);
    const unsigned n = atomic_load(&listed_count);
    for (unsigned i = 0; i < n; i++) {
        struct plat_thread *t = out[i] = listed[i];
        slot_arm(t, false);
        t->need = t->served < WORTHWHILE ? MIN(2 * t->need, POLLER_NEED_MAX) : POLLER_NEED_MIN;
        atomic_store(&t->listed, false);
    }
    atomic_store(&listed_count, 0);
    pthread_mutex_unlock(&poll_lock);
    return n;
}

static void retire(void)
{
    struct plat_thread *was[LISTED_MAX];
    const unsigned n = unlist_all(was);

    for (unsigned i = 0; i < n; i++) {
        if (slot_posted(was[i]))
            (void)!slot_serve(was[i]);
        sc_thread_put(was[i]);
    }
}

static void *poller_main(void *arg);

/* With poll_lock. */
static void start_poller(void)
{
    exists = thread_start_detached(poller_main, NULL, POLLER_STACK) == 0;
}

static bool waits_long(uint64_t now)
{
    const uint64_t since = atomic_load(&waits_since);

    return since && now - since > LONG_WAIT_NS;
}

/* Puts a poller that has waited for long out of office. It finds that out when its call is over. */
static bool depose(uint64_t now)
{
    unsigned long since = atomic_load(&waits_since);

    return since && now - since > LONG_WAIT_NS && atomic_compare_exchange_strong(&waits_since, &since, 0);
}

void poller_list(struct plat_thread *t, uint64_t now)
{
    const bool is_listed = atomic_load(&t->listed);

    if (now < atomic_load(&away_until) || !core_left(1) || (is_listed && !waits_long(now)))
        return;
    pthread_mutex_lock(&poll_lock);
    const unsigned n = atomic_load(&listed_count);
    if (!is_listed && n < LISTED_MAX) {
        sc_thread_get(t);
        listed[n] = t;
        t->served = 0;
        atomic_store(&t->listed, true);
        atomic_store(&guest_cpu, sched_getcpu());
        atomic_store(&listed_count, n + 1);
    }
    if (!exists || depose(now))
        start_poller();
    else if (n == 0)
        syscall(SYS_futex, &listed_count, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    pthread_mutex_unlock(&poll_lock);
}

void poller_wait_begin(void)
{
    if (likely(!is_poller))
        return;
    my_wait = poller_clock();
    atomic_store(&waits_since, my_wait);
}

void poller_wait_end(void)
{
    if (likely(!is_poller))
        return;
    unsigned long since = my_wait;
    is_poller = atomic_compare_exchange_strong(&waits_since, &since, 0);
}

/* ---- polling ---- */

/* Others want the processor: more and more so, unless many calls were served in spite of that. */
static void stay_away(uint64_t now, uint64_t calls)
{
    away_ns = calls > MANY ? AWAY_MIN_NS : MIN(2 * away_ns, AWAY_MAX_NS);
    atomic_store(&away_until, now + away_ns);
}

/* Serves what is posted. Returns how many calls; stops when one of them took so long that it cost the office. */
static unsigned serve_round(unsigned n)
{
    unsigned served = 0;

    for (unsigned i = 0; i < n && is_poller; i++) {
        struct plat_thread *t = listed[i];
        if (!slot_posted(t))
            continue;
        if (!slot_serve(t))
            continue;
        served++;
        if (is_poller) /* else t may be gone */
            t->served++;
    }
    return served;
}

/* Dead ones take the places of others. */
static bool any_gone(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (atomic_load(&listed[i]->gone))
            return true;
    return false;
}

/* A listed thread and its worker share a processor, and are at home there. */
static void leave_guest_cpu(void)
{
    const int cpu = atomic_load(&guest_cpu);
    cpu_set_t others = allowed;

    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getcpu() != cpu)
        return;
    CPU_CLR((size_t)cpu, &others);
    if (CPU_COUNT(&others))
        (void)!sched_setaffinity(0, sizeof(others), &others);
}

/* Until there is no more reason to. */
static void poll_slots(void)
{
    uint64_t now = poller_clock(), last_call = now, calls = 0;
    unsigned armed = 0, rounds = 0;
    bool served = false;

    leave_guest_cpu();
    for (;;) {
        const unsigned n = atomic_load(&listed_count);
        while (armed < n)
            slot_arm(listed[armed++], true);
        const unsigned some = serve_round(n);
        if (!is_poller)
            return;
        calls += some;
        served |= some > 0;
        if (++rounds % LOOK_ROUNDS) {
            cpu_relax();
            continue;
        }
        const uint64_t before = now;
        now = poller_clock();
        if (served)
            last_call = now;
        else if (now - before > HELD_UP_NS && sc_fast_calls == PLAT_FAST_AUTO)
            return stay_away(now, calls);
        if (now - last_call > IDLE_NS || !core_left(0) || any_gone(n))
            break;
        for (unsigned i = 0; i < n; i++)
            slot_arm(listed[i], true); /* who was kept waiting has disarmed it */
        served = false;
    }
    if (calls > MANY)
        away_ns = AWAY_MIN_NS;
}

static void *poller_main(void *arg unused_arg)
{
    is_poller = true;
    while (is_poller) {
        while (atomic_load(&listed_count) == 0)
            syscall(SYS_futex, &listed_count, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
        poll_slots();
        if (is_poller)
            retire();
    }
    return NULL;
}

void poller_init(void)
{
    cores = placement_allowed(&allowed);
}
