/* Bytes with at most one descriptor over a Unix socket (SCM_RIGHTS, unix(7)). */
#pragma once

#include "lib/compiler.h"

#include <stddef.h>
#include <sys/types.h>

/* Sends all len bytes, fd (-1: none) with the first. fd stays the caller's. 0 or -errno. */
int fdpass_send(int sock, const void *buf, size_t len, int fd) must_check;
/*
 * Receives once, up to cap bytes: the count, 0 at the end, or -errno. *out_fd is a new close-on-exec descriptor or -1;
 * further descriptors are closed. out_fd NULL: all are closed.
 */
ssize_t fdpass_recv(int sock, void *buf, size_t cap, int flags, int *out_fd) must_check;
