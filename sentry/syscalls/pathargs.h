/* Path arguments of system calls: copied in once, then only the sentry's copy is looked at. */
#pragma once

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/vfs.h"

#include <limits.h>

/* A path string's copy. -EFAULT, -ENAMETOOLONG. */
static inline must_check int path_arg(struct task *t, char buf[PATH_MAX], uint64_t addr)
{
    ssize_t n = user_string(t, buf, addr, PATH_MAX);

    return n < 0 ? (int)n : 0;
}

/* LOOKUP_* for the AT_* flags that most calls have. */
static inline unsigned lookup_of_at(int flags)
{
    return (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
}

/* The path of an open descriptor, O_PATH ones included if raw. -EBADF. Counted. */
int fd_path(struct task *t, int fd, bool raw, struct path *out) must_check;
