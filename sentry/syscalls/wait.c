/*
 * wait4(2) and waitid(2). One scan over the caller's children under tasks_lock finds a child to report; if there are
 * candidates but none has changed, the caller sleeps on its group's child_wait.
 *
 * Children belong to the group: __WNOTHREAD (only children of the calling thread) does not narrow the choice.
 */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/lifecycle.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/pidfd.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

enum { IDTYPE_ALL, IDTYPE_PID, IDTYPE_PGID, IDTYPE_PIDFD };

struct wait_request {
    int type;
    pid_t id;
    int options;
    struct thread_group *tg; /* P_PIDFD: this one, referenced */
    bool nonblock;           /* P_PIDFD: the descriptor has O_NONBLOCK */
};

struct wait_result {
    pid_t pid;
    uid_t uid;
    int status; /* wait status */
    int code;   /* CLD_* */
    struct usage usage;
};

static bool selected(const struct thread_group *c, const struct wait_request *w)
{
    if (w->type == IDTYPE_PIDFD && c != w->tg)
        return false;
    if (w->type == IDTYPE_PID && c->tgid != w->id)
        return false;
    if (w->type == IDTYPE_PGID && (!c->pgrp || c->pgrp->pgid != w->id))
        return false;
    if (w->options & __WALL)
        return true;
    return (c->exit_signal != SIGCHLD) == ((w->options & __WCLONE) != 0);
}

static int exit_code_of(int status)
{
    if (WIFEXITED(status))
        return CLD_EXITED;
    return WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED;
}

static void fill(struct thread_group *c, struct wait_result *r, int status, int code)
{
    r->pid = c->tgid;
    r->uid = c->leader->cred->ruid;
    r->status = status;
    r->code = code;
    r->usage = c->self_dead;
    usage_add(&r->usage, &c->children_dead);
}

/* If c has something to report that w asks for, takes it (unless WNOWAIT) and returns true. */
static bool take_report(struct thread_group *c, const struct wait_request *w, struct wait_result *r)
{
    bool keep = w->options & WNOWAIT;

    if (c->zombie && (w->options & WEXITED)) {
        fill(c, r, c->exit_status, exit_code_of(c->exit_status));
        if (!keep)
            tg_reap_locked(c);
        return true;
    }
    if (c->ended)
        return false;
    if (c->stopped && !c->stop_reported && (w->options & WSTOPPED)) {
        fill(c, r, c->stop_signal << 8 | 0x7f, CLD_STOPPED);
        if (!keep)
            c->stop_reported = true;
        return true;
    }
    if (c->continued && (w->options & WCONTINUED)) {
        fill(c, r, 0xffff, CLD_CONTINUED);
        if (!keep)
            c->continued = false;
        return true;
    }
    return false;
}

/* 1: reported in r; 0: there are candidates; -ECHILD: none. */
static int scan(struct task *t, const struct wait_request *w, struct wait_result *r)
{
    struct thread_group *c;
    int ret = -ECHILD;

    lock(&tasks_lock);
    list_for_each (c, &t->tg->children, sibling) {
        if (!selected(c, w))
            continue;
        ret = 0;
        if (take_report(c, w, r)) {
            ret = 1;
            break;
        }
    }
    unlock(&tasks_lock);
    return ret;
}

/* As scan(), but sleeps while there are only candidates, unless WNOHANG. */
static int do_wait(struct task *t, const struct wait_request *w, struct wait_result *r)
{
    struct waiter waiter;
    int ret = scan(t, w, r);

    if (ret || (w->options & WNOHANG))
        return ret;
    waiter_init_task(&waiter, t);
    waitq_add(&t->tg->child_wait, &waiter);
    for (;;) {
        ret = scan(t, w, r);
        if (ret)
            break;
        ret = task_sleep(t, NO_DEADLINE);
        if (ret < 0)
            break;
    }
    waitq_remove(&waiter);
    return ret;
}

