/*
 * Kernel timers: one queue, ordered by deadline, and one thread that sleeps until the earliest.
 *
 * The thread is made when the first timer is armed. It waits on a host futex word that changes whenever a timer becomes
 * the new earliest one; with nothing armed it sleeps without a limit. A callback runs with no lock held, and `running`
 * tells ktimer_cancel() to wait for its end.
 */
#include "sentry/kernel/timer.h"

#include "lib/lock.h"
#include "lib/log.h"
#include "lib/thread.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/wait.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SEC 1000000000LL
#define TIMER_STACK (128 * 1024)

static int timer_order(struct ktimer *a, struct ktimer *b)
{
    if (a->deadline != b->deadline)
        return a->deadline < b->deadline ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

RB_HEAD(ktimer_tree, ktimer);
RB_PROTOTYPE(ktimer_tree, ktimer, node, timer_order)
RB_GENERATE(ktimer_tree, ktimer, node, timer_order)

static struct lock queue_lock;
static struct ktimer_tree queue = RB_INITIALIZER(&queue);
static struct ktimer *running; /* whose callback runs; queue_lock */
static uint64_t next_seq;
static bool started;
static _Atomic uint32_t changes;   /* futex word: the earliest deadline may have changed */
static _Atomic uint32_t completed; /* futex word: a callback has ended */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void queue_init(void)
{
    lock_init(&queue_lock, RANK_TIMER);
}

static void word_wait(_Atomic uint32_t *word, uint32_t seen, int64_t deadline)
{
    struct timespec ts = {.tv_sec = deadline / NS_PER_SEC, .tv_nsec = deadline % NS_PER_SEC};

    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen, deadline == NO_DEADLINE ? NULL : &ts, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

static void word_bump(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Runs the earliest timer if it is due, or returns when to look again. queue_lock is held, and dropped meanwhile. */
static int64_t run_due(void) NO_THREAD_SAFETY
{
    struct ktimer *k = RB_MIN(ktimer_tree, &queue);

    if (!k)
        return NO_DEADLINE;
    if (k->deadline > now_monotonic())
        return k->deadline;
    RB_REMOVE(ktimer_tree, &queue, k);
    k->armed = false;
    running = k;
    unlock(&queue_lock);
    k->fn(k);
    lock(&queue_lock);
    running = NULL;
    word_bump(&completed);
    return 0;
}

static void *timer_thread(void *arg unused_arg)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    lock(&queue_lock);
    for (;;) {
        uint32_t seen = atomic_load(&changes);
        int64_t next = run_due();

        if (!next)
            continue;
        unlock(&queue_lock);
        word_wait(&changes, seen, next);
        lock(&queue_lock);
    }
    return NULL;
}

static void start_thread(void)
{
    started = thread_start_detached(timer_thread, NULL, TIMER_STACK) == 0;
    if (!started)
        log_debug("cannot start the timer thread; the next timer tries again");
}

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t))
{
    *t = (struct ktimer){.fn = fn};
}

void ktimer_arm(struct ktimer *t, int64_t deadline)
{
    bool earliest;

    pthread_once(&once, queue_init);
    lock(&queue_lock);
    if (t->armed)
        RB_REMOVE(ktimer_tree, &queue, t);
    t->deadline = deadline;
    t->seq = next_seq++;
    t->armed = true;
    RB_INSERT(ktimer_tree, &queue, t);
    earliest = RB_MIN(ktimer_tree, &queue) == t;
    if (!started)
        start_thread();
    unlock(&queue_lock);
    if (earliest)
        word_bump(&changes);
}

bool ktimer_cancel(struct ktimer *t)
{
    bool was = false;

    pthread_once(&once, queue_init);
    lock(&queue_lock);
    for (;;) {
        if (t->armed) {
            RB_REMOVE(ktimer_tree, &queue, t);
            t->armed = false;
            was = true;
        }
        if (running != t)
            break;
        uint32_t seen = atomic_load(&completed);
        unlock(&queue_lock);
        word_wait(&completed, seen, NO_DEADLINE);
        lock(&queue_lock);
    }
    unlock(&queue_lock);
    return was;
}
