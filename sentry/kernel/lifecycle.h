/*
 * How tasks come and go: shared by clone.c, exit.c, reap.c, pid.c, session.c and their system calls.
 *
 * clone.c makes a task, exit.c ends one, reap.c turns an ended group into a zombie and buries it. All the "_locked"
 * calls want tasks_lock held.
 */
#pragma once

#include "sentry/kernel/task.h"

#include <stdint.h>

/* What clone(2), clone3(2), fork(2) and vfork(2) ask for. */
struct clone_request {
    uint64_t flags; /* CLONE_*, without the exit signal */
    int exit_signal;
    uint64_t stack; /* initial stack pointer, 0: the parent's */
    uint64_t tls;
    uint64_t parent_tid, child_tid;
    uint64_t pidfd; /* CLONE_PIDFD: where the descriptor's number goes */
    pid_t set_tid;  /* wanted id, 0: any */
};

/* Makes the child and lets it run; waits for it under CLONE_VFORK. Returns its id or -errno. Owner of t only. */
long task_clone(struct task *t, const struct clone_request *req) must_check;

/* Ends the calling task with a wait status; its process too if it was the last one. Returns SYS_GONE. */
long do_exit(struct task *t, int status);
/* Ends the calling task's whole group. Returns SYS_GONE. */
long do_group_exit(struct task *t, int status);
/* Marks every task of tg but `except` as killed and wakes them. */
void tg_kill_others_locked(struct thread_group *tg, struct task *except);
/* The child no longer needs its parent's memory: lets a parent in vfork(2) go on. */
void vfork_release(struct task *t);

/* The host process of tg ended (client->process_died). */
void tg_process_died(struct thread_group *tg, int status, const struct rusage *ru);
/* Takes the zombie away from its parent: its usage is the parent's, its ids are free. Puts the tree's reference. */
void tg_reap_locked(struct thread_group *tg);
/* Makes tg a zombie if all its tasks and its host process have ended, and tells its parent. */
void tg_become_zombie_locked(struct thread_group *tg);
/* Tells the parent of a zombie, or buries it at once if the parent does not care. */
void tg_notify_parent_locked(struct thread_group *tg);

/* ---- pid.c: which ids are in use, by tasks, groups and sessions ---- */

enum pid_kind { PID_TASK, PID_PGRP, PID_SESSION, PID_KINDS };

/* Reserves a free id (the next one, or exactly `want`) and counts the task. -EAGAIN, -EEXIST, -ENOMEM. */
int pid_alloc_locked(pid_t want) must_check;
/* Gives up a reserved id under which nothing is attached. */
void pid_release_locked(pid_t pid);
/* Attaches an object to an id that is in use already; detach frees the id when nothing is left. */
void pid_attach_locked(pid_t pid, enum pid_kind kind, void *object);
void pid_detach_locked(pid_t pid, enum pid_kind kind);
/* For tasks that are gone: one fewer in task_count(). */
void task_count_drop(void);

/* ---- session.c ---- */

/* New groups and sessions whose id is pid's; NULL for want of memory. Not yet attached to the id. */
struct session *session_new(pid_t sid) must_check;
struct pgrp *pgrp_new(pid_t pgid, struct session *s) must_check;
/* Puts tg into pg (a reference is taken) and out of the one it is in. */
void pgrp_join_locked(struct thread_group *tg, struct pgrp *pg);
void pgrp_leave_locked(struct thread_group *tg);
/* True if no member has a parent in another group of the same session (POSIX: orphaned). */
bool pgrp_orphaned_locked(struct pgrp *pg, struct thread_group *ignored);
/* After tg ended or moved: a group that has become orphaned and has stopped members gets SIGHUP and SIGCONT. */
void pgrp_check_orphans_locked(struct thread_group *tg, struct thread_group *parent);

/* ---- task.c ---- */

/* A task in the making: everything zero or at its default, one reference. */
struct task *task_alloc(void) must_check;
struct thread_group *tg_alloc(void) must_check;
/* Fresh handlers (all default), or a copy of another's under its group's siglock. */
struct sighand *sighand_make(const struct sighand *from) must_check;
void sighand_unref(struct sighand *sh);
/* Gives pt, t's host thread, the affinity of t; NULL and a thread that is gone are passed over. tasks_lock held. */
void task_apply_affinity(struct task *t, struct plat_thread *pt);
/* Host's CPU affinity mask at the start. */
void task_host_affinity(cpu_set_t *out);

void usage_add(struct usage *sum, const struct usage *more);
void usage_from_rusage(const struct rusage *ru, struct usage *out);
void usage_to_rusage(const struct usage *u, struct rusage *out);
