/*
 * How a task ends, and how it becomes the only one of its group for execve(2).
 *
 * do_exit() runs in the task's own worker: it lets go of what it shares, leaves the tables and ends its host thread.
 * The last task of a group kills the host process; the zombie becomes visible when the host has reported that process
 * dead (reap.c), so that a parent that has waited finds usage final and memory free. Other tasks are never ended from
 * outside: they are marked killed and woken or kicked, and end themselves.
 */
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/exec_task.h"
#include "sentry/kernel/lifecycle.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/vfork.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/dispatch.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Other parts' ends of an exit; a build without them has nothing to end. */
void futex_exit(struct task *t);
void tty_session_exit(struct session *s) __attribute__((weak));
void itimers_exit(struct thread_group *tg) __attribute__((weak));

struct vfork_done *vfork_done_new(struct task *parent)
{
    struct vfork_done *d = calloc(1, sizeof(*d));

    if (d) {
        ref_init(&d->refs);
        ref_get(&d->refs);
        d->waiter = parent;
    }
    return d;
}

void vfork_done_put(struct vfork_done *d)
{
    if (ref_put(&d->refs))
        free(d);
}

void vfork_release(struct task *t)
{
    struct vfork_done *d;

    lock(&tasks_lock);
    d = t->vfork_done;
    t->vfork_done = NULL;
    t->vfork_child = false;
    if (d) {
        atomic_store(&d->done, true);
        if (d->waiter)
            task_wake(d->waiter);
    }
    unlock(&tasks_lock);
    if (d)
        vfork_done_put(d);
}

/* siglock and tasks_lock held. */
static void task_kill(struct task *t)
{
    t->killed = true;
    atomic_store(&t->signal_wake, true);
    task_wake(t);
    if (atomic_load(&t->in_guest) && t->pt)
        plat_kick(t->pt);
}

static void kill_others(struct thread_group *tg, struct task *except)
{
    struct task *t;

    list_for_each (t, &tg->tasks, tg_node) {
        if (t != except && !atomic_load(&t->exited))
            task_kill(t);
    }
}

void tg_kill_others_locked(struct thread_group *tg, struct task *except)
{
    lock(&tg->siglock);
    kill_others(tg, except);
    unlock(&tg->siglock);
}

/* Drops what the task shares with others: descriptors, file system context, memory. */
static void drop_shared(struct task *t)
{
    struct files *files;
    struct fs_context *fs;
    struct mm *mm;

    lock(&tasks_lock);
    files = t->files;
    fs = t->fs;
    mm = t->mm;
    t->files = NULL;
    t->fs = NULL;
    t->mm = NULL;
    unlock(&tasks_lock);
    if (files)
        files_put(files, t);
    if (fs)
        fs_context_put(fs);
    if (mm)
        mm_put(mm);
}

static struct thread_group *find_reaper(struct thread_group *tg)
{
    struct thread_group *p;

    for (p = tg->parent; p; p = p->parent)
        if (p->child_subreaper && !p->ended)
            return p;
    p = NULL;
    struct task *init = task_find_locked(1);
    if (init) {
        p = init->tg;
        task_put(init);
    }
    return p == tg ? NULL : p;
}

static void send_pdeath(struct thread_group *child)
{
    struct task *t;

    list_for_each (t, &child->tasks, tg_node) {
        if (t->pdeath_signal && !atomic_load(&t->exited))
            signal_send_tg(child, t->pdeath_signal, NULL);
    }
}

static void hand_on_children(struct thread_group *tg)
{
    struct thread_group *reaper = find_reaper(tg), *c, *next;

    list_for_each_safe (c, next, &tg->children, sibling) {
        send_pdeath(c);
        list_del(&c->sibling);
        c->parent = reaper;
        if (!reaper)
            continue;
        list_push_back(&reaper->children, &c->sibling);
        c->exit_signal = SIGCHLD;
        pgrp_check_orphans_locked(c, tg);
        if (c->zombie)
            tg_notify_parent_locked(c);
    }
}

/* The last task's part. */
static void end_group(struct thread_group *tg, struct plat_thread *pt)
{
    struct session *s = tg->pgrp ? tg->pgrp->session : NULL;

    if (itimers_exit)
        itimers_exit(tg);
    posix_timers_exit(tg);
    cpu_limit_exit(tg);
    if (s && s->sid == tg->tgid && tty_session_exit)
        tty_session_exit(s);
    lock(&tasks_lock);
    hand_on_children(tg);
    pgrp_check_orphans_locked(tg, tg->parent);
    unlock(&tasks_lock);
    if (tg->tgid == main_tgid)
        sentry_exit(tg->exit_status);
    if (pt)
        plat_end(pt);
    /* Usually process_died() does this; but it may have come before the last task was through. */
    lock(&tasks_lock);
    tg_become_zombie_locked(tg);
    unlock(&tasks_lock);
}

/* Takes t out of its group's count. True if it was the last. */
static bool leave_group(struct task *t, int status)
{
    struct thread_group *tg = t->tg;
    bool last;

    lock(&tasks_lock);
    t->exit_code = status;
    io_counts_move(&tg->io_dead, &t->io);
    last = --tg->live == 0;
    if (last) {
        lock(&tg->siglock);
        tg->exit_status = tg->group_exiting ? tg->group_exit_code : tg->leader->exit_code;
        unlock(&tg->siglock);
        tg->ended = true;
    }
    atomic_store(&t->state, TASK_ZOMBIE);
    if (t != tg->leader) {
        lock(&tg->siglock);
        list_del(&t->tg_node);
        unlock(&tg->siglock);
        pid_detach_locked(t->tid, PID_TASK);
        task_count_drop();
        task_put(t);
    }
    if (tg->exec_task)
        task_wake(tg->exec_task);
    unlock(&tasks_lock);
    return last;
}

