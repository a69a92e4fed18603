/*
 * Delivering signals to the calling task on its way back to the guest.
 *
 * Signals are taken one by one until none is left. Each handler's frame is built on the registers that the one before
 * left, so that the last one runs first, as on Linux. The first handler also settles how an interrupted system call
 * ends: with EINTR, or by running its instruction again after the handler.
 */
#include "sentry/kernel/signal.h"

#include "sentry/kernel/sigframe.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

#include <errno.h>
#include <stdatomic.h>

/* A delivery in progress. */
struct delivery {
    struct task *t;
    const struct sysargs *call; /* NULL once its end is settled, or if the stop was no call */
    long ret;
    bool handled; /* the registers were set */
};

int altstack_state(const struct task *t, uint64_t sp)
{
    uint64_t base = (uint64_t)(uintptr_t)t->altstack.ss_sp;

    if (!t->altstack.ss_size)
        return SS_DISABLE;
    if (((unsigned)t->altstack.ss_flags & (1U << 31)) == 0 && sp > base && sp - base <= t->altstack.ss_size)
        return SS_ONSTACK;
    return 0;
}

uint64_t sigframe_stack(const struct task *t, uint64_t sp, const struct ksigaction *sa, uint64_t skip)
{
    if ((sa->flags & SA_ONSTACK) && altstack_state(t, sp) == 0)
        return (uint64_t)(uintptr_t)t->altstack.ss_sp + t->altstack.ss_size;
    return sp - skip;
}

bool sigframe_fits(const struct task *t, uint64_t sp, const struct ksigaction *sa, uint64_t frame)
{
    int state = altstack_state(t, sp);

    if (state == SS_DISABLE || (state == 0 && !(sa->flags & SA_ONSTACK)))
        return true;
    return altstack_state(t, frame) == SS_ONSTACK;
}

/* The registers as the interrupted call is to leave them when a handler with these flags runs. */
static void settle_call(struct delivery *d, struct regs *regs, uint64_t flags)
{
    bool again = d->ret == -ERESTARTNOINTR || (d->ret == -ERESTARTSYS && (flags & SA_RESTART));

    if (!d->call)
        return;
    *regs_ip(regs) = d->call->ip; /* they may still be those before the call: PLAT_EV_WAIT */
    if (d->ret == -ERESTARTSYS || d->ret == -ERESTARTNOHAND || d->ret == -ERESTART_RESTARTBLOCK)
        d->ret = -EINTR;
    if (again)
        regs_restart_syscall(regs, d->call->nr);
    else
        *regs_result(regs) = (uint64_t)d->ret;
    regs->orig_nr = (uint64_t)-1;
    d->call = NULL;
}

static void run_handler(struct delivery *d, int sig, const struct ksigaction *sa, const siginfo_t *info)
{
    struct task *t = d->t;
    sigset64_t mask = t->restore_mask ? t->saved_mask : signal_blocked(t);
    struct regs regs, before;
    int ret = plat_get_regs(t->pt, &regs);

    if (ret < 0)
        return; /* the thread is being killed */
    settle_call(d, &regs, sa->flags);
    before = regs;
    ret = sigframe_build(t, &regs, sa, info, mask);
    d->handled = true;
    if (ret == -ESRCH || plat_set_regs(t->pt, ret ? &before : &regs) < 0)
        return; /* as above: the status is that of the kill, no fault of the guest's own */
    if (ret) {
        if (sig == SIGSEGV)
            signal_set_action(t, SIGSEGV, &(struct ksigaction){0}, NULL);
        signal_force(t, SIGSEGV, NULL);
        return;
    }
    if ((unsigned)t->altstack.ss_flags & (1U << 31))
        t->altstack = (stack_t){.ss_flags = SS_DISABLE};
    t->restore_mask = false;
    signal_set_blocked(t, signal_blocked(t) | sa->mask | (sa->flags & SA_NODEFER ? 0 : sigbit(sig)));
}

/* What is to be done next, decided under siglock. */
enum step { STEP_NOTHING, STEP_FATAL, STEP_CONTINUED, STEP_STOP_HERE, STEP_SIGNAL };

static enum step next_step(struct task *t, int *sig, struct ksigaction *sa, siginfo_t *info, bool *init_dies)
{
    struct thread_group *tg = t->tg;
    struct ksigaction *action;

    if (t->killed || tg->group_exiting) {
        *sig = tg->group_exiting ? tg->group_exit_code : SIGKILL;
        return STEP_FATAL;
    }
    if (tg->stop_notify)
        return STEP_CONTINUED;
    if (t->group_stop_pending)
        return STEP_STOP_HERE;
    const bool any = t->pending.set || tg->pending.set;
    *sig = any ? signal_dequeue_locked(t, signal_blocked_locked(t), info) : 0;
    if (!*sig) {
        signal_recalc_locked(t);
        return STEP_NOTHING;
    }
    action = &tg->sighand->action[*sig - 1];
    *sa = *action;
    *init_dies = tg->unprotected & sigbit(*sig);
    tg->unprotected &= ~sigbit(*sig);
    if ((sa->flags & SA_RESETHAND) && sa->handler > 1)
        action->handler = (uint64_t)(uintptr_t)SIG_DFL;
    return STEP_SIGNAL;
}

/* Acts on one signal. True if it ends the group. */
static bool act(struct delivery *d, int sig, const struct ksigaction *sa, const siginfo_t *info, bool init_dies)
{
    if (sa->handler == (uint64_t)(uintptr_t)SIG_IGN)
        return false;
    if (sa->handler != (uint64_t)(uintptr_t)SIG_DFL) {
        run_handler(d, sig, sa, info);
        return false;
    }
    if (sigbit(sig) & SIGSET_IGNORED)
        return false;
    if (d->t->tg->tgid == 1 && !init_dies)
        return false;
    if (sigbit(sig) & SIGSET_STOP) {
        signal_group_stop(d->t, sig);
        return false;
    }
    return true;
}

/* Puts the mask back that a sigsuspend or ppoll replaced. True if that may have made something pending. */
static bool restore_mask(struct task *t)
{
    if (!t->restore_mask)
        return false;
    t->restore_mask = false;
    signal_set_blocked(t, t->saved_mask);
    return atomic_load(&t->signal_wake);
}

enum sig_outcome signal_deliver(struct task *t, long *ret, const struct sysargs *call)
{
    struct delivery d = {.t = t, .call = call, .ret = *ret};
    struct ksigaction sa;
    siginfo_t info;
    bool init_dies;
    int sig;

    for (;;) {
        lock(&t->tg->siglock);
        enum step step = next_step(t, &sig, &sa, &info, &init_dies);
        unlock(&t->tg->siglock);
        switch (step) {
        case STEP_NOTHING:
            if (restore_mask(t))
                continue;
            return d.handled ? SIG_HANDLED : SIG_NONE;
        case STEP_FATAL:
            *ret = sig;
            return SIG_FATAL;
        case STEP_CONTINUED:
            signal_notify_continued(t);
            continue;
        case STEP_STOP_HERE:
            signal_stop_here(t);
            continue;
        case STEP_SIGNAL:
            if (act(&d, sig, &sa, &info, init_dies)) {
                *ret = sig;
                return SIG_FATAL;
            }
            continue;
        }
    }
}
