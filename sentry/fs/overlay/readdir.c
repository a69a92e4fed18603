/*
 * Reading directories. A merged one has the entries of the upper directory, and those of the lower one that no upper
 * entry or whiteout hides. They are gathered when a read starts at the beginning and kept with the open file, so
 * positions are indices into that list. A directory that is all lower is read on the lower tree itself.
 */
#include "sentry/fs/overlay/overlay.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 2 /* behind "." and ".." */

struct entry {
    char *name;
    uint64_t ino;
    unsigned char type;
    bool hidden; /* a whiteout */
};

struct listing {
    struct entry *entries;
    size_t count, cap;
    size_t sorted;       /* the first so many, the upper's, are in order of name */
    struct inode *upper; /* while gathering the upper's */
    bool no_memory;
};

static void listing_free(struct listing *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++)
        free(l->entries[i].name);
    free(l->entries);
    free(l);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool listing_add(struct listing *l, const char *name, size_t len, uint64_t ino, unsigned char type)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 32;
        struct entry *more = reallocarray(l->entries, cap, sizeof(*more));
        if (!more) {
            l->no_memory = true;
            return false;
        }
        l->entries = more;
        l->cap = cap;
    }
    char *copy = strndup(name, len);
    if (!copy) {
        l->no_memory = true;
        return false;
    }
    l->entries[l->count++] = (struct entry){.name = copy, .ino = ino, .type = type};
    return true;
}

