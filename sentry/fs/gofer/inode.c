/*
 * Inodes: the table in which the names of one host file meet, and attributes.
 *
 * What the gofer says of a file is kept in the inode. On an exclusive mount it stays true until something is changed
 * through this sentry; then, and always on a shared mount, getattr asks again: the kernel, if a host descriptor of the
 * file is at hand, else the gofer.
 */
#include "sentry/fs/gofer/gofer.h"

#include "sentry/kernel/locking.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int table_compare(const struct gofer_inode *a, const struct gofer_inode *b)
{
    if (a->host_ino != b->host_ino)
        return a->host_ino < b->host_ino ? -1 : 1;
    return a->host_dev < b->host_dev ? -1 : a->host_dev > b->host_dev;
}

RB_GENERATE_INTERNAL(gofer_table, gofer_inode, node, table_compare, static unused_arg);

/* ---- attributes ---- */

/* attr_lock held, or the inode is new. */
static void take_attr_locked(struct inode *i, const struct p9_attr *a)
{
    struct gofer_inode *gi = gofer_data(i);

    i->mode = a->mode;
    i->nlink = (uint32_t)MIN(a->nlink, (uint64_t)UINT32_MAX);
    i->uid = a->uid;
    i->gid = a->gid;
    i->size = a->size;
    i->atime = a->atime;
    i->mtime = a->mtime;
    i->ctime = a->ctime;
    i->btime = a->btime;
    gi->blocks = a->blocks;
    gi->blksize = a->blksize;
}

/* -EIO if a is another file's. changes: what they were when it was asked for; if there have been more, it is old. */
static int take_attr(struct inode *i, const struct p9_attr *a, unsigned changes)
{
    struct gofer_inode *gi = gofer_data(i);

    lock(&gi->attr_lock);
    bool same = a->ino == gi->host_ino && a->dev == gi->host_dev && !((a->mode ^ i->mode) & S_IFMT);
    if (same) {
        take_attr_locked(i, a);
        gi->stale = gi->changes != changes;
    }
    unlock(&gi->attr_lock);
    return same ? 0 : -EIO;
}

void gofer_mark_stale(struct inode *i)
{
    struct gofer_inode *gi = gofer_data(i);

    lock(&gi->attr_lock);
    gofer_changed_locked(gi);
    unlock(&gi->attr_lock);
}

/*
 * What the kernel says of a file that has a descriptor here. The owner is what the gofer said last: in the sentry's
 * user namespace the kernel shows every id but one as nobody's. The birth time is what it was.
 */
static int attr_of_fd(struct inode *i, int fd, unsigned changes)
{
    struct gofer_inode *gi = gofer_data(i);
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    const struct p9_attr a = {
        .dev = gi->host_dev,
        .ino = gi->host_ino,
        .mode = st.st_mode,
        .nlink = st.st_nlink,
        .uid = i->uid,
        .gid = i->gid,
        .blksize = (uint32_t)st.st_blksize,
        .size = (uint64_t)st.st_size,
        .blocks = (uint64_t)st.st_blocks,
        .atime = st.st_atim,
        .mtime = st.st_mtim,
        .ctime = st.st_ctim,
        .btime = i->btime,
    };
    return take_attr(i, &a, changes);
}

/*
 * On a shared mount a walk has just brought the attributes of what it found, for the getattr that mostly follows: once,
 * in the same thread, and at once.
 */
static _Thread_local struct {
    const struct gofer_inode *inode; /* only to be compared */
    struct timespec when;
} seen;

#define JUST_NOW_NSEC 5000000

static void note_seen(const struct gofer_inode *gi)
{
    seen.inode = gi;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &seen.when);
}

static bool just_seen(const struct gofer_inode *gi)
{
    struct timespec now;

    if (seen.inode != gi)
        return false;
    seen.inode = NULL;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (now.tv_sec - seen.when.tv_sec) * 1000000000L + now.tv_nsec - seen.when.tv_nsec < JUST_NOW_NSEC;
}

int gofer_refresh(struct inode *i)
{
    struct gofer_inode *gi = gofer_data(i);
    struct p9_attr a;

    lock(&gi->attr_lock);
    bool known = gofer_sb(i)->exclusive && !gi->stale && !atomic_load(&gi->mapped);
    unsigned changes = gi->changes;
    unlock(&gi->attr_lock);
    if (known || just_seen(gi))
        return 0;
    struct gofer_handle *h = gofer_handle_peek(i, false);
    if (h) {
        int ret = attr_of_fd(i, h->fd, changes);
        gofer_handle_put(h);
        return ret;
    }
    uint32_t fid;
    int ret = gofer_fid(i, &fid);
    if (ret == 0)
        ret = rpc_getattr(gofer_conn(i), fid, &a);
    return ret < 0 ? ret : take_attr(i, &a, changes);
}

