/*
 * tmpfs: directories are trees of entries that hold their inodes, so a file lives as long as a name or an open file
 * does. Directory positions are handed out in order of creation and never reused, so a read that is continued after
 * removals skips and repeats nothing.
 */
#include "sentry/fs/tmpfs/tmpfs.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/task.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_POS 2 /* behind "." and ".." */

static const struct inode_ops tmpfs_inode_ops, tmpfs_regular_ops;
static const struct file_ops tmpfs_dir_ops;

static int entry_compare(const struct tmpfs_entry *a, const struct tmpfs_entry *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(tmpfs_tree, tmpfs_entry, node, entry_compare, static unused_arg);

/* ---- inodes ---- */

struct inode *tmpfs_inode_new(struct super_block *sb, mode_t mode, const struct cred *cred)
{
    struct tmpfs_sb *ts = sb->fs_data;
    struct tmpfs_inode *ti = calloc(1, sizeof(*ti));
    const struct file_ops *fops = S_ISDIR(mode) ? &tmpfs_dir_ops : S_ISREG(mode) ? &tmpfs_file_ops : NULL;

    if (!ti)
        return NULL;
    const struct inode_ops *ops = S_ISREG(mode) ? &tmpfs_regular_ops : &tmpfs_inode_ops;
    struct inode *i = inode_new(sb, ops, fops, atomic_fetch_add(&ts->next_ino, 1), mode);
    if (!i) {
        free(ti);
        return NULL;
    }
    ti->fd = ti->readonly_fd = -1;
    ti->next_pos = FIRST_POS;
    RB_INIT(&ti->entries);
    list_init(&ti->order);
    list_init(&ti->xattrs);
    list_init(&ti->idle);
    ti->inode = i;
    i->fs_data = ti;
    if (cred) {
        i->uid = cred->fsuid;
        i->gid = cred->fsgid;
    }
    return i;
}

static void tmpfs_evict(struct inode *i)
{
    struct tmpfs_inode *ti = tmpfs_data(i);
    struct tmpfs_entry *e, *next;

    for (e = RB_MIN(tmpfs_tree, &ti->entries); e; e = next) {
        next = RB_NEXT(tmpfs_tree, &ti->entries, e);
        RB_REMOVE(tmpfs_tree, &ti->entries, e);
        inode_put(e->inode);
        free(e);
    }
    tmpfs_drop_data(i);
    tmpfs_drop_xattrs(i);
    free(ti->target);
    free(ti);
}

void tmpfs_touch(struct inode *i, bool modified)
{
    clock_gettime(CLOCK_REALTIME_COARSE, &i->ctime);
    if (modified)
        i->mtime = i->ctime;
}

/* ---- entries ---- */

static struct tmpfs_entry *entry_find(struct inode *dir, const char *name)
{
    struct tmpfs_entry *key = malloc(sizeof(*key) + strlen(name) + 1), *found = NULL;

    if (!key)
        return NULL;
    strcpy(key->name, name);
    found = RB_FIND(tmpfs_tree, &tmpfs_data(dir)->entries, key);
    free(key);
    return found;
}

/* Adds a name for i, taking over the reference on it. */
static int entry_add(struct inode *dir, const char *name, struct inode *i)
{
    struct tmpfs_inode *td = tmpfs_data(dir);
    size_t len = strlen(name);
    struct tmpfs_entry *e = malloc(sizeof(*e) + len + 1);

    if (!e)
        return -ENOMEM;
    memcpy(e->name, name, len + 1);
    e->inode = i;
    e->pos = td->next_pos++;
    RB_INSERT(tmpfs_tree, &td->entries, e);
    list_push_back(&td->order, &e->order);
    if (S_ISDIR(i->mode)) {
        dir->nlink++;
        tmpfs_data(i)->parent = dir;
    }
    tmpfs_touch(dir, true);
    return 0;
}

/* Removes the entry; the reference on its inode goes to the caller. */
static struct inode *entry_remove(struct inode *dir, struct tmpfs_entry *e)
{
    struct inode *i = e->inode;

    RB_REMOVE(tmpfs_tree, &tmpfs_data(dir)->entries, e);
    list_del(&e->order);
    free(e);
    if (S_ISDIR(i->mode))
        dir->nlink--;
    tmpfs_touch(dir, true);
    return i;
}

static int tmpfs_lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct tmpfs_entry *e = entry_find(dir, name);

    if (!e)
        return -ENOENT;
    *out = inode_get(e->inode);
    return 0;
}

/* A new inode that is to be dir's; set-group-ID directories give their group on. */
static struct inode *make_unnamed(struct inode *dir, mode_t mode, const struct cred *cred)
{
    struct inode *i = tmpfs_inode_new(dir->sb, mode, cred);

    if (i && (dir->mode & S_ISGID)) {
        i->gid = dir->gid;
        if (S_ISDIR(mode))
            i->mode |= S_ISGID;
    }
    return i;
}

