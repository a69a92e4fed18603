/*
 * The first program of `sbox run`. A program that was process 1 would be protected from signals, could not be stopped
 * from its terminal, and would get the orphans of the whole sandbox as children. So the sandbox has an init of its own,
 * a task that never runs: it leads the session, ignores every signal, and what it inherits is buried at once. The
 * program is its child, in a group of its own, as a shell would start it.
 */
#include "sentry/kernel/lifecycle.h"

#include "sentry/kernel/cred.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

pid_t main_tgid = 1;

static void ignore_all(struct thread_group *init)
{
    lock(&init->siglock);
    for (int sig = 1; sig <= NSIG_MAX; sig++)
        if (!(sigbit(sig) & SIGSET_UNBLOCKABLE))
            init->sighand->action[sig - 1].handler = (uint64_t)(uintptr_t)SIG_IGN;
    unlock(&init->siglock);
}

static struct task *build(struct task *init)
{
    struct task *t = task_alloc();

    if (!t)
        return NULL;
    t->tg = tg_alloc();
    if (!t->tg || !(t->tg->sighand = sighand_make(NULL))) {
        task_put(t);
        return NULL;
    }
    memcpy(t->tg->rlimits, init->tg->rlimits, sizeof(t->tg->rlimits));
    t->tg->exit_signal = SIGCHLD;
    t->tg->leader = t;
    t->cred = cred_get(init->cred);
    t->affinity = init->affinity;
    return t;
}

/* tasks_lock held. References as in task_create_init(): the list's, the leader's and the worker's; the tree's. */
static int link_locked(struct task *t, struct task *init)
{
    struct thread_group *tg = t->tg;
    int pid = pid_alloc_locked(0);
    struct pgrp *pg = pid < 0 ? NULL : pgrp_new(pid, init->tg->pgrp->session);

    if (!pg) {
        if (pid >= 0)
            pid_release_locked(pid);
        return pid < 0 ? pid : -ENOMEM;
    }
    t->tid = tg->tgid = main_tgid = pid;
    task_get(t);
    task_get(t);
    tg_get(tg);
    pid_attach_locked(pid, PID_TASK, t);
    pgrp_join_locked(tg, pg);
    pgrp_put(pg);
    list_push_back(&tg->tasks, &t->tg_node);
    tg->live = 1;
    tg->parent = init->tg;
    list_push_back(&init->tg->children, &tg->sibling);
    t->files = init->files;
    t->fs = init->fs;
    init->files = NULL;
    init->fs = NULL;
    return 0;
}

struct task *task_create_main(struct task *init)
{
    struct task *t = build(init);

    if (!t)
        return NULL;
    ignore_all(init->tg);
    snprintf(init->comm, sizeof(init->comm), "init");
    atomic_store(&init->state, TASK_SLEEPING);
    lock(&tasks_lock);
    int ret = link_locked(t, init);
    unlock(&tasks_lock);
    if (ret == 0)
        return t;
    task_put(t);
    return NULL;
}
