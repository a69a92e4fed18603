/*
 * Listings: all entries of a directory, fetched in as few messages as they need. On an exclusive mount the inode keeps
 * its directory's until a name changes. Look-up finds in it which names there are, by a hash index, and which of them
 * are likely to be asked for next.
 */
#include "sentry/fs/gofer/gofer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct inode gofer_asked_for;

void gofer_listing_put(struct gofer_listing *l)
{
    if (!l || !ref_put(&l->refs))
        return;
    free(l->entries);
    free(l->names);
    free(l->index);
    free(l);
}

/* Room for one more entry with a name of len bytes. */
static bool make_room(struct gofer_listing *l, size_t len)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct gofer_entry *more = reallocarray(l->entries, cap, sizeof(*more));
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

    if (!make_room(l, len))
        return false;
    l->entries[l->count++] =
        (struct gofer_entry){.ino = ino, .name = (uint32_t)l->names_len, .name_len = (uint8_t)len, .type = type};
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
    while (ret == 1)
        ret = rpc_readdir(gofer_conn(dir), gofer_data(dir)->fid, &offset, take_entry, l);
    if (ret < 0) {
        gofer_listing_put(l);
        return ret;
    }
    *out = l;
    return 0;
}

int gofer_listing_get(struct inode *dir, struct gofer_listing **out)
{
    struct gofer_dir *gd = gofer_sb(dir)->exclusive ? gofer_dir_get(dir) : NULL;
    int ret = 0;

    if (!gd)
        return fetch(dir, out);
    if (!gd->listing)
        ret = fetch(dir, &gd->listing);
    if (ret < 0)
        return ret;
    *out = gd->listing;
    ref_get(&gd->listing->refs);
    return 0;
}

/* ---- finding names ---- */

static size_t hash_of(const char *name)
{
    size_t h = 0xcbf29ce484222325ULL;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3ULL;
    return h ^ (h >> 29);
}

/* At least half of it stays free, so a search ends soon. */
static bool make_index(struct gofer_listing *l)
{
    size_t size = 16;

    while (size < 2 * l->count)
        size *= 2;
    l->index = calloc(size, sizeof(*l->index));
    if (!l->index)
        return false;
    l->index_size = size;
    for (size_t n = 0; n < l->count; n++) {
        size_t at = hash_of(gofer_entry_name(l, &l->entries[n])) & (size - 1);
        while (l->index[at])
            at = (at + 1) & (size - 1);
        l->index[at] = (uint32_t)n + 1;
    }
    return true;
}

static int64_t search_all(const struct gofer_listing *l, const char *name)
{
    for (size_t n = 0; n < l->count; n++)
        if (!strcmp(gofer_entry_name(l, &l->entries[n]), name))
            return (int64_t)n;
    return -1;
}

int64_t gofer_listing_find(struct gofer_listing *l, const char *name)
{
    if (!l->index && !make_index(l))
        return search_all(l, name);
    size_t mask = l->index_size - 1;
    for (size_t at = hash_of(name) & mask; l->index[at]; at = (at + 1) & mask) {
        uint32_t n = l->index[at] - 1;
        if (!strcmp(gofer_entry_name(l, &l->entries[n]), name))
            return n;
    }
    return -1;
}

/* ---- what a directory's inode keeps ---- */

struct gofer_dir *gofer_dir_get(struct inode *dir)
{
    struct gofer_inode *gi = gofer_data(dir);

    if (!gi->dir)
        gi->dir = calloc(1, sizeof(*gi->dir));
    return gi->dir;
}

void gofer_dir_forget(struct inode *dir)
{
    struct gofer_dir *gd = gofer_data(dir)->dir;

    if (!gd)
        return;
    gofer_data(dir)->dir = NULL;
    for (size_t n = 0; gd->ahead && n < gd->listing->count; n++)
        if (gd->ahead[n] != &gofer_asked_for)
            inode_put(gd->ahead[n]);
    free(gd->ahead);
    gofer_listing_put(gd->listing);
    free(gd);
}
