/*
 * fork, vfork, clone and clone3: decoding and checking; kernel/clone.c makes the task. Namespaces are not served:
 * their flags are EPERM without CAP_SYS_ADMIN and EINVAL with it, as on a kernel built without them.
 */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/lifecycle.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>

#define NAMESPACE_FLAGS                                                                                                \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define CLONE3_FLAGS (0xffffffffULL | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP)

static long check_flags(struct task *t, uint64_t flags)
{
    if ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM))
        return -EINVAL;
    if ((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND))
        return -EINVAL;
    if ((flags & CLONE_FS) && (flags & (CLONE_NEWNS | CLONE_NEWUSER)))
        return -EINVAL;
    if ((flags & CLONE_SIGHAND) && (flags & CLONE_CLEAR_SIGHAND))
        return -EINVAL;
    if ((flags & CLONE_PARENT) && t->tg->tgid == 1)
        return -EINVAL;
    if (flags & (NAMESPACE_FLAGS | CLONE_NEWTIME) & ~0xffULL)
        return cred_capable(t->cred, CAP_SYS_ADMIN) ? -EINVAL : -EPERM;
    if (flags & CLONE_INTO_CGROUP)
        return -EINVAL;
    if ((flags & CLONE_PIDFD) && (flags & (CLONE_THREAD | CLONE_DETACHED)))
        return -EINVAL;
    return 0;
}

static long clone_checked(struct task *t, const struct clone_request *req)
{
    long ret = check_flags(t, req->flags);

    return ret < 0 ? ret : task_clone(t, req);
}

long sys_fork(struct task *t, const struct sysargs *a unused_arg)
{
    return clone_checked(t, &(struct clone_request){.exit_signal = SIGCHLD});
}

long sys_vfork(struct task *t, const struct sysargs *a unused_arg)
{
    return clone_checked(t, &(struct clone_request){.flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD});
}

long sys_clone(struct task *t, const struct sysargs *a)
{
    struct clone_request req = {
        .flags = (uint32_t)a->a[0] & ~(uint64_t)CSIGNAL,
        .exit_signal = (int)(a->a[0] & CSIGNAL),
        .stack = a->a[1],
        .parent_tid = a->a[2],
#if defined(__x86_64__)
        .child_tid = a->a[3],
        .tls = a->a[4],
#else
        .tls = a->a[3],
        .child_tid = a->a[4],
#endif
    };

    if (req.exit_signal > NSIG_MAX)
        return -EINVAL;
    if (!(req.flags & CLONE_PIDFD))
        req.flags &= ~(uint64_t)CLONE_DETACHED; /* ignored since 2.6 */
    else if (req.flags & CLONE_PARENT_SETTID)
        return -EINVAL; /* both would go to the same place */
    req.pidfd = req.parent_tid;
    return clone_checked(t, &req);
}

/* copy_struct_from_user: what is beyond the struct we know must be zero. */
static int read_clone_args(struct task *t, struct clone_args *out, uint64_t addr, uint64_t size)
{
    unsigned char tail[512];

    *out = (struct clone_args){0};
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (size < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    if (user_read(t, out, addr, MIN(size, sizeof(*out))) < 0)
        return -EFAULT;
    for (uint64_t at = sizeof(*out); at < size; at += sizeof(tail)) {
        size_t n = MIN(size - at, sizeof(tail));

        if (user_read(t, tail, addr + at, n) < 0)
            return -EFAULT;
        for (size_t i = 0; i < n; i++)
            if (tail[i])
                return -E2BIG;
    }
    return 0;
}

static int decode_set_tid(struct task *t, const struct clone_args *args, pid_t *out)
{
    pid_t want;

    if (args->set_tid_size > 32 || (!args->set_tid) != (!args->set_tid_size))
        return -EINVAL;
    if (!args->set_tid_size)
        return 0;
    if (args->set_tid_size > 1)
        return -EINVAL; /* deeper than our one PID namespace */
    if (user_read(t, &want, args->set_tid, sizeof(want)) < 0)
        return -EFAULT;
    if (want < 1 || want >= PID_LIMIT)
        return -EINVAL;
    if (!cred_capable(t->cred, CAP_SYS_ADMIN) && !cred_capable(t->cred, CAP_CHECKPOINT_RESTORE))
        return -EPERM;
    *out = want;
    return 0;
}

static long check_clone3(const struct clone_args *args)
{
    if (args->flags & ~CLONE3_FLAGS)
        return -EINVAL;
    if (args->flags & (CLONE_DETACHED | (CSIGNAL & ~CLONE_NEWTIME)))
        return -EINVAL;
    if (args->exit_signal > NSIG_MAX)
        return -EINVAL;
    if ((args->flags & (CLONE_THREAD | CLONE_PARENT)) && args->exit_signal)
        return -EINVAL;
    if (!args->stack != !args->stack_size)
        return -EINVAL;
    if (args->stack + args->stack_size < args->stack)
        return -EINVAL;
    return 0;
}

long sys_clone3(struct task *t, const struct sysargs *a)
{
    struct clone_args args;
    struct clone_request req;
    long ret = read_clone_args(t, &args, a->a[0], a->a[1]);

    if (!ret)
        ret = check_clone3(&args);
    if (ret < 0)
        return ret;
    req = (struct clone_request){
        .flags = args.flags,
        .exit_signal = (int)args.exit_signal,
        .stack = args.stack + args.stack_size,
        .tls = args.tls,
        .parent_tid = args.parent_tid,
        .pidfd = args.pidfd,
        .child_tid = args.child_tid,
    };
    ret = decode_set_tid(t, &args, &req.set_tid);
    return ret < 0 ? ret : clone_checked(t, &req);
}
