/*
 * Tasks (guest threads), thread groups (guest processes), process groups and sessions.
 *
 * A struct task is one guest thread; its plat_thread runs the code. Lifetimes: a task is referenced by the worker that
 * serves it (until exit), by its thread group's list, and by whoever looked it up. A thread group lives until it was
 * reaped by its parent and its last task is gone.
 *
 * Locks, by the key letter at each field:
 *   (c) constant after creation   (a) atomic   (o) the task's own worker only; others may not look
 *   (T) tasks_lock                (s) tg->siglock
 */
#pragma once

#include "include/platform.h"
#include "lib/list.h"
#include "lib/lock.h"
#include "lib/refcount.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/wait.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/types.h>

struct cred;
struct files;      /* vfs/fdtable.h */
struct fs_context; /* vfs/fs_context.h: root, cwd, umask */
struct mm;         /* mm/mm.h */
struct dentry;
struct session;
struct pgrp;
struct tty;

#define TASK_COMM_LEN 16
#define PID_LIMIT 4194304 /* guest pids are below this, as pid_max on 64-bit Linux */

enum task_state { /* the letter in /proc/PID/stat */
                  TASK_RUNNING = 'R',
                  TASK_SLEEPING = 'S',
                  TASK_STOPPED = 'T',
                  TASK_ZOMBIE = 'Z',
                  TASK_DEAD = 'X',
};

/* What restart_syscall(2) does after a stop interrupted a call with a relative timeout. */
struct restart_block {
    long (*fn)(struct task *t, struct restart_block *rb);
    uint64_t arg[6];
    int64_t deadline;
};

/* Calls that read or wrote, and their bytes: a task's own worker counts; others see it a little late. */
struct io_counts {
    _Atomic uint64_t reads, writes, read_bytes, written_bytes;
};

struct task {
    refcount_t refs;         /* (a) */
    pid_t tid;               /* (c) guest thread id */
    struct thread_group *tg; /* (c) counted reference */
    struct list tg_node;     /* (T)+(s) on tg->tasks: changed under both, walked under either */
    struct plat_thread *pt;  /* (o) write; read by others under (s). One counted reference; replaced by exec */
    _Atomic int state;       /* (a) enum task_state */

    /* Shared parts, each with its own count and locks; the pointers change only in the task's own worker. Others read
     * them under tasks_lock (files, fs and mm are cleared under it at exit) and take a reference. */
    struct mm *mm;
    struct files *files;
    struct fs_context *fs;
    const struct cred *cred; /* immutable object; replaced whole under (T) */

    char comm[TASK_COMM_LEN];     /* (T) */
    uint64_t clear_child_tid;     /* (o) guest address, 0: none */
    bool host_clears_tid;         /* (o) the host does that: plat_clone() */
    uint64_t robust_list;         /* (o) guest address of struct robust_list_head */
    size_t robust_list_len;       /* (o) */
    struct restart_block restart; /* (o) */

    /* Signals. */
    struct sigpending pending; /* (s) directed at this thread */
    sigset64_t blocked;        /* (s) unless mask_lent: read it with signal_blocked() */
    bool mask_lent;            /* (s) the stub keeps it: plat_lend_mask() */
    sigset64_t sigwait;        /* (s) rt_sigtimedwait(2) waits for these, though they are blocked */
    sigset64_t saved_mask;     /* (o) mask to restore after the handler: sigsuspend, ppoll … */
    bool restore_mask;         /* (o) */
    struct fault fault;        /* (o) the last one, which every later frame tells of */
    stack_t altstack;          /* (o) guest's sigaltstack; ss_flags as stored by sigaltstack(2) */
    _Atomic bool signal_wake;  /* (a) a deliverable signal, stop or kill is waiting: sleeps end with -ERESTARTSYS */
    bool group_stop_pending;   /* (s) must take part in the group stop */
    bool killed;               /* (s) SIGKILL or exit_group by another: on its way out */
    int pdeath_signal;         /* (o) prctl(PR_SET_PDEATHSIG) */

    /* Sleeping (wait.c). */
    _Atomic uint32_t wake_word; /* (a) futex word the worker sleeps on */

    bool vfork_child;              /* (T) its parent waits in vfork_done */
    struct vfork_done *vfork_done; /* (T) */

