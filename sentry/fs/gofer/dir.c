/*
 * Directory reads. All entries are fetched at the beginning of a read and kept with the open file, so a position is an
 * index into that list and stays what it was.
 */
#include "sentry/fs/gofer/gofer.h"

#include "sentry/vfs/dcache.h"

#include <dirent.h>
#include <errno.h>

#define FIRST 2 /* behind "." and ".." */

static int fetch(struct inode *dir, struct gofer_listing **out)
{
    lock(&dir->lock);
    int ret = gofer_listing_get(dir, out);
    unlock(&dir->lock);
    return ret;
}

/* What ".." is, as far as this mount goes. */
static uint64_t parent_ino(struct file *f)
{
    struct dentry *up = dentry_get_parent(f->dentry);
    uint64_t ino = dentry_inode(up)->sb == f->inode->sb ? dentry_inode(up)->ino : f->inode->ino;

    dentry_put(up);
    return ino;
}

static int gofer_iterate(struct file *f, int64_t *pos, dir_emit_fn emit, void *ctx)
{
    struct gofer_listing *l = f->priv;

    if (!l || *pos == 0) {
        int ret = fetch(f->inode, &l);
        if (ret < 0)
            return ret;
        gofer_listing_put(f->priv);
        f->priv = l;
    }
    uint64_t ino = f->inode->ino, parent = parent_ino(f);
    for (; *pos < FIRST; ++*pos)
        if (!emit(ctx, *pos ? ".." : ".", (size_t)*pos + 1, *pos ? parent : ino, DT_DIR, *pos + 1))
            return 0;
    for (; (uint64_t)*pos - FIRST < l->count; ++*pos) {
        const struct gofer_entry *e = &l->entries[*pos - FIRST];
        if (e->name_len && !emit(ctx, gofer_entry_name(l, e), e->name_len, e->ino, e->type, *pos + 1))
            return 0;
    }
    return 0;
}

static int64_t gofer_dir_llseek(struct file *f, int64_t off, int whence)
{
    if (whence == SEEK_CUR)
        off += f->pos;
    else if (whence != SEEK_SET)
        return -EINVAL;
    return off < 0 ? -EINVAL : (f->pos = off);
}

static int gofer_dir_fsync(struct file *f, bool data_only)
{
    uint32_t fid;
    (void)data_only;
    if (f->inode->sb->flags & SB_RDONLY)
        return 0;
    int ret = gofer_fid(f->inode, &fid);
    return ret < 0 ? ret : rpc_fsync(gofer_conn(f->inode), fid);
}

static void gofer_dir_release(struct file *f)
{
    gofer_listing_put(f->priv);
}

const struct file_ops gofer_dir_ops = {
    .llseek = gofer_dir_llseek,
    .iterate = gofer_iterate,
    .fsync = gofer_dir_fsync,
    .release = gofer_dir_release,
};
