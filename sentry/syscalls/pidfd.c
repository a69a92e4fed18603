/* pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2). */
#include "sentry/vfs/pidfd.h"

#include "sentry/fs/proc/access.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>

long sys_pidfd_open(struct task *t, const struct sysargs *a)
{
    const pid_t pid = (pid_t)a->a[0];
    const unsigned flags = (unsigned)a->a[1];
    struct file *f;

    if ((flags & ~(unsigned)O_NONBLOCK) || pid <= 0)
        return -EINVAL;
    struct task *target = task_find(pid);
    if (!target)
        return -ESRCH;
    int ret = target->tid == target->tg->tgid ? pidfd_new(target->tg, flags, &f) : -EINVAL;
    task_put(target);
    return ret < 0 ? ret : fd_add(t, f, true);
}

/* The process whose directory in /proc f is, referenced. -EBADF, -ESRCH. */
static int tg_of_directory(const struct file *f, struct thread_group **out)
{
    const pid_t pid = proc_dir_pid(f);
    struct task *leader = pid ? task_find(pid) : NULL;

    if (!leader)
        return pid ? -ESRCH : -EBADF;
    *out = leader->tg;
    tg_get(*out);
    task_put(leader);
    return 0;
}

/* The process that a descriptor names to pidfd_send_signal(2), referenced. -EBADF, -ESRCH. */
static int tg_to_signal(struct task *t, int fd, struct thread_group **out)
{
    struct file *f = fd_get(t, fd);
    int ret = 0;

    if (!f)
        return -EBADF;
    *out = pidfd_tg(f);
    if (*out)
        tg_get(*out);
    else
        ret = tg_of_directory(f, out);
    file_put(f);
    return ret;
}

/* The process behind a pidfd, referenced. -EBADF. */
static int tg_of_fd(struct task *t, int fd, struct thread_group **out)
{
    struct file *f = fd_get(t, fd);

    if (!f)
        return -EBADF;
    *out = pidfd_tg(f);
    if (*out)
        tg_get(*out);
    file_put(f);
    return *out ? 0 : -EBADF;
}

/* -EPERM: the sender claims what only the kernel or kill(2) may say. */
static int info_arg(struct task *t, uint64_t addr, int sig, bool to_self, siginfo_t *info)
{
    *info = (siginfo_t){.si_signo = sig, .si_code = SI_USER};
    if (!addr) {
        info->si_pid = t->tg->tgid;
        info->si_uid = t->cred->ruid;
        return 0;
    }
    if (user_read(t, info, addr, sizeof(*info)) < 0)
        return -EFAULT;
    if (info->si_signo != sig)
        return -EINVAL;
    return (info->si_code >= 0 || info->si_code == SI_TKILL) && !to_self ? -EPERM : 0;
}

static long send_locked(struct task *t, struct thread_group *tg, int sig, const siginfo_t *info)
{
    if (tg->reaped)
        return -ESRCH;
    if (!signal_may_send(t, tg, sig))
        return -EPERM;
    return sig ? signal_send_tg(tg, sig, info) : 0;
}

long sys_pidfd_send_signal(struct task *t, const struct sysargs *a)
{
    const int sig = (int)a->a[1];
    struct thread_group *tg;
    siginfo_t info;

    if ((unsigned)a->a[3])
        return -EINVAL;
    long ret = tg_to_signal(t, (int)a->a[0], &tg);
    if (ret < 0)
        return ret;
    ret = sig < 0 || sig > NSIG_MAX ? -EINVAL : info_arg(t, a->a[2], sig, tg == t->tg, &info);
    if (ret == 0) {
        lock(&tasks_lock);
        ret = send_locked(t, tg, sig, &info);
        unlock(&tasks_lock);
    }
    tg_put(tg);
    return ret;
}

/* The target's table, referenced, if t may look into the process. */
static int files_of(struct task *t, struct thread_group *tg, struct files **out)
{
    lock(&tasks_lock);
    struct task *leader = tg->reaped ? NULL : tg->leader;
    const pid_t tid = leader ? leader->tid : 0;
    *out = leader && leader->files ? files_get(leader->files) : NULL;
    unlock(&tasks_lock);
    if (!*out)
        return -ESRCH;
    int ret = proc_may_trace(t, tid);
    if (ret < 0) {
        files_put(*out, t);
        return ret == -EACCES ? -EPERM : ret;
    }
    return 0;
}

long sys_pidfd_getfd(struct task *t, const struct sysargs *a)
{
    struct thread_group *tg;
    struct files *files;

    if ((unsigned)a->a[2])
        return -EINVAL;
    int ret = tg_of_fd(t, (int)a->a[0], &tg);
    if (ret < 0)
        return ret;
    ret = files_of(t, tg, &files);
    tg_put(tg);
    if (ret < 0)
        return ret;
    struct file *f = files_get_file(files, (int)a->a[1]);
    files_put(files, t);
    return f ? fd_add(t, f, true) : -EBADF;
}
