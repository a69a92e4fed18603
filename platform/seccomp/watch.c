/*
 * The watch: one thread that helps where waiting would otherwise not end. It sleeps while there is nothing to watch.
 *
 * Quick rounds. A worker that holds the only token may be held up inside event() without having said so: by a lock
 * whose holder waits for a notice, or by a slow host call. If guest threads are running and nobody has received
 * anything for a round, one more worker is told to listen. Waking the watch costs the guest, whose pair of threads it
 * tears apart, so rounds grow longer while none is needed.
 *
 * Brisk rounds. A thread that its parent's stub is just making may be kicked before the host has made it. It is kicked
 * again until it is there.
 *
 * Slow rounds. A guest can keep its thread from taking kicks, or a child from reporting, by tampering with the stub.
 * What has been waited for a minute ends: the process is killed. Nothing that a stub is ordered to do takes so long,
 * unless the host is out of memory or the program maps and unmaps terabytes.
 */
#include "platform/seccomp/internal.h"

#include "lib/thread.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WATCH_STACK (64u << 10)
#define QUICK_NS 500000L
#define QUICK_MAX_NS (8 * QUICK_NS)
#define BRISK_NS 1000000L
#define SLOW_NS 1000000000L
#define CALM_ROUNDS 16U /* quick rounds without need after which they end */

enum pace { ASLEEP, SLOW, BRISK, QUICK };

unsigned sc_watch_rounds = 60;

static atomic_uint pace; /* what was asked for; the watch itself lowers it */

static void ask_for(enum pace wanted)
{
    unsigned now = atomic_load(&pace);

    while (now < wanted)
        if (atomic_compare_exchange_weak(&pace, &now, wanted)) {
            syscall(SYS_futex, &pace, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
            return;
        }
}

void watch_listeners(void)
{
    if (unlikely(atomic_load(&pace) != QUICK) && nobody_listens())
        ask_for(QUICK);
}

void watch_threads(void)
{
    if (unlikely(atomic_load(&pace) == ASLEEP))
        ask_for(SLOW);
}

void watch_new_threads(void)
{
    ask_for(BRISK);
}

/* Sleeps for a round, or until more is asked for than `now`. */
static void sleep_round(unsigned now, long ns)
{
    const struct timespec ts = {.tv_sec = ns / SLOW_NS, .tv_nsec = ns % SLOW_NS};

    syscall(SYS_futex, &pace, FUTEX_WAIT_PRIVATE, now, ns ? &ts : NULL, NULL, 0);
}

/*
 * Rounds until nobody has needed help for a while. That nobody receives says little: a worker is mostly between two
 * notices, or was preempted by the guest that it has just let go. Only with no notice received is it a worker held up.
 */
static void quick_rounds(void)
{
    unsigned seen = notices_received();
    long round = QUICK_NS;

    for (unsigned calm = 0; calm < CALM_ROUNDS; calm++) {
        sleep_round(QUICK, round);
        const unsigned now = notices_received();
        if (now == seen && nobody_listens()) {
            add_listener();
            calm = 0;
            round = QUICK_NS;
        } else {
            round = MIN(2 * round, QUICK_MAX_NS);
        }
        seen = now;
    }
}

static void *watch_main(void *arg unused_arg)
{
    for (;;) {
        switch (atomic_load(&pace)) {
        case ASLEEP:
            sleep_round(ASLEEP, 0);
            break;
        case SLOW:
            sleep_round(SLOW, SLOW_NS);
            if (atomic_load(&pace) != SLOW)
                break;
            atomic_store(&pace, ASLEEP); /* before looking: who begins to wait afterwards asks again */
            if ((int)sc_threads_watch() | (int)clone_watch()) /* both are asked */
                ask_for(SLOW);
            break;
        case BRISK:
            sleep_round(BRISK, BRISK_NS);
            if (atomic_load(&pace) != BRISK)
                break;
            atomic_store(&pace, SLOW);
            if (sc_threads_kick_new())
                ask_for(BRISK);
            break;
        case QUICK:
            quick_rounds();
            atomic_store(&pace, BRISK);
            watch_listeners();
            break;
        }
    }
    return NULL;
}

void watch_start(void)
{
    static atomic_bool started;

    if (likely(atomic_exchange(&started, true)))
        return;
    if (thread_start_detached(watch_main, NULL, WATCH_STACK) < 0)
        atomic_store(&started, false);
}
