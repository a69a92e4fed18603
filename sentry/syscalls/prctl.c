/*
 * prctl(2) and arch_prctl(2). Options that would change how the host treats the stub are refused; what concerns only
 * the guest's view of itself is kept in the task.
 */
#include "include/platform.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/lifecycle.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <string.h>

#define DEFAULT_SLACK 50000
#define TIMING_STATISTICAL 0

static long put_int(struct task *t, uint64_t addr, int v)
{
    return user_write(t, addr, &v, sizeof(v));
}

static long set_name(struct task *t, uint64_t addr)
{
    char name[TASK_COMM_LEN] = {0};
    ssize_t n = user_string(t, name, addr, sizeof(name));

    if (n == -EFAULT)
        return -EFAULT;
    name[TASK_COMM_LEN - 1] = '\0';
    if (n == -ENAMETOOLONG && user_read(t, name, addr, TASK_COMM_LEN - 1) < 0)
        return -EFAULT;
    lock(&tasks_lock);
    memcpy(t->comm, name, sizeof(name));
    unlock(&tasks_lock);
    return 0;
}

static long bounding_drop(struct task *t, uint64_t cap)
{
    struct cred *c;

    if (!cred_capable(t->cred, CAP_SETPCAP))
        return -EPERM;
    if (cap > CAP_LAST_CAP)
        return -EINVAL;
    c = cred_clone(t->cred);
    if (!c)
        return -ENOMEM;
    c->cap_bounding &= ~(1ULL << cap);
    cred_install(t, c);
    return 0;
}

static long ambient(struct task *t, const struct sysargs *a)
{
    uint64_t op = a->a[1], bit = 1ULL << (a->a[2] & 63);
    const struct cred *old = t->cred;
    struct cred *c;

    if (a->a[3] || a->a[4] || (op == PR_CAP_AMBIENT_CLEAR_ALL ? a->a[2] != 0 : a->a[2] > CAP_LAST_CAP))
        return -EINVAL;
    if (op == PR_CAP_AMBIENT_IS_SET)
        return (old->cap_ambient & bit) != 0;
    if (op != PR_CAP_AMBIENT_RAISE && op != PR_CAP_AMBIENT_LOWER && op != PR_CAP_AMBIENT_CLEAR_ALL)
        return -EINVAL;
    if (op == PR_CAP_AMBIENT_RAISE &&
        (!(old->cap_permitted & old->cap_inheritable & bit) || (old->securebits & (1U << SECURE_NO_CAP_AMBIENT_RAISE))))
        return -EPERM;
    c = cred_clone(old);
    if (!c)
        return -ENOMEM;
    if (op == PR_CAP_AMBIENT_RAISE)
        c->cap_ambient |= bit;
    else
        c->cap_ambient &= op == PR_CAP_AMBIENT_LOWER ? ~bit : 0;
    cred_install(t, c);
    return 0;
}

static long set_securebits(struct task *t, unsigned bits)
{
    unsigned old = t->cred->securebits, locked = (old & SECURE_ALL_LOCKS) >> 1;
    struct cred *c;

    if (((old ^ bits) & locked) || (old & SECURE_ALL_LOCKS & ~bits) || (bits & ~(SECURE_ALL_LOCKS | SECURE_ALL_BITS)) ||
        !cred_capable(t->cred, CAP_SETPCAP))
        return -EPERM;
    c = cred_clone(t->cred);
    if (!c)
        return -ENOMEM;
    c->securebits = bits;
    cred_install(t, c);
    return 0;
}

static long set_keepcaps(struct task *t, uint64_t on)
{
    struct cred *c;

    if (on > 1)
        return -EINVAL;
    if (t->cred->securebits & (1U << SECURE_KEEP_CAPS_LOCKED))
        return -EPERM;
    c = cred_clone(t->cred);
    if (!c)
        return -ENOMEM;
    c->securebits &= ~(1U << SECURE_KEEP_CAPS);
    if (on)
        c->securebits |= 1U << SECURE_KEEP_CAPS;
    cred_install(t, c);
    return 0;
}

static long prctl_caps(struct task *t, const struct sysargs *a)
{
    switch ((int)a->a[0]) {
    case PR_CAPBSET_READ:
        return a->a[1] > CAP_LAST_CAP ? -EINVAL : (long)(t->cred->cap_bounding >> a->a[1] & 1);
    case PR_CAPBSET_DROP:
        return bounding_drop(t, a->a[1]);
    case PR_CAP_AMBIENT:
        return ambient(t, a);
    case PR_GET_SECUREBITS:
        return t->cred->securebits;
    case PR_SET_SECUREBITS:
        return set_securebits(t, (unsigned)a->a[1]);
    case PR_GET_KEEPCAPS:
        return (t->cred->securebits >> SECURE_KEEP_CAPS) & 1;
    case PR_SET_KEEPCAPS:
        return set_keepcaps(t, a->a[1]);
    default:
        return -EINVAL;
    }
}

