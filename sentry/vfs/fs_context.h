/* A task's root, current directory and umask; shared under CLONE_FS. */
#pragma once

#include "lib/compiler.h"
#include "lib/lock.h"
#include "lib/refcount.h"
#include "sentry/vfs/vfs.h"

struct fs_context {
    refcount_t refs;
    struct lock lock; /* RANK_FS_CONTEXT: root and cwd */
    struct path root, cwd;
    _Atomic mode_t umask;
};

/* References on the paths are taken, not taken over. NULL: no memory. */
struct fs_context *fs_context_new(const struct path *root, const struct path *cwd, mode_t umask) must_check;
struct fs_context *fs_context_clone(struct fs_context *fs) must_check;
struct fs_context *fs_context_get(struct fs_context *fs);
void fs_context_put(struct fs_context *fs);
/* Counted copies. */
void fs_context_root(struct fs_context *fs, struct path *out);
void fs_context_cwd(struct fs_context *fs, struct path *out);
void fs_context_set_root(struct fs_context *fs, const struct path *p);
void fs_context_set_cwd(struct fs_context *fs, const struct path *p);