/* A new inode under a new name. */
static int make(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out)
{
    struct inode *i = make_unnamed(dir, mode, cred);

    if (!i)
        return -ENOSPC;
    if (S_ISDIR(mode))
        i->nlink = 2;
    int ret = entry_add(dir, name, i);
    if (ret < 0) {
        inode_put(i);
        return ret;
    }
    *out = inode_get(i);
    return 0;
}

static int tmpfs_create(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out)
{
    return make(dir, name, S_IFREG | (mode & 07777), cred, out);
}

static int tmpfs_tmpfile(struct inode *dir, mode_t mode, const struct cred *cred, struct inode **out)
{
    struct inode *i = make_unnamed(dir, S_IFREG | (mode & 07777), cred);

    if (!i)
        return -ENOSPC;
    i->nlink = 0;
    *out = i;
    return 0;
}

static int tmpfs_mkdir(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out)
{
    return make(dir, name, S_IFDIR | (mode & 07777), cred, out);
}

static int tmpfs_mknod(struct inode *dir, const char *name, mode_t mode, dev_t rdev, const struct cred *cred,
                       struct inode **out)
{
    int ret = make(dir, name, mode, cred, out);

    if (ret == 0)
        (*out)->rdev = rdev;
    return ret;
}

static int tmpfs_symlink(struct inode *dir, const char *name, const char *target, const struct cred *cred,
                         struct inode **out)
{
    char *copy = strdup(target);

    if (!copy)
        return -ENOMEM;
    int ret = make(dir, name, S_IFLNK | 0777, cred, out);
    if (ret < 0) {
        free(copy);
        return ret;
    }
    tmpfs_data(*out)->target = copy;
    (*out)->size = strlen(copy);
    return 0;
}

static int tmpfs_link(struct inode *dir, const char *name, struct inode *target)
{
    int ret = entry_add(dir, name, inode_get(target));

    if (ret < 0) {
        inode_put(target);
        return ret;
    }
    lock(&target->lock);
    target->nlink++;
    tmpfs_touch(target, false);
    unlock(&target->lock);
    return 0;
}

/* One name less for i, whose reference is given up. A directory is empty, and its lock held by vfs. */
static void drop_link(struct inode *i)
{
    bool dir = S_ISDIR(i->mode);

    if (!dir)
        lock(&i->lock);
    i->nlink = dir ? 0 : i->nlink - 1;
    tmpfs_touch(i, false);
    if (!dir)
        unlock(&i->lock);
    inode_put(i);
}

static int tmpfs_unlink(struct inode *dir, const char *name, struct inode *victim)
{
    struct tmpfs_entry *e = entry_find(dir, name);

    if (!e || e->inode != victim)
        return -ENOENT;
    drop_link(entry_remove(dir, e));
    return 0;
}

static int tmpfs_rmdir(struct inode *dir, const char *name, struct inode *victim)
{
    if (!RB_EMPTY(&tmpfs_data(victim)->entries))
        return -ENOTEMPTY;
    struct tmpfs_entry *e = entry_find(dir, name);
    if (!e || e->inode != victim)
        return -ENOENT;
    struct inode *i = entry_remove(dir, e);
    i->nlink = 0; /* vfs holds the victim's lock */
    tmpfs_touch(i, false);
    inode_put(i);
    return 0;
}

/* i has come into dir, whose lock is held, as is its old directory's. */
static void note_move(struct inode *i, struct inode *dir)
{
    if (S_ISDIR(i->mode))
        lock_nested(&i->lock);
    else
        lock(&i->lock);
    if (S_ISDIR(i->mode))
        tmpfs_data(i)->parent = dir;
    tmpfs_touch(i, false);
    unlock(&i->lock);
}

static int exchange(struct inode *a_dir, struct tmpfs_entry *a, struct inode *b_dir, struct tmpfs_entry *b)
{
    struct inode *i = a->inode;

    a->inode = b->inode;
    b->inode = i;
    int a_is_dir = S_ISDIR(a->inode->mode), b_is_dir = S_ISDIR(b->inode->mode);
    a_dir->nlink += (uint32_t)(a_is_dir - b_is_dir);
    b_dir->nlink += (uint32_t)(b_is_dir - a_is_dir);
    note_move(a->inode, a_dir);
    note_move(b->inode, b_dir);
    tmpfs_touch(a_dir, true);
    tmpfs_touch(b_dir, true);
    return 0;
}

