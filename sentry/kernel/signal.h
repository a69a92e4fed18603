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

/* kill(2)'s rule: may `from` send sig to the group? tasks_lock held. */
bool signal_may_send(struct task *from, struct thread_group *to, int sig);

/* A fault: as force_sig in Linux: if blocked or ignored, the action is reset to default first. */
void signal_force(struct task *t, int sig, const siginfo_t *info);

/* True if t has something to do before it may go back to the guest: an unblocked signal, a stop, a kill. */
bool signal_pending(struct task *t);

/* Changes the blocked mask of the calling task and re-evaluates what is pending. */
void signal_set_blocked(struct task *t, sigset64_t blocked);

/* For execve: handlers to default, altstack off; unshares sighand if shared. */
void signal_reset_for_exec(struct task *t);

/*
 * Delivers to t, in its own worker and before it goes back to the guest, until nothing is left. call: the system call
 * that is ending with *ret, or NULL. SIG_HANDLED: the registers are set for a handler; SIG_FATAL: t's group must end
 * with the wait status *ret; SIG_NONE: *ret is unchanged, and a call to be restarted is called again by the dispatcher.
 */
enum sig_outcome { SIG_NONE, SIG_HANDLED, SIG_FATAL };
enum sig_outcome signal_deliver(struct task *t, long *ret, const struct sysargs *call);
