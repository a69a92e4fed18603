/*
 * From a stop of a guest thread to the handler and back.
 *
 * sentry_event() is entered for every stop. A system call goes to its handler through the table; then, whatever the
 * stop was, pending signals are delivered, and calls that a signal interrupted are finished with EINTR, restarted by
 * the guest after its handler, or, when no handler ran, called again here in place.
 *
 * Leaving is the delicate step: in_guest is set before the last look at signal_wake, and a sender looks at in_guest
 * after it has set signal_wake, so one of the two sees the other and no signal waits for the next system call.
 */
#include "sentry/syscalls/dispatch.h"

#include "sentry/syscalls/strace.h"

#include "sentry/kernel/lifecycle.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

static bool counting;
static _Atomic uint64_t calls[SYSCALL_MAX], missing[SYSCALL_MAX];

static uint64_t sentry_code_space(void *cookie, uint64_t addr, size_t len)
{
    struct task *t = cookie;

    return mm_code_space(t->mm, addr, len);
}

const struct platform_client sentry_client = {
    .event = sentry_event,
    .process_died = sentry_process_died,
    .code_space = sentry_code_space,
};

void syscall_count_enable(void)
{
    counting = true;
}

struct syscall_count syscall_count_get(unsigned nr)
{
    if (nr >= SYSCALL_MAX)
        return (struct syscall_count){0, 0};
    return (struct syscall_count){atomic_load(&calls[nr]), atomic_load(&missing[nr])};
}

static long call_handler(struct task *t, const struct sysargs *a)
{
    const struct syscall_desc *d = a->nr < SYSCALL_MAX ? &syscall_table[a->nr] : NULL;

    if (unlikely(counting) && d)
        atomic_fetch_add_explicit(&calls[a->nr], 1, memory_order_relaxed);
    if (!d || !d->fn) {
        if (unlikely(counting) && d)
            atomic_fetch_add_explicit(&missing[a->nr], 1, memory_order_relaxed);
        return -ENOSYS;
    }
    return d->fn(t, a);
}

static bool wants_restart(long ret)
{
    return ret == -ERESTARTSYS || ret == -ERESTARTNOINTR || ret == -ERESTARTNOHAND || ret == -ERESTART_RESTARTBLOCK;
}

static long call_again(struct task *t, const struct sysargs *a, long ret)
{
    if (ret == -ERESTART_RESTARTBLOCK && t->restart.fn)
        return t->restart.fn(t, &t->restart);
    return call_handler(t, a);
}

static struct plat_resume resume(enum plat_verdict verdict, int64_t value)
{
    return (struct plat_resume){.verdict = verdict, .value = value};
}

/* True if t may run in the guest now; false if a signal came in the meantime. */
static bool leave_sentry(struct task *t)
{
    atomic_store(&t->in_guest, true);
    if (likely(!atomic_load(&t->signal_wake)))
        return true;
    /* If somebody else has cleared it, the host process is dead and t was taken over: nothing is ours any more. */
    return !atomic_exchange(&t->in_guest, false);
}

static struct plat_resume fatal(struct task *t, long status)
{
    do_group_exit(t, (int)status);
    return resume(PLAT_GONE, 0);
}

/* The end of every stop but a system call's: deliver until nothing is left. */
static struct plat_resume finish_stop(struct task *t)
{
    long ret = 0;

    for (;;) {
        if (atomic_load(&t->signal_wake) && signal_deliver(t, &ret, NULL) == SIG_FATAL)
            return fatal(t, ret);
        if (leave_sentry(t))
            return resume(PLAT_RESUME, 0);
    }
}

/* The host performs the call; a signal that is waiting stops the thread again right after it. */
static struct plat_resume finish_continue(struct task *t)
{
    atomic_store(&t->in_guest, true);
    if (atomic_load(&t->signal_wake))
        plat_kick(t->pt);
    return resume(PLAT_CONTINUE, 0);
}

