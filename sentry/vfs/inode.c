/* Super blocks and inodes: making, counting, attributes. */
#include "sentry/kernel/locking.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <time.h>

/* flock.c frees what it hung on the inode. */
void file_locks_free(struct inode *i) __attribute__((weak));

dev_t sb_new_dev(void)
{
    static _Atomic unsigned next_minor = 20; /* anonymous devices: major 0, as on Linux */

    return makedev(0, atomic_fetch_add(&next_minor, 1));
}

struct super_block *sb_new(const char *type, const struct super_ops *ops, unsigned flags, uint32_t magic, void *fs_data)
{
    struct super_block *sb = calloc(1, sizeof(*sb));

    if (!sb)
        return NULL;
    ref_init(&sb->refs);
    sb->ops = ops;
    sb->type = type;
    sb->flags = flags;
    sb->dev = sb_new_dev();
    sb->magic = magic;
    sb->fs_data = fs_data;
    lock_init(&sb->rename_lock, RANK_RENAME);
    return sb;
}

void sb_put(struct super_block *sb)
{
    if (!ref_put(&sb->refs))
        return;
    if (sb->ops->destroy)
        sb->ops->destroy(sb);
    lock_destroy(&sb->rename_lock);
    free(sb);
}

struct inode *inode_new(struct super_block *sb, const struct inode_ops *ops, const struct file_ops *fops, uint64_t ino,
                        mode_t mode)
{
    struct inode *i = calloc(1, sizeof(*i));

    if (!i)
        return NULL;
    ref_init(&i->refs);
    ref_get(&sb->refs);
    i->sb = sb;
    i->ops = ops;
    i->file_ops = fops;
    i->ino = ino;
    i->mode = mode;
    i->nlink = 1;
    clock_gettime(CLOCK_REALTIME, &i->mtime);
    i->atime = i->ctime = i->btime = i->mtime;
    lock_init(&i->lock, S_ISDIR(mode) ? RANK_INODE_DIR : RANK_INODE);
    return i;
}

struct inode *inode_get(struct inode *i)
{
    ref_get(&i->refs);
    return i;
}

void inode_put(struct inode *i)
{
    if (!i || !ref_put(&i->refs))
        return;
    struct super_block *sb = i->sb;
    if (i->ops->evict)
        i->ops->evict(i);
    if (file_locks_free)
        file_locks_free(i);
    lock_destroy(&i->lock);
    free(i);
    sb_put(sb);
}

void inode_fill_stat_locked(struct inode *i, struct kstat *st)
{
    *st = (struct kstat){
        .ino = i->ino,
        .dev = i->sb->dev,
        .rdev = i->rdev,
        .mode = i->mode,
        .nlink = i->nlink,
        .uid = i->uid,
        .gid = i->gid,
        .size = i->size,
        .blocks = (i->size + 511) / 512,
        .blksize = 4096,
        .atime = i->atime,
        .mtime = i->mtime,
        .ctime = i->ctime,
        .btime = i->btime,
    };
}

void inode_fill_stat(struct inode *i, struct kstat *st)
{
    lock(&i->lock);
    inode_fill_stat_locked(i, st);
    unlock(&i->lock);
}

void inode_note_owner_locked(struct inode *i, const struct iattr *a)
{
    if (a->valid & ATTR_MODE)
        i->mode = (i->mode & S_IFMT) | (a->mode & 07777);
    if (a->valid & ATTR_UID)
        i->uid = a->uid;
    if (a->valid & ATTR_GID)
        i->gid = a->gid;
}

void inode_note_times_locked(struct inode *i, const struct iattr *a)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (a->valid & ATTR_ATIME)
        i->atime = a->atime;
    if (a->valid & ATTR_ATIME_NOW)
        i->atime = now;
    if (a->valid & ATTR_MTIME)
        i->mtime = a->mtime;
    if (a->valid & ATTR_MTIME_NOW)
        i->mtime = now;
    i->ctime = now;
}

int inode_setattr_kept(struct inode *i, const struct iattr *a)
{
    if (a->valid & ATTR_SIZE)
        return -EINVAL;
    lock(&i->lock);
    inode_note_owner_locked(i, a);
    inode_note_times_locked(i, a);
    unlock(&i->lock);
    return 0;
}

int inode_getattr(struct inode *i, struct kstat *st)
{
    if (i->ops->getattr)
        return i->ops->getattr(i, st);
    inode_fill_stat(i, st);
    return 0;
}
