/*
 * The overlay, inside: a lower tree that is never changed and an upper tmpfs that takes every change.
 *
 * An overlay inode stands over an upper inode, a lower one, or (a merged directory) both. A name removed from the lower
 * tree is a whiteout in the upper one: a character device 0:0, as Linux's. The upper inode's rdev, which only devices
 * use otherwise, remembers what must outlive the overlay inode: OVL_OPAQUE for a directory that hides the lower one of
 * its name, and for what was copied up the lower inode's number, so that st_ino stays.
 *
 * Open files run on the upper's or lower's own operations, with file->inode pointing there: nothing of the overlay is
 * in the way of read, write and mmap, but for files open for reading on the lower tree, which must follow a copy-up.
 *
 *   overlay.c  overlay inodes: look-up and attributes; super.c the mount
 *   copy_up.c  from the lower to the upper tree
 *   names.c    making and removing names; move.c renaming
 *   readdir.c  merged directories; file.c opening files
 *
 * Lock order: an overlay inode's lock, a copy_lock, the locks of the trees below (upper before lower), place_lock.
 */
#pragma once

#include "sentry/vfs/vfs.h"

#include <bsd/sys/tree.h>

#define OVL_OPAQUE (1ULL << 63)
#define OVL_UPPER_INO (1ULL << 40) /* keeps the numbers of new files apart from the lower tree's */

RB_HEAD(ovl_table, ovl_inode);

struct ovl_sb {
    struct dentry *lower_root;  /* (c) counted */
    struct dentry *upper_mount; /* (c) counted: the tmpfs, in which are … */
    struct inode *upper, *work; /* (c) counted: the upper tree's root, and a directory for copies in the making */
    _Atomic uint64_t next_copy; /* name of the next one */
    struct lock place_lock;     /* RANK_FS: parent and name of inodes that have an upper inode */
    struct lock table_lock;     /* RANK_FS: table */
    struct ovl_table table;     /* overlay inodes by upper inode: hard links share one */
};

struct ovl_inode {
    RB_ENTRY(ovl_inode) node;
    struct inode *inode;           /* (c) the overlay inode this belongs to */
    struct lock copy_lock;         /* RANK_OVERLAY: while a copy is made */
    _Atomic(struct inode *) upper; /* counted; set once, under copy_lock and the upper directory's lock */
    struct inode *lower;           /* (c) counted; NULL: none, or hidden */
    struct inode *parent;          /* (place_lock) counted; NULL at the root. Constant while there is no upper inode */
    char *name;                    /* (place_lock) in parent: where a copy goes. The same */
    struct file *upper_file;       /* (copy_lock) counted: for those who had the lower file open; file.c */
};

static inline struct ovl_inode *ovl_data(const struct inode *i)
{
    return i->fs_data;
}

static inline struct ovl_sb *ovl_sb(const struct inode *i)
{
    return i->sb->fs_data;
}

static inline struct inode *ovl_upper(const struct inode *i)
{
    return atomic_load_explicit(&ovl_data(i)->upper, memory_order_acquire);
}

/* What i's contents and attributes are now. */
static inline struct inode *ovl_real(const struct inode *i)
{
    struct inode *upper = ovl_upper(i);

    return upper ? upper : ovl_data(i)->lower;
}

static inline bool ovl_is_whiteout(const struct inode *upper)
{
    return S_ISCHR(upper->mode) && upper->rdev == 0;
}

static inline bool ovl_is_opaque(const struct inode *upper)
{
    return upper && S_ISDIR(upper->mode) && (upper->rdev & OVL_OPAQUE);
}

/* st_ino of what has this upper and lower inode. */
static inline uint64_t ovl_ino(const struct inode *upper, const struct inode *lower)
{
    if (lower)
        return lower->ino;
    uint64_t origin = S_ISCHR(upper->mode) || S_ISBLK(upper->mode) ? 0 : upper->rdev & ~OVL_OPAQUE;
    return origin ? origin : upper->ino | OVL_UPPER_INO;
}

/* overlay.c */
/* The overlay inode for what dir has under name; takes over the references on upper and lower, also on failure. */
int ovl_inode_get(struct inode *dir, const char *name, struct inode *upper, struct inode *lower,
                  struct inode **out) must_check;
/* Enters i, which now has an upper inode, into the table. */
void ovl_table_add(struct inode *i);
/* Brings the attributes that vfs reads from the inode itself in step with the real one. Times it asks for. */
void ovl_refresh(struct inode *i);
/* name in the real directory `dir`, whose lock is taken: 0, -ENOENT or an error. */
int ovl_lookup_real(struct inode *dir, const char *name, struct inode **out) must_check;
/* Does the lower tree have name in dir (and is it to be seen)? 1, 0 or -errno. */
int ovl_lower_has(struct inode *dir, const char *name) must_check;

/* copy_up.c: gives i an upper inode if it has none, its parents first. The first so many bytes of a file are enough. */
int ovl_copy_up(struct inode *i) must_check;
int ovl_copy_up_to(struct inode *i, uint64_t limit) must_check;
/* A file on a real inode, for the overlay's own use. */
int ovl_open_real(struct inode *real, unsigned fmode, struct file **out) must_check;

/* readdir.c */
int ovl_open_dir(struct file *f) must_check;
/* -ENOTEMPTY unless nothing is to be seen in the directory i, whose lock is held; whiteouts in it are removed, so that
 * the upper one can be. */
int ovl_make_empty(struct inode *i) must_check;

/* file.c */
int ovl_open_regular(struct inode *i, struct file *f) must_check;

/* super.c: the table of overlay.c's operations is its inodes'. */
extern const struct inode_ops ovl_inode_ops;
struct inode *ovl_inode_new(struct super_block *sb, struct inode *parent, const char *name, struct inode *upper,
                            struct inode *lower);

/* names.c and move.c: the directory operations. */
/* Whiteouts in an upper directory, whose lock is held. */
int ovl_put_whiteout(struct inode *upper_dir, const char *name) must_check;
/* 1 there was one, 0 there is nothing of that name, or -errno. */
int ovl_take_whiteout(struct inode *upper_dir, const char *name) must_check;
/* The victim has lost a name; the lock of its upper directory is held. */
void ovl_lost_name(struct inode *victim);
int ovl_create(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out);
int ovl_tmpfile(struct inode *dir, mode_t mode, const struct cred *cred, struct inode **out);
int ovl_mkdir(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out);
int ovl_mknod(struct inode *dir, const char *name, mode_t mode, dev_t rdev, const struct cred *cred,
              struct inode **out);
int ovl_symlink(struct inode *dir, const char *name, const char *target, const struct cred *cred, struct inode **out);
int ovl_link(struct inode *dir, const char *name, struct inode *target);
int ovl_unlink(struct inode *dir, const char *name, struct inode *victim);
int ovl_rmdir(struct inode *dir, const char *name, struct inode *victim);
int ovl_rename(struct inode *old_dir, const char *old_name, struct inode *old, struct inode *new_dir,
               const char *new_name, struct inode *victim, unsigned flags);
