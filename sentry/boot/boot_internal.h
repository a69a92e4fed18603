/* Between boot.c, mounts.c and jail.c. */
#pragma once

#include "lib/compiler.h"
#include "sentry/vfs/vfs.h"

#include <stdbool.h>

struct boot_config;
struct task;

/* Makes the root mount; *out_root is counted. The socket of a gofer mount is taken over. -errno. */
int boot_root(const struct boot_config *cfg, struct path *out_root) must_check;
/* Makes the other mounts on top of it; the paths are walked as t, the first task. On -errno *out_where names the one
 * that failed. */
int boot_mounts(const struct boot_config *cfg, struct task *t, const struct path *root,
                const char **out_where) must_check;
/* Takes what is left of the process's power, filter last. proc_fd: the one directory that may be opened below, or -1.
 * ptrace: the platform needs it. On failure *out_why names the step. */
int boot_lock_in(int proc_fd, bool ptrace, bool debug, const char **out_why) must_check;
