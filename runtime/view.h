/*
 * What the guest sees of the host's files: a list of mounts for the sentry, the host trees behind them for the gofer,
 * and the symbolic links of the root.
 */
#pragma once

#include "include/boot.h"
#include "lib/compiler.h"

#include <limits.h>

struct error;
struct run_options;
struct user;

#define VIEW_MAX 128

struct view {
    struct boot_mount mounts[VIEW_MAX];
    char *hosts[VIEW_MAX]; /* owned; MOUNT_GOFER: the host path behind mounts[i], else NULL */
    size_t count;
    struct boot_link links[32];
    size_t link_count;
    char cwd[PATH_MAX]; /* where the program starts */
    bool cwd_hidden;    /* the caller's current directory is not shown */
};

/* Decides what is seen; makes and opens nothing. To be given to view_free() in any case. */
int view_build(struct view *v, const struct run_options *o, const struct user *u, struct error *e) must_check;
void view_free(struct view *v);
