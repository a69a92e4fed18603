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

static void advance(struct uio *u, size_t n)
{
    u->left -= n;
    while (u->index < u->iov_count && n >= u->iov[u->index].iov_len - u->skip) {
        n -= u->iov[u->index].iov_len - u->skip;
        u->index++;
        u->skip = 0;
    }
    u->skip += n;
}

void uio_revert(struct uio *u, size_t n)
{
    u->left += n;
    while (n > u->skip) {
        n -= u->skip;
        u->index--;
        u->skip = u->iov[u->index].iov_len;
    }
    u->skip -= n;
}

/* The next ranges of u, at most len bytes of them, in out; returns how many. */
static size_t next_ranges(const struct uio *u, size_t len, struct iovec *out, size_t max)
{
    size_t n = 0, skip = u->skip;

    for (size_t i = u->index; i < u->iov_count && len && n < max; i++, skip = 0) {
        size_t part = MIN(u->iov[i].iov_len - skip, len);
        if (!part)
            continue;
        out[n++] = (struct iovec){(void *)((uintptr_t)u->iov[i].iov_base + skip), part}; /* it may be the guest's */
        len -= part;
    }
    return n;
}

static void copy_kernel(const struct iovec *ranges, size_t n, const char *src, char *dst)
{
    for (size_t i = 0; i < n; i++) {
        if (src) {
            memcpy(ranges[i].iov_base, src, ranges[i].iov_len);
            src += ranges[i].iov_len;
        } else {
            memcpy(dst, ranges[i].iov_base, ranges[i].iov_len);
            dst += ranges[i].iov_len;
        }
    }
}

/* Moves up to len bytes, a batch of ranges at a time; exactly one of src and dst is set. */
static ssize_t uio_move(struct uio *u, const char *src, char *dst, size_t len)
{
    struct iovec ranges[32];
    size_t done = 0;

    len = MIN(len, u->left);
    while (done < len) {
        size_t n = next_ranges(u, len - done, ranges, ARRAY_SIZE(ranges)), want = 0;
        for (size_t i = 0; i < n; i++)
            want += ranges[i].iov_len;
        ssize_t got = (ssize_t)want;
        if (!u->task)
            copy_kernel(ranges, n, src ? src + done : NULL, dst ? dst + done : NULL);
        else if (src)
            got = plat_copy_out_v(u->task->pt, src + done, want, ranges, n);
        else
            got = plat_copy_in_v(u->task->pt, dst + done, want, ranges, n);
        if (got <= 0)
            break;
        advance(u, (size_t)got);
        done += (size_t)got;
        if ((size_t)got < want)
            break;
    }
    return done || !len ? (ssize_t)done : -EFAULT;
}

ssize_t uio_copy_out(struct uio *u, const void *src, size_t len)
{
    return uio_move(u, src, NULL, len);
}

ssize_t uio_copy_in(struct uio *u, void *dst, size_t len)
{
    return uio_move(u, NULL, dst, len);
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
