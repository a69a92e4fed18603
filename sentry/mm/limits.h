/* Limits of memory (getrlimit(2)): kept by the host on each stub process, since the host manages its memory. */
#pragma once

#include "include/platform.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

struct mm;
struct task;

/* True if a process with these limits needs limits_apply(): they are not what every stub starts with. */
bool limits_special(const struct rlimit64 *limits);
/* Sets the address space, data and lock limits of the process behind pt to the soft limits in limits[RLIM_NLIMITS].
 * mm: its memory, NULL if it has none yet. Any thread that holds a reference on pt. */
void limits_apply(struct plat_thread *pt, const struct rlimit64 *limits, const struct mm *mm);
/* t's own RLIMIT_STACK is now `bytes`: what the main stack may not reach any more, and has not yet, becomes
 * inaccessible, or accessible again. t is stopped in a system call; its own worker. */
void limits_apply_stack(struct task *t, uint64_t bytes);
