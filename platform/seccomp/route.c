/*
 * From a notice to whom it concerns.
 *
 * A notice of a thread whose owner waits for it (a report after jobs, the kick of an upgrade) goes to that owner's
 * inbox; any other is an event. The owner listens itself while nobody else does, so in the usual case it receives its
 * own notice and no other thread is woken.
 */
#include "platform/seccomp/internal.h"

#include "lib/log.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Thread_local pid_t own_tid;

static void wake_owner(struct plat_thread *t)
{
    syscall(SYS_futex, &t->inbox, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* ---- the owner's side ---- */

void inbox_open(struct plat_thread *t)
{
    atomic_store(&t->inbox, INBOX_OPEN);
    watch_threads();
}

static void sleep_on_inbox(struct plat_thread *t)
{
    unsigned state = INBOX_OPEN;

    if (!atomic_compare_exchange_strong(&t->inbox, &state, INBOX_ASLEEP))
        return;
    watch_listeners();
    if (!atomic_load(&t->gone))
        syscall(SYS_futex, &t->inbox, FUTEX_WAIT_PRIVATE, INBOX_ASLEEP, NULL, NULL, 0);
    state = INBOX_ASLEEP;
    atomic_compare_exchange_strong(&t->inbox, &state, INBOX_OPEN);
}

static void listen_once(void)
{
    struct seccomp_notif n;

    if (receive(&n) < 0)
        return;
    struct plat_thread *other = route_notice(&n);
    if (other)
        queue_event(other, true);
}

/* Needs t's inbox open. */
int inbox_await(struct plat_thread *t, struct seccomp_notif *out)
{
    int ret = 0;

    if (!own_tid)
        own_tid = (pid_t)syscall(SYS_gettid);
    atomic_store(&t->waiter, own_tid);
    while (atomic_load(&t->inbox) != INBOX_FULL) {
        if (atomic_load(&t->gone)) {
            ret = -ESRCH;
            break;
        }
        if (!listen_for_owner())
            sleep_on_inbox(t);
        else if (atomic_load(&t->inbox) != INBOX_FULL)
            listen_once();
    }
    if (ret == 0)
        *out = t->notice;
    atomic_store(&t->inbox, INBOX_OFF);
    listen_for_owner_end();
    return ret;
}

/* The owner may be asleep, or just about to listen, where only a signal that comes after it has begun makes it look. */
void inbox_wake(struct plat_thread *t)
{
    const struct timespec pause = {.tv_nsec = 500000};

    for (;;) {
        unsigned state = atomic_load(&t->inbox);
        if (state == INBOX_OFF || state == INBOX_FULL)
            return;
        if (state == INBOX_ASLEEP && atomic_compare_exchange_strong(&t->inbox, &state, INBOX_OPEN))
            wake_owner(t);
        pid_t waiter = atomic_load(&t->waiter);
        if (waiter)
            syscall(SYS_tgkill, getpid(), waiter, NUDGE_SIGNAL);
        nanosleep(&pause, NULL);
    }
}

/* ---- the listener's side ---- */

/* A thread that nobody knows: the child of a clone that was given up, or one whose first report was tampered with. */
static void end_stranger(const struct seccomp_notif *n)
{
    log_debug("seccomp: a stranger, %d, made call %d", (int)n->pid, n->data.nr);
    if (notify_valid(n->id))
        kill((pid_t)n->pid, SIGKILL);
}

static bool is_first_report(const struct seccomp_notif *n)
{
    return n->data.nr == STUB_REPORT_NR && n->data.args[1] == STUB_START &&
           n->data.instruction_pointer == sc_stub.site_ip;
}

/* False: nobody waits for it. The inbox was opened before t went on, and t stands still until it is answered. */
static bool deliver(struct plat_thread *t, const struct seccomp_notif *n)
{
    t->notice = *n;
    if (atomic_load(&t->inbox) == INBOX_OFF)
        return false;
    if (atomic_exchange(&t->inbox, INBOX_FULL) == INBOX_ASLEEP)
        wake_owner(t);
    return true;
}

struct plat_thread *route_notice(const struct seccomp_notif *n)
{
    const pid_t tid = (pid_t)n->pid;
    struct plat_thread *t = is_first_report(n) ? clone_claim(n) : sc_thread_find(tid);

    if (unlikely(!t))
        t = sc_thread_find_new(tid);
    if (!t) {
        end_stranger(n); /* also a thread we know that pretends to be new */
        return NULL;
    }
    if (unlikely(sc_threads_left_since_recv() &&
                 !notify_valid(n->id))) { /* it ended, and the tid may be another's now */
        sc_thread_put(t);
        return NULL;
    }
    if (unlikely(!unexpect(t) && t->slot))
        (void)!sc_thread_violation(t, "it made a call while another one was served");
    else if (!deliver(t, n))
        return t;
    sc_thread_put(t);
    return NULL;
}
