/* Overlay inodes: look-up, attributes, opening; and the super block. See overlay.h for the idea. */
#include "sentry/fs/overlay/overlay.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/locking.h"
#include "sentry/vfs/lookahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OVERLAY_MAGIC 0x794c7630

int chrdev_open(dev_t rdev, struct file *f) __attribute__((weak));

static const struct inode_ops ovl_inode_ops;

static int table_compare(const struct ovl_inode *a, const struct ovl_inode *b)
{
    uintptr_t x = (uintptr_t)atomic_load(&a->upper), y = (uintptr_t)atomic_load(&b->upper);

    return x < y ? -1 : x > y;
}

RB_GENERATE_INTERNAL(ovl_table, ovl_inode, node, table_compare, static unused_arg);

void ovl_table_add(struct inode *i)
{
    struct ovl_sb *os = ovl_sb(i);

    lock(&os->table_lock);
    RB_INSERT(ovl_table, &os->table, ovl_data(i));
    unlock(&os->table_lock);
}

/* The live overlay inode over this upper inode, counted, or NULL. */
static struct inode *table_find(struct ovl_sb *os, struct inode *upper)
{
    struct ovl_inode key = {0}, *found;
    struct inode *i = NULL;

    atomic_init(&key.upper, upper);
    lock(&os->table_lock);
    found = RB_FIND(ovl_table, &os->table, &key);
    if (found && ref_get_unless_zero(&found->inode->refs))
        i = found->inode;
    else if (found) /* on its way out: its evict waits for the lock, and finds itself removed */
        RB_REMOVE(ovl_table, &os->table, found);
    unlock(&os->table_lock);
    return i;
}

void ovl_refresh(struct inode *i)
{
    struct inode *r = ovl_real(i);

    i->mode = r->mode;
    i->uid = r->uid;
    i->gid = r->gid;
    i->size = r->size;
    i->atime = r->atime;
    i->mtime = r->mtime;
    i->ctime = r->ctime;
    i->btime = r->btime;
    if (i->nlink)
        i->nlink = r->nlink;
}

/* Takes over upper and lower when it succeeds; parent and name are copied. */
static struct inode *make_inode(struct super_block *sb, struct inode *parent, const char *name, struct inode *upper,
                                struct inode *lower)
{
    struct inode *r = upper ? upper : lower;
    struct ovl_inode *oi = calloc(1, sizeof(*oi));

    if (!oi)
        return NULL;
    oi->name = strdup(name);
    struct inode *i = oi->name ? inode_new(sb, &ovl_inode_ops, NULL, ovl_ino(upper, lower), r->mode) : NULL;
    if (!i) {
        free(oi->name);
        free(oi);
        return NULL;
    }
    /* Its lock comes before those of the trees below. */
    lock_destroy(&i->lock);
    lock_init(&i->lock, RANK_OVERLAY_DIR);
    oi->inode = i;
    oi->lower = lower;
    oi->parent = parent ? inode_get(parent) : NULL;
    atomic_init(&oi->upper, upper);
    i->fs_data = oi;
    i->rdev = S_ISCHR(r->mode) || S_ISBLK(r->mode) ? r->rdev : 0;
    ovl_refresh(i);
    return i;
}

int ovl_inode_get(struct inode *dir, const char *name, struct inode *upper, struct inode *lower, struct inode **out)
{
    *out = upper ? table_find(ovl_sb(dir), upper) : NULL;
    if (!*out) {
        *out = make_inode(dir->sb, dir, name, upper, lower);
        if (*out) {
            if (upper)
                ovl_table_add(*out);
            return 0;
        }
    }
    inode_put(upper);
    inode_put(lower);
    return *out ? 0 : -ENOMEM;
}

static void ovl_evict(struct inode *i)
{
    struct ovl_inode *oi = ovl_data(i), *found;
    struct ovl_sb *os = ovl_sb(i);

    if (ovl_upper(i)) {
        lock(&os->table_lock);
        found = RB_FIND(ovl_table, &os->table, oi);
        if (found == oi)
            RB_REMOVE(ovl_table, &os->table, oi);
        unlock(&os->table_lock);
    }
    inode_put(atomic_load(&oi->upper));
    inode_put(oi->lower);
    inode_put(oi->parent);
    free(oi->name);
    free(oi);
}

