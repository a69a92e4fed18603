/*
 * signalfd(2): a file through which a task takes signals that it blocks.
 *
 * The file holds only a mask: whose signals are read is a matter of who reads. A poller waits on its own group's
 * signal_wait queue. epoll keeps its waiter there after the call, so the file holds a reference on each group that it
 * has been polled by (in practice one or two): their queues then outlive the waiters.
 */
#include "sentry/vfs/signalfd.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/poll.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#define POLLERS_MAX 64

struct signalfd {
    _Atomic sigset64_t mask;
    struct lock lock; /* RANK_LEAF: pollers */
    struct thread_group *pollers[POLLERS_MAX];
    unsigned poller_count;
};

/* The part of a siginfo that its code says is there. */
static void fill_sender(struct signalfd_siginfo *s, const siginfo_t *info)
{
    switch (info->si_code) {
    case SI_TIMER:
        s->ssi_tid = (uint32_t)info->si_timerid;
        s->ssi_overrun = (uint32_t)info->si_overrun;
        break;
    case SI_KERNEL:
        return;
    default:
        s->ssi_pid = (uint32_t)info->si_pid;
        s->ssi_uid = info->si_uid;
    }
    if (info->si_code < 0 && info->si_code != SI_TKILL) {
        s->ssi_ptr = (uint64_t)(uintptr_t)info->si_ptr;
        s->ssi_int = info->si_int;
    }
}

static void fill(struct signalfd_siginfo *s, const siginfo_t *info)
{
    *s = (struct signalfd_siginfo){.ssi_signo = (uint32_t)info->si_signo, .ssi_code = info->si_code};
    s->ssi_errno = info->si_errno;
    if (info->si_code <= 0) {
        fill_sender(s, info);
        return;
    }
    switch (info->si_signo) {
    case SIGCHLD:
        s->ssi_pid = (uint32_t)info->si_pid;
        s->ssi_uid = info->si_uid;
        s->ssi_status = info->si_status;
        s->ssi_utime = (uint64_t)info->si_utime;
        s->ssi_stime = (uint64_t)info->si_stime;
        break;
    case SIGILL:
    case SIGFPE:
    case SIGSEGV:
    case SIGBUS:
    case SIGTRAP:
        s->ssi_addr = (uint64_t)(uintptr_t)info->si_addr;
        break;
    case SIGIO:
        s->ssi_band = (uint32_t)info->si_band;
        s->ssi_fd = info->si_fd;
        break;
    default:
        break;
    }
}

/* The reader's next wanted signal, if there is one. */
static bool try_take(struct file *f, void *out)
{
    struct signalfd *sf = f->priv;
    struct task *t = current;
    siginfo_t info;

    lock(&t->tg->siglock);
    const int sig = signal_dequeue_locked(t, ~atomic_load(&sf->mask), &info);
    signal_recalc_locked(t);
    unlock(&t->tg->siglock);
    if (sig)
        fill(out, &info);
    return sig != 0;
}

static ssize_t signalfd_read(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct signalfd_siginfo s;
    ssize_t done = 0;

    if (u->left < sizeof(s) || !current)
        return -EINVAL;
    for (; u->left >= sizeof(s); done += (ssize_t)sizeof(s)) {
        int ret = 0;
        if (!done)
            ret = file_retry(f, u, &current->tg->signal_wait, 0, try_take, &s);
        else if (!try_take(f, &s))
            ret = -EAGAIN;
        if (ret < 0)
            return done ? done : ret;
        if (uio_copy_out(u, &s, sizeof(s)) != sizeof(s))
            return done ? done : -EFAULT;
    }
    return done;
}

/* Keeps tg's queue alive for as long as sf; false: too many groups. */
static bool hold(struct signalfd *sf, struct thread_group *tg)
{
    bool held = false;

    lock(&sf->lock);
    for (unsigned i = 0; i < sf->poller_count; i++)
        held = held || sf->pollers[i] == tg;
    if (!held && sf->poller_count < POLLERS_MAX) {
        tg_get(tg);
        sf->pollers[sf->poller_count++] = tg;
        held = true;
    }
    unlock(&sf->lock);
    return held;
}

static uint32_t signalfd_poll(struct file *f, struct poll_table *pt)
{
    struct signalfd *sf = f->priv;
    struct task *t = current;

    if (!t)
        return 0;
    if (pt && (!pt->lasting || hold(sf, t->tg)))
        poll_wait(pt, &t->tg->signal_wait);
    lock(&t->tg->siglock);
    const bool any = (t->pending.set | t->tg->pending.set) & atomic_load(&sf->mask);
    unlock(&t->tg->siglock);
    return any ? EPOLLIN | EPOLLRDNORM : 0;
}

static void signalfd_release(struct file *f)
{
    struct signalfd *sf = f->priv;

    for (unsigned i = 0; i < sf->poller_count; i++)
        tg_put(sf->pollers[i]);
    lock_destroy(&sf->lock);
    free(sf);
}

static const struct file_ops signalfd_ops = {.read = signalfd_read, .poll = signalfd_poll, .release = signalfd_release};

int signalfd_new(sigset64_t mask, unsigned flags, struct file **out)
{
    struct signalfd *sf = calloc(1, sizeof(*sf));

    if (!sf)
        return -ENOMEM;
    lock_init(&sf->lock, RANK_LEAF);
    atomic_init(&sf->mask, mask & ~SIGSET_UNBLOCKABLE);
    int ret = file_new_anon("anon_inode:[signalfd]", &signalfd_ops, FMODE_READ | FMODE_STREAM | FMODE_NOWAIT,
                            O_RDWR | (flags & O_NONBLOCK), 0600, sf, out);
    if (ret < 0) {
        lock_destroy(&sf->lock);
        free(sf);
    }
    return ret;
}

int signalfd_set_mask(struct file *f, sigset64_t mask)
{
    struct signalfd *sf = f->priv;

    if (f->ops != &signalfd_ops)
        return -EINVAL;
    atomic_store(&sf->mask, mask & ~SIGSET_UNBLOCKABLE);
    if (current)
        waitq_wake(&current->tg->signal_wait, ~0U);
    return 0;
}
