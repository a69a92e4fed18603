/*
 * Listings: all entries of a directory, fetched in as few messages as they need. On an exclusive mount the inode keeps
 * its directory's, and keeps it in step with names that are made and removed. Look-up finds in it which names there
 * are, by a hash index, and which of them are likely to be asked for next.
 */
#include "sentry/fs/gofer/gofer.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REMOVED_MAX 1024
#define READ_AHEAD_MESSAGES 8 /* some twenty thousand names */
#define IDLE_LISTINGS_MAX 4   /* directories whose attributes nobody wanted, until they are asked for no more */

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

static bool add_entry(struct gofer_listing *l, const char *name, size_t len, uint64_t ino, unsigned char type)
{
    if (!make_room(l, len))
        return false;
    l->entries[l->count++] =
        (struct gofer_entry){.ino = ino, .name = (uint32_t)l->names_len, .name_len = (uint8_t)len, .type = type};
    memcpy(l->names + l->names_len, name, len + 1);
    l->names_len += len + 1;
    return true;
}

struct fetching {
    struct gofer_listing *l;
    struct gofer_dir *gd; /* keeps attributes; or NULL */
};

static bool take_entry(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type,
                       const struct p9_attr *a)
{
    const struct fetching *f = ctx;

    if (!add_entry(f->l, name, len, ino, type))
        return false;
    if (a && f->gd)
        gofer_ahead_put(f->gd, f->l->count - 1, a);
    return true;
}

/* The first message; a directory that has no fid yet gets it along. As rpc_readdir(). */
static int fetch_first(struct inode *dir, struct gofer_readdir *r)
{
    struct gofer_inode *gi = gofer_data(dir);

    r->fid = atomic_load(&gi->fid);
    if (r->fid != P9_NOFID)
        return rpc_readdir(gofer_conn(dir), r);
    int ret = gofer_fid_alloc(gofer_conn(dir), &r->newfid, 1);
    if (ret < 0)
        return ret;
    r->fid = atomic_load(&gofer_data(gi->parent)->fid);
    r->name = gi->name;
    ret = rpc_readdir(gofer_conn(dir), r);
    r->name = NULL;
    if (ret < 0) {
        gofer_fid_forget(gofer_conn(dir), r->newfid); /* if it exists: the failure may be ours */
        return ret;
    }
    int err = gofer_take_fid(dir, r->newfid, &r->attr);
    return err < 0 ? err : ret;
}

/* At most so many messages: -E2BIG if they do not carry all entries. gd: gets attributes, of those in the first one. */
static int fetch(struct inode *dir, unsigned messages, struct gofer_dir *gd, struct gofer_listing **out)
{
    struct gofer_listing *l = calloc(1, sizeof(*l));
    struct fetching f = {.l = l, .gd = gd};
    struct gofer_readdir r = {
        .emit = take_entry, .ctx = &f, .attrs = gd, .xattrs = gd && gofer_wants_xattrs(gofer_sb(dir))};
    int ret;

    if (!l)
        return -ENOMEM;
    ref_init(&l->refs);
    do
        ret = fetch_first(dir, &r);
    while (gofer_make_room(ret));
    r.attrs = false;
    r.fid = atomic_load(&gofer_data(dir)->fid);
    while (ret == 1 && --messages)
        do
            ret = rpc_readdir(gofer_conn(dir), &r);
        while (gofer_make_room(ret));
    if (ret != 0) {
        gofer_listing_put(l);
        return ret < 0 ? ret : -E2BIG;
    }
    *out = l;
    return 0;
}

/* For an exclusive mount: with the attributes of what is in it, unless those of the last directories were for nothing.
 */
static int fetch_with_attrs(struct inode *dir, struct gofer_dir *gd)
{
    struct gofer_sb *gs = gofer_sb(dir);
    bool wanted = !gofer_ahead_full() &&
                  atomic_fetch_add_explicit(&gs->idle_listings, 1, memory_order_relaxed) < IDLE_LISTINGS_MAX;

    gofer_ahead_begin(gs, gd);
    int ret = fetch(dir, UINT_MAX, wanted ? gd : NULL, &gd->listing);
    if (ret < 0)
        gofer_ahead_free(gd); /* what is kept goes by the entries' numbers */
    return ret;
}

void gofer_dir_read_ahead(struct inode *dir)
{
    struct gofer_dir *gd = gofer_dir_get(dir);

    if (gd && !gd->listing && fetch(dir, READ_AHEAD_MESSAGES, NULL, &gd->listing) < 0)
        gd->listing = NULL;
}