static int tmpfs_rename(struct inode *old_dir, const char *old_name, struct inode *old, struct inode *new_dir,
                        const char *new_name, struct inode *victim, unsigned flags)
{
    struct tmpfs_entry *from = entry_find(old_dir, old_name), *to = victim ? entry_find(new_dir, new_name) : NULL;

    if (!from || from->inode != old || (victim && (!to || to->inode != victim)))
        return -ENOENT;
    if (flags & RENAME_EXCHANGE)
        return to ? exchange(old_dir, from, new_dir, to) : -ENOENT;
    if (victim && S_ISDIR(victim->mode) && !RB_EMPTY(&tmpfs_data(victim)->entries))
        return -ENOTEMPTY;
    /* The new name first: it is the step that may fail. */
    struct inode *displaced = NULL;
    if (to)
        displaced = entry_remove(new_dir, to);
    int ret = entry_add(new_dir, new_name, old);
    if (ret < 0) {
        if (displaced && entry_add(new_dir, new_name, displaced) < 0)
            drop_link(displaced);
        return ret;
    }
    struct inode *same = entry_remove(old_dir, from); /* the entry's reference went to the new one */
    note_move(same, new_dir);
    if (displaced)
        drop_link(displaced);
    return 0;
}

static int tmpfs_readlink(struct inode *i, char *buf, size_t cap)
{
    const char *target = tmpfs_data(i)->target;

    if (!target)
        return -EINVAL;
    size_t n = MIN(strlen(target), cap);
    memcpy(buf, target, n);
    return (int)n;
}

static int tmpfs_setattr(struct inode *i, const struct iattr *a)
{
    int ret = 0;

    lock(&i->lock);
    if (a->valid & ATTR_SIZE)
        ret = S_ISREG(i->mode) ? tmpfs_set_size(i, a->size) : -EINVAL;
    else if ((a->valid & ATTR_MODE) && ((i->mode ^ a->mode) & 0111) && tmpfs_sealed(i, F_SEAL_EXEC))
        ret = -EPERM;
    if (ret == 0) {
        inode_note_owner_locked(i, a);
        inode_note_times_locked(i, a);
    }
    unlock(&i->lock);
    return ret;
}

static int tmpfs_getattr(struct inode *i, struct kstat *st)
{
    struct stat host;

    inode_fill_stat(i, st);
    lock(&i->lock);
    st->blocks = S_ISREG(i->mode) ? (i->size + 4095) / 4096 * 8 : 0;
    if (tmpfs_data(i)->fd >= 0 && fstat(tmpfs_data(i)->fd, &host) == 0) {
        st->blocks = (uint64_t)host.st_blocks;
        st->size = (uint64_t)host.st_size;
    }
    unlock(&i->lock);
    return 0;
}

static int tmpfs_open(struct inode *i, struct file *f)
{
    f->ops = &tmpfs_file_ops;
    tmpfs_use_begin(i);
    f->priv = i; /* for tmpfs_release(): it was counted */
    tmpfs_trim_idle();
    return 0;
}

#define COMMON_OPS                                                                                                     \
    .getattr = tmpfs_getattr, .setattr = tmpfs_setattr, .getxattr = tmpfs_getxattr, .setxattr = tmpfs_setxattr,        \
    .listxattr = tmpfs_listxattr, .removexattr = tmpfs_removexattr, .evict = tmpfs_evict

static const struct inode_ops tmpfs_regular_ops = {
    .open = tmpfs_open,
    COMMON_OPS,
};

static const struct inode_ops tmpfs_inode_ops = {
    .lookup = tmpfs_lookup,
    .create = tmpfs_create,
    .tmpfile = tmpfs_tmpfile,
    .mkdir = tmpfs_mkdir,
    .mknod = tmpfs_mknod,
    .symlink = tmpfs_symlink,
    .link = tmpfs_link,
    .unlink = tmpfs_unlink,
    .rmdir = tmpfs_rmdir,
    .rename = tmpfs_rename,
    .readlink = tmpfs_readlink,
    COMMON_OPS,
};

/* ---- directory reads ---- */

static int tmpfs_iterate(struct file *f, int64_t *pos, dir_emit_fn emit, void *ctx)
{
    struct tmpfs_inode *td = tmpfs_data(f->inode);
    struct tmpfs_entry *e;

    lock(&f->inode->lock);
    uint64_t parent_ino = td->parent ? td->parent->ino : f->inode->ino;
    bool room = true;
    for (; room && *pos < FIRST_POS; *pos += room)
        room = emit(ctx, *pos ? ".." : ".", (size_t)*pos + 1, *pos ? parent_ino : f->inode->ino, DT_DIR, *pos + 1);
    list_for_each (e, &td->order, order) {
        if (!room)
            break;
        if (e->pos < *pos)
            continue;
        room = emit(ctx, e->name, strlen(e->name), e->inode->ino, (unsigned char)IFTODT(e->inode->mode), e->pos + 1);
        if (room)
            *pos = e->pos + 1;
    }
    unlock(&f->inode->lock);
    return 0;
}

static int64_t tmpfs_dir_llseek(struct file *f, int64_t off, int whence)
{
    if (whence == SEEK_CUR)
        off += f->pos;
    else if (whence != SEEK_SET)
        return -EINVAL;
    return off < 0 ? -EINVAL : (f->pos = off);
}

static const struct file_ops tmpfs_dir_ops = {.iterate = tmpfs_iterate, .llseek = tmpfs_dir_llseek};
