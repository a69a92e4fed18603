/*
 * Sending and queueing signals.
 *
 * A signal goes into the queue of one thread or of the process; then one thread that does not block it is woken, or
 * kicked out of guest code, and takes it in signal_deliver.c. signal_wake is set under siglock by senders and
 * recomputed under siglock by its task, so a wake-up is never lost. tg->tasks is changed under tasks_lock and siglock
 * together; this file walks it under siglock alone, since callers may or may not hold tasks_lock.
 */
#include "sentry/kernel/signal.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/lifecycle.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/task.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FIRST_RT 32
#define SIGSET_SYNC                                                                                                    \
    (sigbit(SIGSEGV) | sigbit(SIGBUS) | sigbit(SIGILL) | sigbit(SIGTRAP) | sigbit(SIGFPE) | sigbit(SIGSYS))

static _Atomic uint64_t queued; /* entries in all queues, for RLIMIT_SIGPENDING */

/* ---- queues ---- */

static void entry_free(struct sigqueue *q)
{
    list_del(&q->node);
    atomic_fetch_sub_explicit(&queued, 1, memory_order_relaxed);
    free(q);
}

void sigpending_clear(struct sigpending *p)
{
    struct sigqueue *q, *next;

    list_for_each_safe (q, next, &p->queue, node)
        entry_free(q);
    p->set = 0;
}

static void drop_signals(struct sigpending *p, sigset64_t set)
{
    struct sigqueue *q, *next;

    if (!(p->set & set))
        return;
    p->set &= ~set;
    list_for_each_safe (q, next, &p->queue, node)
        if (set & sigbit(q->info.si_signo))
            entry_free(q);
}

static void drop_everywhere(struct thread_group *tg, sigset64_t set)
{
    struct task *t;

    drop_signals(&tg->pending, set);
    list_for_each (t, &tg->tasks, tg_node)
        drop_signals(&t->pending, set);
}

void signal_cancel_locked(struct thread_group *tg, int sig)
{
    struct task *t;

    if (sigbit(sig) & SIGSET_STOP)
        drop_everywhere(tg, sigbit(SIGCONT));
    if (sig != SIGCONT && sig != SIGKILL)
        return;
    if (sig == SIGCONT)
        drop_everywhere(tg, SIGSET_STOP);
    tg->stop_dequeued = false;
    if (!tg->stopping)
        return;
    if (sig == SIGCONT)
        tg->stop_notify = CLD_CONTINUED;
    tg->stopping = tg->stopped = false;
    tg->stop_count = 0;
    list_for_each (t, &tg->tasks, tg_node) {
        t->group_stop_pending = false;
        if (!atomic_load(&t->exited))
            signal_notify_locked(t);
    }
}

static uint64_t queue_limit(struct thread_group *tg)
{
    return tg_limit(tg, RLIMIT_SIGPENDING);
}

/* Adds an entry. Over the limit, or out of memory, a standard signal is only marked, and a real-time one refused. */
static int enqueue(struct thread_group *tg, struct sigpending *p, int sig, const siginfo_t *info)
{
    bool from_kernel = !info || info->si_code > 0;
    struct sigqueue *q = NULL;

    if (sig < FIRST_RT && (p->set & sigbit(sig)))
        return 0;
    if ((sig < FIRST_RT && from_kernel) || atomic_load(&queued) < queue_limit(tg))
        q = malloc(sizeof(*q));
    if (!q) {
        if (sig >= FIRST_RT && info && info->si_code != SI_USER)
            return -EAGAIN;
        p->set |= sigbit(sig);
        return 0;
    }
    atomic_fetch_add_explicit(&queued, 1, memory_order_relaxed);
    if (info)
        q->info = *info;
    else
        q->info = (siginfo_t){.si_code = SI_KERNEL};
    q->info.si_signo = sig;
    list_push_back(&p->queue, &q->node);
    p->set |= sigbit(sig);
    return 0;
}

static int lowest(sigset64_t set)
{
    if (set & SIGSET_SYNC)
        set &= SIGSET_SYNC;
    return __builtin_ctzll(set) + 1;
}

static int take_from(struct sigpending *p, sigset64_t blocked, siginfo_t *info)
{
    struct sigqueue *q, *next;
    bool found = false, more = false;
    int sig;

    if (!(p->set & ~blocked))
        return 0;
    sig = lowest(p->set & ~blocked);
    *info = (siginfo_t){.si_signo = sig, .si_code = SI_USER};
    list_for_each_safe (q, next, &p->queue, node) {
        if (q->info.si_signo != sig)
            continue;
        if (found) {
            more = true;
            break;
        }
        *info = q->info;
        found = true;
        entry_free(q);
    }
    if (!more)
        p->set &= ~sigbit(sig);
    return sig;
}

