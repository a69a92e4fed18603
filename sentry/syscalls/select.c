/*
 * select(2) and pselect6(2), as a poll over the descriptors whose bits are set.
 *
 * The three bitmaps are read whole, each set bit becomes part of one request per descriptor, and the results overwrite
 * the bitmaps. Readable, writable and exceptional map to events as select(2) lists them.
 */
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/polltime.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/poll.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define SEL_IN (EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR)
#define SEL_OUT (EPOLLWRNORM | EPOLLWRBAND | EPOLLOUT | EPOLLERR)
#define SEL_EX EPOLLPRI
#define SEL_MAX_FDS 1048576

static const uint32_t set_events[3] = {SEL_IN, SEL_OUT, SEL_EX};

struct select_sets {
    uint64_t addr[3];
    uint64_t *bits[3]; /* one allocation, bits[0] */
    size_t words;
    int nfds;
    struct poll_req *reqs;
    size_t nreqs;
};

static bool bit_test(const uint64_t *bits, int fd)
{
    return bits[fd / 64] >> (fd % 64) & 1;
}

static int sets_read(struct task *t, struct select_sets *s)
{
    s->words = ((size_t)s->nfds + 63) / 64;
    s->bits[0] = calloc(3 * s->words + 1, sizeof(uint64_t));
    if (!s->bits[0])
        return -ENOMEM;
    for (int k = 0; k < 3; k++) {
        s->bits[k] = s->bits[0] + (size_t)k * s->words;
        int ret = s->addr[k] && s->words ? user_read(t, s->bits[k], s->addr[k], s->words * 8) : 0;
        if (ret < 0)
            return ret;
    }
    return 0;
}

static int sets_to_reqs(struct select_sets *s)
{
    for (int fd = 0; fd < s->nfds; fd++)
        s->nreqs += bit_test(s->bits[0], fd) || bit_test(s->bits[1], fd) || bit_test(s->bits[2], fd);
    s->reqs = calloc(s->nreqs + 1, sizeof(*s->reqs));
    if (!s->reqs)
        return -ENOMEM;
    size_t n = 0;
    for (int fd = 0; fd < s->nfds; fd++) {
        uint32_t want = 0;
        for (int k = 0; k < 3; k++)
            want |= bit_test(s->bits[k], fd) ? set_events[k] : 0;
        if (want)
            s->reqs[n++] = (struct poll_req){.fd = fd, .want = want};
    }
    return 0;
}

/* Replaces the bitmaps by the results; returns how many bits are set. */
static long sets_from_reqs(struct select_sets *s)
{
    long count = 0;
    uint64_t *old = s->bits[0];
    uint64_t *res = calloc(3 * s->words + 1, sizeof(uint64_t));
    if (!res)
        return -ENOMEM;
    for (size_t i = 0; i < s->nreqs; i++) {
        int fd = s->reqs[i].fd;
        for (int k = 0; k < 3; k++) {
            if (!bit_test(old + (size_t)k * s->words, fd) || !(s->reqs[i].got & set_events[k]))
                continue;
            res[(size_t)k * s->words + (size_t)fd / 64] |= 1ULL << (fd % 64);
            count++;
        }
    }
    memcpy(old, res, 3 * s->words * sizeof(uint64_t));
    free(res);
    return count;
}

static long sets_wait(struct task *t, struct select_sets *s, const struct poll_limit *limit)
{
    int ret = poll_core(t, s->reqs, s->nreqs, limit->nowait, limit->deadline);
    if (ret < 0)
        return ret;
    for (size_t i = 0; i < s->nreqs; i++)
        if (s->reqs[i].got & POLLNVAL)
            return -EBADF;
    return sets_from_reqs(s);
}

static long do_select(struct task *t, const struct sysargs *a, const struct poll_limit *limit)
{
    uint64_t max = MIN(tg_limit(t->tg, RLIMIT_NOFILE), (uint64_t)SEL_MAX_FDS);
    struct select_sets s = {.addr = {a->a[1], a->a[2], a->a[3]}, .nfds = (int)a->a[0]};
    if (s.nfds < 0)
        return -EINVAL;
    if ((uint64_t)s.nfds > max)
        s.nfds = (int)max;
    long ret = sets_read(t, &s);
    if (ret == 0)
        ret = sets_to_reqs(&s);
    if (ret == 0)
        ret = sets_wait(t, &s, limit);
    for (int k = 0; k < 3 && ret >= 0; k++)
        if (s.addr[k] && s.words && user_write(t, s.addr[k], s.bits[k], s.words * 8) < 0)
            ret = -EFAULT;
    free(s.reqs);
    free(s.bits[0]);
    return ret == -ERESTARTSYS ? -ERESTARTNOHAND : ret;
}

long sys_select(struct task *t, const struct sysargs *a)
{
    struct poll_limit limit;
    long ret = poll_limit_user(t, a->a[4], true, &limit);
    if (ret < 0)
        return ret;
    ret = do_select(t, a, &limit);
    poll_limit_write_back(t, a->a[4], true, &limit);
    return ret;
}

long sys_pselect6(struct task *t, const struct sysargs *a)
{
    struct poll_limit limit;
    uint64_t mask[2] = {0, 0}; /* address, size */
    long ret = a->a[5] ? user_read(t, mask, a->a[5], sizeof(mask)) : 0;
    if (ret == 0)
        ret = poll_limit_user(t, a->a[4], false, &limit);
    if (ret == 0)
        ret = poll_mask_begin(t, mask[0], mask[1]);
    if (ret < 0)
        return ret;
    ret = do_select(t, a, &limit);
    poll_mask_end(t, mask[0], ret == -ERESTARTNOHAND);
    poll_limit_write_back(t, a->a[4], false, &limit);
    return ret;
}