static bool is_dot(const char *name, size_t len)
{
    return (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.');
}

static bool take_upper(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type, int64_t next)
{
    (void)next;
    return is_dot(name, len) || listing_add(ctx, name, len, ino, type);
}

static bool take_lower(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type, int64_t next)
{
    struct listing *l = ctx;
    char buf[NAME_MAX + 1];
    (void)next;

    if (is_dot(name, len) || len > NAME_MAX)
        return true;
    memcpy(buf, name, len);
    buf[len] = '\0';
    const struct entry key = {.name = buf};
    if (l->sorted && bsearch(&key, l->entries, l->sorted, sizeof(key), compare_names))
        return true;
    return listing_add(l, name, len, ino, type);
}

/* Every entry of a real directory. */
static int read_real(struct inode *dir, struct listing *l, dir_emit_fn take)
{
    struct file *f;
    int64_t pos = 0, before;

    int ret = ovl_open_real(dir, FMODE_READ, &f);
    if (ret < 0)
        return ret;
    ret = f->ops->iterate ? 0 : -ENOTDIR;
    do {
        before = pos;
        if (ret == 0)
            ret = f->ops->iterate(f, &pos, take, l);
    } while (ret == 0 && pos != before && !l->no_memory);
    file_put(f);
    return ret == 0 && l->no_memory ? -ENOMEM : ret;
}

/* Finds the whiteouts among the upper's entries and the numbers that copies had before. */
static void resolve_upper(struct listing *l, struct inode *upper)
{
    for (size_t n = 0; n < l->count; n++) {
        struct entry *e = &l->entries[n];
        struct inode *i;
        if (ovl_lookup_real(upper, e->name, &i) < 0) {
            e->hidden = true; /* gone meanwhile */
            continue;
        }
        e->hidden = ovl_is_whiteout(i);
        e->ino = ovl_ino(i, NULL);
        inode_put(i);
    }
}

static int gather(struct inode *i, struct listing **out)
{
    struct inode *upper = ovl_upper(i), *lower = ovl_is_opaque(upper) ? NULL : ovl_data(i)->lower;
    struct listing *l = calloc(1, sizeof(*l));
    int ret = 0;

    if (!l)
        return -ENOMEM;
    if (upper) {
        ret = read_real(upper, l, take_upper);
        resolve_upper(l, upper);
        if (lower && l->count) {
            qsort(l->entries, l->count, sizeof(*l->entries), compare_names);
            l->sorted = l->count;
        }
    }
    if (ret == 0 && lower)
        ret = read_real(lower, l, take_lower);
    if (ret < 0) {
        listing_free(l);
        return ret;
    }
    *out = l;
    return 0;
}

/* Removes the whiteouts listed; the directory is opaque from now on, so that nothing comes back to light. */
static int remove_whiteouts(struct inode *upper, const struct listing *l)
{
    int ret = 0;

    upper->rdev |= OVL_OPAQUE;
    for (size_t n = 0; n < l->count && ret == 0; n++) {
        struct inode *i;
        if (ovl_lookup_real(upper, l->entries[n].name, &i) < 0)
            continue;
        lock(&upper->lock);
        ret = upper->ops->unlink(upper, l->entries[n].name, i);
        unlock(&upper->lock);
        inode_put(i);
    }
    return ret;
}

int ovl_make_empty(struct inode *i)
{
    struct listing *l;

    int ret = gather(i, &l);
    if (ret < 0)
        return ret;
    for (size_t n = 0; n < l->count; n++)
        if (!l->entries[n].hidden)
            ret = -ENOTEMPTY;
    if (ret == 0 && ovl_upper(i))
        ret = remove_whiteouts(ovl_upper(i), l);
    listing_free(l);
    return ret;
}

static uint64_t parent_ino(struct inode *i)
{
    struct ovl_sb *os = ovl_sb(i);

    lock(&os->place_lock);
    struct inode *parent = ovl_data(i)->parent;
    uint64_t ino = parent ? parent->ino : i->ino;
    unlock(&os->place_lock);
    return ino;
}

/* ---- open directories ---- */

struct dir_file { /* f->priv; exactly one of the two is set once it has been read from */
    struct listing *merged;
    struct file *lower; /* counted: a directory that is all lower is read as it is, until the next beginning */
};

static void forget_read(struct dir_file *df)
{
    listing_free(df->merged);
    file_put(df->lower);
    *df = (struct dir_file){0};
}

/* At the beginning of a read. */
static int begin_read(struct inode *i, struct dir_file *df)
{
    struct dir_file fresh = {0};

    int ret = ovl_upper(i) ? gather(i, &fresh.merged) : ovl_open_real(ovl_data(i)->lower, FMODE_READ, &fresh.lower);
    if (ret < 0)
        return ret;
    forget_read(df);
    *df = fresh;
    return 0;
}

struct passing {
    dir_emit_fn emit;
    void *ctx;
    uint64_t parent_ino;
};

/* The lower directory's entries are ours, but that it may not know what is above it. */
static bool pass_on(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type, int64_t next)
{
    const struct passing *p = ctx;
    bool up = len == 2 && name[0] == '.' && name[1] == '.';

    return p->emit(p->ctx, name, len, up ? p->parent_ino : ino, type, next);
}

static int iterate_merged(struct inode *i, const struct listing *l, int64_t *pos, dir_emit_fn emit, void *ctx)
{
    for (; *pos < FIRST; ++*pos) {
        uint64_t ino = *pos ? parent_ino(i) : i->ino;
        if (!emit(ctx, *pos ? ".." : ".", (size_t)*pos + 1, ino, DT_DIR, *pos + 1))
            return 0;
    }
    for (; (uint64_t)*pos - FIRST < l->count; ++*pos) {
        const struct entry *e = &l->entries[*pos - FIRST];
        if (!e->hidden && !emit(ctx, e->name, strlen(e->name), e->ino, e->type, *pos + 1))
            return 0;
    }
    return 0;
}

static int ovl_iterate(struct file *f, int64_t *pos, dir_emit_fn emit, void *ctx)
{
    struct dir_file *df = f->priv;
    struct inode *i = f->inode;

    if ((!df->merged && !df->lower) || *pos == 0) {
        int ret = begin_read(i, df);
        if (ret < 0)
            return ret;
    }
    if (df->merged)
        return iterate_merged(i, df->merged, pos, emit, ctx);
    struct passing p = {emit, ctx, parent_ino(i)};
    return df->lower->ops->iterate ? df->lower->ops->iterate(df->lower, pos, pass_on, &p) : -ENOTDIR;
}

static const struct file_ops ovl_dir_ops;

int ovl_open_dir(struct file *f)
{
    f->priv = calloc(1, sizeof(struct dir_file));
    if (!f->priv)
        return -ENOMEM;
    f->ops = &ovl_dir_ops;
    return 0;
}

static int64_t ovl_dir_llseek(struct file *f, int64_t off, int whence)
{
    if (whence == SEEK_CUR)
        off += f->pos;
    else if (whence != SEEK_SET)
        return -EINVAL;
    return off < 0 ? -EINVAL : (f->pos = off);
}

static int ovl_dir_fsync(struct file *f, bool data_only)
{
    (void)f, (void)data_only;
    return 0;
}

static void ovl_dir_release(struct file *f)
{
    forget_read(f->priv);
    free(f->priv);
}

static const struct file_ops ovl_dir_ops = {
    .llseek = ovl_dir_llseek,
    .iterate = ovl_iterate,
    .fsync = ovl_dir_fsync,
    .release = ovl_dir_release,
};