/* ---- look-up ---- */

int ovl_lookup_real(struct inode *dir, const char *name, struct inode **out)
{
    *out = NULL;
    if (!dir->ops->lookup)
        return -ENOENT;
    lock(&dir->lock);
    int ret = inode_lookup(dir, name, out);
    unlock(&dir->lock);
    return ret;
}

/* The lower directory that shines through dir, or NULL. */
static struct inode *visible_lower(struct inode *dir)
{
    return ovl_is_opaque(ovl_upper(dir)) ? NULL : ovl_data(dir)->lower;
}

int ovl_lower_has(struct inode *dir, const char *name)
{
    struct inode *lower = visible_lower(dir), *found;

    if (!lower)
        return 0;
    int ret = ovl_lookup_real(lower, name, &found);
    if (ret == 0)
        inode_put(found);
    return ret == 0 ? 1 : ret == -ENOENT ? 0 : ret;
}

static int ovl_lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct inode *upper_dir = ovl_upper(dir), *lower_dir = visible_lower(dir), *upper = NULL, *lower = NULL;

    int ret = upper_dir ? ovl_lookup_real(upper_dir, name, &upper) : -ENOENT;
    if (ret < 0 && ret != -ENOENT)
        return ret;
    if (upper && ovl_is_whiteout(upper)) {
        inode_put(upper);
        return -ENOENT;
    }
    bool through = lower_dir && (!upper || (S_ISDIR(upper->mode) && !ovl_is_opaque(upper)));
    ret = through ? ovl_lookup_real(lower_dir, name, &lower) : 0;
    if (ret < 0 && ret != -ENOENT) {
        inode_put(upper);
        return ret;
    }
    if (upper && lower && !S_ISDIR(lower->mode)) {
        inode_put(lower);
        lower = NULL;
    }
    return upper || lower ? ovl_inode_get(dir, name, upper, lower, out) : -ENOENT;
}

/* ---- attributes ---- */

static int ovl_getattr(struct inode *i, struct kstat *st)
{
    int ret = inode_getattr(ovl_real(i), st);

    if (ret < 0)
        return ret;
    st->dev = i->sb->dev;
    st->ino = i->ino;
    st->rdev = i->rdev;
    if (!i->nlink)
        st->nlink = 0;
    return 0;
}

static int ovl_setattr(struct inode *i, const struct iattr *a)
{
    int ret = ovl_copy_up(i);
    if (ret < 0)
        return ret;
    struct inode *upper = ovl_upper(i);
    ret = upper->ops->setattr ? upper->ops->setattr(upper, a) : -EPERM;
    if (ret == 0)
        ovl_refresh(i);
    return ret;
}

static int ovl_permission(struct inode *i, const struct cred *c, int mask)
{
    return inode_permission(ovl_real(i), c, mask);
}

static int ovl_readlink(struct inode *i, char *buf, size_t cap)
{
    struct inode *r = ovl_real(i);

    return r->ops->readlink ? r->ops->readlink(r, buf, cap) : -EINVAL;
}

static ssize_t ovl_getxattr(struct inode *i, const char *name, void *buf, size_t cap)
{
    struct inode *r = ovl_real(i);

    return r->ops->getxattr ? r->ops->getxattr(r, name, buf, cap) : -EOPNOTSUPP;
}

static ssize_t ovl_listxattr(struct inode *i, char *buf, size_t cap)
{
    struct inode *r = ovl_real(i);

    return r->ops->listxattr ? r->ops->listxattr(r, buf, cap) : -EOPNOTSUPP;
}

static int ovl_setxattr(struct inode *i, const char *name, const void *val, size_t len, int flags)
{
    struct inode *up = dentry_inode(ovl_sb(i)->upper_root);

    if (!up->ops->setxattr)
        return -EOPNOTSUPP;
    int ret = ovl_copy_up(i);
    up = ovl_upper(i);
    return ret < 0 ? ret : up->ops->setxattr(up, name, val, len, flags);
}

