/* The super block: a connection, attached. */
#include "sentry/fs/gofer/gofer.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/locking.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define V9FS_MAGIC 0x01021997

const struct inode_ops gofer_inode_ops = {
    .lookup = gofer_lookup,
    .create = gofer_create,
    .mkdir = gofer_mkdir,
    .mknod = gofer_mknod,
    .symlink = gofer_symlink,
    .tmpfile = gofer_tmpfile,
    .link = gofer_link,
    .unlink = gofer_unlink,
    .rmdir = gofer_rmdir,
    .rename = gofer_rename,
    .readlink = gofer_readlink,
    .getattr = gofer_getattr,
    .setattr = gofer_setattr,
    .open = gofer_open,
    .getxattr = gofer_getxattr,
    .setxattr = gofer_setxattr,
    .listxattr = gofer_listxattr,
    .removexattr = gofer_removexattr,
    .evict = gofer_evict,
};

static int gofer_statfs(struct super_block *sb, struct statfs *out)
{
    struct gofer_sb *gs = sb->fs_data;

    return rpc_statfs(&gs->conn, 0, out);
}

static void gofer_destroy(struct super_block *sb)
{
    struct gofer_sb *gs = sb->fs_data;

    gofer_conn_destroy(&gs->conn);
    lock_destroy(&gs->table_lock);
    free(gs);
}

static const struct super_ops gofer_super_ops = {.statfs = gofer_statfs, .destroy = gofer_destroy};

static int get_root(struct super_block *sb, struct inode **out)
{
    struct gofer_sb *gs = sb->fs_data;
    struct p9_attr a;
    uint32_t fid;

    int ret = gofer_fid_alloc(&gs->conn, &fid, 1);
    if (ret == 0)
        ret = rpc_attached(&gs->conn, &a);
    if (ret < 0)
        return ret;
    return gofer_inode_get(sb, fid, &a, NULL, out);
}

int gofer_mount(int conn_fd, bool exclusive, bool readonly, struct dentry **out)
{
    struct gofer_sb *gs = calloc(1, sizeof(*gs));
    struct inode *root;

    if (!gs) {
        close(conn_fd);
        return -ENOMEM;
    }
    int ret = gofer_conn_init(&gs->conn, conn_fd);
    if (ret < 0) {
        free(gs);
        return ret;
    }
    gs->exclusive = exclusive;
    lock_init(&gs->table_lock, RANK_LEAF);
    RB_INIT(&gs->table);
    const unsigned flags = SB_NOWAIT | (readonly ? SB_RDONLY : 0U) | (exclusive ? 0U : SB_NODCACHE);
    struct super_block *sb = sb_new("9p", &gofer_super_ops, flags, V9FS_MAGIC, gs);
    if (!sb) {
        gofer_conn_destroy(&gs->conn);
        free(gs);
        return -ENOMEM;
    }
    ret = get_root(sb, &root);
    sb_put(sb); /* the root inode holds it */
    if (ret < 0)
        return ret;
    *out = dentry_new_root(root);
    if (!*out)
        inode_put(root);
    return *out ? 0 : -ENOMEM;
}