int gofer_listing_get(struct inode *dir, struct gofer_listing **out)
{
    struct gofer_dir *gd = gofer_sb(dir)->exclusive ? gofer_dir_get(dir) : NULL;
    int ret = 0;

    if (!gd)
        return fetch(dir, UINT_MAX, NULL, out);
    if (!gd->listing)
        ret = fetch_with_attrs(dir, gd);
    if (ret < 0)
        return ret;
    if (!gd->batch)
        gd->batch = GOFER_BATCH_FIRST; /* whoever lists a directory mostly looks at what is in it next */
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
        if (l->entries[n].name_len && !strcmp(gofer_entry_name(l, &l->entries[n]), name))
            return (int64_t)n;
    return -1;
}

/* Enters entry n, the newest. An index that would get too full is dropped, to be made anew. */
static void index_add(struct gofer_listing *l, size_t n)
{
    if (!l->index)
        return;
    if (2 * l->count > l->index_size) {
        free(l->index);
        l->index = NULL;
        return;
    }
    size_t at = hash_of(gofer_entry_name(l, &l->entries[n])) & (l->index_size - 1);
    while (l->index[at])
        at = (at + 1) & (l->index_size - 1);
    l->index[at] = (uint32_t)n + 1;
}

int64_t gofer_listing_find(struct gofer_listing *l, const char *name)
{
    if (!l->index && !make_index(l))
        return search_all(l, name);
    size_t mask = l->index_size - 1;
    for (size_t at = hash_of(name) & mask; l->index[at]; at = (at + 1) & mask) {
        uint32_t n = l->index[at] - 1;
        if (l->entries[n].name_len && !strcmp(gofer_entry_name(l, &l->entries[n]), name))
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
    gofer_ahead_free(gd);
    gofer_listing_put(gd->listing);
    free(gd);
}

/* ---- changes ---- */

static struct gofer_listing *listing_copy(const struct gofer_listing *from)
{
    struct gofer_listing *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    ref_init(&l->refs);
    l->entries = malloc(MAX(from->count, 1U) * sizeof(*l->entries));
    l->names = malloc(from->names_len + 1);
    if (!l->entries || !l->names) {
        gofer_listing_put(l);
        return NULL;
    }
    memcpy(l->entries, from->entries, from->count * sizeof(*l->entries));
    memcpy(l->names, from->names, from->names_len);
    l->count = from->count;
    l->removed = from->removed;
    l->cap = MAX(from->count, 1U);
    l->names_len = from->names_len;
    l->names_cap = from->names_len + 1;
    return l;
}

/* The directory's listing, for us alone to change: open directories keep the one that they read. NULL: none. */
static struct gofer_listing *own_listing(struct inode *dir)
{
    struct gofer_dir *gd = gofer_data(dir)->dir;

    if (!gd || !gd->listing)
        return NULL;
    if (atomic_load(&gd->listing->refs.n) == 1)
        return gd->listing;
    struct gofer_listing *copy = listing_copy(gd->listing);
    if (!copy) {
        gofer_dir_forget(dir);
        return NULL;
    }
    gofer_listing_put(gd->listing);
    gd->listing = copy;
    return copy;
}

void gofer_dir_added(struct inode *dir, const char *name, uint64_t ino, mode_t mode)
{
    struct gofer_listing *l = own_listing(dir);
    struct p9_attr ignored;

    if (!l)
        return;
    if (!add_entry(l, name, strlen(name), ino, (unsigned char)IFTODT(mode))) {
        gofer_dir_forget(dir);
        return;
    }
    index_add(l, l->count - 1);
    gofer_ahead_take(gofer_sb(dir), gofer_data(dir)->dir, l->count - 1, &ignored); /* vfs has it */
}

void gofer_dir_removed(struct inode *dir, const char *name)
{
    struct gofer_listing *l = own_listing(dir);
    int64_t n = l ? gofer_listing_find(l, name) : -1;
    struct p9_attr ignored;

    if (n < 0) {
        gofer_dir_forget(dir);
        return;
    }
    struct gofer_dir *gd = gofer_data(dir)->dir;
    l->entries[n].name_len = 0;
    if (++l->removed > REMOVED_MAX && 2 * l->removed > l->count) {
        gofer_dir_forget(dir); /* mostly gaps by now: read anew when it is wanted */
        return;
    }
    gofer_ahead_take(gofer_sb(dir), gd, (size_t)n, &ignored);
}

void gofer_dir_is_new(struct inode *dir)
{
    struct gofer_dir *gd = gofer_sb(dir)->exclusive ? gofer_dir_get(dir) : NULL;

    if (!gd || gd->listing)
        return;
    gd->listing = calloc(1, sizeof(*gd->listing));
    if (gd->listing)
        ref_init(&gd->listing->refs);
}
