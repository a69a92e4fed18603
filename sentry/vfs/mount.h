/* Mounts, as the path walk sees them. */
#pragma once

#include "sentry/vfs/vfs.h"

struct mount {
    refcount_t refs;
    int id;                    /* (c) */
    struct super_block *sb;    /* (c) counted */
    struct dentry *root;       /* (c) counted */
    struct mount *parent;      /* (m) counted; NULL: the root mount, an anonymous or a detached one */
    struct dentry *mountpoint; /* (m) in parent; counted */
    _Atomic unsigned flags;    /* MNT_* */
    char *source;              /* (c) */
    struct list node;          /* (m) on the table */
    bool placed;               /* (m) on the table, so part of the tree: something may be mounted on it */
    struct list children;      /* (m) what is mounted on it, newest first */
    struct list sibling;       /* (m) on the parent's children */
};

struct mount *mount_get(struct mount *m);
void mount_put(struct mount *m);

/* If something is mounted at *p, moves *p (counted) to its root, as often as it takes. */
void mount_traverse(struct path *p);
/* If *p is the root of a mount, moves it to the mount point; false: it is the top. */
bool mount_ascend(struct path *p);
/* umount2(2) of the topmost mount at p, if lazy with all that is mounted on it: -EINVAL (not a mount point), -EBUSY. */
int mount_detach(const struct path *p, bool lazy) must_check;
/* Another view of `from` on top of `at`; recursive: with the mounts below it. -ENOTDIR, -EISDIR, -ENOSPC, -ENOMEM,
 * -EINVAL (at is in a mount that was taken off). */
int mount_bind(const struct path *from, const struct path *at, bool recursive) must_check;
/* Moves the mount whose root is `from`, and all on it, to `at`. -EINVAL (no mount's root, or the root mount; as above),
 * -ELOOP (at is below it), -ENOTDIR, -EISDIR. */
int mount_move(const struct path *from, const struct path *at) must_check;
int mount_remount(const struct path *p, unsigned flags) must_check;