int signal_dequeue_locked(struct task *t, sigset64_t blocked, siginfo_t *info)
{
    int sig = take_from(&t->pending, blocked, info);

    if (!sig)
        sig = take_from(&t->tg->pending, blocked, info);
    if (sig && (sigbit(sig) & SIGSET_STOP))
        t->tg->stop_dequeued = true;
    if (sig && info->si_code == SI_TIMER)
        posix_timer_taken_locked(t->tg, info);
    return sig;
}

/* ---- who takes it ---- */

static sigset64_t not_wanted(struct task *t)
{
    return signal_blocked_locked(t) & ~t->sigwait;
}

void signal_recalc_locked(struct task *t)
{
    sigset64_t pending = t->pending.set | t->tg->pending.set;

    atomic_store(&t->signal_wake, (pending && (pending & ~not_wanted(t))) || t->group_stop_pending || t->killed ||
                                      t->tg->group_exiting || t->tg->stop_notify);
}

void signal_notify_locked(struct task *t)
{
    atomic_store(&t->signal_wake, true);
    task_wake(t);
    if (atomic_load(&t->in_guest) && t->pt)
        plat_kick(t->pt);
}

static bool wants(struct task *t, int sig)
{
    return t && !atomic_load(&t->exited) && !(not_wanted(t) & sigbit(sig));
}

/* The thread that is to take a signal sent to the process: its leader, the sender itself, or any other. */
static struct task *choose(struct thread_group *tg, int sig)
{
    struct task *t;

    if (wants(tg->leader, sig))
        return tg->leader;
    if (current && current->tg == tg && wants(current, sig))
        return current;
    list_for_each (t, &tg->tasks, tg_node)
        if (wants(t, sig))
            return t;
    return NULL;
}

static void kill_group(struct thread_group *tg)
{
    struct task *t;

    if (!tg->group_exiting) {
        tg->group_exiting = true;
        tg->group_exit_code = SIGKILL;
    }
    list_for_each (t, &tg->tasks, tg_node) {
        if (atomic_load(&t->exited))
            continue;
        t->killed = true;
        signal_notify_locked(t);
    }
}

void signal_retarget_locked(struct task *t, sigset64_t set)
{
    struct task *other;

    set &= t->tg->pending.set;
    if (!set)
        return;
    list_for_each (other, &t->tg->tasks, tg_node)
        if (other != t && !atomic_load(&other->exited) && (set & ~not_wanted(other)))
            signal_notify_locked(other);
}

/* ---- sending ---- */

bool signal_ignored_locked(struct thread_group *tg, int sig)
{
    uint64_t handler = tg->sighand->action[sig - 1].handler;

    if (handler == (uint64_t)(uintptr_t)SIG_IGN)
        return true;
    return handler == (uint64_t)(uintptr_t)SIG_DFL && (SIGSET_IGNORED & sigbit(sig));
}

static bool init_protected(struct thread_group *tg, int sig)
{
    return tg->tgid == 1 && tg->sighand->action[sig - 1].handler == (uint64_t)(uintptr_t)SIG_DFL;
}

/* siglock held. to: the thread, or NULL for the process. */
static int send_locked(struct thread_group *tg, struct task *to, int sig, const siginfo_t *info, bool outside)
{
    struct task *t = to ? to : tg->leader;
    int ret;

    if (!t || tg->group_exiting)
        return 0;
    signal_cancel_locked(tg, sig);
    if (!outside && init_protected(tg, sig) && !(signal_blocked_locked(t) & sigbit(sig)))
        return 0;
    if (signal_ignored_locked(tg, sig) && !(signal_blocked_locked(t) & sigbit(sig)))
        return 0;
    if (outside)
        tg->unprotected |= sigbit(sig);
    if (sig == SIGKILL) {
        kill_group(tg);
        return 0;
    }
    ret = enqueue(tg, to ? &to->pending : &tg->pending, sig, info);
    if (ret < 0)
        return ret;
    waitq_wake(&tg->signal_wait, ~0U);
    if (!to)
        t = choose(tg, sig);
    if (wants(t, sig))
        signal_notify_locked(t);
    return 0;
}

static int send_tg(struct thread_group *tg, int sig, const siginfo_t *info, bool outside)
{
    int ret;

    lock(&tg->siglock);
    ret = send_locked(tg, NULL, sig, info, outside);
    unlock(&tg->siglock);
    return ret;
}

int signal_send_tg(struct thread_group *tg, int sig, const siginfo_t *info)
{
    return send_tg(tg, sig, info, false);
}

int signal_send_from_outside(struct thread_group *tg, int sig, const siginfo_t *info)
{
    return send_tg(tg, sig, info, true);
}

int signal_send_task(struct task *t, int sig, const siginfo_t *info)
{
    int ret;

    lock(&t->tg->siglock);
    ret = atomic_load(&t->exited) ? 0 : send_locked(t->tg, t, sig, info, false);
    unlock(&t->tg->siglock);
    return ret;
}