static int ovl_removexattr(struct inode *i, const char *name)
{
    struct inode *up = dentry_inode(ovl_sb(i)->upper_root);

    if (!up->ops->removexattr)
        return -EOPNOTSUPP;
    int ret = ovl_copy_up(i);
    up = ovl_upper(i);
    return ret < 0 ? ret : up->ops->removexattr(up, name);
}

/* ---- opening ---- */

static int ovl_open(struct inode *i, struct file *f)
{
    if (S_ISDIR(i->mode)) {
        f->ops = &ovl_dir_ops;
        return 0;
    }
    if (S_ISCHR(i->mode))
        return chrdev_open ? chrdev_open(i->rdev, f) : -ENXIO;
    if (!S_ISREG(i->mode))
        return -ENXIO;
    int ret = f->fmode & FMODE_WRITE ? ovl_copy_up(i) : 0;
    if (ret < 0)
        return ret;
    struct inode *r = ovl_real(i);
    f->inode = r; /* alive through i, which f's dentry holds */
    if (r->ops->open)
        return r->ops->open(r, f);
    f->ops = r->file_ops;
    return 0;
}

static const struct inode_ops ovl_inode_ops = {
    .lookup = ovl_lookup,
    .create = ovl_create,
    .tmpfile = ovl_tmpfile,
    .mkdir = ovl_mkdir,
    .mknod = ovl_mknod,
    .symlink = ovl_symlink,
    .link = ovl_link,
    .unlink = ovl_unlink,
    .rmdir = ovl_rmdir,
    .rename = ovl_rename,
    .readlink = ovl_readlink,
    .getattr = ovl_getattr,
    .setattr = ovl_setattr,
    .permission = ovl_permission,
    .open = ovl_open,
    .getxattr = ovl_getxattr,
    .setxattr = ovl_setxattr,
    .listxattr = ovl_listxattr,
    .removexattr = ovl_removexattr,
    .evict = ovl_evict,
};

/* ---- the super block ---- */

static int ovl_statfs(struct super_block *sb, struct statfs *out)
{
    struct ovl_sb *os = sb->fs_data;
    struct super_block *upper = dentry_inode(os->upper_root)->sb;

    int ret = upper->ops->statfs(upper, out);
    out->f_type = OVERLAY_MAGIC;
    return ret;
}

static void ovl_destroy(struct super_block *sb)
{
    struct ovl_sb *os = sb->fs_data;

    dentry_put(os->lower_root);
    dentry_put(os->upper_root);
    lock_destroy(&os->copy_lock);
    lock_destroy(&os->table_lock);
    free(os);
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

int overlay_mount(struct dentry *lower, struct dentry **out)
{
    struct ovl_sb *os = calloc(1, sizeof(*os));

    int ret = os ? tmpfs_mount(0, 0755, &os->upper_root) : -ENOMEM;
    if (ret == 0)
        ret = init_upper_root(dentry_inode(os->upper_root), dentry_inode(lower));
    struct super_block *sb = ret == 0 ? sb_new("overlay", &ovl_super_ops, 0, OVERLAY_MAGIC, os) : NULL;
    if (!sb) {
        if (os && os->upper_root)
            dentry_put(os->upper_root);
        free(os);
        dentry_put(lower);
        return ret < 0 ? ret : -ENOMEM;
    }
    os->lower_root = lower;
    lock_init(&os->copy_lock, RANK_OVERLAY);
    lock_init(&os->table_lock, RANK_FS);
    RB_INIT(&os->table);
    struct inode *up = inode_get(dentry_inode(os->upper_root)), *low = inode_get(dentry_inode(lower));
    struct inode *root = make_inode(sb, NULL, "/", up, low);
    if (root)
        ovl_table_add(root);
    *out = root ? dentry_new_root(root) : NULL;
    if (!root) {
        inode_put(up);
        inode_put(low);
    } else if (!*out) {
        inode_put(root);
    }
    sb_put(sb);
    return *out ? 0 : -ENOMEM;
}
