/*
 * The caller's resource limits (setrlimit(2)), which bind the sandbox's own processes too. What these cannot do without
 * is asked for before anything starts, so that a limit is named and not the odd failure that comes of it.
 */
#pragma once

#include "lib/compiler.h"

struct error;

/* Raises soft limits as far as they must and may be. Fails where a hard limit leaves too little. */
int limits_prepare(struct error *e) must_check;

/*
 * The most processes and threads of a sandbox for which nobody said how many: half of what the host has pids and room
 * for (pid_max and threads-max, see proc_sys_kernel(5)), so that a fork bomb leaves it the other half.
 */
unsigned limits_default_pids(void);
