/* sched_setattr(2), sched_getattr(2), ioprio_set(2), ioprio_get(2): kept and shown, as sched.c's calls are. */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>

#define ATTR_V0 48 /* bytes of the first version, which everybody knows */
#define FLAG_RESET_ON_FORK 1ULL
#define FLAGS_KNOWN 0x7fULL
#define FLAG_KEEP_POLICY 8ULL
#define FLAG_KEEP_PARAMS 16ULL
#define POLICY_DEADLINE 6

/* The kernel's struct sched_attr. */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

static struct task *target(struct task *t, pid_t pid)
{
    if (pid)
        return task_find(pid);
    task_get(t);
    return t;
}

/* Copies the struct in; what is beyond what we know must be zero. */
static int read_attr(struct task *t, uint64_t addr, struct attr *out)
{
    unsigned char bytes[PAGE_SIZE];
    uint32_t size;

    if (user_read(t, &size, addr, sizeof(size)) < 0)
        return -EFAULT;
    if (!size)
        size = ATTR_V0;
    if (size < ATTR_V0 || size > sizeof(bytes))
        return -E2BIG;
    if (user_read(t, bytes, addr, size) < 0)
        return -EFAULT;
    for (size_t i = sizeof(*out); i < size; i++)
        if (bytes[i])
            return -E2BIG;
    *out = (struct attr){0};
    memcpy(out, bytes, MIN(size, sizeof(*out)));
    return 0;
}

static bool is_rt(uint32_t policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

static int check_attr(const struct attr *a)
{
    if (a->flags & ~FLAGS_KNOWN)
        return -EINVAL;
    if (!is_rt(a->policy) && a->policy != SCHED_OTHER && a->policy != SCHED_BATCH && a->policy != SCHED_IDLE)
        return a->policy == POLICY_DEADLINE ? -EPERM : -EINVAL;
    return is_rt(a->policy) ? (a->priority < 1 || a->priority > 99 ? -EINVAL : 0) : a->priority ? -EINVAL : 0;
}

/* tasks_lock held. */
static int may_set_locked(struct task *t, struct task *o, const struct attr *a)
{
    if (cred_capable(t->cred, CAP_SYS_NICE))
        return 0;
    if (t->cred->euid != o->cred->ruid && t->cred->euid != o->cred->euid)
        return -EPERM;
    if (is_rt(a->policy))
        return a->priority > tg_limit(o->tg, RLIMIT_RTPRIO) ? -EPERM : 0;
    return a->nice < o->nice && (uint64_t)(20 - a->nice) > tg_limit(o->tg, RLIMIT_NICE) ? -EPERM : 0;
}

long sys_sched_setattr(struct task *t, const struct sysargs *a)
{
    struct attr attr;

    if (!a->a[1] || (pid_t)a->a[0] < 0 || (unsigned)a->a[2])
        return -EINVAL;
    int ret = read_attr(t, a->a[1], &attr);
    if (ret < 0)
        return ret;
    if ((int32_t)attr.policy < 0)
        return -EINVAL;
    attr.nice = MAX(-20, MIN(19, attr.nice));
    struct task *o = target(t, (pid_t)a->a[0]);
    if (!o)
        return -ESRCH;
    lock(&tasks_lock);
    if (attr.flags & (FLAG_KEEP_POLICY | FLAG_KEEP_PARAMS))
        attr.policy = (uint32_t)o->policy;
    if (attr.flags & FLAG_KEEP_PARAMS) {
        attr.priority = (uint32_t)o->rt_priority;
        attr.nice = o->nice;
    }
    ret = check_attr(&attr);
    if (ret == 0)
        ret = may_set_locked(t, o, &attr);
    if (ret == 0) {
        o->policy = (int)attr.policy;
        o->rt_priority = (int)attr.priority;
        o->reset_on_fork = attr.flags & FLAG_RESET_ON_FORK;
        if (!is_rt(attr.policy))
            o->nice = (int8_t)attr.nice;
    }
    unlock(&tasks_lock);
    task_put(o);
    return ret;
}

long sys_sched_getattr(struct task *t, const struct sysargs *a)
{
    const uint32_t size = (uint32_t)a->a[2];
    struct attr attr = {.size = MIN(size, (uint32_t)sizeof(attr))};

    if (!a->a[1] || (pid_t)a->a[0] < 0 || size < ATTR_V0 || size > PAGE_SIZE || (unsigned)a->a[3])
        return -EINVAL;
    struct task *o = target(t, (pid_t)a->a[0]);
    if (!o)
        return -ESRCH;
    lock(&tasks_lock);
    attr.policy = (uint32_t)o->policy;
    attr.flags = o->reset_on_fork ? FLAG_RESET_ON_FORK : 0;
    attr.priority = (uint32_t)o->rt_priority;
    attr.nice = is_rt(attr.policy) ? 0 : o->nice;
    unlock(&tasks_lock);
    task_put(o);
    attr.util_max = 1024;
    return user_write(t, a->a[1], &attr, attr.size);
}

/* ---- I/O priorities ---- */

enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_WHO_PGRP, IOPRIO_WHO_USER };
enum { IOPRIO_NONE, IOPRIO_RT, IOPRIO_BE, IOPRIO_IDLE };

