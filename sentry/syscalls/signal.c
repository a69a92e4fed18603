/*
 * Actions, masks and waiting: rt_sigaction(2), rt_sigprocmask(2), rt_sigpending(2), rt_sigsuspend(2), pause(2),
 * rt_sigtimedwait(2), sigaltstack(2), rt_sigreturn(2), restart_syscall(2). Sending is in kill.c.
 */
#include "sentry/kernel/signal.h"

#include "sentry/kernel/sigframe.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <sys/syscall.h>

#define AUTODISARM (1U << 31)
#define SA_KNOWN                                                                                                       \
    (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | 0x80000000UL | SA_RESTORER_FLAG)

long sys_rt_sigaction(struct task *t, const struct sysargs *a)
{
    int sig = (int)a->a[0], ret;
    struct {
        uint64_t handler, flags, restorer, mask;
    } user;
    struct ksigaction act, old;

    if (a->a[3] != sizeof(sigset64_t))
        return -EINVAL;
    if (a->a[1]) {
        ret = user_read(t, &user, a->a[1], sizeof(user));
        if (ret < 0)
            return ret;
        act = (struct ksigaction){
            .handler = user.handler, .flags = user.flags & SA_KNOWN, .restorer = user.restorer, .mask = user.mask};
    }
    if (sig < 1 || sig > NSIG_MAX || (a->a[1] && (sigbit(sig) & SIGSET_UNBLOCKABLE)))
        return -EINVAL;
    signal_set_action(t, sig, a->a[1] ? &act : NULL, &old);
    if (!a->a[2])
        return 0;
    user.handler = old.handler;
    user.flags = old.flags;
    user.restorer = old.restorer;
    user.mask = old.mask;
    return user_write(t, a->a[2], &user, sizeof(user));
}

long sys_rt_sigprocmask(struct task *t, const struct sysargs *a)
{
    sigset64_t set = 0, old;
    int ret;

    if (a->a[3] != sizeof(set))
        return -EINVAL;
    old = signal_blocked(t);
    if (a->a[1]) {
        ret = user_read(t, &set, a->a[1], sizeof(set));
        if (ret < 0)
            return ret;
        switch ((int)a->a[0]) {
        case SIG_BLOCK:
            set |= old;
            break;
        case SIG_UNBLOCK:
            set = old & ~set;
            break;
        case SIG_SETMASK:
            break;
        default:
            return -EINVAL;
        }
        signal_set_blocked(t, set);
    }
    ret = a->a[2] ? user_write(t, a->a[2], &old, sizeof(old)) : 0;
    if (ret == 0)
        signal_lend_mask(t);
    return ret;
}

long sys_rt_sigpending(struct task *t, const struct sysargs *a)
{
    sigset64_t set;

    if (a->a[1] > sizeof(set))
        return -EINVAL;
    lock(&t->tg->siglock);
    set = t->pending.set | t->tg->pending.set;
    if (set)
        set &= signal_blocked_locked(t);
    unlock(&t->tg->siglock);
    return user_write(t, a->a[0], &set, a->a[1]);
}

/* Sleeps until a signal is to be delivered. */
static void wait_for_signal(struct task *t)
{
    while (task_sleep(t, NO_DEADLINE) >= 0)
        ;
}

long sys_pause(struct task *t, const struct sysargs *a unused_arg)
{
    wait_for_signal(t);
    return -ERESTARTNOHAND;
}

long sys_rt_sigsuspend(struct task *t, const struct sysargs *a)
{
    sigset64_t mask;
    int ret;

    if (a->a[1] != sizeof(mask))
        return -EINVAL;
    ret = user_read(t, &mask, a->a[0], sizeof(mask));
    if (ret < 0)
        return ret;
    t->saved_mask = signal_set_blocked(t, mask);
    wait_for_signal(t);
    t->restore_mask = true;
    return -ERESTARTNOHAND;
}

/* Takes a signal of the set, blocked or not, and says for which ones (0: none) to be woken from now on. */
static int take_waited(struct task *t, sigset64_t set, sigset64_t wait_for, siginfo_t *info)
{
    int sig;

    lock(&t->tg->siglock);
    sig = signal_dequeue_locked(t, ~set, info);
    t->sigwait = sig ? 0 : wait_for;
    signal_recalc_locked(t);
    unlock(&t->tg->siglock);
    return sig;
}

