/*
 * Scheduling: affinity, priorities and policies. Affinity, always within the host's mask, is the host thread's too.
 * Otherwise the host schedules every stub thread alike, and what the guest sets is kept and shown.
 */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/lifecycle.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

/* Task pid (0: the caller) with a reference, or NULL. */
static struct task *target(struct task *t, pid_t pid)
{
    if (!pid) {
        task_get(t);
        return t;
    }
    return task_find(pid);
}

/* May t set o's scheduling? tasks_lock held. */
static bool may_set(struct task *t, struct task *o)
{
    return t->cred->euid == o->cred->ruid || t->cred->euid == o->cred->euid || cred_capable(t->cred, CAP_SYS_NICE);
}

long sys_sched_yield(struct task *t unused_arg, const struct sysargs *a unused_arg)
{
    return SYS_CONTINUE;
}

long sys_getcpu(struct task *t, const struct sysargs *a)
{
    unsigned cpu = 0, node = 0;

    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &t->affinity)) {
            cpu = i;
            break;
        }
    if (a->a[0] && user_write(t, a->a[0], &cpu, sizeof(cpu)) < 0)
        return -EFAULT;
    return a->a[1] ? user_write(t, a->a[1], &node, sizeof(node)) : 0;
}

static long apply_affinity(struct task *t, struct task *o, const cpu_set_t *set)
{
    long ret = 0;

    lock(&tasks_lock);
    if (may_set(t, o)) {
        o->affinity = *set;
        task_apply_affinity(o, o->pt);
    } else {
        ret = -EPERM;
    }
    unlock(&tasks_lock);
    return ret;
}

long sys_sched_setaffinity(struct task *t, const struct sysargs *a)
{
    cpu_set_t set, host;
    struct task *o;
    size_t len = MIN((uint32_t)a->a[1], sizeof(set));
    long ret;

    CPU_ZERO(&set);
    if (user_read(t, &set, a->a[2], len) < 0)
        return -EFAULT;
    o = target(t, (pid_t)a->a[0]);
    if (!o)
        return -ESRCH;
    task_host_affinity(&host);
    CPU_AND(&set, &set, &host);
    ret = CPU_COUNT(&set) ? apply_affinity(t, o, &set) : -EINVAL;
    task_put(o);
    return ret;
}

static size_t mask_bytes(void)
{
    cpu_set_t host;
    size_t top = 0;

    task_host_affinity(&host);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &host))
            top = i;
    return (top / 64 + 1) * 8;
}

long sys_sched_getaffinity(struct task *t, const struct sysargs *a)
{
    uint32_t len = (uint32_t)a->a[1];
    size_t need = mask_bytes();
    cpu_set_t set;
    struct task *o;

    if (len < need || (len & 7))
        return -EINVAL;
    o = target(t, (pid_t)a->a[0]);
    if (!o)
        return -ESRCH;
    lock(&tasks_lock);
    set = o->affinity;
    unlock(&tasks_lock);
    task_put(o);
    return user_write(t, a->a[2], &set, need) < 0 ? -EFAULT : (long)need;
}

