/* See pidfd.h. The file is readable once the process has ended, reaped or not. */
#include "sentry/vfs/pidfd.h"

#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <sys/epoll.h>

static uint32_t pidfd_poll(struct file *f, struct poll_table *pt)
{
    struct thread_group *tg = f->priv;

    poll_wait(pt, &tg->exit_wait);
    return atomic_load(&tg->over) ? EPOLLIN | EPOLLRDNORM : 0;
}

static void pidfd_release(struct file *f)
{
    tg_put(f->priv);
}

static const struct file_ops pidfd_ops = {.poll = pidfd_poll, .release = pidfd_release};

int pidfd_new(struct thread_group *tg, unsigned flags, struct file **out)
{
    tg_get(tg);
    int ret =
        file_new_anon("anon_inode:[pidfd]", &pidfd_ops, FMODE_STREAM, O_RDWR | (flags & O_NONBLOCK), 0600, tg, out);
    if (ret < 0)
        tg_put(tg);
    return ret;
}

struct thread_group *pidfd_tg(struct file *f)
{
    return f->ops == &pidfd_ops ? f->priv : NULL;
}
