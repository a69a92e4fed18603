/* Host trees for the gofer. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>

/*
 * An O_PATH descriptor of a private copy of the mounts at path, which no ".." leads out of. The kernel itself refuses
 * writes to it if it is read-only, and devices and set-user-ID programs in any case. Needs CAP_SYS_ADMIN over the
 * mount namespace. -errno.
 */
int tree_open(const char *path, bool readonly) must_check;
