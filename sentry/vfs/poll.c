/*
 * The wait behind poll(2), ppoll(2), select(2) and pselect6(2).
 *
 * Each file is asked for its events with a poll table that puts a waiter of the calling task on every queue the file
 * names. Once a file has events no more waiters are queued: the call will not sleep. After a wake-up the files are
 * asked again, without queueing. The files stay referenced until the waiters are off, so a close(2) by another thread
 * during the wait frees nothing we are queued on.
 */
#include "sentry/vfs/poll.h"

#include "sentry/kernel/task.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define WAITS_INLINE 8
#define WAITS_BLOCK 64

struct wait_block {
    struct wait_block *next;
    size_t used;
    struct waiter w[WAITS_BLOCK];
};

struct poll_waits {
    struct poll_table pt;
    struct task *task;
    size_t used;
    struct waiter w[WAITS_INLINE];
    struct wait_block *blocks;
    bool failed; /* no memory for a waiter */
};

void poll_wait(struct poll_table *pt, struct waitq *q)
{
    if (pt && pt->queue)
        pt->queue(pt, q);
}

uint32_t vfs_poll(struct file *f, struct poll_table *pt)
{
    if (!f->ops->poll)
        return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
    return f->ops->poll(f, pt);
}

static struct waiter *waits_slot(struct poll_waits *pw)
{
    if (pw->used < WAITS_INLINE)
        return &pw->w[pw->used++];
    if (!pw->blocks || pw->blocks->used == WAITS_BLOCK) {
        struct wait_block *b = calloc(1, sizeof(*b));
        if (!b)
            return NULL;
        b->next = pw->blocks;
        pw->blocks = b;
    }
    return &pw->blocks->w[pw->blocks->used++];
}

static void waits_queue(struct poll_table *pt, struct waitq *q)
{
    struct poll_waits *pw = container_of(pt, struct poll_waits, pt);
    struct waiter *w = waits_slot(pw);
    if (!w) {
        pw->failed = true;
        return;
    }
    waiter_init_task(w, pw->task);
    waitq_add(q, w);
}

static void waits_end(struct poll_waits *pw)
{
    for (size_t i = 0; i < pw->used; i++)
        waitq_remove(&pw->w[i]);
    while (pw->blocks) {
        struct wait_block *b = pw->blocks;
        pw->blocks = b->next;
        for (size_t i = 0; i < b->used; i++)
            waitq_remove(&b->w[i]);
        free(b);
    }
}

/* One look at every file. Queues waiters until the first event if pw is given. */
static int poll_scan(struct poll_req *reqs, size_t n, struct poll_waits *pw)
{
    int count = 0;
    for (size_t i = 0; i < n; i++) {
        struct poll_req *r = &reqs[i];
        if (r->fd < 0)
            continue;
        if (!r->file)
            r->got = POLLNVAL;
        else
            r->got = vfs_poll(r->file, pw && !count ? &pw->pt : NULL) & (r->want | EPOLLERR | EPOLLHUP);
        count += r->got != 0;
    }
    return count;
}

static int poll_sleep(struct task *t, struct poll_req *reqs, size_t n, int64_t deadline)
{
    struct poll_waits pw = {.pt.queue = waits_queue, .task = t};
    int count = poll_scan(reqs, n, &pw);
    if (!count && pw.failed)
        count = -ENOMEM;
    while (count == 0) {
        int ret = task_sleep(t, deadline);
        count = poll_scan(reqs, n, NULL);
        if (count || ret == 0)
            continue;
        if (ret != -ETIMEDOUT)
            count = ret;
        break;
    }
    waits_end(&pw);
    return count;
}

int poll_core(struct task *t, struct poll_req *reqs, size_t n, bool nowait, int64_t deadline)
{
    for (size_t i = 0; i < n; i++) {
        reqs[i].got = 0;
        reqs[i].file = reqs[i].fd < 0 ? NULL : fd_get(t, reqs[i].fd);
    }
    int ret = nowait ? poll_scan(reqs, n, NULL) : poll_sleep(t, reqs, n, deadline);
    for (size_t i = 0; i < n; i++)
        if (reqs[i].file)
            file_put(reqs[i].file);
    return ret;
}
