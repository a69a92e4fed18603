/*
 * From the end of a host process to the grave: process_died() makes an ended group a zombie, its parent is told, and
 * wait4(2) or nobody's interest buries it.
 *
 * A host process may also die that is not the end of a group: the old one of an execve, or the new one of an execve
 * that failed. And one may be killed under a living group (out of memory on the host): the group then ends as if that
 * signal had been sent to it.
 */
#include "sentry/kernel/lifecycle.h"

#include "sentry/kernel/cred.h"
#include "sentry/syscalls/dispatch.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define NS_PER_TICK 10000000ULL

static void fill_child_info(struct thread_group *tg, siginfo_t *info)
{
    int status = tg->exit_status;

    *info = (siginfo_t){.si_signo = tg->exit_signal};
    info->si_pid = tg->tgid;
    info->si_uid = tg->leader->cred->ruid;
    info->si_utime = (clock_t)(tg->self_dead.utime_ns / NS_PER_TICK);
    info->si_stime = (clock_t)(tg->self_dead.stime_ns / NS_PER_TICK);
    if (WIFEXITED(status)) {
        info->si_code = CLD_EXITED;
        info->si_status = WEXITSTATUS(status);
    } else {
        info->si_code = WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED;
        info->si_status = WTERMSIG(status);
    }
}

/* Does the parent not want to wait? Sets whether it wants the signal all the same. */
static bool parent_ignores(struct thread_group *parent, int sig, bool *out_send)
{
    bool ignores = false;

    *out_send = sig != 0;
    if (sig != SIGCHLD)
        return false;
    lock(&parent->siglock);
    struct ksigaction *sa = &parent->sighand->action[SIGCHLD - 1];
    if (sa->handler == (uint64_t)(uintptr_t)SIG_IGN) {
        ignores = true;
        *out_send = false;
    } else if (sa->flags & SA_NOCLDWAIT) {
        ignores = true;
    }
    unlock(&parent->siglock);
    return ignores;
}

void tg_notify_parent_locked(struct thread_group *tg)
{
    struct thread_group *parent = tg->parent;
    siginfo_t info;
    bool send, bury;

    if (!parent) {
        tg_reap_locked(tg);
        return;
    }
    bury = parent_ignores(parent, tg->exit_signal, &send);
    if (send) {
        fill_child_info(tg, &info);
        signal_send_tg(parent, tg->exit_signal, &info);
    }
    if (bury)
        tg_reap_locked(tg);
    waitq_wake(&parent->child_wait, ~0U);
}

void tg_reap_locked(struct thread_group *tg)
{
    struct thread_group *parent = tg->parent;
    struct task *leader = tg->leader;

    if (tg->reaped)
        return;
    tg->reaped = true;
    tg->zombie = false;
    if (parent) {
        usage_add(&parent->children_dead, &tg->self_dead);
        usage_add(&parent->children_dead, &tg->children_dead);
    }
    list_del(&tg->sibling);
    tg->parent = NULL;
    pgrp_leave_locked(tg);
    lock(&tg->siglock);
    list_del(&leader->tg_node);
    tg->leader = NULL;
    unlock(&tg->siglock);
    atomic_store(&leader->state, TASK_DEAD);
    pid_detach_locked(leader->tid, PID_TASK);
    task_count_drop();
    /* The list's, the leader's and the tree's references. */
    task_put(leader);
    task_put(leader);
    tg_put(tg);
}

static bool current_process_gone(struct thread_group *tg)
{
    struct task *t;

    list_for_each (t, &tg->tasks, tg_node) {
        if (!atomic_load(&t->exited) && t->pt && plat_host_pid(t->pt) > 0)
            return false;
    }
    return true;
}

/* Finds a task of tg that was in guest code when its host thread died, takes it over and returns it referenced. */
static struct task *claim_task(struct thread_group *tg)
{
    struct task *t, *found = NULL;

    lock(&tasks_lock);
    list_for_each (t, &tg->tasks, tg_node) {
        if (!atomic_load(&t->exited) && atomic_exchange(&t->in_guest, false)) {
            found = t;
            break;
        }
    }
    unlock(&tasks_lock);
    return found;
}

/* The host process went away under a living group. */
static void end_killed_group(struct thread_group *tg, int status)
{
    struct task *t;

    lock(&tasks_lock);
    lock(&tg->siglock);
    if (!tg->group_exiting) {
        tg->group_exiting = true;
        tg->group_exit_code = WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL;
    }
    status = tg->group_exit_code;
    unlock(&tg->siglock);
    list_for_each (t, &tg->tasks, tg_node) {
        lock(&tg->siglock);
        t->killed = true;
        atomic_store(&t->signal_wake, true);
        unlock(&tg->siglock);
        task_wake(t);
    }
    unlock(&tasks_lock);
    while ((t = claim_task(tg))) {
        current = t;
        do_exit(t, status);
        current = NULL;
    }
}

void tg_become_zombie_locked(struct thread_group *tg)
{
    if (!tg->ended || !tg->process_dead || tg->zombie || tg->reaped)
        return;
    tg->zombie = true;
    atomic_store(&tg->over, true);
    waitq_wake(&tg->exit_wait, ~0U);
    tg_notify_parent_locked(tg);
}

void tg_process_died(struct thread_group *tg, int status, const struct rusage *ru)
{
    struct usage used;
    bool retired = false, killed = false;

    usage_from_rusage(ru, &used);
    tg_get(tg);
    lock(&tasks_lock);
    usage_add(&tg->self_dead, &used);
    if (tg->retired > 0) {
        tg->retired--;
        retired = true;
    } else if (tg->ended || current_process_gone(tg)) {
        tg->process_dead = true;
        killed = !tg->ended;
    }
    tg_become_zombie_locked(tg);
    unlock(&tasks_lock);
    if (killed) {
        end_killed_group(tg, status);
        lock(&tasks_lock);
        tg_become_zombie_locked(tg);
        unlock(&tasks_lock);
    }
    if (retired)
        tg_put(tg);
    tg_put(tg);
}