int gofer_getattr(struct inode *i, struct kstat *st)
{
    struct gofer_inode *gi = gofer_data(i);

    int ret = gofer_refresh(i);
    if (ret < 0)
        return ret;
    lock(&gi->attr_lock);
    inode_fill_stat_locked(i, st);
    st->dev = gi->dev;
    st->blocks = gi->blocks;
    st->blksize = gi->blksize;
    unlock(&gi->attr_lock);
    return 0;
}

static uint32_t wire_valid(unsigned valid)
{
    static const struct {
        unsigned attr;
        uint32_t wire;
    } bits[] = {
        {ATTR_MODE, P9_SETATTR_MODE},
        {ATTR_UID, P9_SETATTR_UID},
        {ATTR_GID, P9_SETATTR_GID},
        {ATTR_SIZE, P9_SETATTR_SIZE},
        {ATTR_ATIME, P9_SETATTR_ATIME | P9_SETATTR_ATIME_SET},
        {ATTR_MTIME, P9_SETATTR_MTIME | P9_SETATTR_MTIME_SET},
        {ATTR_ATIME_NOW, P9_SETATTR_ATIME},
        {ATTR_MTIME_NOW, P9_SETATTR_MTIME},
    };
    uint32_t wire = 0;

    for (size_t n = 0; n < ARRAY_SIZE(bits); n++)
        if (valid & bits[n].attr)
            wire |= bits[n].wire;
    return wire;
}

/* A new size alone (it moves mtime too) needs no message if the file is open for writing. */
static bool truncate_here(struct inode *i, const struct iattr *a, int *out_ret)
{
    if (!(a->valid & ATTR_SIZE) || (a->valid & ~(unsigned)(ATTR_SIZE | ATTR_MTIME_NOW)) || a->size > INT64_MAX)
        return false;
    struct gofer_handle *h = gofer_handle_peek(i, true);
    if (!h)
        return false;
    *out_ret = ftruncate(h->fd, (off_t)a->size) < 0 ? -errno : 0;
    gofer_handle_put(h);
    return true;
}

/* Permission checks read these from the inode; the rest comes with the next getattr. */
static void note_set(struct inode *i, const struct iattr *a)
{
    struct gofer_inode *gi = gofer_data(i);

    lock(&gi->attr_lock);
    inode_note_owner_locked(i, a);
    if (a->valid & ATTR_SIZE)
        i->size = a->size;
    gofer_changed_locked(gi);
    unlock(&gi->attr_lock);
}

int gofer_setattr(struct inode *i, const struct iattr *a)
{
    uint32_t fid;
    int ret;

    if (!truncate_here(i, a, &ret)) {
        ret = gofer_fid(i, &fid);
        if (ret == 0)
            ret = rpc_setattr(gofer_conn(i), fid, wire_valid(a->valid), a);
    }
    if (ret == 0)
        note_set(i, a);
    else
        gofer_mark_stale(i); /* some of it may have been done */
    return ret;
}

/* ---- symbolic links and extended attributes ---- */

/* The text never changes: a link can only be replaced. */
void gofer_keep_target(struct inode *i, const char *target)
{
    char *copy = strdup(target), *none = NULL;

    if (copy && !atomic_compare_exchange_strong(&gofer_data(i)->target, &none, copy))
        free(copy);
}

/* If the link has no fid yet, the message that gives it one brings the text. */
static int ask_target(struct inode *i, char text[PATH_MAX])
{
    uint32_t fid;

    int ret = gofer_fid(i, &fid);
    const char *target = atomic_load(&gofer_data(i)->target);
    if (ret == 0 && target)
        strcpy(text, target);
    else if (ret == 0)
        ret = rpc_readlink(gofer_conn(i), fid, text);
    if (ret == 0 && !target)
        gofer_keep_target(i, text);
    return ret;
}

int gofer_readlink(struct inode *i, char *buf, size_t cap)
{
    char text[PATH_MAX];
    const char *target = atomic_load(&gofer_data(i)->target);

    if (!S_ISLNK(i->mode))
        return -EINVAL;
    if (!target) {
        int ret = ask_target(i, text);
        if (ret < 0)
            return ret;
        target = text;
    }
    size_t n = MIN(strlen(target), cap);
    memcpy(buf, target, n);
    return (int)n;
}

static ssize_t ask_xattr(struct inode *i, unsigned op, const char *name, int flags, const void *val, size_t len,
                         void *buf, size_t cap)
{
    uint32_t fid;

    int ret = gofer_fid(i, &fid);
    return ret < 0 ? ret : rpc_xattr(gofer_conn(i), fid, op, name, (uint32_t)flags, val, len, buf, cap);
}

