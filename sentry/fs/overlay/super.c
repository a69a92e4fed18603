/* The overlay's super block: a lower tree, and a fresh tmpfs for the upper one and the work directory. */
#include "sentry/fs/overlay/overlay.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/locking.h"

#include <errno.h>
#include <stdlib.h>

#define OVERLAY_MAGIC 0x794c7630

static int ovl_statfs(struct super_block *sb, struct statfs *out)
{
    struct ovl_sb *os = sb->fs_data;
    struct super_block *upper = os->upper->sb;

    int ret = upper->ops->statfs(upper, out);
    out->f_type = OVERLAY_MAGIC;
    return ret;
}

static void ovl_sb_free(struct ovl_sb *os)
{
    inode_put(os->upper);
    inode_put(os->work);
    if (os->upper_mount)
        dentry_put(os->upper_mount);
    dentry_put(os->lower_root);
    lock_destroy(&os->place_lock);
    lock_destroy(&os->table_lock);
    free(os);
}

static void ovl_destroy(struct super_block *sb)
{
    ovl_sb_free(sb->fs_data);
}

static const struct super_ops ovl_super_ops = {.statfs = ovl_statfs, .destroy = ovl_destroy};

/* The root of the upper tree gets the lower root's attributes. */
static int init_upper_root(struct inode *upper, struct inode *lower)
{
    struct kstat st;

    int ret = inode_getattr(lower, &st);
    if (ret < 0)
        return ret;
    upper->mode = st.mode;
    upper->uid = st.uid;
    upper->gid = st.gid;
    upper->mtime = st.mtime;
    upper->rdev = st.ino & ~OVL_OPAQUE;
    return 0;
}

static int make_trees(struct ovl_sb *os)
{
    int ret = tmpfs_mount(0, 0755, &os->upper_mount);
    if (ret < 0)
        return ret;
    struct inode *top = dentry_inode(os->upper_mount);
    lock(&top->lock);
    ret = top->ops->mkdir(top, "upper", 0755, NULL, &os->upper);
    if (ret == 0)
        ret = top->ops->mkdir(top, "work", 0700, NULL, &os->work);
    unlock(&top->lock);
    return ret == 0 ? init_upper_root(os->upper, dentry_inode(os->lower_root)) : ret;
}

/* The overlay's root over the two trees' roots. */
static struct dentry *make_root(struct super_block *sb)
{
    struct ovl_sb *os = sb->fs_data;
    struct inode *upper = inode_get(os->upper), *lower = inode_get(dentry_inode(os->lower_root));

    struct inode *root = ovl_inode_new(sb, NULL, "/", upper, lower);
    if (!root) {
        inode_put(upper);
        inode_put(lower);
        return NULL;
    }
    ovl_table_add(root);
    struct dentry *d = dentry_new_root(root);
    if (!d)
        inode_put(root);
    return d;
}

int overlay_mount(struct dentry *lower, struct dentry **out)
{
    struct ovl_sb *os = calloc(1, sizeof(*os));

    if (!os) {
        dentry_put(lower);
        return -ENOMEM;
    }
    os->lower_root = lower;
    lock_init(&os->place_lock, RANK_FS);
    lock_init(&os->table_lock, RANK_FS);
    RB_INIT(&os->table);
    int ret = make_trees(os);
    struct super_block *sb = ret == 0 ? sb_new("overlay", &ovl_super_ops, SB_NOWAIT, OVERLAY_MAGIC, os) : NULL;
    if (!sb) {
        ovl_sb_free(os);
        return ret < 0 ? ret : -ENOMEM;
    }
    *out = make_root(sb);
    sb_put(sb); /* the root inode holds it */
    return *out ? 0 : -ENOMEM;
}
