/*
 * timerfd_create(2): expirations since the last read, counted when somebody looks.
 *
 * The kernel timer only wakes. It is armed for the next expiry and, for a periodic timer, again by the read that takes
 * the expirations, so a short period that nobody reads costs nothing. All times are CLOCK_MONOTONIC; absolute times of
 * other clocks are converted when they are set, so TFD_TIMER_CANCEL_ON_SET never has anything to cancel.
 */
#include "sentry/vfs/timerfd.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct timerfd {
    struct lock lock; /* RANK_TIMERFD: ticks, expiry, interval */
    clockid_t clock;  /* constant */
    uint64_t ticks;   /* expirations counted but not read */
    int64_t expiry;   /* the next; 0: disarmed */
    int64_t interval; /* 0: once */
    struct ktimer timer;
    struct waitq wq;
};

/* Counts what has expired by now. Lock held. */
static void advance(struct timerfd *tf)
{
    const int64_t now = now_monotonic();

    if (!tf->expiry || now < tf->expiry)
        return;
    if (!tf->interval) {
        tf->ticks++;
        tf->expiry = 0;
        return;
    }
    const int64_t periods = (now - tf->expiry) / tf->interval + 1;
    tf->ticks += (uint64_t)periods;
    tf->expiry += periods * tf->interval; /* at most now + interval */
    if (tf->expiry <= 0)
        tf->expiry = NO_DEADLINE;
}

static void expired(struct ktimer *k)
{
    waitq_wake(&container_of(k, struct timerfd, timer)->wq, EPOLLIN | EPOLLRDNORM);
}

/* Takes the expirations, and has the timer wake for the next ones. */
static bool try_take(struct file *f, void *out_ticks)
{
    struct timerfd *tf = f->priv;

    lock(&tf->lock);
    advance(tf);
    const uint64_t ticks = tf->ticks;
    tf->ticks = 0;
    if (ticks && tf->expiry)
        ktimer_arm(&tf->timer, tf->expiry);
    unlock(&tf->lock);
    *(uint64_t *)out_ticks = ticks;
    return ticks > 0;
}

static ssize_t timerfd_read(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct timerfd *tf = f->priv;
    uint64_t ticks;

    if (u->left < sizeof(ticks))
        return -EINVAL;
    int ret = file_retry(f, u, &tf->wq, EPOLLIN, try_take, &ticks);
    if (ret < 0)
        return ret;
    return uio_copy_out(u, &ticks, sizeof(ticks)) == sizeof(ticks) ? (ssize_t)sizeof(ticks) : -EFAULT;
}

static uint32_t timerfd_poll(struct file *f, struct poll_table *pt)
{
    struct timerfd *tf = f->priv;

    poll_wait(pt, &tf->wq);
    lock(&tf->lock);
    advance(tf);
    const uint32_t ev = tf->ticks ? EPOLLIN | EPOLLRDNORM : 0;
    unlock(&tf->lock);
    return ev;
}

static void timerfd_release(struct file *f)
{
    struct timerfd *tf = f->priv;

    ktimer_cancel(&tf->timer);
    lock_destroy(&tf->lock);
    free(tf);
}

static const struct file_ops timerfd_ops = {.read = timerfd_read, .poll = timerfd_poll, .release = timerfd_release};

int timerfd_new(clockid_t clock, unsigned flags, struct file **out)
{
    struct timerfd *tf = calloc(1, sizeof(*tf));

    if (!tf)
        return -ENOMEM;
    lock_init(&tf->lock, RANK_TIMERFD);
    waitq_init(&tf->wq);
    ktimer_init(&tf->timer, expired);
    tf->clock = clock;
    int ret = file_new_anon("anon_inode:[timerfd]", &timerfd_ops, FMODE_READ | FMODE_STREAM | FMODE_NOWAIT,
                            O_RDWR | (flags & O_NONBLOCK), 0600, tf, out);
    if (ret < 0) {
        lock_destroy(&tf->lock);
        free(tf);
    }
    return ret;
}

/* What is left until the next expiry. Lock held. */
static struct itimer_value left_locked(struct timerfd *tf)
{
    struct itimer_value v = {.interval = tf->interval};

    advance(tf);
    if (tf->expiry)
        v.value = MAX(tf->expiry - now_monotonic(), 1L);
    return v;
}

int timerfd_set(struct file *f, bool absolute, const struct itimer_value *v, struct itimer_value *old)
{
    struct timerfd *tf = f->priv;

    if (f->ops != &timerfd_ops)
        return -EINVAL;
    int64_t expiry = 0;
    if (v->value) {
        expiry = absolute ? clock_deadline(tf->clock, v->value) : deadline_after(v->value);
        expiry = MAX(expiry, 1L);
    }
    lock(&tf->lock);
    *old = left_locked(tf);
    tf->ticks = 0;
    tf->expiry = expiry;
    tf->interval = v->interval;
    if (expiry)
        ktimer_arm(&tf->timer, expiry);
    unlock(&tf->lock);
    return 0;
}

int timerfd_get(struct file *f, struct itimer_value *out)
{
    struct timerfd *tf = f->priv;

    if (f->ops != &timerfd_ops)
        return -EINVAL;
    lock(&tf->lock);
    *out = left_locked(tf);
    unlock(&tf->lock);
    return 0;
}
