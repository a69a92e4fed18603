/* Timeouts and signal masks of the waiting calls: poll, select and epoll. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stdint.h>

struct task;

/* A wait's limit, decoded. */
struct poll_limit {
    bool nowait;      /* a timeout of zero */
    int64_t deadline; /* NO_DEADLINE: forever */
};

/* From milliseconds; negative: forever. */
void poll_limit_ms(struct poll_limit *l, int ms);
/* From a struct timespec (or, usec, a struct timeval) at addr; 0: forever. -EFAULT, -EINVAL. */
int poll_limit_user(struct task *t, uint64_t addr, bool usec, struct poll_limit *l) must_check;
/* Writes back what is left of the wait, if addr is not 0. A fault is ignored, as Linux does. */
void poll_limit_write_back(struct task *t, uint64_t addr, bool usec, const struct poll_limit *l);

/* Installs the mask at addr (0: none) for the length of a wait. -EINVAL (size), -EFAULT. Pair: poll_mask_end(). */
int poll_mask_begin(struct task *t, uint64_t addr, uint64_t size) must_check;
/* Puts the old mask back; if a signal ended the wait, only after its handler was set up. addr as in begin. */
void poll_mask_end(struct task *t, uint64_t addr, bool interrupted);
