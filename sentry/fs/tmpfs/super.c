/*
 * The super blocks of tmpfs: their limits, and the one for files without a name (memfd_create(2), shared anonymous
 * memory).
 */
#include "sentry/fs/tmpfs/tmpfs.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/task.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

#define TMPFS_MAGIC 0x01021994

static int tmpfs_statfs(struct super_block *sb, struct statfs *out)
{
    const struct tmpfs_sb *ts = sb->fs_data;
    uint64_t blocks = ts->limit / 4096, used = MIN(ts->used / 4096, blocks);

    *out = (struct statfs){.f_type = TMPFS_MAGIC, .f_bsize = 4096, .f_frsize = 4096, .f_namelen = NAME_MAX};
    out->f_blocks = blocks;
    out->f_bfree = out->f_bavail = blocks - used;
    out->f_files = out->f_ffree = 1 << 20;
    return 0;
}

static void tmpfs_destroy(struct super_block *sb)
{
    free(sb->fs_data);
}

static const struct super_ops tmpfs_super_ops = {.statfs = tmpfs_statfs, .destroy = tmpfs_destroy};

static uint64_t all_limit; /* (c) bytes of all super blocks together */
static _Atomic uint64_t all_used;

void tmpfs_set_memory(uint64_t bytes)
{
    all_limit = bytes / 2;
}

uint64_t tmpfs_bytes(void)
{
    return atomic_load(&all_used);
}

int tmpfs_take_bytes(struct tmpfs_sb *ts, uint64_t n)
{
    const uint64_t all = atomic_fetch_add(&all_used, n) + n;

    if (atomic_fetch_add(&ts->used, n) + n <= ts->limit && (!all_limit || all <= all_limit))
        return 0;
    tmpfs_give_bytes(ts, n);
    return -ENOSPC;
}

void tmpfs_give_bytes(struct tmpfs_sb *ts, uint64_t n)
{
    atomic_fetch_sub(&ts->used, n);
    atomic_fetch_sub(&all_used, n);
}

static struct super_block *tmpfs_super(uint64_t limit)
{
    struct tmpfs_sb *ts = calloc(1, sizeof(*ts));

    if (!ts)
        return NULL;
    ts->limit = limit ? limit : all_limit ? all_limit : (uint64_t)get_phys_pages() * 4096 / 2;
    ts->next_ino = 1;
    struct super_block *sb = sb_new("tmpfs", &tmpfs_super_ops, 0, TMPFS_MAGIC, ts);
    if (!sb)
        free(ts);
    return sb;
}

int tmpfs_mount(uint64_t size_limit, mode_t mode, struct dentry **out)
{
    struct super_block *sb = tmpfs_super(size_limit);
    if (!sb)
        return -ENOMEM;
    struct inode *root = tmpfs_inode_new(sb, S_IFDIR | (mode & 07777), NULL);
    sb_put(sb);
    if (!root)
        return -ENOMEM;
    root->nlink = 2;
    *out = dentry_new_root(root);
    if (!*out) {
        inode_put(root);
        return -ENOMEM;
    }
    return 0;
}

/* ---- files without a name ---- */

static struct super_block *anon_sb;

static void make_anon_sb(void)
{
    anon_sb = tmpfs_super(UINT64_MAX / 2);
    if (!anon_sb)
        abort(); /* at first use, out of memory */
}

int tmpfs_new_anon_file(const char *name, uint64_t size, unsigned flags, struct file **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_anon_sb);
    struct inode *i = tmpfs_inode_new(anon_sb, S_IFREG | 0777, current ? current->cred : NULL);
    if (!i)
        return -ENOMEM;
    i->nlink = 0;
    tmpfs_use_begin(i); /* for good: it has no name to be found by when it is closed */
    lock(&i->lock);
    int ret = size ? tmpfs_set_size(i, size) : 0;
    unlock(&i->lock);
    struct dentry *d = ret == 0 ? dentry_new_anon(i, name) : NULL;
    if (!d) {
        inode_put(i);
        return ret < 0 ? ret : -ENOMEM;
    }
    const struct path p = {mount_anon(), d};
    ret = vfs_open_anon(&p, flags, out);
    dentry_put(d);
    return ret;
}

int tmpfs_new_sealable_file(const char *name, bool noexec, struct file **out)
{
    struct file *f;

    int ret = tmpfs_new_anon_file(name, 0, O_RDWR, &f);
    if (ret < 0)
        return ret;
    if (noexec)
        f->inode->mode &= ~0111U;
    ret = tmpfs_make_sealable(f->inode, noexec);
    if (ret < 0)
        file_put(f);
    else
        *out = f;
    return ret;
}
