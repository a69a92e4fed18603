/*
 * Look-up. A message costs far more than what it asks, so one asks for all that is likely to be wanted:
 *
 *   - the rest of the path that is being walked, and a descriptor of the file at its end if it is to be opened;
 *   - where a directory has been read and its entries are now looked up one after the other, as ls -l, find and git do,
 *     for a growing batch of the entries that follow, of the same type. Mostly it was read with their attributes
 *     (listing.c), and no message is needed.
 *
 * A directory in which several names were not there is read, since its listing answers for all others that are not.
 * All with the directory's lock held.
 */
#include "sentry/fs/gofer/gofer.h"

#include "sentry/vfs/dcache.h"
#include "sentry/vfs/lookahead.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ABSENT_MAX 3          /* misses after which a directory is read */
#define SHRINK 1024           /* names forgotten when the gofer has no descriptors left after all */
#define BATCH_MAX P9_MAX_LOOK /* names to ask for at once: twice as many with each batch, up to this */

/* ---- along the path ---- */

/* Adds the names that the walk will ask for next; true: the path's last one is among them. */
static bool add_rest(struct gofer_walk *w, const struct lookahead *la)
{
    const char *p = la->rest;

    while (*p && w->count < P9_MAX_WALK) {
        size_t len = strcspn(p, "/");
        const char *next = p + len + strspn(p + len, "/");
        if (len > NAME_MAX || !strncmp(p, ".", len) || !strncmp(p, "..", len) || (la->parent && !*next))
            return false;
        w->names[w->count] = p;
        w->name_len[w->count++] = len;
        p = next;
    }
    return !*p;
}

/* The inodes of all names that were found; the first is the caller's, the others go to the walk. */
static int take_walk(struct inode *dir, struct gofer_walk *w, struct lookahead *la, uint64_t changes,
                     struct inode **out)
{
    struct inode *at = NULL;
    unsigned n = 0;
    int ret = 0;

    for (; n < w->found && ret == 0; n++) {
        struct inode *next;
        ret = gofer_inode_get(dir->sb, w->fids[n], &w->attrs[n], n + 1 == w->found ? w->target : NULL, &next);
        if (ret == 0 && n == 0)
            *out = next;
        else if (ret == 0)
            lookahead_add(la, at, w->names[n], w->name_len[n], next, changes);
        if (ret == 0)
            at = next;
    }
    for (; n < w->found; n++)
        gofer_fid_forget(gofer_conn(dir), w->fids[n]);
    if (ret == 0 && at && w->err == -ENOENT && S_ISDIR(at->mode))
        lookahead_add(la, at, w->names[w->found], w->name_len[w->found], NULL, changes);
    if (ret == 0 && w->fd >= 0) {
        gofer_handle_offer(at, w->fd, O_RDONLY);
        w->fd = -1;
    }
    return at ? 0 : ret; /* what failed further on is asked for again */
}

bool gofer_make_room(int err)
{
    return err == -EMFILE && dcache_shrink(SHRINK) > 0;
}

static int walk_path(struct inode *dir, const char *name, struct inode **out)
{
    struct gofer_walk w = {.names = {name}, .name_len = {strlen(name)}, .count = 1};
    struct lookahead *la = lookahead_get();
    uint64_t changes = atomic_load(&dir->sb->name_changes);

    w.xattrs = gofer_wants_xattrs(gofer_sb(dir));
    w.open = la && add_rest(&w, la) && la->open;
    int ret;
    do
        ret = gofer_walk(dir, &w);
    while (ret == 0 && !w.found && gofer_make_room(w.err));
    if (ret < 0)
        return ret;
    if (!w.found)
        return w.err;
    ret = take_walk(dir, &w, la, changes, out);
    if (w.fd >= 0)
        close(w.fd);
    return ret;
}

/* ---- along the directory ---- */

/* Asks for entry n and those of its type that follow. */
static int look_batch(struct inode *dir, struct gofer_dir *gd, size_t n)
{
    struct gofer_sb *gs = gofer_sb(dir);
    struct gofer_look looks[P9_MAX_LOOK];
    size_t numbers[P9_MAX_LOOK], count = 0;
    const struct gofer_listing *l = gd->listing;
    const unsigned char type = l->entries[n].type;
    uint32_t fid;

    gofer_ahead_begin(gs, gd);
    for (; n < l->count && count < gd->batch; n++) {
        const struct gofer_entry *e = &l->entries[n];
        if (!gofer_ahead_unknown(gd, n) || e->type != type || !e->name_len)
            continue;
        numbers[count] = n;
        looks[count++].name = gofer_entry_name(l, e);
    }
    int ret = count ? gofer_fid(dir, &fid) : 0;
    if (ret == 0 && count)
        ret = rpc_look(gofer_conn(dir), fid, gofer_wants_xattrs(gs), looks, count);
    for (size_t k = 0; ret == 0 && k < count; k++)
        if (!looks[k].err)
            gofer_ahead_put(gd, numbers[k], &looks[k].attr);
    gd->batch = MIN(gd->batch * 2, (unsigned)BATCH_MAX);
    return ret;
}

/* Entry n of a directory that has been read. 1: it is to be asked for by itself, as one to be opened is in any case. */
static int look_entry(struct inode *dir, struct gofer_dir *gd, size_t n, bool open, struct inode **out)
{
    struct gofer_sb *gs = gofer_sb(dir);
    const struct gofer_entry *e = &gd->listing->entries[n];
    struct p9_attr a;

    if (gofer_ahead_unknown(gd, n) && !open && !gofer_ahead_full()) {
        if (!gd->batch) {
            gd->batch = GOFER_BATCH_FIRST; /* after a single question */
            return 1;
        }
        int ret = look_batch(dir, gd, n);
        if (ret < 0)
            return ret;
    }
    if (e->type != DT_DIR && !open)
        atomic_store_explicit(&gs->idle_listings, 0, memory_order_relaxed);
    if (!gofer_ahead_take(gs, gd, n, &a))
        return 1;
    return gofer_inode_listed(dir, gofer_entry_name(gd->listing, e), &a, out);
}

int gofer_lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct gofer_dir *gd = gofer_sb(dir)->exclusive ? gofer_dir_get(dir) : NULL;
    const struct lookahead *la = lookahead_get();
    int ret = 1;

    const unsigned crowd = gofer_fids_to_forget();
    if (unlikely(crowd))
        (void)dcache_shrink(crowd);
    if (gd && gd->listing) {
        int64_t n = gofer_listing_find(gd->listing, name);
        if (n < 0)
            return -ENOENT;
        if (!la || !*la->rest)
            ret = look_entry(dir, gd, (size_t)n, la && la->open, out);
    }
    if (ret == 1)
        ret = walk_path(dir, name, out);
    if (ret == 0 && *out == dir) { /* nothing is in itself */
        inode_put(*out);
        return -EIO;
    }
    if (ret == -ENOENT && gd && !gd->listing && ++gd->absent == ABSENT_MAX)
        gofer_dir_read_ahead(dir);
    return ret;
}
