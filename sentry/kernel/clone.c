/*
 * Making tasks: what fork(2), vfork(2), clone(2) and clone3(2) have in common.
 *
 * Order: check, build the child with everything it shares or copies, reserve its id, let the platform make the host
 * thread, then link it into the tables under tasks_lock and let it be `born`. Until then its first event waits, so that
 * nobody ever sees a running task that is not in the tables, nor one in the tables that has no host thread.
 */
#include "sentry/kernel/lifecycle.h"

#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/vfork.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/pidfd.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>

struct npr {
    uid_t uid;
    uint64_t n;
};

static bool count_user(struct thread_group *tg, void *data)
{
    struct npr *c = data;

    if (tg->leader && tg->leader->cred && tg->leader->cred->ruid == c->uid)
        c->n += (uint64_t)MAX(tg->live, 1);
    return true;
}

static bool over_nproc(struct task *t)
{
    uint64_t limit = tg_limit(t->tg, RLIMIT_NPROC);
    struct npr c = {.uid = t->cred->ruid};

    if (limit == RLIM64_INFINITY || c.uid == 0 || cred_capable(t->cred, CAP_SYS_RESOURCE) ||
        cred_capable(t->cred, CAP_SYS_ADMIN))
        return false;
    lock(&tasks_lock);
    tg_for_each_locked(count_user, &c);
    unlock(&tasks_lock);
    return c.n >= limit;
}

static void child_put_shared(struct task *c)
{
    if (c->mm)
        mm_put(c->mm);
    if (c->files)
        files_put(c->files, c);
    if (c->fs)
        fs_context_put(c->fs);
    c->mm = NULL;
    c->files = NULL;
    c->fs = NULL;
}

static int child_share(struct task *c, struct task *t, uint64_t flags)
{
    if (flags & CLONE_VM)
        mm_get(t->mm), c->mm = t->mm;
    else
        c->mm = mm_fork(t->mm);
    c->files = flags & CLONE_FILES ? files_get(t->files) : files_clone(t->files);
    c->fs = flags & CLONE_FS ? fs_context_get(t->fs) : fs_context_clone(t->fs);
    return c->mm && c->files && c->fs ? 0 : -ENOMEM;
}

static void clear_handlers(struct sighand *sh)
{
    for (int i = 0; i < NSIG_MAX; i++)
        if (sh->action[i].handler != (uint64_t)(uintptr_t)SIG_IGN)
            sh->action[i] = (struct ksigaction){0};
}

static int group_share_handlers(struct thread_group *tg, struct thread_group *from, uint64_t flags)
{
    lock(&from->siglock);
    if (flags & CLONE_SIGHAND) {
        ref_get(&from->sighand->refs);
        tg->sighand = from->sighand;
    } else {
        tg->sighand = sighand_make(from->sighand);
    }
    memcpy(tg->rlimits, from->rlimits, sizeof(tg->rlimits));
    unlock(&from->siglock);
    if (tg->sighand && (flags & CLONE_CLEAR_SIGHAND))
        clear_handlers(tg->sighand);
    return tg->sighand ? 0 : -ENOMEM;
}

static struct thread_group *group_for_child(struct task *t, uint64_t flags, int exit_signal)
{
    struct thread_group *tg;

    if (flags & CLONE_THREAD) {
        tg_get(t->tg);
        return t->tg;
    }
    tg = tg_alloc();
    if (!tg)
        return NULL;
    if (group_share_handlers(tg, t->tg, flags) < 0) {
        tg_put(tg);
        return NULL;
    }
    tg->exit_signal = flags & CLONE_PARENT ? t->tg->exit_signal : exit_signal;
    tg->dumpable = t->tg->dumpable;
    atomic_store(&tg->oom_adj, atomic_load(&t->tg->oom_adj));
    atomic_store(&tg->oom_least, atomic_load(&t->tg->oom_least));
    return tg;
}