static bool policy_rt(int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool policy_known(int policy)
{
    return policy_rt(policy) || policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

long sys_sched_get_priority_max(struct task *t unused_arg, const struct sysargs *a)
{
    int policy = (int)a->a[0];

    return policy_rt(policy) ? 99 : policy_known(policy) || policy == 6 ? 0 : -EINVAL;
}

long sys_sched_get_priority_min(struct task *t unused_arg, const struct sysargs *a)
{
    int policy = (int)a->a[0];

    return policy_rt(policy) ? 1 : policy_known(policy) || policy == 6 ? 0 : -EINVAL;
}

/* policy -1: keep. */
static long set_scheduler(struct task *t, pid_t pid, int policy, uint64_t param_addr)
{
    bool reset = policy >= 0 && (policy & SCHED_RESET_ON_FORK);
    struct task *o;
    int prio;
    long ret = 0;

    if (!param_addr || pid < 0)
        return -EINVAL;
    if (user_read(t, &prio, param_addr, sizeof(prio)) < 0)
        return -EFAULT;
    if (!(o = target(t, pid)))
        return -ESRCH;
    lock(&tasks_lock);
    if (policy >= 0)
        policy &= ~SCHED_RESET_ON_FORK;
    else
        policy = o->policy;
    if (!policy_known(policy) || (policy_rt(policy) ? prio < 1 || prio > 99 : prio != 0))
        ret = -EINVAL;
    else if (!may_set(t, o) || (policy_rt(policy) && !cred_capable(t->cred, CAP_SYS_NICE) &&
                                (uint64_t)prio > tg_limit(o->tg, RLIMIT_RTPRIO)))
        ret = -EPERM;
    if (!ret) {
        o->policy = policy;
        o->rt_priority = prio;
        o->reset_on_fork = reset;
    }
    unlock(&tasks_lock);
    task_put(o);
    return ret;
}

long sys_sched_setscheduler(struct task *t, const struct sysargs *a)
{
    return (int)a->a[1] < 0 ? -EINVAL : set_scheduler(t, (pid_t)a->a[0], (int)a->a[1], a->a[2]);
}

long sys_sched_setparam(struct task *t, const struct sysargs *a)
{
    return set_scheduler(t, (pid_t)a->a[0], -1, a->a[1]);
}

long sys_sched_getscheduler(struct task *t, const struct sysargs *a)
{
    struct task *o;
    long ret;

    if ((pid_t)a->a[0] < 0)
        return -EINVAL;
    if (!(o = target(t, (pid_t)a->a[0])))
        return -ESRCH;
    lock(&tasks_lock);
    ret = o->policy | (o->reset_on_fork ? SCHED_RESET_ON_FORK : 0);
    unlock(&tasks_lock);
    task_put(o);
    return ret;
}

long sys_sched_getparam(struct task *t, const struct sysargs *a)
{
    struct task *o;
    int prio;

    if ((pid_t)a->a[0] < 0 || !a->a[1])
        return -EINVAL;
    if (!(o = target(t, (pid_t)a->a[0])))
        return -ESRCH;
    lock(&tasks_lock);
    prio = o->rt_priority;
    unlock(&tasks_lock);
    task_put(o);
    return user_write(t, a->a[1], &prio, sizeof(prio));
}

long sys_sched_rr_get_interval(struct task *t, const struct sysargs *a)
{
    struct timespec ts = {.tv_nsec = 100000000};
    struct task *o;

    if ((pid_t)a->a[0] < 0)
        return -EINVAL;
    if (!(o = target(t, (pid_t)a->a[0])))
        return -ESRCH;
    if (o->policy != SCHED_RR)
        ts.tv_nsec = o->policy == SCHED_FIFO ? 0 : 4000000;
    task_put(o);
    return user_write(t, a->a[1], &ts, sizeof(ts));
}

/* One walk serves both getpriority(2) and setpriority(2). */
struct prio_walk {
    struct task *caller;
    int which;
    int who; /* id, never 0 */
    bool set;
    int nice; /* to set */
    int best; /* lowest found; 20: none */
    int error;
};

static void prio_visit(struct prio_walk *w, struct task *o)
{
    if (!w->set) {
        w->best = MIN(w->best, o->nice);
        return;
    }
    w->best = 0;
    if (!may_set(w->caller, o)) {
        w->error = -EPERM;
        return;
    }
    /* RLIMIT_NICE n allows down to 20 - n. */
    if (w->nice < o->nice && !cred_capable(w->caller->cred, CAP_SYS_NICE) &&
        (uint64_t)(20 - w->nice) > tg_limit(o->tg, RLIMIT_NICE)) {
        w->error = -EACCES;
        return;
    }
    o->nice = (int8_t)w->nice;
}

static bool prio_group(struct thread_group *tg, void *data)
{
    struct prio_walk *w = data;
    struct task *o;

    list_for_each (o, &tg->tasks, tg_node) {
        if (w->which == PRIO_PGRP ? (tg->pgrp && tg->pgrp->pgid == w->who) : (int)o->cred->ruid == w->who)
            prio_visit(w, o);
    }
    return true;
}

static long prio_run(struct prio_walk *w)
{
    struct task *o;

    if (w->which < PRIO_PROCESS || w->which > PRIO_USER)
        return -EINVAL;
    lock(&tasks_lock);
    if (w->which == PRIO_PROCESS) {
        o = w->who ? task_find_locked(w->who) : NULL;
        if (o || !w->who)
            prio_visit(w, o ? o : w->caller);
        if (o)
            task_put(o);
    } else {
        if (!w->who)
            w->who = w->which == PRIO_PGRP ? w->caller->tg->pgrp->pgid : (int)w->caller->cred->ruid;
        tg_for_each_locked(prio_group, w);
    }
    unlock(&tasks_lock);
    return w->error ? w->error : w->best == 20 ? -ESRCH : 0;
}

long sys_getpriority(struct task *t, const struct sysargs *a)
{
    struct prio_walk w = {.caller = t, .which = (int)a->a[0], .who = (int)a->a[1], .best = 20};
    long ret = prio_run(&w);

    return ret < 0 ? ret : 20 - w.best;
}

long sys_setpriority(struct task *t, const struct sysargs *a)
{
    struct prio_walk w = {.caller = t, .which = (int)a->a[0], .who = (int)a->a[1], .set = true, .best = 20};

    w.nice = MAX(-20, MIN(19, (int)a->a[2]));
    return prio_run(&w);
}