/* P9_XATTRS_*. On an exclusive mount the gofer is asked once: files mostly have none, and programs ask for several. */
static int has_xattrs(struct inode *i)
{
    struct gofer_inode *gi = gofer_data(i);

    if (!gofer_sb(i)->exclusive)
        return P9_XATTRS_UNKNOWN;
    lock(&gi->attr_lock);
    uint8_t known = gi->xattrs;
    unsigned changes = gi->changes;
    unlock(&gi->attr_lock);
    if (known != P9_XATTRS_UNKNOWN)
        return known;
    atomic_fetch_add_explicit(&gofer_sb(i)->xattr_questions, 1, memory_order_relaxed);
    ssize_t n = ask_xattr(i, P9_XATTR_LIST, "", 0, NULL, 0, NULL, 0);
    if (n < 0)
        return (int)n;
    lock(&gi->attr_lock);
    if (gi->changes == changes)
        gi->xattrs = n ? P9_XATTRS_SOME : P9_XATTRS_NONE;
    unlock(&gi->attr_lock);
    return n ? P9_XATTRS_SOME : P9_XATTRS_NONE;
}

ssize_t gofer_getxattr(struct inode *i, const char *name, void *buf, size_t cap)
{
    if (S_ISLNK(i->mode))
        return -EOPNOTSUPP;
    int has = has_xattrs(i);
    if (has < 0 || has == P9_XATTRS_NONE)
        return has < 0 ? has : -ENODATA;
    return ask_xattr(i, P9_XATTR_GET, name, 0, NULL, 0, buf, cap);
}

ssize_t gofer_listxattr(struct inode *i, char *buf, size_t cap)
{
    if (S_ISLNK(i->mode))
        return 0;
    int has = has_xattrs(i);
    if (has < 0 || has == P9_XATTRS_NONE)
        return has < 0 ? has : 0;
    return ask_xattr(i, P9_XATTR_LIST, "", 0, NULL, 0, buf, cap);
}

static int changed_xattr(struct inode *i, ssize_t ret)
{
    struct gofer_inode *gi = gofer_data(i);

    lock(&gi->attr_lock);
    gofer_changed_locked(gi);
    gi->xattrs = P9_XATTRS_UNKNOWN;
    unlock(&gi->attr_lock);
    return ret < 0 ? (int)ret : 0;
}

int gofer_setxattr(struct inode *i, const char *name, const void *val, size_t len, int flags)
{
    return changed_xattr(i, ask_xattr(i, P9_XATTR_SET, name, flags, val, len, NULL, 0));
}

int gofer_removexattr(struct inode *i, const char *name)
{
    return changed_xattr(i, ask_xattr(i, P9_XATTR_REMOVE, name, 0, NULL, 0, NULL, 0));
}

/* ---- the table ---- */

/* The guest's device number for a host one: a file tree may have other file systems mounted in it. */
static dev_t guest_dev(struct super_block *sb, uint64_t host)
{
    struct gofer_sb *gs = sb->fs_data;
    unsigned n;

    lock(&gs->table_lock);
    for (n = 0; n < gs->dev_count && gs->host_devs[n] != host; n++)
        ;
    if (n == gs->dev_count && n < GOFER_MAX_DEVS) {
        gs->host_devs[n] = host;
        gs->guest_devs[n] = n ? sb_new_dev() : sb->dev;
        gs->dev_count++;
    }
    dev_t dev = n < GOFER_MAX_DEVS ? gs->guest_devs[n] : sb->dev;
    unlock(&gs->table_lock);
    return dev;
}

/* What leads to an inode: its fid; or, P9_NOFID, its name in dir. */
struct way {
    uint32_t fid;
    struct inode *dir;
    const char *name;
};

static struct inode *inode_make(struct super_block *sb, const struct way *way, const struct p9_attr *a)
{
    struct gofer_inode *gi = calloc(1, sizeof(*gi));
    char *name = way->dir ? strdup(way->name) : NULL;
    struct inode *i = gi && !name == !way->dir ? inode_new(sb, &gofer_inode_ops,
                                                           S_ISDIR(a->mode)   ? &gofer_dir_ops
                                                           : S_ISREG(a->mode) ? &gofer_file_ops
                                                                              : NULL,
                                                           a->ino, a->mode)
                                               : NULL;

    if (!i) {
        free(name);
        free(gi);
        return NULL;
    }
    lock_init(&gi->attr_lock, RANK_LEAF);
    gi->inode = i;
    gi->host_dev = a->dev;
    gi->host_ino = a->ino;
    gi->dev = guest_dev(sb, a->dev);
    atomic_init(&gi->fid, way->fid);
    gi->name = name;
    if (way->dir) {
        inode_get(way->dir);
        gi->parent = way->dir;
    }
    i->fs_data = gi;
    gi->xattrs = a->xattrs;
    i->rdev = S_ISCHR(a->mode) || S_ISBLK(a->mode) ? a->rdev : 0;
    take_attr_locked(i, a);
    return i;
}

