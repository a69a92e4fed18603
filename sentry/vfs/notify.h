/*
 * Telling who watches that something happened to a file: the hooks that the vfs calls, and the watches they find.
 *
 * A watch sits on an inode. An event on a file goes to the watches on its inode, without a name, and to those on its
 * directory's inode, with the name it was reached by. While nobody watches anything a hook costs one load.
 *
 * Locks: notify_lock (RANK_NOTIFY) guards all watches; callbacks run under it. Hooks may be called with inode locks
 * held.
 */
#pragma once

#include "lib/compiler.h"
#include "lib/list.h"
#include "sentry/vfs/vfs.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/inotify.h>

struct inode_watches;

/* One watch, embedded in its owner's own. All under notify_lock. */
struct watch {
    struct list node;         /* on the inode's list */
    struct inode_watches *on; /* NULL: on nothing (any more) */
    uint32_t mask;            /* IN_* that it wants, and IN_EXCL_UNLINK, IN_ONESHOT */
    const struct watch_ops *ops;
};

struct watch_ops { /* both under notify_lock: must not sleep, nor put files or dentries */
    /* An event: IN_* with IN_ISDIR; name NULL: the watched inode itself. */
    void (*event)(struct watch *w, uint32_t mask, uint32_t cookie, const char *name);
    /* The watch is off its inode, by itself (one-shot, or the inode is gone); the owner may free it. */
    void (*gone)(struct watch *w);
};

void notify_lock(void);
void notify_unlock(void);

/* The first watch on the inode behind d for which fn says true, or NULL. notify_lock held. */
struct watch *watch_find(struct dentry *d, bool (*fn)(struct watch *w, void *arg), void *arg) must_check;
/* Puts w on the inode behind d, which stays cached meanwhile. notify_lock held. -ENOMEM. */
int watch_add(struct watch *w, struct dentry *d) must_check;
/* Takes w off. notify_lock held; the caller calls notify_reap() once it is released. */
void watch_remove(struct watch *w);
/* Puts the dentries that removed watches held. No lock held that comes after a directory's. */
void notify_reap(void);

extern _Atomic unsigned notify_watches; /* how many there are */

void notify_slow(struct dentry *d, uint32_t mask);
void notify_self_slow(struct dentry *d, uint32_t mask);
void notify_dir_slow(struct dentry *dir, struct inode *child, const char *name, uint32_t mask, uint32_t cookie);
void notify_unlinked_slow(struct dentry *d);
void notify_closed_slow(struct file *f);
void notify_unmount_slow(struct super_block *sb);
/* Two numbers that belong together: of IN_MOVED_FROM and IN_MOVED_TO. Never 0. */
uint32_t notify_new_cookie(void);

static inline bool notify_wanted(void)
{
    return unlikely(atomic_load_explicit(&notify_watches, memory_order_relaxed) != 0);
}

/* Something happened to the file at d: IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_OPEN … */
static inline void notify(struct dentry *d, uint32_t mask)
{
    if (notify_wanted())
        notify_slow(d, mask);
}

/* The same for the file's own watches only: IN_MOVE_SELF. */
static inline void notify_self(struct dentry *d, uint32_t mask)
{
    if (notify_wanted())
        notify_self_slow(d, mask);
}

/* name came to or went from dir: IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO. Directory lock held. */
static inline void notify_dir(struct dentry *dir, struct inode *child, const char *name, uint32_t mask, uint32_t cookie)
{
    if (notify_wanted())
        notify_dir_slow(dir, child, name, mask, cookie);
}

/* The inode at d lost a name, or was replaced: IN_ATTRIB, and if nobody uses it any more IN_DELETE_SELF. d is unhashed,
 * held by the caller alone unless it is in use. */
static inline void notify_unlinked(struct dentry *d)
{
    if (notify_wanted())
        notify_unlinked_slow(d);
}

/* f has lost its last reference, but still has its path. */
static inline void notify_closed(struct file *f)
{
    if (notify_wanted())
        notify_closed_slow(f);
}

/* The last mount of sb went. */
static inline void notify_unmount(struct super_block *sb)
{
    if (notify_wanted())
        notify_unmount_slow(sb);
}
