/*
 * The signal mask of a task, which its stub may be keeping.
 *
 * While no signal is pending for a thread, its mask concerns nobody else: it is lent to the stub, which serves
 * rt_sigprocmask(2) without the sentry. Whoever wants to know what the thread blocks takes the mask back first, and
 * then it is the sentry's until the thread's next rt_sigprocmask. So a signal that is found blocked is seen when it is
 * unblocked. For a signal to the process it is enough that one thread which was found not to block it has been told:
 * if that one blocks it before it has taken it, the others are asked then (signal_retarget_locked()).
 */
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"

sigset64_t signal_blocked_locked(struct task *t)
{
    uint64_t mask;

    if (t->mask_lent) {
        t->mask_lent = false;
        if (plat_recall_mask(t->pt, &mask) == 0) /* otherwise its process is gone */
            t->blocked = mask & ~SIGSET_UNBLOCKABLE;
    }
    return t->blocked;
}

sigset64_t signal_blocked(struct task *t)
{
    lock(&t->tg->siglock);
    const sigset64_t blocked = signal_blocked_locked(t);
    unlock(&t->tg->siglock);
    return blocked;
}

sigset64_t signal_set_blocked(struct task *t, sigset64_t blocked)
{
    blocked &= ~SIGSET_UNBLOCKABLE;
    lock(&t->tg->siglock);
    const sigset64_t before = signal_blocked_locked(t);
    signal_retarget_locked(t, blocked & ~before);
    t->blocked = blocked;
    signal_recalc_locked(t);
    unlock(&t->tg->siglock);
    return before;
}

void signal_lend_mask(struct task *t)
{
    lock(&t->tg->siglock);
    if (!t->mask_lent && !t->pending.set && !t->tg->pending.set)
        t->mask_lent = plat_lend_mask(t->pt, t->blocked);
    unlock(&t->tg->siglock);
}

void signal_inherit_mask(struct task *c, struct task *t)
{
    lock(&t->tg->siglock);
    c->blocked = t->blocked;
    c->mask_lent = t->mask_lent;
    unlock(&t->tg->siglock);
}

void signal_mask_recalled(struct task *t, sigset64_t mask)
{
    lock(&t->tg->siglock);
    (void)signal_blocked_locked(t); /* it is ours already, unless the guest invents this */
    t->blocked = mask & ~SIGSET_UNBLOCKABLE;
    signal_recalc_locked(t);
    unlock(&t->tg->siglock);
}
