/*
 * Fids that are asked for late. Most entries of a directory that is walked are only looked at: their attributes come
 * with the listing, and the gofer opens nothing. Such an inode knows its name and the directory, and gets its fid from
 * the first message that needs one. Should the host, against what an exclusive mount promises, have put another file of
 * the same kind in its place by then, the inode is that file from then on.
 */
#include "sentry/fs/gofer/gofer.h"

#include "sentry/kernel/locking.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The name leads to another file now. That one may have an inode already, so this one leaves the table. */
static void become(struct inode *i, const struct p9_attr *a)
{
    struct gofer_inode *gi = gofer_data(i);

    gofer_table_leave(i);
    lock(&gi->attr_lock);
    gi->host_dev = a->dev;
    gi->host_ino = a->ino;
    i->size = a->size;
    gofer_changed_locked(gi);
    unlock(&gi->attr_lock);
}

int gofer_take_fid(struct inode *i, uint32_t fid, const struct p9_attr *a)
{
    struct gofer_inode *gi = gofer_data(i);
    uint32_t none = P9_NOFID;

    bool same_type = !((a->mode ^ i->mode) & S_IFMT);
    lock(&gi->attr_lock);
    bool same = a->ino == gi->host_ino && a->dev == gi->host_dev;
    unlock(&gi->attr_lock);
    if (same_type && !same)
        become(i, a);
    if (!same_type || !atomic_compare_exchange_strong(&gi->fid, &none, fid))
        gofer_fid_forget(gofer_conn(i), fid);
    return same_type ? 0 : -ESTALE;
}

/* Puts from's own name in front of those in w. */
static void prepend(struct gofer_walk *w, const struct inode *from)
{
    const char *name = gofer_data(from)->name;

    memmove(w->names + 1, w->names, w->count * sizeof(*w->names));
    memmove(w->name_len + 1, w->name_len, w->count * sizeof(*w->name_len));
    w->names[0] = name;
    w->name_len[0] = strlen(name);
    w->count++;
}

/* The first of those found is from itself: its fid. */
static int take_first(struct gofer_walk *w, struct inode *from)
{
    struct gofer_conn *c = gofer_conn(from);

    int ret = gofer_take_fid(from, w->fids[0], &w->attrs[0]);
    if (ret == 0 && w->found == 1 && *w->target)
        gofer_keep_target(from, w->target);
    w->count--;
    w->found--;
    memmove(w->names, w->names + 1, w->count * sizeof(*w->names));
    memmove(w->name_len, w->name_len + 1, w->count * sizeof(*w->name_len));
    memmove(w->fids, w->fids + 1, w->found * sizeof(*w->fids));
    memmove(w->attrs, w->attrs + 1, w->found * sizeof(*w->attrs));
    if (ret == 0)
        return 0;
    for (unsigned n = 0; n < w->found; n++)
        gofer_fid_forget(c, w->fids[n]);
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->found = 0;
    return ret;
}

int gofer_walk(struct inode *from, struct gofer_walk *w)
{
    struct gofer_inode *gi = gofer_data(from);
    uint32_t fid = atomic_load(&gi->fid);

    w->fd = -1;
    w->found = 0;
    w->err = 0;
    if (fid != P9_NOFID)
        return w->count ? rpc_walk(gofer_conn(from), fid, w) : 0;
    fid = atomic_load(&gofer_data(gi->parent)->fid); /* there is one: entries were listed with it */
    if (w->count == P9_MAX_WALK) {
        w->count--; /* the walk asks for the last one by itself */
        w->open = false;
    }
    prepend(w, from);
    int ret;
    do
        ret = rpc_walk(gofer_conn(from), fid, w);
    while (ret == 0 && !w->found && gofer_make_room(w->err));
    if (ret == 0)
        ret = w->found ? take_first(w, from) : w->err;
    return ret;
}

int gofer_fid(struct inode *i, uint32_t *out)
{
    struct gofer_walk w = {.count = 0};

    int ret = gofer_walk(i, &w);
    *out = atomic_load(&gofer_data(i)->fid);
    return ret;
}
