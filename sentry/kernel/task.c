/*
 * Tasks and thread groups as objects: making, counting and freeing them, and the first one.
 *
 * References to a task: one of its worker (dropped at the end of do_exit()), one of the group's list, one of
 * tg->leader, and whoever looked it up. A group is held by each of its tasks and by the process tree until it is
 * reaped.
 */
#include "sentry/kernel/task.h"

#include "lib/log.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/lifecycle.h"
#include "sentry/kernel/locking.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct lock tasks_lock;
_Thread_local struct task *current;
static cpu_set_t host_affinity;

__attribute__((constructor)) static void task_setup(void)
{
    lock_init(&tasks_lock, RANK_TASKS);
}

static unsigned cpus_shown; /* 0: all */

void task_limit_affinity(unsigned cpus)
{
    cpus_shown = cpus;
}

/* The first ones that we may use: how many there are is what programs ask. */
static void read_host_affinity(void)
{
    unsigned count = 0;

    if (sched_getaffinity(0, sizeof(host_affinity), &host_affinity) < 0)
        CPU_SET(0, &host_affinity);
    for (int cpu = 0; cpus_shown && cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &host_affinity) && ++count > cpus_shown)
            CPU_CLR(cpu, &host_affinity);
}

void task_apply_affinity(struct task *t, struct plat_thread *pt)
{
    pid_t tid = pt ? plat_host_tid(pt) : -1;

    if (tid > 0 && sched_setaffinity(tid, sizeof(t->affinity), &t->affinity) < 0)
        log_debug("affinity of host thread %d: %m", (int)tid); /* it is a wish; the mask is kept all the same */
}

void task_host_affinity(cpu_set_t *out)
{
    *out = host_affinity;
}

static void pending_init(struct sigpending *p)
{
    p->set = 0;
    list_init(&p->queue);
}

struct sighand *sighand_make(const struct sighand *from)
{
    struct sighand *sh = calloc(1, sizeof(*sh));

    if (!sh)
        return NULL;
    if (from)
        memcpy(sh->action, from->action, sizeof(sh->action));
    ref_init(&sh->refs);
    return sh;
}

void sighand_unref(struct sighand *sh)
{
    if (sh && ref_put(&sh->refs))
        free(sh);
}

struct task *task_alloc(void)
{
    struct task *t = calloc(1, sizeof(*t));
    struct timespec ts;

    if (!t)
        return NULL;
    ref_init(&t->refs);
    list_init(&t->tg_node);
    pending_init(&t->pending);
    atomic_init(&t->state, TASK_RUNNING);
    t->altstack.ss_flags = SS_DISABLE;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    t->start_time = (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
    return t;
}

struct thread_group *tg_alloc(void)
{
    struct thread_group *tg = calloc(1, sizeof(*tg));

    if (!tg)
        return NULL;
    ref_init(&tg->refs);
    list_init(&tg->tasks);
    list_init(&tg->children);
    list_init(&tg->sibling);
    list_init(&tg->pgrp_node);
    waitq_init(&tg->child_wait);
    waitq_init(&tg->signal_wait);
    waitq_init(&tg->exit_wait);
    lock_init(&tg->siglock, RANK_SIGHAND);
    pending_init(&tg->pending);
    tg->dumpable = 1;
    return tg;
}

void task_get(struct task *t)
{
    ref_get(&t->refs);
}

void task_put(struct task *t)
{
    if (!ref_put(&t->refs))
        return;
    sigpending_clear(&t->pending);
    if (t->pt)
        plat_thread_put(t->pt);
    if (t->cred)
        cred_put(t->cred);
    if (t->tg)
        tg_put(t->tg);
    free(t);
}

void tg_get(struct thread_group *tg)
{
    ref_get(&tg->refs);
}

void tg_put(struct thread_group *tg)
{
    if (!ref_put(&tg->refs))
        return;
    sigpending_clear(&tg->pending);
    sighand_unref(tg->sighand);
    lock_destroy(&tg->siglock);
    free(tg);
}

static void default_rlimits(struct thread_group *tg)
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
        tg->rlimits[i] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
    tg->rlimits[RLIMIT_STACK].rlim_cur = 8U << 20;
    tg->rlimits[RLIMIT_CORE].rlim_cur = 0;
    tg->rlimits[RLIMIT_NOFILE] = (struct rlimit64){1024, 1048576};
    tg->rlimits[RLIMIT_MEMLOCK] = (struct rlimit64){8U << 20, 8U << 20};
    tg->rlimits[RLIMIT_SIGPENDING] = (struct rlimit64){31000, 31000};
    tg->rlimits[RLIMIT_MSGQUEUE] = (struct rlimit64){819200, 819200};
    tg->rlimits[RLIMIT_NICE] = (struct rlimit64){0, 0};
    tg->rlimits[RLIMIT_RTPRIO] = (struct rlimit64){0, 0};
}

static int link_init(struct task *t, struct thread_group *tg)
{
    struct session *s = session_new(1);
    struct pgrp *pg = s ? pgrp_new(1, s) : NULL;
    pid_t pid;

    if (!pg)
        return -ENOMEM;
    lock(&tasks_lock);
    pid = pid_alloc_locked(1);
    if (pid == 1) {
        t->tid = tg->tgid = 1;
        pid_attach_locked(1, PID_TASK, t);
        pid_attach_locked(1, PID_SESSION, s);
        pgrp_join_locked(tg, pg);
        list_push_back(&tg->tasks, &t->tg_node);
        tg->live = 1;
    }
    unlock(&tasks_lock);
    /* The group now holds the session, and its member the group: the makers' references go. */
    ref_put(&s->refs);
    ref_put(&pg->refs);
    return pid == 1 ? 0 : -EAGAIN;
}

struct task *task_create_init(const struct cred *cred, struct files *files, struct fs_context *fs)
{
    struct task *t = task_alloc();
    struct thread_group *tg = tg_alloc();
    struct sighand *sh = sighand_make(NULL);

    if (!t || !tg || !sh)
        return NULL;
    read_host_affinity();
    t->cred = cred;
    t->files = files;
    t->fs = fs;
    t->tg = tg;
    t->affinity = host_affinity;
    tg->sighand = sh;
    tg->leader = t;
    tg->exit_signal = SIGCHLD;
    default_rlimits(tg);
    /* List and leader references beside the worker's; the tree's and the task's on the group. */
    task_get(t);
    task_get(t);
    tg_get(tg);
    if (link_init(t, tg) < 0)
        return NULL;
    return t;
}
