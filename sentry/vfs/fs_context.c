/* See fs_context.h. */
#include "sentry/vfs/fs_context.h"

#include "sentry/kernel/locking.h"

#include <stdlib.h>

struct fs_context *fs_context_new(const struct path *root, const struct path *cwd, mode_t umask)
{
    struct fs_context *fs = calloc(1, sizeof(*fs));

    if (!fs)
        return NULL;
    ref_init(&fs->refs);
    lock_init(&fs->lock, RANK_FS_CONTEXT);
    fs->root = *root;
    fs->cwd = *cwd;
    fs->umask = umask;
    path_get(root);
    path_get(cwd);
    return fs;
}

struct fs_context *fs_context_clone(struct fs_context *fs)
{
    struct path root, cwd;

    fs_context_root(fs, &root);
    fs_context_cwd(fs, &cwd);
    struct fs_context *copy = fs_context_new(&root, &cwd, fs->umask);
    path_put(&root);
    path_put(&cwd);
    return copy;
}

struct fs_context *fs_context_get(struct fs_context *fs)
{
    ref_get(&fs->refs);
    return fs;
}

void fs_context_put(struct fs_context *fs)
{
    if (!fs || !ref_put(&fs->refs))
        return;
    path_put(&fs->root);
    path_put(&fs->cwd);
    lock_destroy(&fs->lock);
    free(fs);
}

static void get_path(struct fs_context *fs, const struct path *from, struct path *out)
{
    lock(&fs->lock);
    *out = *from;
    path_get(out);
    unlock(&fs->lock);
}

void fs_context_root(struct fs_context *fs, struct path *out)
{
    get_path(fs, &fs->root, out);
}

void fs_context_cwd(struct fs_context *fs, struct path *out)
{
    get_path(fs, &fs->cwd, out);
}

static void set_path(struct fs_context *fs, struct path *slot, const struct path *p)
{
    path_get(p);
    lock(&fs->lock);
    struct path old = *slot;
    *slot = *p;
    unlock(&fs->lock);
    path_put(&old);
}

void fs_context_set_root(struct fs_context *fs, const struct path *p)
{
    set_path(fs, &fs->root, p);
}

void fs_context_set_cwd(struct fs_context *fs, const struct path *p)
{
    set_path(fs, &fs->cwd, p);
}
