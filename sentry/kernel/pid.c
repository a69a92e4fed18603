/*
 * Ids. One tree, by number, of the ids in use; each entry names the task, process group and session of that id, any of
 * which keeps it from being given out again (a group outlives its leader). Walks in order serve /proc and kill(-1).
 *
 * All of it is under tasks_lock. The tree holds no references: an object detaches itself before its last one goes.
 */
#include "sentry/kernel/lifecycle.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <stdlib.h>

struct pid_entry {
    RB_ENTRY(pid_entry) node;
    pid_t pid;
    void *object[PID_KINDS];
};

static int pid_compare(struct pid_entry *a, struct pid_entry *b)
{
    return (a->pid > b->pid) - (a->pid < b->pid);
}

RB_HEAD(pid_tree, pid_entry);
RB_PROTOTYPE(pid_tree, pid_entry, node, pid_compare);
RB_GENERATE(pid_tree, pid_entry, node, pid_compare)

#define FIRST_PID_AFTER_WRAP 300

static struct pid_tree pids = RB_INITIALIZER(&pids);
static pid_t last_pid;
static _Atomic int tasks_alive;
static int tasks_limit = PID_LIMIT / 4;

void task_set_limit(unsigned limit)
{
    if (limit && limit < PID_LIMIT / 4)
        tasks_limit = (int)limit;
}

int task_count(void)
{
    return atomic_load(&tasks_alive);
}

void task_count_drop(void)
{
    atomic_fetch_sub(&tasks_alive, 1);
}

static struct pid_entry *entry_find(pid_t pid)
{
    struct pid_entry key = {.pid = pid};

    return RB_FIND(pid_tree, &pids, &key);
}

static pid_t next_free(void)
{
    for (int tries = 0; tries < PID_LIMIT; tries++) {
        if (++last_pid >= PID_LIMIT)
            last_pid = FIRST_PID_AFTER_WRAP;
        if (!entry_find(last_pid))
            return last_pid;
    }
    return -EAGAIN;
}

int pid_alloc_locked(pid_t want)
{
    struct pid_entry *e;

    if (atomic_load(&tasks_alive) >= tasks_limit)
        return -EAGAIN;
    if (want && entry_find(want))
        return -EEXIST;
    e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->pid = want ? want : next_free();
    if (e->pid < 0) {
        free(e);
        return -EAGAIN;
    }
    RB_INSERT(pid_tree, &pids, e);
    atomic_fetch_add(&tasks_alive, 1);
    return e->pid;
}

static void entry_free_if_unused(struct pid_entry *e)
{
    for (int i = 0; i < PID_KINDS; i++)
        if (e->object[i])
            return;
    RB_REMOVE(pid_tree, &pids, e);
    free(e);
}

void pid_release_locked(pid_t pid)
{
    struct pid_entry *e = entry_find(pid);

    task_count_drop();
    if (e)
        entry_free_if_unused(e);
}

void pid_attach_locked(pid_t pid, enum pid_kind kind, void *object)
{
    struct pid_entry *e = entry_find(pid);

    if (e)
        e->object[kind] = object;
}

void pid_detach_locked(pid_t pid, enum pid_kind kind)
{
    struct pid_entry *e = entry_find(pid);

    if (!e)
        return;
    e->object[kind] = NULL;
    entry_free_if_unused(e);
}

static void *object_find(pid_t pid, enum pid_kind kind)
{
    struct pid_entry *e = entry_find(pid);

    return e ? e->object[kind] : NULL;
}

struct task *task_find_locked(pid_t tid)
{
    struct task *t = object_find(tid, PID_TASK);

    if (t)
        task_get(t);
    return t;
}

struct thread_group *tg_find_locked(pid_t tgid)
{
    struct task *t = object_find(tgid, PID_TASK);

    if (!t || t->tg->tgid != tgid)
        return NULL;
    tg_get(t->tg);
    return t->tg;
}

struct pgrp *pgrp_find_locked(pid_t pgid)
{
    struct pgrp *pg = object_find(pgid, PID_PGRP);

    if (pg)
        pgrp_get(pg);
    return pg;
}

struct session *session_find_locked(pid_t sid)
{
    return object_find(sid, PID_SESSION);
}

struct task *task_find(pid_t tid)
{
    struct task *t;

    lock(&tasks_lock);
    t = task_find_locked(tid);
    unlock(&tasks_lock);
    return t;
}

struct thread_group *tg_find(pid_t tgid)
{
    struct thread_group *tg;

    lock(&tasks_lock);
    tg = tg_find_locked(tgid);
    unlock(&tasks_lock);
    return tg;
}

void tg_for_each_locked(bool (*fn)(struct thread_group *tg, void *data), void *data)
{
    struct pid_entry *e;

    RB_FOREACH (e, pid_tree, &pids) {
        struct task *t = e->object[PID_TASK];

        if (t && t->tg->tgid == e->pid && !fn(t->tg, data))
            return;
    }
}
