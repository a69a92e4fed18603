/* getrlimit(2), setrlimit(2), prlimit(2), getrusage(2), times(2). Limits are the thread group's, under its siglock. */
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/lifecycle.h"
#include "sentry/mm/limits.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/times.h>
#include <time.h>

#define NR_OPEN 1048576
#define NS_PER_TICK 10000000ULL

static int set_limit(struct task *t, struct thread_group *tg, unsigned which, const struct rlimit64 *new_limit)
{
    struct rlimit64 *r = &tg->rlimits[which];

    if (new_limit->rlim_cur > new_limit->rlim_max)
        return -EINVAL;
    if (which == RLIMIT_NOFILE && new_limit->rlim_max > NR_OPEN)
        return -EPERM;
    if (new_limit->rlim_max > r->rlim_max && !cred_capable(t->cred, CAP_SYS_RESOURCE))
        return -EPERM;
    __atomic_store_n(&r->rlim_cur, new_limit->rlim_cur, __ATOMIC_RELAXED); /* for tg_limit() */
    r->rlim_max = new_limit->rlim_max;
    return 0;
}

/* What a new limit means for a process that runs. */
static void apply(struct task *t, struct thread_group *tg, unsigned which)
{
    struct rlimit64 limits[RLIM_NLIMITS];
    struct plat_thread *pt = NULL;

    if (which == RLIMIT_CPU)
        cpu_limit_changed(tg);
    if (which != RLIMIT_AS && which != RLIMIT_DATA && which != RLIMIT_MEMLOCK && which != RLIMIT_STACK)
        return;
    lock(&tg->siglock);
    memcpy(limits, tg->rlimits, sizeof(limits));
    if (tg->leader && tg->leader->pt) {
        pt = tg->leader->pt;
        plat_thread_get(pt);
    }
    unlock(&tg->siglock);
    if (tg == t->tg && which == RLIMIT_STACK)
        limits_apply_stack(t, limits[RLIMIT_STACK].rlim_cur);
    else if (pt && which != RLIMIT_STACK)
        limits_apply(pt, limits, tg == t->tg ? t->mm : NULL);
    if (pt)
        plat_thread_put(pt);
}

static int do_prlimit(struct task *t, struct thread_group *tg, unsigned which, const struct rlimit64 *new_limit,
                      struct rlimit64 *old)
{
    int ret = 0;

    if (which >= RLIM_NLIMITS)
        return -EINVAL;
    lock(&tg->siglock);
    if (old)
        *old = tg->rlimits[which];
    if (new_limit)
        ret = set_limit(t, tg, which, new_limit);
    unlock(&tg->siglock);
    if (new_limit && ret == 0)
        apply(t, tg, which);
    return ret;
}

long sys_getrlimit(struct task *t, const struct sysargs *a)
{
    struct rlimit64 old;
    int ret = do_prlimit(t, t->tg, (unsigned)a->a[0], NULL, &old);

    return ret < 0 ? ret : user_write(t, a->a[1], &old, sizeof(old));
}

long sys_setrlimit(struct task *t, const struct sysargs *a)
{
    struct rlimit64 r;

    if (user_read(t, &r, a->a[1], sizeof(r)) < 0)
        return -EFAULT;
    return do_prlimit(t, t->tg, (unsigned)a->a[0], &r, NULL);
}

/* prlimit(2)'s rule for another's limits: all ids alike, or CAP_SYS_RESOURCE. tasks_lock held. */
static bool may_prlimit(const struct cred *c, const struct cred *o)
{
    if (cred_capable(c, CAP_SYS_RESOURCE))
        return true;
    return c->ruid == o->ruid && c->ruid == o->euid && c->ruid == o->suid && c->rgid == o->rgid && c->rgid == o->egid &&
           c->rgid == o->sgid;
}

static int prlimit_target(struct task *t, pid_t pid, struct thread_group **out)
{
    struct task *other;
    int ret = 0;

    lock(&tasks_lock);
    other = pid ? task_find_locked(pid) : NULL;
    if (pid && !other)
        ret = -ESRCH;
    else if (other && other->tg != t->tg && !may_prlimit(t->cred, other->cred))
        ret = -EPERM;
    if (!ret) {
        *out = other ? other->tg : t->tg;
        tg_get(*out);
    }
    if (other)
        task_put(other);
    unlock(&tasks_lock);
    return ret;
}

long sys_prlimit64(struct task *t, const struct sysargs *a)
{
    struct rlimit64 new_limit, old;
    struct thread_group *tg;
    int ret;

    if (a->a[2] && user_read(t, &new_limit, a->a[2], sizeof(new_limit)) < 0)
        return -EFAULT;
    ret = prlimit_target(t, (pid_t)a->a[0], &tg);
    if (ret < 0)
        return ret;
    ret = do_prlimit(t, tg, (unsigned)a->a[1], a->a[2] ? &new_limit : NULL, &old);
    tg_put(tg);
    if (!ret && a->a[3])
        ret = user_write(t, a->a[3], &old, sizeof(old));
    return ret;
}

static void children_usage(struct task *t, struct usage *out)
{
    lock(&tasks_lock);
    *out = t->tg->children_dead;
    unlock(&tasks_lock);
}

long sys_getrusage(struct task *t, const struct sysargs *a)
{
    struct usage u;
    struct rusage ru;

    switch ((int)a->a[0]) {
    case RUSAGE_SELF:
        tg_usage(t->tg, &u);
        break;
    case RUSAGE_CHILDREN:
        children_usage(t, &u);
        break;
    case RUSAGE_THREAD:
        task_usage(t, &u);
        break;
    default:
        return -EINVAL;
    }
    usage_to_rusage(&u, &ru);
    return user_write(t, a->a[1], &ru, sizeof(ru));
}

long sys_times(struct task *t, const struct sysargs *a)
{
    struct usage self, children;
    struct tms tms;
    struct timespec ts;

    if (a->a[0]) {
        tg_usage(t->tg, &self);
        children_usage(t, &children);
        tms = (struct tms){
            .tms_utime = (clock_t)(self.utime_ns / NS_PER_TICK),
            .tms_stime = (clock_t)(self.stime_ns / NS_PER_TICK),
            .tms_cutime = (clock_t)(children.utime_ns / NS_PER_TICK),
            .tms_cstime = (clock_t)(children.stime_ns / NS_PER_TICK),
        };
        if (user_write(t, a->a[0], &tms, sizeof(tms)) < 0)
            return -EFAULT;
    }
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return ts.tv_sec * 100 + ts.tv_nsec / (long)NS_PER_TICK;
}