static long put_rusage(struct task *t, uint64_t addr, const struct wait_result *r)
{
    struct rusage ru;

    if (!addr)
        return 0;
    usage_to_rusage(&r->usage, &ru);
    return user_write(t, addr, &ru, sizeof(ru));
}

long sys_wait4(struct task *t, const struct sysargs *a)
{
    pid_t pid = (pid_t)a->a[0];
    struct wait_request w = {.type = IDTYPE_ALL, .options = (int)a->a[2]};
    struct wait_result r;
    int ret;

    if (w.options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    w.options |= WEXITED;
    if (pid > 0) {
        w.type = IDTYPE_PID;
        w.id = pid;
    } else if (pid != -1) {
        w.type = IDTYPE_PGID;
        lock(&tasks_lock);
        w.id = pid ? -pid : t->tg->pgrp->pgid;
        unlock(&tasks_lock);
    }
    ret = do_wait(t, &w, &r);
    if (ret <= 0)
        return ret;
    if (a->a[1] && user_write(t, a->a[1], &r.status, sizeof(r.status)) < 0)
        return -EFAULT;
    return put_rusage(t, a->a[3], &r) < 0 ? -EFAULT : r.pid;
}

static int child_status(const struct wait_result *r)
{
    switch (r->code) {
    case CLD_EXITED:
        return WEXITSTATUS(r->status);
    case CLD_STOPPED:
        return WSTOPSIG(r->status);
    case CLD_CONTINUED:
        return SIGCONT;
    default:
        return WTERMSIG(r->status);
    }
}

static int decode_pidfd(struct task *t, struct wait_request *w)
{
    struct file *f = w->id < 0 ? NULL : fd_get(t, w->id);

    if (!f)
        return w->id < 0 ? -EINVAL : -EBADF;
    w->tg = pidfd_tg(f);
    w->nonblock = f->flags & O_NONBLOCK;
    if (w->tg)
        tg_get(w->tg);
    file_put(f);
    return w->tg ? 0 : -EBADF;
}

static int decode_waitid(struct task *t, const struct sysargs *a, struct wait_request *w)
{
    *w = (struct wait_request){.type = (int)a->a[0], .id = (pid_t)a->a[1], .options = (int)a->a[3]};
    if (w->options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
        return -EINVAL;
    if (!(w->options & (WEXITED | WSTOPPED | WCONTINUED)))
        return -EINVAL;
    switch (w->type) {
    case IDTYPE_ALL:
        return 0;
    case IDTYPE_PID:
        return w->id > 0 ? 0 : -EINVAL;
    case IDTYPE_PGID:
        if (w->id < 0)
            return -EINVAL;
        if (!w->id) {
            lock(&tasks_lock);
            w->id = t->tg->pgrp->pgid;
            unlock(&tasks_lock);
        }
        return 0;
    case IDTYPE_PIDFD:
        return decode_pidfd(t, w);
    default:
        return -EINVAL;
    }
}

long sys_waitid(struct task *t, const struct sysargs *a)
{
    struct wait_request w;
    struct wait_result r;
    siginfo_t info;
    int ret = decode_waitid(t, a, &w);

    if (ret < 0)
        return ret;
    const bool again = w.nonblock && !(w.options & WNOHANG);
    if (again)
        w.options |= WNOHANG;
    ret = do_wait(t, &w, &r);
    if (w.tg)
        tg_put(w.tg);
    if (ret < 0 || (ret == 0 && again))
        return ret < 0 ? ret : -EAGAIN;
    memset(&info, 0, sizeof(info));
    if (ret) {
        info.si_signo = SIGCHLD;
        info.si_code = r.code;
        info.si_pid = r.pid;
        info.si_uid = r.uid;
        info.si_status = child_status(&r);
        if (put_rusage(t, a->a[4], &r) < 0)
            return -EFAULT;
    }
    /* Linux writes only the fields up to si_status, each by itself; the rest of the caller's siginfo stays. */
    if (a->a[2] && user_write(t, a->a[2], &info, offsetof(siginfo_t, si_status) + sizeof(info.si_status)) < 0)
        return -EFAULT;
    return 0;
}