/* The queued signal of this timer, or NULL. siglock held. */
static struct sigqueue *find_timer(struct sigpending *p, const siginfo_t *info)
{
    struct sigqueue *q;

    list_for_each (q, &p->queue, node)
        if (q->info.si_signo == info->si_signo && q->info.si_code == SI_TIMER && q->info.si_timerid == info->si_timerid)
            return q;
    return NULL;
}

void signal_send_timer_locked(struct thread_group *tg, struct task *to, const siginfo_t *info)
{
    struct sigqueue *q = find_timer(to ? &to->pending : &tg->pending, info);
    if (q) {
        int64_t sum = (int64_t)q->info.si_overrun + info->si_overrun + 1;
        q->info.si_overrun = (int)MIN(sum, (int64_t)INT_MAX);
    } else if (!to || !atomic_load(&to->exited)) {
        int ret = send_locked(tg, to, info->si_signo, info, false);
        (void)ret; /* over RLIMIT_SIGPENDING: lost, and so is its count */
    }
}

int signal_send_pgrp_locked(struct pgrp *pg, int sig, const siginfo_t *info)
{
    struct thread_group *tg;
    int ret = 0;

    list_for_each (tg, &pg->members, pgrp_node) {
        int r = signal_send_tg(tg, sig, info);

        if (r < 0)
            ret = r;
    }
    return ret;
}

bool signal_may_send(struct task *from, struct thread_group *to, int sig)
{
    const struct cred *f = from->cred, *c;

    if (from->tg == to || cred_capable(f, CAP_KILL))
        return true;
    if (!to->leader)
        return false;
    c = to->leader->cred;
    if (f->euid == c->suid || f->euid == c->ruid || f->ruid == c->suid || f->ruid == c->ruid)
        return true;
    return sig == SIGCONT && from->tg->pgrp && to->pgrp && from->tg->pgrp->session == to->pgrp->session;
}

void signal_force(struct task *t, int sig, const siginfo_t *info)
{
    struct thread_group *tg = t->tg;
    struct ksigaction *sa;
    int ret;

    lock(&tg->siglock);
    sa = &tg->sighand->action[sig - 1];
    if ((signal_blocked_locked(t) & sigbit(sig)) || sa->handler == (uint64_t)(uintptr_t)SIG_IGN) {
        sa->handler = (uint64_t)(uintptr_t)SIG_DFL;
        t->blocked &= ~sigbit(sig);
    }
    tg->unprotected |= sigbit(sig);
    ret = enqueue(tg, &t->pending, sig, info);
    (void)ret; /* a standard signal is at least marked */
    signal_notify_locked(t);
    unlock(&tg->siglock);
}

/* ---- the task's own state ---- */

bool signal_pending(struct task *t)
{
    return atomic_load(&t->signal_wake);
}

void signal_set_action(struct task *t, int sig, const struct ksigaction *new_action, struct ksigaction *old_action)
{
    struct thread_group *tg = t->tg;

    lock(&tg->siglock);
    if (old_action)
        *old_action = tg->sighand->action[sig - 1];
    if (new_action) {
        tg->sighand->action[sig - 1] = *new_action;
        tg->sighand->action[sig - 1].mask &= ~SIGSET_UNBLOCKABLE;
        if (signal_ignored_locked(tg, sig))
            drop_everywhere(tg, sigbit(sig));
    }
    unlock(&tg->siglock);
}

void signal_reset_for_exec(struct task *t)
{
    struct thread_group *tg = t->tg;
    struct sighand *old = NULL, *own;

    lock(&tg->siglock);
    if (atomic_load(&tg->sighand->refs.n) > 1) {
        own = sighand_make(tg->sighand);
        if (own) {
            old = tg->sighand;
            tg->sighand = own;
        }
    }
    for (int i = 0; i < NSIG_MAX; i++) {
        struct ksigaction *sa = &tg->sighand->action[i];

        *sa = (struct ksigaction){
            .handler = sa->handler == (uint64_t)(uintptr_t)SIG_IGN ? sa->handler : (uint64_t)(uintptr_t)SIG_DFL};
    }
    unlock(&tg->siglock);
    if (old)
        sighand_unref(old);
    t->altstack = (stack_t){.ss_flags = SS_DISABLE};
}

void signal_thread_start_locked(struct task *t)
{
    if (!t->tg->stopping)
        return;
    t->group_stop_pending = true;
    t->tg->stop_count++;
    atomic_store(&t->signal_wake, true);
}

void signal_thread_exit(struct task *t)
{
    bool last = false;

    lock(&t->tg->siglock);
    if (t->tg->pending.set)
        signal_retarget_locked(t, ~not_wanted(t));
    if (t->group_stop_pending) {
        t->group_stop_pending = false;
        last = --t->tg->stop_count == 0 && t->tg->stopping;
        if (last)
            t->tg->stopped = true;
    }
    unlock(&t->tg->siglock);
    if (last)
        signal_notify_stopped(t);
}
