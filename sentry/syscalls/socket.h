/* What the socket calls share: finding the socket behind a descriptor, and addresses to and from the guest. */
#pragma once

#include "lib/compiler.h"
#include "sentry/net/socket.h"

#include <stdint.h>

struct task;

/* The socket of fd; its file, which keeps it open, is counted in *out_file. -EBADF, -ENOTSOCK. */
int socket_arg(struct task *t, int fd, struct file **out_file, struct socket **out) must_check;
/* Copies an address in. -EINVAL: len is too large or negative. -EFAULT. */
int sock_name_arg(struct task *t, uint64_t addr, int len, struct sock_name *out) must_check;
/* Copies an address out to addr, cut to the int at len_addr, which gets its true length. addr 0: not wanted. */
int sock_name_result(struct task *t, const struct sock_name *name, uint64_t addr, uint64_t len_addr) must_check;
