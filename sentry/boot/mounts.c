/*
 * The guest's mounts, from the runtime's list: the first is the root, the others go on top in the order given. Missing
 * directories on the way to a target are made, which needs a writable tree there (a tmpfs or an overlay).
 */
#include "include/boot.h"
#include "sentry/boot/boot_internal.h"
#include "sentry/fs/fs.h"
#include "sentry/kernel/cred.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static unsigned flags_of(const struct boot_mount *m)
{
    return (m->readonly ? MNT_RDONLY : 0U) | (m->nosuid ? MNT_NOSUID : 0U) | (m->nodev ? MNT_NODEV : 0U) |
           (m->noexec ? MNT_NOEXEC : 0U);
}

static int new_tmpfs(const struct boot_mount *m, struct dentry **out)
{
    int ret = tmpfs_mount(m->size_limit, m->mode, out);

    if (ret == 0) { /* nobody else sees it yet */
        dentry_inode(*out)->uid = m->uid;
        dentry_inode(*out)->gid = m->gid;
    }
    return ret;
}

static int new_root(const struct boot_mount *m, struct dentry **out)
{
    struct dentry *lower = NULL;

    switch (m->kind) {
    case MOUNT_TMPFS:
        return new_tmpfs(m, out);
    case MOUNT_PROC:
        return proc_mount(out);
    case MOUNT_SYS:
        return sysfs_mount(out);
    case MOUNT_DEV:
        return dev_mount(out);
    case MOUNT_GOFER:
        break;
    }
    int ret = gofer_mount(m->conn_fd, m->exclusive, m->readonly || m->overlay, m->overlay ? &lower : out);
    return ret < 0 || !m->overlay ? ret : overlay_mount(lower, out);
}

/* Makes the directory (or file) `name` below dir; one that is there already is fine. */
static int make_entry(struct path *dir, const char *name, bool file, const struct cred *cred)
{
    struct inode *parent = dentry_inode(dir->dentry), *made = NULL;

    if (!parent || !parent->ops->mkdir || !parent->ops->create)
        return -EROFS;
    lock(&parent->lock);
    int ret = file ? parent->ops->create(parent, name, 0644, cred, &made)
                   : parent->ops->mkdir(parent, name, 0755, cred, &made);
    unlock(&parent->lock);
    if (ret == -EEXIST)
        return 0;
    if (ret < 0)
        return ret;
    inode_put(made);
    dentry_invalidate_children(dir->dentry);
    return 0;
}

/* Walks from root to target, making what is missing: directories, and last a file if one is wanted. *out is counted. */
static int walk_making(struct task *t, const struct path *root, const char *target, bool file, const struct cred *cred,
                       struct path *out)
{
    char buf[PATH_MAX], *rest = buf, *name;

    if (snprintf(buf, sizeof(buf), "%s", target) >= (int)sizeof(buf))
        return -ENAMETOOLONG;
    struct path at = *root;
    path_get(&at);
    while ((name = strsep(&rest, "/"))) {
        struct path next;
        if (!*name)
            continue;
        int ret = path_lookup_from(t, &at, name, LOOKUP_FOLLOW, &next);
        if (ret == -ENOENT) {
            ret = make_entry(&at, name, file && !rest, cred);
            if (ret == 0)
                ret = path_lookup_from(t, &at, name, LOOKUP_FOLLOW, &next);
        }
        path_put(&at);
        if (ret < 0)
            return ret;
        at = next;
    }
    *out = at;
    return 0;
}

static int mount_one(struct task *t, const struct boot_mount *m, const struct path *root, const struct cred *cred)
{
    struct path at;
    struct dentry *d;

    int ret = new_root(m, &d);
    if (ret < 0)
        return ret;
    ret = walk_making(t, root, m->target, !S_ISDIR(dentry_inode(d)->mode), cred, &at);
    if (ret == 0) {
        ret = mount_at(&at, d, flags_of(m), m->source);
        path_put(&at);
    }
    if (ret < 0)
        dentry_put(d);
    return ret;
}

int boot_root(const struct boot_config *cfg, struct path *out_root)
{
    struct dentry *d;

    if (!cfg->mount_count)
        return -EINVAL;
    int ret = new_root(&cfg->mounts[0], &d);
    return ret < 0 ? ret : mount_root(d, flags_of(&cfg->mounts[0]), cfg->mounts[0].source, out_root);
}

/* The root's own symbolic links. */
static int make_links(const struct boot_config *cfg, const struct path *root, const struct cred *cred)
{
    struct inode *dir = dentry_inode(root->dentry), *made;

    if (cfg->link_count && !dir->ops->symlink)
        return -EROFS;
    int ret = 0;
    lock(&dir->lock);
    for (size_t i = 0; i < cfg->link_count && ret == 0; i++) {
        ret = dir->ops->symlink(dir, cfg->links[i].path + 1, cfg->links[i].target, cred, &made);
        if (ret == 0)
            inode_put(made);
    }
    unlock(&dir->lock);
    return ret;
}

int boot_mounts(const struct boot_config *cfg, struct task *t, const struct path *root, const char **out_where)
{
    struct cred *cred = cred_new(0, 0, NULL, 0);
    int ret = cred ? make_links(cfg, root, cred) : -ENOMEM;

    *out_where = "/";
    for (size_t i = 1; ret == 0 && i < cfg->mount_count; i++) {
        *out_where = cfg->mounts[i].target;
        ret = mount_one(t, &cfg->mounts[i], root, cred);
    }
    if (cred)
        cred_put(cred);
    return ret;
}
