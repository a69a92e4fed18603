/*
 * Sending: kill(2), tkill(2), tgkill(2), rt_sigqueueinfo(2), rt_tgsigqueueinfo(2).
 *
 * Targets are looked up and permission is checked under tasks_lock. A thread may not pretend that its signal came from
 * the kernel or from kill(2), except to itself.
 */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <limits.h>

static bool valid(int sig)
{
    return sig >= 0 && sig <= NSIG_MAX;
}

static siginfo_t from_task(struct task *t, int sig, int code)
{
    siginfo_t info = {.si_signo = sig, .si_code = code};

    info.si_pid = t->tg->tgid;
    info.si_uid = t->cred->ruid;
    return info;
}

/* One kill(2) over several groups. */
struct kill_many {
    struct task *from;
    int sig;
    const siginfo_t *info;
    int found, sent;
    int error;
};

static int kill_group_locked(struct task *from, struct thread_group *tg, int sig, const siginfo_t *info)
{
    if (!signal_may_send(from, tg, sig))
        return -EPERM;
    return sig ? signal_send_tg(tg, sig, info) : 0;
}

static void kill_one_of_many(struct kill_many *k, struct thread_group *tg)
{
    int ret = kill_group_locked(k->from, tg, k->sig, k->info);

    k->found++;
    if (!ret)
        k->sent++;
    else
        k->error = ret;
}

static bool kill_each(struct thread_group *tg, void *data)
{
    struct kill_many *k = data;

    if (tg->tgid != 1 && tg != k->from->tg)
        kill_one_of_many(k, tg);
    return true;
}

static int kill_many_result(const struct kill_many *k)
{
    if (k->sent)
        return 0;
    return k->found ? k->error : -ESRCH;
}

static int kill_pgrp_locked(struct task *t, pid_t pgid, int sig, const siginfo_t *info)
{
    struct kill_many k = {.from = t, .sig = sig, .info = info};
    struct pgrp *pg = pgid ? pgrp_find_locked(pgid) : t->tg->pgrp;
    struct thread_group *tg;

    if (pg)
        list_for_each (tg, &pg->members, pgrp_node)
            kill_one_of_many(&k, tg);
    if (pg && pgid)
        pgrp_put(pg);
    return kill_many_result(&k);
}

static int kill_pid_locked(struct task *t, pid_t pid, int sig, const siginfo_t *info)
{
    struct task *target = task_find_locked(pid);
    int ret;

    if (!target)
        return -ESRCH;
    ret = kill_group_locked(t, target->tg, sig, info);
    task_put(target);
    return ret;
}

long sys_kill(struct task *t, const struct sysargs *a)
{
    pid_t pid = (pid_t)a->a[0];
    int sig = (int)a->a[1];
    siginfo_t info = from_task(t, sig, SI_USER);
    struct kill_many all = {.from = t, .sig = sig, .info = &info};
    int ret;

    if (!valid(sig))
        return -EINVAL;
    if (pid == INT_MIN)
        return -ESRCH;
    lock(&tasks_lock);
    if (pid > 0) {
        ret = kill_pid_locked(t, pid, sig, &info);
    } else if (pid == -1) {
        tg_for_each_locked(kill_each, &all);
        ret = kill_many_result(&all);
    } else {
        ret = kill_pgrp_locked(t, -pid, sig, &info);
    }
    unlock(&tasks_lock);
    return ret;
}

/* To one thread; tgid 0: of any group. */
static long send_thread(struct task *t, pid_t tgid, pid_t tid, int sig, const siginfo_t *info)
{
    struct task *target;
    long ret = -ESRCH;

    lock(&tasks_lock);
    target = task_find_locked(tid);
    if (target && (!tgid || target->tg->tgid == tgid))
        ret = signal_may_send(t, target->tg, sig) ? 0 : -EPERM;
    if (!ret && sig)
        ret = signal_send_task(target, sig, info);
    unlock(&tasks_lock);
    if (target)
        task_put(target);
    return ret;
}

long sys_tgkill(struct task *t, const struct sysargs *a)
{
    pid_t tgid = (pid_t)a->a[0], tid = (pid_t)a->a[1];
    int sig = (int)a->a[2];
    siginfo_t info = from_task(t, sig, SI_TKILL);

    if (tgid <= 0 || tid <= 0 || !valid(sig))
        return -EINVAL;
    return send_thread(t, tgid, tid, sig, &info);
}

long sys_tkill(struct task *t, const struct sysargs *a)
{
    pid_t tid = (pid_t)a->a[0];
    int sig = (int)a->a[1];
    siginfo_t info = from_task(t, sig, SI_TKILL);

    if (tid <= 0 || !valid(sig))
        return -EINVAL;
    return send_thread(t, 0, tid, sig, &info);
}

/* Reads the caller's siginfo. -EPERM: it claims what only the kernel, or kill(2), may say. */
static int read_info(struct task *t, uint64_t addr, int sig, bool to_self, siginfo_t *info)
{
    int ret = user_read(t, info, addr, sizeof(*info));

    if (ret < 0)
        return ret;
    info->si_signo = sig;
    if ((info->si_code >= 0 || info->si_code == SI_TKILL) && !to_self)
        return -EPERM;
    return 0;
}

long sys_rt_sigqueueinfo(struct task *t, const struct sysargs *a)
{
    pid_t pid = (pid_t)a->a[0];
    int sig = (int)a->a[1];
    siginfo_t info;
    int ret = read_info(t, a->a[2], sig, pid == t->tg->tgid, &info);

    if (ret < 0)
        return ret;
    if (!valid(sig))
        return -EINVAL;
    if (pid <= 0)
        return -ESRCH;
    lock(&tasks_lock);
    ret = kill_pid_locked(t, pid, sig, &info);
    unlock(&tasks_lock);
    return ret;
}

long sys_rt_tgsigqueueinfo(struct task *t, const struct sysargs *a)
{
    pid_t tgid = (pid_t)a->a[0], tid = (pid_t)a->a[1];
    int sig = (int)a->a[2];
    siginfo_t info;
    int ret = read_info(t, a->a[3], sig, tid == t->tid, &info);

    if (ret < 0)
        return ret;
    if (tgid <= 0 || tid <= 0 || !valid(sig))
        return -EINVAL;
    return send_thread(t, tgid, tid, sig, &info);
}