    int exit_code;          /* (T) wait status of this thread, once exiting */
    bool no_new_privs;      /* (o) */
    int8_t nice;            /* (a) */
    int policy;             /* (T) SCHED_* as set; the host schedules all alike */
    int rt_priority;        /* (T) */
    uint16_t ioprio;        /* (T) ioprio_set(2): class << 13 | level; 0: follows nice */
    bool reset_on_fork;     /* (T) SCHED_RESET_ON_FORK */
    uint64_t timer_slack;   /* (o) prctl(PR_SET_TIMERSLACK), ns; 0: the default */
    uint32_t personality;   /* (o) personality(2) */
    uint64_t set_child_tid; /* (o) guest address that the child itself stores its id to at its start */
    _Atomic bool born;      /* (a) linked into the tables: its first instruction may run */
    _Atomic bool exited;    /* (a) do_exit() has begun */
    /*
     * (a) true while the guest may be running: a sender then has to plat_kick() it. The dispatcher sets it before its
     * last look at signal_wake and clears it at each stop; a sender sets signal_wake first and looks at this after.
     */
    _Atomic bool in_guest;
    struct io_counts io;
    uint64_t start_time;            /* (c) CLOCK_BOOTTIME ns */
    cpu_set_t affinity;             /* (T) */
    _Atomic uint64_t nvcsw, nivcsw; /* (a) voluntary and involuntary switches, for getrusage */
};

/* How many CPU-time ns and faults a finished or running set of threads used. */
struct usage {
    uint64_t utime_ns, stime_ns;
    uint64_t minflt, majflt, nvcsw, nivcsw, inblock, oublock;
    uint64_t maxrss_kib;
};

struct thread_group {
    refcount_t refs;     /* (a) */
    pid_t tgid;          /* (c) */
    struct list tasks;   /* (T)+(s) live tasks by tg_node; the leader stays until the group is reaped */
    struct task *leader; /* (T)+(s) counted reference */
    int live;            /* (T) tasks that have not exited */

    struct thread_group *parent; /* (T) NULL for init; not counted: a parent hands its children on when it exits */
    struct list children;        /* (T) by sibling */
    struct list sibling;         /* (T) */
    struct pgrp *pgrp;           /* (T) counted */
    struct list pgrp_node;       /* (T) on pgrp->members */
    struct waitq child_wait;     /* woken when a child changes state; wait4() sleeps on it */

    int exit_signal;        /* (T) sent to the parent when the group has ended; 0: none */
    bool group_exiting;     /* (s) exit_group() or a fatal signal: every task leaves */
    int group_exit_code;    /* (s) wait status */
    bool zombie;            /* (T) ended, not yet reaped */
    bool reaped;            /* (T) */
    bool execed;            /* (T) has called execve since fork: setpgid() is then EACCES */
    bool child_subreaper;   /* (T) */
    int retired;            /* (T) host processes that execve replaced and whose end was not yet reported */
    bool ended;             /* (T) every task has exited; a zombie once the host process is gone */
    int exit_status;        /* (T) wait status, once ended */
    _Atomic bool over;      /* (a) ended and process gone: what a pidfd polls for; stays true once reaped */
    struct waitq exit_wait; /* woken when `over` becomes true */
    bool process_dead;      /* (T) process_died() was called: usage is final */
    struct task *exec_task; /* (T) the task in execve() that waits for its siblings to go; NULL: none */
    _Atomic int dumpable;   /* (a) */
    _Atomic int oom_adj;    /* (a) oom_score_adj: kept and shown */
    _Atomic int oom_least;  /* (a) below it only CAP_SYS_RESOURCE may set it */

    struct lock siglock;       /* RANK_SIGHAND */
    struct sighand *sighand;   /* (s) handlers; counted, shared under CLONE_SIGHAND */
    struct sigpending pending; /* (s) process-directed */
    struct waitq signal_wait;  /* signalfd, sigtimedwait look here */
    bool stopped;              /* (s) group stop complete */
    int stop_count;            /* (s) tasks still to stop */
    int stop_signal;           /* (s) which one */
    bool stopping;             /* (s) a group stop is in force, complete or not */
    bool stop_dequeued;        /* (s) a stop signal was taken off the queue; SIGCONT and SIGKILL cancel it */
    int stop_notify;           /* (s) CLD_CONTINUED the parent is still to be told; 0: nothing */
    sigset64_t unprotected;    /* (s) pending signals that may end even init: faults, and the runtime's */
    bool stop_reported;        /* (T) wait4(WUNTRACED) has taken it */
    bool continued;            /* (T) wait4(WCONTINUED) may take it */