static void child_inherit(struct task *c, struct task *t, const struct clone_request *req)
{
    memcpy(c->comm, t->comm, sizeof(c->comm));
    c->cred = cred_get(t->cred);
    signal_inherit_mask(c, t);
    c->no_new_privs = t->no_new_privs;
    c->timer_slack = t->timer_slack;
    c->personality = t->personality;
    c->affinity = t->affinity;
    c->ioprio = t->ioprio;
    if (!t->reset_on_fork) {
        c->policy = t->policy;
        c->rt_priority = t->rt_priority;
        c->nice = t->nice;
    }
    /* sigaltstack(2): a child with its own memory, or in vfork, keeps the alternate stack. */
    if (!(req->flags & CLONE_VM) || (req->flags & CLONE_VFORK))
        c->altstack = t->altstack;
    if (req->flags & CLONE_CHILD_CLEARTID)
        c->clear_child_tid = req->child_tid;
    if ((req->flags & CLONE_CHILD_SETTID) && !(req->flags & CLONE_VM))
        c->set_child_tid = req->child_tid;
}

static struct task *child_build(struct task *t, const struct clone_request *req)
{
    struct task *c = task_alloc();

    if (!c)
        return NULL;
    c->tg = group_for_child(t, req->flags, req->exit_signal);
    if (!c->tg || child_share(c, t, req->flags) < 0) {
        child_put_shared(c);
        task_put(c);
        return NULL;
    }
    child_inherit(c, t, req);
    return c;
}

static int child_host_thread(struct task *c, struct task *t, const struct clone_request *req)
{
    enum plat_clone_kind kind = req->flags & CLONE_THREAD ? PLAT_CLONE_THREAD
                                : req->flags & CLONE_VM   ? PLAT_CLONE_VM
                                                          : PLAT_CLONE_FORK;
    struct plat_thread *pt;
    struct regs regs;
    int ret;

    if (!plat_child_prepared(t->pt)) {
        ret = plat_get_regs(t->pt, &regs);
        if (ret < 0)
            return ret;
        *regs_result(&regs) = 0;
        if (req->stack)
            *regs_sp(&regs) = req->stack;
    }
    const uint64_t clear_tid = kind != PLAT_CLONE_FORK && plat_layout()->native_futex ? c->clear_child_tid : 0;
    ret = plat_clone(t->pt, kind, &regs, req->flags & CLONE_SETTLS ? &req->tls : NULL, clear_tid, c, c->tg, &pt);
    if (ret < 0)
        return ret;
    c->host_clears_tid = clear_tid != 0;
    c->pt = pt;
    return 0;
}

static void link_group_locked(struct task *c, struct task *t, uint64_t flags)
{
    struct thread_group *tg = c->tg, *parent = flags & CLONE_PARENT ? t->tg->parent : t->tg;

    tg->tgid = c->tid;
    tg->leader = c;
    task_get(c);
    tg_get(tg); /* the tree's, dropped by reaping */
    tg->parent = parent;
    list_push_back(&parent->children, &tg->sibling);
    pgrp_join_locked(tg, t->tg->pgrp);
}

static void child_link(struct task *c, struct task *t, uint64_t flags)
{
    struct thread_group *tg = c->tg;

    lock(&tasks_lock);
    if (!(flags & CLONE_THREAD))
        link_group_locked(c, t, flags);
    pid_attach_locked(c->tid, PID_TASK, c);
    task_get(c);
    tg->live++;
    lock(&tg->siglock);
    list_push_back(&tg->tasks, &c->tg_node);
    /* A thread that is made while its group is being ended must not get away. */
    if (tg->group_exiting || (tg->exec_task && tg->exec_task != t)) {
        c->killed = true;
        atomic_store(&c->signal_wake, true);
    }
    signal_thread_start_locked(c);
    unlock(&tg->siglock);
    unlock(&tasks_lock);
}

static long vfork_wait(struct task *t, struct vfork_done *done, long pid)
{
    while (!atomic_load(&done->done))
        if (task_sleep_killable(t, NO_DEADLINE) < 0)
            break;
    lock(&tasks_lock);
    done->waiter = NULL;
    unlock(&tasks_lock);
    vfork_done_put(done);
    return pid;
}