/* Enters fresh, unless a live inode is there: that one, counted. One on its way out is taken out of the table. */
static struct inode *table_enter(struct gofer_sb *gs, struct gofer_inode *fresh)
{
    struct inode *there = NULL;

    lock(&gs->table_lock);
    struct gofer_inode *found = RB_FIND(gofer_table, &gs->table, fresh);
    if (found && ref_get_unless_zero(&found->inode->refs)) {
        there = found->inode;
    } else {
        if (found) {
            RB_REMOVE(gofer_table, &gs->table, found);
            found->in_table = false;
        }
        RB_INSERT(gofer_table, &gs->table, fresh);
        fresh->in_table = true;
    }
    unlock(&gs->table_lock);
    return there;
}

static struct inode *table_find(struct gofer_sb *gs, const struct p9_attr *a)
{
    struct gofer_inode key = {.host_dev = a->dev, .host_ino = a->ino};

    lock(&gs->table_lock);
    struct gofer_inode *found = RB_FIND(gofer_table, &gs->table, &key);
    struct inode *i = found && ref_get_unless_zero(&found->inode->refs) ? found->inode : NULL;
    unlock(&gs->table_lock);
    return i;
}

/*
 * A look-up has found i. On an exclusive mount what i knew of itself is at least as new; it may have changed since the
 * gofer looked.
 */
static int meet(struct inode *i, const struct p9_attr *a)
{
    struct gofer_inode *gi = gofer_data(i);

    if ((a->mode ^ i->mode) & S_IFMT)
        return -EIO;
    if (gofer_sb(i)->exclusive)
        return 0;
    note_seen(gi);
    lock(&gi->attr_lock);
    unsigned changes = gi->changes;
    unlock(&gi->attr_lock);
    return take_attr(i, a, changes);
}

/* Gives i the fid, if it is one that i has use for. */
static void offer_fid(struct inode *i, uint32_t fid)
{
    uint32_t none = P9_NOFID;

    if (fid != P9_NOFID && !atomic_compare_exchange_strong(&gofer_data(i)->fid, &none, fid))
        gofer_fid_forget(gofer_conn(i), fid);
}

static int find_or_make(struct super_block *sb, const struct way *way, const struct p9_attr *a, struct inode **out)
{
    struct gofer_sb *gs = sb->fs_data;
    struct inode *i = table_find(gs, a);

    if (i) {
        offer_fid(i, way->fid);
    } else {
        struct inode *fresh = inode_make(sb, way, a);
        if (!fresh) {
            if (way->fid != P9_NOFID)
                gofer_fid_forget(&gs->conn, way->fid);
            return -ENOMEM;
        }
        i = table_enter(gs, gofer_data(fresh));
        if (i)
            inode_put(fresh);
        else
            i = fresh;
    }
    int ret = meet(i, a);
    if (ret < 0) {
        inode_put(i);
        return ret;
    }
    *out = i;
    return 0;
}

int gofer_inode_get(struct super_block *sb, uint32_t fid, const struct p9_attr *a, const char *target,
                    struct inode **out)
{
    const struct way way = {.fid = fid};

    int ret = find_or_make(sb, &way, a, out);
    if (ret == 0 && target && *target && !atomic_load(&gofer_data(*out)->target))
        gofer_keep_target(*out, target);
    return ret;
}

int gofer_inode_listed(struct inode *dir, const char *name, const struct p9_attr *a, struct inode **out)
{
    const struct way way = {.fid = P9_NOFID, .dir = dir, .name = name};

    return find_or_make(dir->sb, &way, a, out);
}

void gofer_table_leave(struct inode *i)
{
    struct gofer_inode *gi = gofer_data(i);
    struct gofer_sb *gs = gofer_sb(i);

    lock(&gs->table_lock);
    if (gi->in_table)
        RB_REMOVE(gofer_table, &gs->table, gi);
    gi->in_table = false;
    unlock(&gs->table_lock);
}

void gofer_evict(struct inode *i)
{
    struct gofer_inode *gi = gofer_data(i);
    struct gofer_sb *gs = gofer_sb(i);
    const uint32_t fid = atomic_load(&gi->fid);

    gofer_table_leave(i);
    if (atomic_load(&gi->mapped))
        atomic_fetch_add_explicit(&gs->changes, 1, memory_order_relaxed);
    gofer_handle_drop(i);
    if (fid != P9_NOFID)
        gofer_fid_forget(&gs->conn, fid);
    gofer_dir_forget(i);
    inode_put(gi->parent);
    free(gi->name);
    free(atomic_load(&gi->target));
    lock_destroy(&gi->attr_lock);
    free(gi);
}
