/*
 * Where the bytes of a read or write go: guest memory (one or many ranges) or a sentry buffer. File operations see
 * only this, so the same code serves read(2), sendfile(2), exec and, later, marshalled arguments.
 */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct task;

#define UIO_INLINE_IOV 8

/* A place in an array of ranges: skip bytes into the index-th. */
struct uio_pos {
    size_t index, skip;
};

struct uio {
    struct task *task; /* guest memory of this (calling) task; NULL: sentry memory, iov_base is a pointer */
    struct iovec *iov; /* checked against overflow of the total when it was made */
    size_t iov_count;
    struct uio_pos at;                  /* the next byte */
    size_t left;                        /* bytes still to be moved */
    bool nowait;                        /* not to wait, as with O_NONBLOCK (RWF_NOWAIT) */
    bool append;                        /* a write goes to the file's end, as with O_APPEND (RWF_APPEND) */
    struct iovec fixed[UIO_INLINE_IOV]; /* iov points here when it fits, else it is malloced */
};

/* One guest range; len is cut to MAX_RW_COUNT (0x7ffff000). */
void uio_user(struct uio *u, struct task *t, uint64_t addr, size_t len);
/* One sentry buffer. */
void uio_kernel(struct uio *u, void *buf, size_t len);
/* Reads and checks a guest iovec array: -EINVAL (count, lengths), -EFAULT. Pair: uio_free(). */
int uio_user_iov(struct uio *u, struct task *t, uint64_t iov_addr, size_t count) must_check;
void uio_free(struct uio *u);

/*
 * Move min(len, u->left) bytes and advance. Return the bytes moved, fewer only if guest memory faulted there, and
 * -EFAULT if none could be moved (and len > 0).
 */
ssize_t uio_copy_out(struct uio *u, const void *src, size_t len) must_check; /* to the reader */
ssize_t uio_copy_in(struct uio *u, void *dst, size_t len) must_check;        /* from the writer */
/* The same to and from n ranges of the sentry's: few host calls, however many ranges. */
ssize_t uio_copy_out_v(struct uio *u, const struct iovec *src, size_t n) must_check;
ssize_t uio_copy_in_v(struct uio *u, const struct iovec *dst, size_t n) must_check;
/* Fills len bytes of the reader's buffer with zeros. */
ssize_t uio_zero(struct uio *u, size_t len) must_check;
/* Steps back over the last n bytes moved (a short write after copying in). */
void uio_revert(struct uio *u, size_t n);