static struct plat_resume finish_syscall(struct task *t, const struct sysargs *a, long ret)
{
    for (;;) {
        if (ret == SYS_GONE)
            return resume(PLAT_GONE, 0);
        if (ret == SYS_RESUME)
            return finish_stop(t);
        if (ret == SYS_CONTINUE)
            return finish_continue(t);
        if (unlikely(atomic_load(&t->signal_wake) || wants_restart(ret) || t->restore_mask)) {
            enum sig_outcome outcome = signal_deliver(t, &ret, a);

            if (outcome == SIG_FATAL)
                return fatal(t, ret);
            if (outcome == SIG_HANDLED)
                return finish_stop(t);
            if (wants_restart(ret)) {
                ret = call_again(t, a, ret);
                continue;
            }
        }
        if (leave_sentry(t))
            return resume(PLAT_RETURN, ret);
    }
}

/* The task may be gone after it (exit), so it is held. */
static __attribute__((noinline)) long call_traced(struct task *t, const struct sysargs *a)
{
    struct strace_line line;

    task_get(t);
    strace_enter(t, a, &line);
    long ret = call_handler(t, a);
    strace_exit(t, a, ret, &line);
    task_put(t);
    return ret;
}

static struct sysargs call_of(const struct plat_event *ev)
{
    struct sysargs a = {.nr = ev->nr, .ip = ev->ip};

    for (int i = 0; i < 6; i++)
        a.a[i] = ev->args[i];
    return a;
}

static struct plat_resume on_syscall(struct task *t, const struct plat_event *ev)
{
    struct sysargs a = call_of(ev);
    long ret;

    if (unlikely(ev->mask_recalled))
        signal_mask_recalled(t, ev->mask);
    if (unlikely(strace_on())) {
        ret = call_traced(t, &a);
    } else {
        ret = call_handler(t, &a);
    }
    return finish_syscall(t, &a, ret);
}

/* A wait that the host performs was interrupted: by a handler it ends with EINTR, otherwise it goes on. */
static struct plat_resume on_wait(struct task *t, const struct plat_event *ev)
{
    const struct sysargs a = call_of(ev);

    for (;;) {
        long ret = -ERESTARTSYS;
        enum sig_outcome outcome = SIG_NONE;
        if (atomic_load(&t->signal_wake))
            outcome = signal_deliver(t, &ret, &a);
        if (outcome == SIG_FATAL)
            return fatal(t, ret);
        if (outcome == SIG_HANDLED)
            return finish_stop(t);
        if (leave_sentry(t))
            return resume(PLAT_RESUME, 0);
    }
}

static struct plat_resume on_start(struct task *t)
{
    if (t->set_child_tid) {
        pid_t tid = t->tid;
        int ret = user_write(t, t->set_child_tid, &tid, sizeof(tid));

        (void)ret; /* clone(2): an address that cannot be written is not an error */
        t->set_child_tid = 0;
    }
    return finish_stop(t);
}

/*
 * The parent links the child into the tables after the host thread exists; wait for that. A guest that tampers with its
 * stub may make a call before it.
 */
static void wait_until_born(struct task *t)
{
    while (!atomic_load(&t->born)) {
        int ret = task_sleep_killable(t, NO_DEADLINE);

        (void)ret; /* nobody can kill it yet */
    }
}

/* False if the task was taken over because its host process is dead. */
static bool enter_sentry(struct task *t)
{
    if (unlikely(!atomic_load(&t->born)))
        wait_until_born(t);
    return atomic_exchange(&t->in_guest, false);
}

struct plat_resume sentry_event(void *cookie, struct plat_thread *pt unused_arg, const struct plat_event *ev)
{
    struct task *t = cookie;
    struct plat_resume r;

    if (unlikely(!enter_sentry(t)))
        return resume(PLAT_GONE, 0);
    current = t;
    switch (ev->kind) {
    case PLAT_EV_SYSCALL:
        r = on_syscall(t, ev);
        break;
    case PLAT_EV_SIGNAL:
        t->fault = ev->fault;
        signal_force(t, ev->info.si_signo, &ev->info);
        r = finish_stop(t);
        break;
    case PLAT_EV_START:
        r = on_start(t);
        break;
    case PLAT_EV_WAIT:
        r = on_wait(t, ev);
        break;
    case PLAT_EV_STILLBORN:
        do_exit(t, 0);
        r = resume(PLAT_GONE, 0);
        break;
    case PLAT_EV_KICK:
    default:
        r = finish_stop(t);
        break;
    }
    current = NULL;
    return r;
}

void sentry_process_died(void *process_cookie, int status, const struct rusage *ru)
{
    tg_process_died(process_cookie, status, ru);
}