static int child_give_id(struct task *c, pid_t want)
{
    int pid;

    lock(&tasks_lock);
    pid = pid_alloc_locked(want);
    unlock(&tasks_lock);
    c->tid = pid;
    return pid;
}

static int child_start(struct task *c, struct task *t, const struct clone_request *req)
{
    int ret = child_give_id(c, req->set_tid);

    if (ret < 0)
        return ret;
    ret = child_host_thread(c, t, req);
    if (ret < 0) {
        lock(&tasks_lock);
        pid_release_locked(c->tid);
        unlock(&tasks_lock);
    }
    return ret;
}

/* CLONE_PIDFD: a descriptor for the child in the making; its number is told before there is any child to undo. */
static int reserve_pidfd(struct task *t, struct task *c, const struct clone_request *req, struct file **out)
{
    int fd = fd_reserve(t, 0);

    if (fd < 0)
        return fd;
    int ret = pidfd_new(c->tg, 0, out);
    if (ret == 0 && user_write(t, req->pidfd, &fd, sizeof(fd)) < 0) {
        file_put(*out);
        ret = -EFAULT;
    }
    if (ret < 0)
        fd_unreserve(t, fd);
    return ret < 0 ? ret : fd;
}

/* child_start(), with the descriptor that CLONE_PIDFD asks for. */
static int child_start_with_pidfd(struct task *c, struct task *t, const struct clone_request *req)
{
    struct file *f;

    if (!(req->flags & CLONE_PIDFD))
        return child_start(c, t, req);
    int fd = reserve_pidfd(t, c, req, &f);
    if (fd < 0)
        return fd;
    int ret = child_start(c, t, req);
    if (ret < 0) {
        fd_unreserve(t, fd);
        file_put(f);
    } else {
        fd_install(t, fd, f, true);
    }
    return ret;
}

/*
 * Stores the id where the flags say; a child with memory of its own has to do its part itself. As on Linux, a bad
 * address does not undo the child.
 */
static void tell_id(struct task *t, const struct clone_request *req, pid_t pid)
{
    int ret = 0;

    if (req->flags & CLONE_PARENT_SETTID)
        ret = user_write(t, req->parent_tid, &pid, sizeof(pid));
    if ((req->flags & CLONE_CHILD_SETTID) && (req->flags & CLONE_VM))
        ret = user_write(t, req->child_tid, &pid, sizeof(pid));
    (void)ret;
}

long task_clone(struct task *t, const struct clone_request *req)
{
    struct vfork_done *done = NULL;
    struct task *c;
    pid_t pid;
    int ret;

    if (atomic_load(&t->signal_wake) && signal_pending(t))
        return -ERESTARTNOINTR;
    if (over_nproc(t))
        return -EAGAIN;
    if ((req->flags & CLONE_VFORK) && !(done = vfork_done_new(t)))
        return -ENOMEM;
    c = child_build(t, req);
    ret = c ? child_start_with_pidfd(c, t, req) : -ENOMEM;
    if (ret < 0) {
        if (c) {
            child_put_shared(c);
            task_put(c);
        }
        if (done)
            vfork_done_put(done), vfork_done_put(done);
        return ret;
    }
    pid = c->tid;
    c->vfork_done = done;
    c->vfork_child = done != NULL;
    child_link(c, t, req->flags);
    if (!(req->flags & CLONE_THREAD) && tg_limit(c->tg, RLIMIT_CPU) != RLIM64_INFINITY)
        cpu_limit_changed(c->tg); /* inherited; the child, not yet born, cannot have ended */
    tell_id(t, req, pid);
    atomic_store(&c->in_guest, true);
    /* A thread may run without an event before; what was sent to it until now found nobody to kick. */
    if (atomic_load(&c->signal_wake))
        plat_kick(c->pt);
    atomic_store(&c->born, true);
    task_wake(c);
    return done ? vfork_wait(t, done, pid) : pid;
}
