/* See uio.h. */
#include "sentry/mm/uio.h"

#include "include/platform.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RW_COUNT 0x7ffff000UL

void uio_user(struct uio *u, struct task *t, uint64_t addr, size_t len)
{
    len = MIN(len, MAX_RW_COUNT);
    *u = (struct uio){.task = t, .iov_count = 1, .left = len};
    u->fixed[0] = (struct iovec){(void *)(uintptr_t)addr, len};
    u->iov = u->fixed;
}

void uio_kernel(struct uio *u, void *buf, size_t len)
{
    *u = (struct uio){.iov_count = 1, .left = len};
    u->fixed[0] = (struct iovec){buf, len};
    u->iov = u->fixed;
}

/* Each length must be non-negative as a ssize_t; what goes beyond MAX_RW_COUNT in sum is cut off. */
static int check_lengths(struct uio *u)
{
    for (size_t i = 0; i < u->iov_count; i++) {
        if (u->iov[i].iov_len > SSIZE_MAX)
            return -EINVAL;
        u->iov[i].iov_len = MIN(u->iov[i].iov_len, MAX_RW_COUNT - u->left);
        u->left += u->iov[i].iov_len;
    }
    return 0;
}

int uio_user_iov(struct uio *u, struct task *t, uint64_t iov_addr, size_t count)
{
    *u = (struct uio){.task = t, .iov_count = count};
    u->iov = u->fixed;
    if (count > IOV_MAX)
        return -EINVAL;
    if (count > UIO_INLINE_IOV) {
        u->iov = malloc(count * sizeof(*u->iov));
        if (!u->iov)
            return -ENOMEM;
    }
    int ret = count ? user_read(t, u->iov, iov_addr, count * sizeof(*u->iov)) : 0;
    if (ret == 0)
        ret = check_lengths(u);
    if (ret < 0)
        uio_free(u);
    return ret;
}

void uio_free(struct uio *u)
{
    if (u->iov != u->fixed)
        free(u->iov);
    u->iov = u->fixed;
    u->iov_count = 0;
    u->left = 0;
}

static void advance(const struct iovec *ranges, size_t count, struct uio_pos *at, size_t n)
{
    while (at->index < count && n >= ranges[at->index].iov_len - at->skip) {
        n -= ranges[at->index].iov_len - at->skip;
        at->index++;
        at->skip = 0;
    }
    at->skip += n;
}

void uio_revert(struct uio *u, size_t n)
{
    u->left += n;
    while (n > u->at.skip) {
        n -= u->at.skip;
        u->at.index--;
        u->at.skip = u->iov[u->at.index].iov_len;
    }
    u->at.skip -= n;
}

/* ---- copies: batches of ranges on both sides, each batch one call of the platform ---- */

#define BATCH 32

struct batch {
    struct iovec ranges[BATCH];
    size_t n, len; /* len: the sum of the n ranges */
};

/* The ranges from at on, at most len bytes of them. */
static void next_ranges(const struct iovec *ranges, size_t count, struct uio_pos at, size_t len, struct batch *out)
{
    out->n = out->len = 0;
    for (size_t i = at.index; i < count && out->len < len && out->n < BATCH; i++, at.skip = 0) {
        size_t part = MIN(ranges[i].iov_len - at.skip, len - out->len);
        if (!part)
            continue;
        /* not pointer arithmetic: it may be a guest's address */
        out->ranges[out->n++] = (struct iovec){(void *)((uintptr_t)ranges[i].iov_base + at.skip), part};
        out->len += part;
    }
}

/* Copies between two batches of sentry memory, as many bytes as the shorter one has. */
static ssize_t copy_kernel(const struct batch *to, const struct batch *from)
{
    struct uio_pos dst = {0}, src = {0};
    size_t done = 0;

    while (dst.index < to->n && src.index < from->n) {
        const struct iovec *d = &to->ranges[dst.index], *s = &from->ranges[src.index];
        size_t n = MIN(d->iov_len - dst.skip, s->iov_len - src.skip);
        memcpy((char *)d->iov_base + dst.skip, (const char *)s->iov_base + src.skip, n);
        advance(to->ranges, to->n, &dst, n);
        advance(from->ranges, from->n, &src, n);
        done += n;
    }
    return (ssize_t)done;
}

static ssize_t copy_batch(struct task *t, bool out, const struct batch *theirs, const struct batch *ours)
{
    if (!t)
        return out ? copy_kernel(theirs, ours) : copy_kernel(ours, theirs);
    if (out)
        return plat_copy_out_v(t->pt, theirs->ranges, theirs->n, ours->ranges, ours->n);
    return plat_copy_in_v(t->pt, ours->ranges, ours->n, theirs->ranges, theirs->n);
}

/* Moves bytes between u and count ranges of ours. */
static ssize_t uio_move(struct uio *u, bool out, const struct iovec *ranges, size_t count)
{
    struct batch theirs, ours;
    struct uio_pos at = {0};
    size_t len = 0, done = 0;

    for (size_t i = 0; i < count; i++)
        len += ranges[i].iov_len;
    len = MIN(len, u->left);
    while (done < len) {
        next_ranges(u->iov, u->iov_count, u->at, len - done, &theirs);
        next_ranges(ranges, count, at, theirs.len, &ours);
        ssize_t n = copy_batch(u->task, out, &theirs, &ours);
        if (n <= 0)
            break;
        u->left -= (size_t)n;
        advance(u->iov, u->iov_count, &u->at, (size_t)n);
        advance(ranges, count, &at, (size_t)n);
        done += (size_t)n;
        if ((size_t)n < ours.len)
            break;
    }
    return done || !len ? (ssize_t)done : -EFAULT;
}

ssize_t uio_copy_out(struct uio *u, const void *src, size_t len)
{
    const struct iovec all = {(void *)(uintptr_t)src, len};

    return uio_move(u, true, &all, 1);
}

ssize_t uio_copy_in(struct uio *u, void *dst, size_t len)
{
    const struct iovec all = {dst, len};

    return uio_move(u, false, &all, 1);
}

ssize_t uio_copy_out_v(struct uio *u, const struct iovec *src, size_t n)
{
    return uio_move(u, true, src, n);
}

ssize_t uio_copy_in_v(struct uio *u, const struct iovec *dst, size_t n)
{
    return uio_move(u, false, dst, n);
}

ssize_t uio_zero(struct uio *u, size_t len)
{
    static const char zeros[65536];
    size_t done = 0;

    len = MIN(len, u->left);
    while (done < len) {
        size_t want = MIN(sizeof(zeros), len - done);
        ssize_t n = uio_copy_out(u, zeros, want);
        if (n < 0)
            return done ? (ssize_t)done : n;
        done += (size_t)n;
        if ((size_t)n < want)
            break;
    }
    return (ssize_t)done;
}