static long wait_for_set(struct task *t, sigset64_t set, int64_t deadline, siginfo_t *info)
{
    int sig = take_waited(t, set, set, info), ret = 0;

    while (!sig && ret == 0) {
        ret = task_sleep(t, deadline);
        sig = take_waited(t, set, ret ? 0 : set, info);
    }
    if (sig)
        return sig;
    return ret == -ETIMEDOUT ? -EAGAIN : -EINTR;
}

long sys_rt_sigtimedwait(struct task *t, const struct sysargs *a)
{
    int64_t ns, deadline = NO_DEADLINE;
    siginfo_t info;
    sigset64_t set;
    long sig;
    int ret;

    if (a->a[3] != sizeof(set))
        return -EINVAL;
    ret = user_read(t, &set, a->a[0], sizeof(set));
    if (!ret && a->a[2]) {
        ret = timespec_read_ns(t, a->a[2], &ns);
        deadline = ret || !ns ? 0 : deadline_after(ns);
    }
    if (ret < 0)
        return ret;
    sig = wait_for_set(t, set & ~SIGSET_UNBLOCKABLE, deadline, &info);
    if (sig > 0 && a->a[1] && user_write(t, a->a[1], &info, sizeof(info)) < 0)
        return -EFAULT;
    return sig;
}

static int set_altstack(struct task *t, const stack_t *s, uint64_t sp, size_t least)
{
    unsigned flags = (unsigned)s->ss_flags, mode = flags & ~AUTODISARM;

    if (altstack_state(t, sp) == SS_ONSTACK)
        return -EPERM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (mode == SS_DISABLE) {
        t->altstack = (stack_t){.ss_flags = (int)flags};
        return 0;
    }
    if (s->ss_size < least)
        return -ENOMEM;
    t->altstack = *s;
    return 0;
}

#if defined(__x86_64__)
#define LEAST_ALTSTACK 2048
#else
#define LEAST_ALTSTACK 5120
#endif

long sys_sigaltstack(struct task *t, const struct sysargs *a)
{
    struct regs regs;
    stack_t set, old;
    int ret = plat_get_regs(t->pt, &regs);

    if (ret < 0)
        return ret;
    uint64_t sp = *regs_sp(&regs);
    old = t->altstack;
    old.ss_flags = altstack_state(t, sp) | (int)((unsigned)old.ss_flags & AUTODISARM);
    if (a->a[0]) {
        ret = user_read(t, &set, a->a[0], sizeof(set));
        if (!ret)
            ret = set_altstack(t, &set, sp, LEAST_ALTSTACK);
        if (ret < 0)
            return ret;
    }
    return a->a[1] ? user_write(t, a->a[1], &old, sizeof(old)) : 0;
}

long sys_rt_sigreturn(struct task *t, const struct sysargs *a unused_arg)
{
    struct regs regs;
    sigset64_t mask;
    stack_t altstack;
    int ret = plat_get_regs(t->pt, &regs);

    if (!ret)
        ret = sigframe_restore(t, &regs, &mask, &altstack);
    if (!ret)
        ret = plat_set_regs(t->pt, &regs);
    if (ret < 0) {
        if (ret != -ESRCH) /* it is being killed, and ends with the status of that */
            signal_force(t, SIGSEGV, NULL);
        return SYS_RESUME;
    }
    signal_set_blocked(t, mask);
    ret = set_altstack(t, &altstack, *regs_sp(&regs), LEAST_ALTSTACK);
    (void)ret; /* as on Linux, a stack that cannot be restored stays as it is */
    return SYS_RESUME;
}

long sys_restart_syscall(struct task *t, const struct sysargs *a unused_arg)
{
    return t->restart.fn ? t->restart.fn(t, &t->restart) : -EINTR;
}

long sys_set_tid_address(struct task *t, const struct sysargs *a)
{
    if (t->host_clears_tid && plat_host_call(t->pt, SYS_set_tid_address, a->a) < 0)
        return t->tid; /* being killed */
    t->clear_child_tid = a->a[0];
    return t->tid;
}
