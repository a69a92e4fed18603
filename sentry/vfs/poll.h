/* Waiting for several files at once: what poll(2), select(2) and epoll(7) share. */
#pragma once

#include "lib/compiler.h"
#include "sentry/kernel/wait.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file;
struct task;

/* Gathers the queues that a file's poll operation names with poll_wait(). */
struct poll_table {
    void (*queue)(struct poll_table *pt, struct waitq *q);
    bool lasting; /* the waiters outlive the call (epoll): only queues that live as long as the file may be named */
};

/* One file in a wait. */
struct poll_req {
    int fd;            /* negative: skipped */
    uint32_t want;     /* EPOLL* asked for; ERR and HUP are implied */
    uint32_t got;      /* EPOLL* now true of those; POLLNVAL: no such descriptor */
    struct file *file; /* used by poll_core() */
};

/* The events now true of f; a file without the operation is always readable and writable. */
uint32_t vfs_poll(struct file *f, struct poll_table *pt);

/*
 * Waits until one of n requests has an event, the deadline passes (nowait: does not wait), or a signal comes. Returns
 * the number of requests with events, 0 on timeout, -ERESTARTSYS, -ENOMEM. Files are referenced for the length of the
 * call.
 */
int poll_core(struct task *t, struct poll_req *reqs, size_t n, bool nowait, int64_t deadline) must_check;
