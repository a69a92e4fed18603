/* Where a cgroup of ours could be made, in any of the layouts: v1, v2, or both side by side (cgroups(7)). */
#pragma once

#include "lib/compiler.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum cgroup_controller { CGROUP_MEMORY, CGROUP_CPU, CGROUP_CONTROLLERS };

struct cgroup_place {
    bool v2;
    char parent[PATH_MAX]; /* the directory in which a cgroup with that controller can be made; empty: none */
    char own[PATH_MAX];    /* the directory of the cgroup that we are in */
};

/* Fills in a place for each controller. */
void cgroupfs_find(struct cgroup_place places[CGROUP_CONTROLLERS]);
/* Reads and writes one file of a cgroup. False: it could not be done; errno says why. */
bool cgroupfs_write(const char *dir, const char *file, const char *text) must_check;
/* The number in a file, or the one after key in a file of "key number" lines (key NULL: the first word). */
bool cgroupfs_read(const char *dir, const char *file, const char *key, uint64_t *out) must_check;
