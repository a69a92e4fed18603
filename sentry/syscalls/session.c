/* Ids of tasks, process groups and sessions: getpid(2) … setsid(2). */
#include "sentry/kernel/lifecycle.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <stdlib.h>

long sys_getpid(struct task *t, const struct sysargs *a unused_arg)
{
    return t->tg->tgid;
}

long sys_gettid(struct task *t, const struct sysargs *a unused_arg)
{
    return t->tid;
}

long sys_getppid(struct task *t, const struct sysargs *a unused_arg)
{
    long ret;

    lock(&tasks_lock);
    ret = t->tg->parent ? t->tg->parent->tgid : 0;
    unlock(&tasks_lock);
    return ret;
}

/* The group that pid names (0: the caller's), unreferenced. tasks_lock held. */
static struct thread_group *group_of(struct task *t, pid_t pid)
{
    struct task *other;
    struct thread_group *tg;

    if (!pid)
        return t->tg;
    other = task_find_locked(pid);
    if (!other)
        return NULL;
    tg = other->tg; /* stays while tasks_lock is held: the task is in the tables */
    task_put(other);
    return tg;
}

long sys_getpgid(struct task *t, const struct sysargs *a)
{
    struct thread_group *tg;
    long ret = -ESRCH;

    lock(&tasks_lock);
    tg = group_of(t, (pid_t)a->a[0]);
    if (tg && tg->pgrp)
        ret = tg->pgrp->pgid;
    unlock(&tasks_lock);
    return ret;
}

long sys_getpgrp(struct task *t, const struct sysargs *a unused_arg)
{
    return sys_getpgid(t, &(struct sysargs){0});
}

long sys_getsid(struct task *t, const struct sysargs *a)
{
    struct thread_group *tg;
    long ret = -ESRCH;

    lock(&tasks_lock);
    tg = group_of(t, (pid_t)a->a[0]);
    if (tg && tg->pgrp)
        ret = tg->pgrp->session->sid;
    unlock(&tasks_lock);
    return ret;
}

/* setpgid(2)'s checks on the process to be moved. */
static int check_movable(struct task *t, struct thread_group *tg, pid_t pid)
{
    if (!tg || tg->ended || !tg->pgrp)
        return -ESRCH;
    if (tg->tgid != pid)
        return -EINVAL;
    if (tg->parent == t->tg) {
        if (tg->pgrp->session != t->tg->pgrp->session)
            return -EPERM;
        if (tg->execed)
            return -EACCES;
    } else if (tg != t->tg) {
        return -ESRCH;
    }
    return tg->pgrp->session->sid == tg->tgid ? -EPERM : 0;
}

static int move_to(struct thread_group *tg, pid_t pgid)
{
    struct pgrp *pg = pgrp_find_locked(pgid);

    if (pg && pg->session != tg->pgrp->session) {
        pgrp_put(pg);
        return -EPERM;
    }
    if (!pg && pgid != tg->tgid)
        return -EPERM;
    if (!pg)
        pg = pgrp_new(pgid, tg->pgrp->session);
    if (!pg)
        return -ENOMEM;
    pgrp_join_locked(tg, pg);
    pgrp_put(pg);
    return 0;
}

long sys_setpgid(struct task *t, const struct sysargs *a)
{
    pid_t pid = (pid_t)a->a[0], pgid = (pid_t)a->a[1];
    struct thread_group *tg;
    long ret;

    if (!pid)
        pid = t->tg->tgid;
    if (!pgid)
        pgid = pid;
    if (pgid < 0)
        return -EINVAL;
    lock(&tasks_lock);
    tg = group_of(t, pid);
    ret = check_movable(t, tg, pid);
    if (!ret && tg->pgrp->pgid != pgid)
        ret = move_to(tg, pgid);
    unlock(&tasks_lock);
    return ret;
}

long sys_setsid(struct task *t, const struct sysargs *a unused_arg)
{
    struct thread_group *tg = t->tg;
    struct pgrp *pg = NULL, *taken;
    struct session *s = session_new(tg->tgid);
    long ret = -EPERM;

    if (!s)
        return -ENOMEM;
    pg = pgrp_new(tg->tgid, s);
    lock(&tasks_lock);
    taken = pgrp_find_locked(tg->tgid);
    if (taken) {
        pgrp_put(taken);
    } else if (!pg) {
        ret = -ENOMEM;
    } else {
        pid_attach_locked(tg->tgid, PID_SESSION, s);
        pgrp_join_locked(tg, pg);
        ret = tg->tgid;
    }
    if (pg)
        pgrp_put(pg);
    if (ref_put(&s->refs))
        free(s);
    unlock(&tasks_lock);
    return ret;
}