static long set_flag(bool *flag, uint64_t v)
{
    lock(&tasks_lock);
    *flag = v != 0;
    unlock(&tasks_lock);
    return 0;
}

static long set_dumpable(struct task *t, uint64_t v)
{
    if (v > 1)
        return -EINVAL;
    t->tg->dumpable = (int)v;
    return 0;
}

static long no_new_privs(struct task *t, const struct sysargs *a, bool set)
{
    if ((set && a->a[1] != 1) || (!set && a->a[1]) || a->a[2] || a->a[3] || a->a[4])
        return -EINVAL;
    if (!set)
        return t->no_new_privs;
    t->no_new_privs = true;
    return 0;
}

static long set_pdeath(struct task *t, uint64_t sig)
{
    if (sig > NSIG_MAX)
        return -EINVAL;
    t->pdeath_signal = (int)sig;
    return 0;
}

static long timer_slack(struct task *t, uint64_t ns)
{
    t->timer_slack = (int64_t)ns <= 0 ? 0 : ns;
    return 0;
}

long sys_prctl(struct task *t, const struct sysargs *a)
{
    switch ((int)a->a[0]) {
    case PR_SET_NAME:
        return set_name(t, a->a[1]);
    case PR_GET_NAME:
        return user_write(t, a->a[1], t->comm, sizeof(t->comm));
    case PR_SET_PDEATHSIG:
        return set_pdeath(t, a->a[1]);
    case PR_GET_PDEATHSIG:
        return put_int(t, a->a[1], t->pdeath_signal);
    case PR_SET_DUMPABLE:
        return set_dumpable(t, a->a[1]);
    case PR_GET_DUMPABLE:
        return t->tg->dumpable;
    case PR_SET_CHILD_SUBREAPER:
        return set_flag(&t->tg->child_subreaper, a->a[1]);
    case PR_GET_CHILD_SUBREAPER:
        return put_int(t, a->a[1], t->tg->child_subreaper);
    case PR_SET_NO_NEW_PRIVS:
        return no_new_privs(t, a, true);
    case PR_GET_NO_NEW_PRIVS:
        return no_new_privs(t, a, false);
    case PR_SET_TIMERSLACK:
        return timer_slack(t, a->a[1]);
    case PR_GET_TIMERSLACK:
        return (long)(t->timer_slack ? t->timer_slack : DEFAULT_SLACK);
    case PR_GET_SECCOMP:
        return 0;
    case PR_GET_TIMING:
        return TIMING_STATISTICAL;
    case PR_SET_TIMING:
        return a->a[1] == TIMING_STATISTICAL ? 0 : -EINVAL;
#if defined(__x86_64__)
    case PR_GET_TSC:
        return user_write(t, a->a[1], &(int){PR_TSC_ENABLE}, sizeof(int));
    case PR_SET_TSC:
        return a->a[1] == PR_TSC_ENABLE ? 0 : -EINVAL; /* the time stamp counter is the host's */
#endif
    case PR_GET_THP_DISABLE:
        return a->a[1] || a->a[2] || a->a[3] || a->a[4] ? -EINVAL : 0;
    case PR_GET_TID_ADDRESS:
        return user_write(t, a->a[1], &t->clear_child_tid, sizeof(t->clear_child_tid));
    case PR_SET_MM:
        return cred_capable(t->cred, CAP_SYS_RESOURCE) ? -EINVAL : -EPERM;
    default:
        return prctl_caps(t, a);
    }
}

#if defined(__x86_64__)
#include <asm/prctl.h>

static bool in_stub(struct task *t, uint64_t addr)
{
    uint64_t start, end;

    plat_stub_range(t->pt, &start, &end);
    return addr + sizeof(uint64_t) > start && addr < end;
}

/* The host keeps the segment bases; its checks of the address are Linux's. */
long sys_arch_prctl(struct task *t, const struct sysargs *a)
{
    switch ((int)a->a[0]) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
        return a->a[1] >= plat_layout()->task_size ? -EPERM : SYS_CONTINUE;
    case ARCH_GET_FS:
    case ARCH_GET_GS:
        return in_stub(t, a->a[1]) ? -EFAULT : SYS_CONTINUE;
    default:
        return -EINVAL;
    }
}
#endif