struct ioprio_walk {
    struct task *caller;
    int which, who;
    bool set;
    int value; /* to set, or the best found; -1: none */
    int error;
};

/* The class and level that a task's nice value stands for when it has set none. */
static int effective(const struct task *o)
{
    return o->ioprio ? o->ioprio : IOPRIO_BE << 13 | (o->nice + 20) / 5;
}

static void ioprio_visit(struct ioprio_walk *w, struct task *o)
{
    const struct cred *c = w->caller->cred;

    if (!w->set) {
        int p = w->which == IOPRIO_WHO_PROCESS ? o->ioprio : effective(o);
        w->value = w->value < 0 ? p : MIN(w->value, p);
        return;
    }
    if (c->euid != o->cred->ruid && c->euid != o->cred->euid && !cred_capable(c, CAP_SYS_NICE))
        w->error = -EPERM;
    else
        o->ioprio = (uint16_t)w->value;
    w->who = -1; /* somebody was there */
}

static bool ioprio_group(struct thread_group *tg, void *data)
{
    struct ioprio_walk *w = data;
    const int who = w->who;
    struct task *o;

    list_for_each (o, &tg->tasks, tg_node)
        if (w->which == IOPRIO_WHO_PGRP ? tg->pgrp && tg->pgrp->pgid == who : (int)o->cred->ruid == who) {
            ioprio_visit(w, o);
            w->who = who;
        }
    return true;
}

static int ioprio_run(struct ioprio_walk *w)
{
    struct task *t = w->caller;

    lock(&tasks_lock);
    if (w->which == IOPRIO_WHO_PROCESS) {
        struct task *o = w->who ? task_find_locked(w->who) : NULL;
        if (w->who && !o)
            w->error = -ESRCH;
        else
            ioprio_visit(w, o ? o : t);
        if (o)
            task_put(o);
    } else if (w->which == IOPRIO_WHO_PGRP || w->which == IOPRIO_WHO_USER) {
        if (!w->who)
            w->who = w->which == IOPRIO_WHO_PGRP ? t->tg->pgrp->pgid : (int)t->cred->ruid;
        tg_for_each_locked(ioprio_group, w);
    } else {
        w->error = -EINVAL;
    }
    unlock(&tasks_lock);
    return w->error;
}

long sys_ioprio_set(struct task *t, const struct sysargs *a)
{
    struct ioprio_walk w = {
        .caller = t, .which = (int)a->a[0], .who = (int)a->a[1], .set = true, .value = (int)a->a[2]};
    const int class = (w.value >> 13) & 7, level = w.value & 7;

    if (w.value < 0 || w.value > UINT16_MAX)
        return -EINVAL;
    switch (class) {
    case IOPRIO_RT:
        if (!cred_capable(t->cred, CAP_SYS_ADMIN) && !cred_capable(t->cred, CAP_SYS_NICE))
            return -EPERM;
        break;
    case IOPRIO_BE:
    case IOPRIO_IDLE:
        break;
    case IOPRIO_NONE:
        if (!level)
            break;
        return -EINVAL;
    default:
        return -EINVAL;
    }
    return ioprio_run(&w);
}

long sys_ioprio_get(struct task *t, const struct sysargs *a)
{
    struct ioprio_walk w = {.caller = t, .which = (int)a->a[0], .who = (int)a->a[1], .value = -1};

    int ret = ioprio_run(&w);
    return ret < 0 ? ret : w.value < 0 ? -ESRCH : w.value;
}
