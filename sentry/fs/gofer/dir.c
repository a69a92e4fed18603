/*
 * Directory reads. All entries are fetched at the beginning of a read and kept with the open file, so a position is an
 * index into that list and stays what it was; on an exclusive mount the list is the inode's too, until a name changes.
 * A list is never changed once it is complete; it is counted.
 */
#include "sentry/fs/gofer/gofer.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 2 /* behind "." and ".." */

struct entry {
    uint64_t ino;
    uint32_t name; /* offset in names */
    uint8_t name_len, type;
};

struct gofer_listing {
    refcount_t refs;
    uint64_t parent_ino; /* of ".." */
    struct entry *entries;
    size_t count, cap;
    char *names; /* one after the other, each with its NUL */
    size_t names_len, names_cap;
};

void gofer_listing_put(struct gofer_listing *l)
{
    if (!l || !ref_put(&l->refs))
        return;
    free(l->entries);
    free(l->names);
    free(l);
}

void gofer_listing_forget(struct inode *dir)
{
    gofer_listing_put(gofer_data(dir)->listing);
    gofer_data(dir)->listing = NULL;
}

/* Room for one more entry with a name of len bytes. */
static bool make_room(struct gofer_listing *l, size_t len)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct entry *more = reallocarray(l->entries, cap, sizeof(*more));
        if (!more)
            return false;
        l->entries = more;
        l->cap = cap;
    }
    if (l->names_cap - l->names_len <= len) {
        size_t cap = l->names_cap * 2 + NAME_MAX + 1;
        char *more = cap < UINT32_MAX ? realloc(l->names, cap) : NULL;
        if (!more)
            return false;
        l->names = more;
        l->names_cap = cap;
    }
    return true;
}

static bool take_entry(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type)
{
    struct gofer_listing *l = ctx;

    if (!strcmp(name, "..")) {
        l->parent_ino = ino;
        return true;
    }
    if (!strcmp(name, "."))
        return true;
    if (!make_room(l, len))
        return false;
    l->entries[l->count++] =
        (struct entry){.ino = ino, .name = (uint32_t)l->names_len, .name_len = (uint8_t)len, .type = type};
    memcpy(l->names + l->names_len, name, len + 1);
    l->names_len += len + 1;
    return true;
}

static int fetch(struct inode *dir, struct gofer_listing **out)
{
    struct gofer_listing *l = calloc(1, sizeof(*l));
    uint64_t offset = 0;
    int ret = 1;

    if (!l)
        return -ENOMEM;
    ref_init(&l->refs);
    l->parent_ino = dir->ino;
    while (ret == 1)
        ret = rpc_readdir(gofer_conn(dir), gofer_data(dir)->fid, &offset, take_entry, l);
    if (ret < 0) {
        gofer_listing_put(l);
        return ret;
    }
    *out = l;
    return 0;
}

/* What is in dir now, counted. */
static int listing_get(struct inode *dir, struct gofer_listing **out)
{
    struct gofer_inode *gi = gofer_data(dir);
    int ret = 0;

    lock(&dir->lock);
    if (gi->listing) {
        *out = gi->listing;
        ref_get(&gi->listing->refs);
    } else {
        ret = fetch(dir, out);
        if (ret == 0 && gofer_sb(dir)->exclusive) {
            gi->listing = *out;
            ref_get(&gi->listing->refs);
        }
    }
    unlock(&dir->lock);
    return ret;
}

static int gofer_iterate(struct file *f, int64_t *pos, dir_emit_fn emit, void *ctx)
{
    struct gofer_listing *l = f->priv;

    if (!l || *pos == 0) {
        int ret = listing_get(f->inode, &l);
        if (ret < 0)
            return ret;
        gofer_listing_put(f->priv);
        f->priv = l;
    }
    for (; *pos < FIRST; ++*pos)
        if (!emit(ctx, *pos ? ".." : ".", (size_t)*pos + 1, *pos ? l->parent_ino : f->inode->ino, DT_DIR, *pos + 1))
            return 0;
    for (; (uint64_t)*pos - FIRST < l->count; ++*pos) {
        const struct entry *e = &l->entries[*pos - FIRST];
        if (!emit(ctx, l->names + e->name, e->name_len, e->ino, e->type, *pos + 1))
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
    (void)data_only;
    return f->inode->sb->flags & SB_RDONLY ? 0 : rpc_fsync(gofer_conn(f->inode), gofer_data(f->inode)->fid);
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
