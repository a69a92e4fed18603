/* Overlay inodes: look-up, attributes, opening. See overlay.h for the idea. */
#include "sentry/fs/overlay/overlay.h"

#include "sentry/kernel/locking.h"
#include "sentry/vfs/lookahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int chrdev_open(dev_t rdev, struct file *f) __attribute__((weak));

static int table_compare(const struct ovl_inode *a, const struct ovl_inode *b)
{
    uintptr_t x = (uintptr_t)atomic_load(&a->upper), y = (uintptr_t)atomic_load(&b->upper);

    return x < y ? -1 : x > y;
}

RB_GENERATE_INTERNAL(ovl_table, ovl_inode, node, table_compare, static unused_arg);

/* Enters oi, unless a live inode over the same upper one is there: that one, counted. One that is going is replaced. */
static struct inode *table_enter(struct ovl_sb *os, struct ovl_inode *oi)
{
    struct inode *there = NULL;

    lock(&os->table_lock);
    struct ovl_inode *found = RB_FIND(ovl_table, &os->table, oi);
    if (found && ref_get_unless_zero(&found->inode->refs)) {
        there = found->inode;
    } else {
        if (found)
            RB_REMOVE(ovl_table, &os->table, found);
        RB_INSERT(ovl_table, &os->table, oi);
    }
    unlock(&os->table_lock);
    return there;
}

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

/* Written only if they differ: others read them without a lock. */
#define TAKE(field)                                                                                                    \
    do {                                                                                                               \
        if (i->field != r->field)                                                                                      \
            i->field = r->field;                                                                                       \
    } while (0)

void ovl_refresh(struct inode *i)
{
    struct inode *r = ovl_real(i);

    TAKE(mode);
    TAKE(uid);
    TAKE(gid);
    TAKE(size);
    if (i->nlink)
        TAKE(nlink);
}

#undef TAKE

/* Takes over upper and lower when it succeeds; parent and name are copied. */
struct inode *ovl_inode_new(struct super_block *sb, struct inode *parent, const char *name, struct inode *upper,
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
    lock_init(&oi->copy_lock, RANK_OVERLAY);
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
    struct inode *i = upper ? table_find(ovl_sb(dir), upper) : NULL;

    if (i) {
        inode_put(upper);
        inode_put(lower);
        *out = i;
        return 0;
    }
    i = ovl_inode_new(dir->sb, dir, name, upper, lower);
    if (!i) {
        inode_put(upper);
        inode_put(lower);
        return -ENOMEM;
    }
    struct inode *there = upper ? table_enter(ovl_sb(dir), ovl_data(i)) : NULL;
    if (there)
        inode_put(i);
    *out = there ? there : i;
    return 0;
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
    file_put(oi->upper_file);
    inode_put(atomic_load(&oi->upper));
    inode_put(oi->lower);
    inode_put(oi->parent);
    free(oi->name);
    lock_destroy(&oi->copy_lock);
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
    else if (S_ISDIR(i->mode) && ovl_upper(i) && ovl_data(i)->lower)
        st->nlink = 1; /* nobody has counted the merged directory's subdirectories */
    return 0;
}

static int ovl_setattr(struct inode *i, const struct iattr *a)
{
    int ret = ovl_copy_up_to(i, a->valid & ATTR_SIZE ? a->size : UINT64_MAX);
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
    struct inode *up = ovl_sb(i)->upper;

    if (!up->ops->setxattr)
        return -EOPNOTSUPP;
    int ret = ovl_copy_up(i);
    up = ovl_upper(i);
    return ret < 0 ? ret : up->ops->setxattr(up, name, val, len, flags);
}

static int ovl_removexattr(struct inode *i, const char *name)
{
    struct inode *up = ovl_sb(i)->upper;

    if (!up->ops->removexattr)
        return -EOPNOTSUPP;
    int ret = ovl_copy_up(i);
    up = ovl_upper(i);
    return ret < 0 ? ret : up->ops->removexattr(up, name);
}

/* ---- opening ---- */

static int ovl_open(struct inode *i, struct file *f)
{
    if (S_ISDIR(i->mode))
        return ovl_open_dir(f);
    if (S_ISCHR(i->mode))
        return chrdev_open ? chrdev_open(i->rdev, f) : -ENXIO;
    return S_ISREG(i->mode) ? ovl_open_regular(i, f) : -ENXIO;
}

const struct inode_ops ovl_inode_ops = {
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
