/*
 * Job control: group stop and continue.
 *
 * A thread that takes a stop signal asks all threads of its group to stop; the last one to do so marks the group
 * stopped and tells the parent. SIGCONT ends the stop when it is sent, whatever is blocked; the parent is told of that
 * by the first thread of the group that comes back, since senders may hold locks that the telling needs.
 */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/lifecycle.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/dispatch.h"

#include <signal.h>
#include <stdatomic.h>

static bool wants_child_stops(struct thread_group *parent)
{
    const struct ksigaction *sa;
    bool wants;

    lock(&parent->siglock);
    sa = &parent->sighand->action[SIGCHLD - 1];
    wants = sa->handler != (uint64_t)(uintptr_t)SIG_IGN && !(sa->flags & SA_NOCLDSTOP);
    unlock(&parent->siglock);
    return wants;
}

static void notify_parent(struct task *t, int code, int status)
{
    struct thread_group *tg = t->tg, *parent;
    siginfo_t info = {.si_signo = SIGCHLD, .si_code = code};

    lock(&tasks_lock);
    parent = tg->parent;
    tg->continued = code == CLD_CONTINUED;
    if (code == CLD_STOPPED)
        tg->stop_reported = false;
    if (parent) {
        info.si_pid = tg->tgid;
        info.si_uid = t->cred->ruid;
        info.si_status = status;
        if (wants_child_stops(parent))
            signal_send_tg(parent, SIGCHLD, &info);
        waitq_wake(&parent->child_wait, ~0U);
    }
    unlock(&tasks_lock);
    if (tg->tgid == main_tgid)
        sentry_stopped(code == CLD_STOPPED ? status : 0);
}

void signal_notify_stopped(struct task *t)
{
    int sig;

    lock(&t->tg->siglock);
    sig = t->tg->stop_signal;
    unlock(&t->tg->siglock);
    notify_parent(t, CLD_STOPPED, sig);
}

void signal_notify_continued(struct task *t)
{
    int code;

    lock(&t->tg->siglock);
    code = t->tg->stop_notify;
    t->tg->stop_notify = 0;
    unlock(&t->tg->siglock);
    if (code)
        notify_parent(t, code, SIGCONT);
}

static bool orphaned(struct task *t)
{
    bool ret;

    lock(&tasks_lock);
    ret = t->tg->pgrp && pgrp_orphaned_locked(t->tg->pgrp, NULL);
    unlock(&tasks_lock);
    return ret;
}

void signal_group_stop(struct task *t, int sig)
{
    struct thread_group *tg = t->tg;
    struct task *other;

    if (sig != SIGSTOP && orphaned(t))
        return;
    lock(&tg->siglock);
    if (tg->stop_dequeued && !tg->stopping && !tg->group_exiting && !t->killed) {
        tg->stopping = true;
        tg->stop_signal = sig;
        tg->stop_count = 0;
        list_for_each (other, &tg->tasks, tg_node) {
            if (atomic_load(&other->exited))
                continue;
            other->group_stop_pending = true;
            tg->stop_count++;
            if (other != t)
                signal_notify_locked(other);
        }
    }
    unlock(&tg->siglock);
}

void signal_stop_here(struct task *t)
{
    struct thread_group *tg = t->tg;
    bool stay, last = false;

    lock(&tg->siglock);
    if (t->group_stop_pending) {
        t->group_stop_pending = false;
        if (tg->stop_count > 0 && --tg->stop_count == 0) {
            last = !tg->stopped;
            tg->stopped = true;
        }
    }
    stay = tg->stopping;
    if (stay)
        atomic_store(&t->state, TASK_STOPPED);
    unlock(&tg->siglock);
    if (last)
        signal_notify_stopped(t);
    while (stay) {
        int ret = task_sleep_killable(t, NO_DEADLINE);

        (void)ret; /* what woke us is looked at under the lock */
        lock(&tg->siglock);
        stay = tg->stopping && !t->killed && !tg->group_exiting;
        unlock(&tg->siglock);
    }
    atomic_store(&t->state, TASK_RUNNING);
}