long do_exit(struct task *t, int status)
{
    struct thread_group *tg = t->tg;
    struct plat_thread *pt = t->pt;
    bool last;

    if (atomic_exchange(&t->exited, true))
        return SYS_GONE;
    tg_get(tg);
    if (pt)
        plat_thread_get(pt);
    signal_thread_exit(t);
    if (t->mm)
        futex_exit(t);
    vfork_release(t);
    drop_shared(t);
    last = leave_group(t, status);
    if (last)
        end_group(tg, pt);
    else if (pt)
        plat_exit_thread(pt);
    if (pt)
        plat_thread_put(pt);
    current = NULL;
    task_put(t);
    tg_put(tg);
    return SYS_GONE;
}

long do_group_exit(struct task *t, int status)
{
    struct thread_group *tg = t->tg;

    lock(&tasks_lock);
    lock(&tg->siglock);
    if (tg->group_exiting) {
        status = tg->group_exit_code;
    } else if (!(tg->exec_task && tg->exec_task != t && t->killed)) {
        tg->group_exiting = true;
        tg->group_exit_code = status;
    }
    if (tg->group_exiting)
        kill_others(tg, t);
    unlock(&tg->siglock);
    unlock(&tasks_lock);
    return do_exit(t, status);
}

/* t, the only task left, becomes its group's leader under the group's id. */
static void take_leadership(struct task *t)
{
    struct thread_group *tg = t->tg;
    struct task *old;

    lock(&tasks_lock);
    old = tg->leader;
    if (old != t) {
        lock(&tg->siglock);
        list_del(&old->tg_node);
        tg->leader = t;
        unlock(&tg->siglock);
        pid_detach_locked(t->tid, PID_TASK);
        task_count_drop();
        t->tid = tg->tgid;
        t->start_time = old->start_time;
        pid_attach_locked(t->tid, PID_TASK, t);
        task_get(t);
        task_put(old);
        task_put(old);
    }
    unlock(&tasks_lock);
}

int task_exec_begin(struct task *t)
{
    struct thread_group *tg = t->tg;
    int ret = 0, live;

    lock(&tasks_lock);
    lock(&tg->siglock);
    if (tg->group_exiting || t->killed)
        ret = -EINTR;
    else if (tg->exec_task)
        ret = -ERESTARTNOINTR;
    else
        tg->exec_task = t;
    if (!ret)
        kill_others(tg, t);
    unlock(&tg->siglock);
    live = tg->live;
    unlock(&tasks_lock);
    while (!ret && live > 1) {
        if (task_sleep_killable(t, NO_DEADLINE) < 0)
            ret = -EINTR;
        lock(&tasks_lock);
        live = tg->live;
        if (ret)
            tg->exec_task = NULL;
        unlock(&tasks_lock);
    }
    if (!ret)
        take_leadership(t);
    return ret;
}

static void unshare_files(struct task *t)
{
    struct files *old = t->files, *own;

    if (!old || files_refs(old) == 1)
        return;
    own = files_clone(old);
    if (!own)
        return;
    lock(&tasks_lock);
    t->files = own;
    unlock(&tasks_lock);
    files_put(old, t);
}

static void swap_image(struct task *t, struct plat_thread *new_pt, struct mm *new_mm, const char *comm)
{
    struct thread_group *tg = t->tg;
    struct plat_thread *old_pt;
    struct mm *old_mm;

    lock(&tasks_lock);
    lock(&tg->siglock);
    old_pt = t->pt;
    (void)signal_blocked_locked(t); /* the old image's stub kept it */
    t->pt = new_pt;
    unlock(&tg->siglock);
    old_mm = t->mm;
    t->mm = new_mm;
    snprintf(t->comm, sizeof(t->comm), "%s", comm);
    tg->execed = true;
    tg->exec_task = NULL;
    tg->exit_signal = SIGCHLD;
    tg->dumpable = 1;
    if (old_pt) {
        tg->retired++;
        tg_get(tg); /* until process_died() has told the old process's end */
    }
    unlock(&tasks_lock);
    if (old_mm)
        mm_put(old_mm);
    if (old_pt) {
        plat_kill(old_pt);
        plat_thread_put(old_pt);
    }
}

/* A program that runs with other ids than its caller's is not to be looked into. */
static int exec_dumpable(const struct cred *old, const struct cred *c)
{
    return c->euid == c->ruid && c->egid == c->rgid && (!old || (old->euid == c->euid && old->egid == c->egid));
}

void task_exec_commit(struct task *t, struct plat_thread *new_pt, struct mm *new_mm, const struct cred *new_cred,
                      const char *comm)
{
    cpu_set_t all;

    task_host_affinity(&all);
    if (t->mm)
        futex_exit(t);
    t->clear_child_tid = 0;
    t->host_clears_tid = false;
    t->robust_list = 0;
    t->restart.fn = NULL;
    unshare_files(t);
    swap_image(t, new_pt, new_mm, comm);
    vfork_release(t);
    lock(&tasks_lock);
    const struct cred *old = t->cred;
    t->cred = new_cred;
    t->tg->dumpable = exec_dumpable(old, new_cred);
    if (!CPU_EQUAL(&t->affinity, &all))
        task_apply_affinity(t, new_pt);
    unlock(&tasks_lock);
    if (old)
        cred_put(old);
    posix_timers_exit(t->tg);
    signal_reset_for_exec(t);
    files_close_on_exec(t);
    atomic_store(&t->born, true);
    atomic_store(&t->in_guest, true);
}
