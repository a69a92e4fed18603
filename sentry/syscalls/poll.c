/*
 * poll(2) and ppoll(2).
 *
 * The array of struct pollfd is copied in once, turned into requests for poll_core(), and only the revents fields are
 * written back. poll(2) restarts after a stop with what is left of its time (a restart block); ppoll(2) writes the rest
 * to its timespec.
 */
#include "sentry/vfs/poll.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/polltime.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define POLL_STACK 16

static int poll_write_back(struct task *t, uint64_t ufds, struct pollfd *fds, const struct poll_req *reqs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fds[i].revents = (short)reqs[i].got;
    for (size_t i = 0; i < n; i++) { /* only revents is ours to write: fd and events may have changed meanwhile */
        uint64_t at = ufds + i * sizeof(*fds) + offsetof(struct pollfd, revents);
        int ret = user_write(t, at, &fds[i].revents, sizeof(fds[i].revents));
        if (ret < 0)
            return ret;
    }
    return 0;
}

static long do_poll(struct task *t, uint64_t ufds, uint64_t nfds, const struct poll_limit *limit)
{
    struct pollfd fixed_fds[POLL_STACK], *fds = fixed_fds;
    struct poll_req fixed_reqs[POLL_STACK], *reqs = fixed_reqs;
    if (nfds > tg_limit(t->tg, RLIMIT_NOFILE))
        return -EINVAL;
    size_t n = (size_t)nfds;
    long ret = -ENOMEM;
    if (n > POLL_STACK) {
        fds = calloc(n, sizeof(*fds));
        reqs = calloc(n, sizeof(*reqs));
        if (!fds || !reqs)
            goto out;
    }
    ret = n ? user_read(t, fds, ufds, n * sizeof(*fds)) : 0;
    if (ret < 0)
        goto out;
    for (size_t i = 0; i < n; i++)
        reqs[i] = (struct poll_req){.fd = fds[i].fd, .want = (uint16_t)fds[i].events};
    ret = poll_core(t, reqs, n, limit->nowait, limit->deadline);
    if (ret >= 0) {
        int err = poll_write_back(t, ufds, fds, reqs, n);
        ret = err < 0 ? err : ret;
    }
out:
    if (n > POLL_STACK) {
        free(fds);
        free(reqs);
    }
    return ret;
}

static long poll_restart(struct task *t, struct restart_block *rb);

/* Runs a poll whose limit is fixed; a signal arms the restart. */
static long poll_until(struct task *t, uint64_t ufds, uint64_t nfds, const struct poll_limit *limit)
{
    long ret = do_poll(t, ufds, nfds, limit);
    if (ret != -ERESTARTSYS)
        return ret;
    t->restart.fn = poll_restart;
    t->restart.arg[0] = ufds;
    t->restart.arg[1] = nfds;
    t->restart.deadline = limit->deadline;
    return -ERESTART_RESTARTBLOCK;
}

static long poll_restart(struct task *t, struct restart_block *rb)
{
    struct poll_limit limit = {.deadline = rb->deadline};
    return poll_until(t, rb->arg[0], rb->arg[1], &limit);
}

long sys_poll(struct task *t, const struct sysargs *a)
{
    struct poll_limit limit;
    poll_limit_ms(&limit, (int)a->a[2]);
    return poll_until(t, a->a[0], (uint32_t)a->a[1], &limit);
}

long sys_ppoll(struct task *t, const struct sysargs *a)
{
    struct poll_limit limit;
    long ret = poll_limit_user(t, a->a[2], false, &limit);
    if (ret == 0)
        ret = poll_mask_begin(t, a->a[3], a->a[4]);
    if (ret < 0)
        return ret;
    ret = do_poll(t, a->a[0], (uint32_t)a->a[1], &limit);
    if (ret == -ERESTARTSYS)
        ret = -ERESTARTNOHAND;
    poll_mask_end(t, a->a[3], ret == -ERESTARTNOHAND);
    poll_limit_write_back(t, a->a[2], false, &limit);
    return ret;
}