    struct rlimit64 rlimits[RLIM_NLIMITS]; /* (s); read alone with tg_limit() */
    struct itimers *itimers;               /* (s) kernel/itimer.c */
    struct cpu_limit *cpu_limit;           /* (s) kernel/cpu_limit.c */
    struct posix_timers *posix_timers;     /* (s) kernel/posix_timer.c */

    struct io_counts io_dead;   /* (T) of tasks that have exited */
    struct usage self_dead;     /* (T) used by threads and processes already gone */
    struct usage children_dead; /* (T) used by reaped children */
};

struct pgrp {
    refcount_t refs;
    pid_t pgid;              /* (c) */
    struct session *session; /* (c) counted */
    struct list members;     /* (T) thread groups */
};

struct session {
    refcount_t refs;
    pid_t sid;       /* (c) */
    struct tty *tty; /* (T) controlling terminal, NULL: none; counted by vfs/tty.h */
};

/* The one lock over the process tree: parents, groups, sessions, the pid table, exit and reaping. RANK_TASKS. */
extern struct lock tasks_lock;

/* The task the calling worker serves, or NULL in other threads. */
extern _Thread_local struct task *current;

/* Counts one more, without the price of an atomic addition: only t's own worker writes. */
static inline void io_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
void io_counts_add(struct io_counts *sum, const struct io_counts *more);
/* The same, and nothing is left of `more`. */
void io_counts_move(struct io_counts *sum, struct io_counts *more);

void task_get(struct task *t);
void task_put(struct task *t);
void tg_get(struct thread_group *tg);
void tg_put(struct thread_group *tg);

/* A soft limit as it is now, without siglock: prlimit(2) may change it at any time. */
static inline uint64_t tg_limit(const struct thread_group *tg, int which)
{
    return __atomic_load_n(&tg->rlimits[which].rlim_cur, __ATOMIC_RELAXED);
}

/* Look-ups by guest id. Return a new reference, or NULL. Take tasks_lock (the _locked forms want it held). */
struct task *task_find(pid_t tid);
struct thread_group *tg_find(pid_t tgid);
struct task *task_find_locked(pid_t tid) must_check;
struct thread_group *tg_find_locked(pid_t tgid) must_check;
struct pgrp *pgrp_find_locked(pid_t pgid) must_check;

/* Calls fn for every live thread group, ordered by tgid, under tasks_lock; stops when fn returns false. (/proc, kill
 * -1) */
void tg_for_each_locked(bool (*fn)(struct thread_group *tg, void *data), void *data);

/* The session with this id that has a process group in use, or NULL. No reference. tasks_lock held. */
struct session *session_find_locked(pid_t sid) must_check;
void pgrp_get(struct pgrp *pg);
void pgrp_put(struct pgrp *pg);

/* The most tasks the sandbox may have (--pids); 0: PID_LIMIT / 4. Called once at boot. */
void task_set_limit(unsigned limit);

/* How many CPUs guests see; 0: all. Called once at boot, before the first process. */
void task_limit_affinity(unsigned cpus);

/* The first process. Makes session 1, group 1, pid 1 with the given credentials, files and fs context (references are
 * taken over), but starts nothing: exec does (syscalls/exec.c: init_exec). */
struct task *task_create_init(const struct cred *cred, struct files *files, struct fs_context *fs) must_check;

/*
 * Puts the first program below that process, which becomes an init that never runs (kernel/first.c). Files and fs
 * context move to the new task. NULL: out of memory.
 */
struct task *task_create_main(struct task *init) must_check;
/* The process whose end is the sandbox's: 1, or the one that task_create_main() made. Constant once guests run. */
extern pid_t main_tgid;

/* What this task and group have used up to now, host accounting included (kernel/usage.c). */
void task_usage(struct task *t, struct usage *out);
void tg_usage(struct thread_group *tg, struct usage *out);

/* Number of live tasks, for limits and /proc/loadavg. */
int task_count(void);
