/*
 * Signals, as signal(7) describes them. kernel/signal.c sends and dequeues; kernel/sigframe_ARCH.c builds and takes
 * down the guest's frames; syscalls/dispatch.c delivers on the way back to the guest.
 */
#pragma once

#include "lib/compiler.h"
#include "lib/list.h"
#include "lib/refcount.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct task;
struct thread_group;
struct pgrp;
struct sysargs;

#define SIGSET_STOP (sigbit(SIGSTOP) | sigbit(SIGTSTP) | sigbit(SIGTTIN) | sigbit(SIGTTOU))
#define SIGSET_IGNORED (sigbit(SIGCHLD) | sigbit(SIGCONT) | sigbit(SIGURG) | sigbit(SIGWINCH))
#define SIGSET_UNBLOCKABLE (sigbit(SIGKILL) | sigbit(SIGSTOP))

/* The kernel's flag for a handler with a restorer, on architectures that have one. */
#define SA_RESTORER_FLAG 0x04000000UL

#define NSIG_MAX 64

/* Bit n-1 is signal n: the kernel's sigset_t, which guests pass by 8 bytes. */
typedef uint64_t sigset64_t;

static inline sigset64_t sigbit(int sig)
{
    return 1ULL << (sig - 1);
}

/* The kernel's struct sigaction, as rt_sigaction(2) passes it. */
struct ksigaction {
    uint64_t handler; /* guest address, or SIG_DFL/SIG_IGN */
    uint64_t flags;
    uint64_t restorer;
    sigset64_t mask;
};

struct sighand {
    refcount_t refs;
    struct ksigaction action[NSIG_MAX]; /* siglock of the one group that uses it (CLONE_SIGHAND implies one group here
                                           unless CLONE_VM processes share it: then lock below is used by all) */
};

struct sigqueue {
    struct list node;
    siginfo_t info;
};

struct sigpending {
    sigset64_t set;
    struct list queue; /* struct sigqueue, oldest first */
};

/*
 * Sends sig with info (NULL: from the kernel, SI_KERNEL) to a process, one thread, or a group. Ignored signals are
 * dropped as Linux drops them. No permission check: see signal_may_send(). Locks: takes siglock (and tasks_lock in
 * send_pgrp). The _locked forms want tasks_lock held. Return 0 or -EAGAIN (queue limit of a real-time signal).
 */
int signal_send_tg(struct thread_group *tg, int sig, const siginfo_t *info);
int signal_send_task(struct task *t, int sig, const siginfo_t *info);
int signal_send_pgrp_locked(struct pgrp *pg, int sig, const siginfo_t *info);

/* As signal_send_tg(), from outside the sandbox: init too is not protected from it. */
int signal_send_from_outside(struct thread_group *tg, int sig, const siginfo_t *info);

/*
 * The signal of a POSIX timer: info has its id, value and overrun. If one of the same timer is queued still, that one's
 * overrun grows instead. to NULL: the process. A thread that has exited gets nothing. siglock held.
 */
void signal_send_timer_locked(struct thread_group *tg, struct task *to, const siginfo_t *info);

/* kill(2)'s rule: may `from` send sig to the group? tasks_lock held. */
bool signal_may_send(struct task *from, struct thread_group *to, int sig);

/* A fault: as force_sig in Linux: if blocked or ignored, the action is reset to default first. */
void signal_force(struct task *t, int sig, const siginfo_t *info);

/* True if t has something to do before it may go back to the guest: an unblocked signal, a stop, a kill. */
bool signal_pending(struct task *t);

/*
 * signal_mask.c. What t blocks: of any task that is in its group. It is taken back from the stub, if that keeps it. The
 * second form with siglock held.
 */
sigset64_t signal_blocked(struct task *t);
sigset64_t signal_blocked_locked(struct task *t);
/* Changes the blocked mask of the calling task and re-evaluates what is pending. Returns the mask before. */
sigset64_t signal_set_blocked(struct task *t, sigset64_t blocked);
/* Lets the calling task's stub keep the mask from now on, if nothing is pending. */
void signal_lend_mask(struct task *t);
/* What a child of t begins with, whether that is lent or not. c is not in its group yet. */
void signal_inherit_mask(struct task *c, struct task *t);
/* The call that t stopped at finds this mask, whatever a recall in the middle of it said. */
void signal_mask_recalled(struct task *t, sigset64_t mask);

/* Others than t may have to take those of the set that are pending for the process. siglock held. */
void signal_retarget_locked(struct task *t, sigset64_t set);

/* rt_sigaction(2): sets (new not NULL) and reads (old not NULL) an action; drops what is pending and now ignored. */
void signal_set_action(struct task *t, int sig, const struct ksigaction *new_action, struct ksigaction *old_action);

/* Takes the next pending signal of t that is not in blocked off its queue into *info; 0: none. siglock held. */
int signal_dequeue_locked(struct task *t, sigset64_t blocked, siginfo_t *info);

/* Sets signal_wake to what is true now. siglock held; t's own worker only. */
void signal_recalc_locked(struct task *t);

/* True if sig's action here is to be ignored, whatever is blocked. siglock held. */
bool signal_ignored_locked(struct thread_group *tg, int sig);

/* Frees what is queued. */
void sigpending_clear(struct sigpending *p);

/* clone.c: a thread joins its group (siglock held); do_exit(): one leaves, handing on what it was to take. */
void signal_thread_start_locked(struct task *t);
void signal_thread_exit(struct task *t);

/* signal_stop.c. Drops from the queues of tg what sig cancels, and ends a stop for SIGCONT. siglock held. */
void signal_cancel_locked(struct thread_group *tg, int sig);
/* The default action of a stop signal that t took. No lock held. */
void signal_group_stop(struct task *t, int sig);
/* Takes part in a stop: sleeps until it is over. No lock held. */
void signal_stop_here(struct task *t);
/* Tells the parent that the group has stopped. No lock held. */
void signal_notify_stopped(struct task *t);
/* Tells the parent that the group goes on, if that is still due. No lock held. */
void signal_notify_continued(struct task *t);
/* Wakes t, or kicks it out of guest code, to look at its signals. siglock held. */
void signal_notify_locked(struct task *t);

/* sigaltstack(2)'s state as seen with stack pointer sp: SS_ONSTACK, SS_DISABLE or 0. */
int altstack_state(const struct task *t, uint64_t sp);

/* For execve: handlers to default, altstack off; unshares sighand if shared. */
void signal_reset_for_exec(struct task *t);

/*
 * Delivers to t, in its own worker and before it goes back to the guest, until nothing is left. call: the system call
 * that is ending with *ret, or NULL. SIG_HANDLED: the registers are set for a handler; SIG_FATAL: t's group must end
 * with the wait status *ret; SIG_NONE: *ret is unchanged, and a call to be restarted is called again by the dispatcher.
 */
enum sig_outcome { SIG_NONE, SIG_HANDLED, SIG_FATAL };
enum sig_outcome signal_deliver(struct task *t, long *ret, const struct sysargs *call);
