/*
 * The dentry cache, for the path walk and the operations that change names. Everybody else uses vfs.h.
 *
 * A dentry is hashed by (parent, name) while it stands for that name; unhashed ones (removed files that are still open,
 * names of file systems that must not be cached) live only as long as they are referenced. A hashed dentry without
 * references waits on an LRU list. Names, parents and the lists are guarded by the one dcache lock (RANK_DCACHE);
 * whether a name is positive changes only under its directory's inode->lock too.
 */
#pragma once

#include "sentry/vfs/vfs.h"

#define DENTRY_INLINE_NAME 32

struct dentry {
    _Atomic int refs;              /* holders; children hold their parent. 0: on the LRU, or about to be freed */
    struct dentry *parent;         /* (dcache) counted; a root is its own parent, uncounted */
    _Atomic(struct inode *) inode; /* counted; NULL: negative */
    char *name;                    /* (dcache) inline_name or malloced */
    char inline_name[DENTRY_INLINE_NAME];
    uint32_t hash;                                 /* (dcache) */
    bool hashed, on_lru;                           /* (dcache) */
    bool anonymous;                                /* (c) never had a place: pipe, memfd … */
    _Atomic int mounted;                           /* mounts on top of this dentry, in any mount */
    _Atomic bool pinned;                           /* something is mounted here or below: stays cached */
    struct list hash_node, sibling, children, lru; /* (dcache) */
};

/* What is cached of name in dir: a counted dentry or NULL. */
struct dentry *dcache_find(struct dentry *dir, const char *name, size_t len) must_check;

/*
 * The dentry of name in dir, positive or negative (counted), asking the file system when it is not cached. dir's inode
 * lock is held. -ENOMEM, or what the file system says other than -ENOENT.
 */
int dentry_lookup(struct dentry *dir, const char *name, struct dentry **out) must_check;

/* Makes the negative d stand for i, whose reference is taken over. Directory lock held. */
void dentry_instantiate(struct dentry *d, struct inode *i);
/* The name is gone: open files keep the dentry, the next lookup makes another. Directory lock held. */
void dentry_make_negative(struct dentry *d);
/* d gets another place; whatever dentry was cached there is dropped. Both directory locks held. -ENOMEM. */
int dentry_move(struct dentry *d, struct dentry *new_parent, const char *new_name) must_check;
/* RENAME_EXCHANGE: the two swap places. */
int dentry_exchange(struct dentry *a, struct dentry *b) must_check;
/* Keeps d and all above it findable in trees whose names are not cached: something is mounted on it. For good. */
void dentry_pin(struct dentry *d);
/* True if a is d or one of its ancestors. */
bool dentry_is_ancestor(struct dentry *a, struct dentry *d);
/* The parent, counted. */
struct dentry *dentry_get_parent(struct dentry *d);
/* The parent, counted, if somebody watches it (notify.h), with d's name there (NAME_MAX + 1 bytes) and whether d has
 * been removed from it; else NULL. */
struct dentry *dentry_watched_parent(struct dentry *d, char *name, bool *out_unlinked) must_check;
/* True if d has been removed from its directory. */
bool dentry_is_dead(struct dentry *d);
/* Forgets up to count names that nobody uses, the oldest first; how many there were. No lock beyond inodes' is held. */
unsigned dcache_shrink(unsigned count);
/* Forgets all names of the tree that d is in, which is mounted nowhere any more: its files are to go, but for those
 * that are open. */
void dcache_forget(struct dentry *d);
