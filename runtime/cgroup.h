/*
 * The cgroup of one sandbox, for --memory and --cpus: gofer, sentry and every guest process are in it. Calls in order:
 * make, enter for each process, then the questions, remove. Without those options nothing is made.
 */
#pragma once

#include "lib/compiler.h"
#include "runtime/cgroupfs.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct run_options;

struct cgroup {
    pid_t janitor;  /* removes the directories if we are killed */
    int janitor_fd; /* owned; its end-of-file tells that we are gone. -1: nothing was made */
    struct cgroup_place places[CGROUP_CONTROLLERS];
    char dirs[CGROUP_CONTROLLERS][PATH_MAX]; /* ours; empty: none. Under v2 the two may be the same */
};

/*
 * Makes what the options ask for, in a c that is zero but for janitor_fd, which is -1. Where no cgroup may be made the
 * limits are set on this process, for all to inherit, as well as that can be done, and the user is told so.
 */
int cgroup_make(struct cgroup *c, const struct run_options *o, struct error *e) must_check;
/* Moves a process in, before it has children. */
int cgroup_enter(const struct cgroup *c, pid_t pid, struct error *e) must_check;
/* The most memory that was in use at a time, in bytes; 0: not known. */
uint64_t cgroup_peak_memory(const struct cgroup *c);
/* Did the kernel kill something in it for want of memory? */
bool cgroup_out_of_memory(const struct cgroup *c);
/* All processes in it must have been reaped. */
void cgroup_remove(struct cgroup *c);
