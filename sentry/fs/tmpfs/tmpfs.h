/*
 * tmpfs, inside: super.c limits; tmpfs.c directories, links and attributes; tmpfs_file.c the bytes of files; idle.c
 * which files keep a descriptor; seals.c; xattr.c.
 */
#pragma once

#include "sentry/vfs/vfs.h"

#include <bsd/sys/tree.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

struct tmpfs_sb {
    uint64_t limit;        /* (c) bytes */
    _Atomic uint64_t used; /* bytes charged to files */
    _Atomic uint64_t next_ino;
};

/*
 * Bytes are taken from the super block's limit and from what all tmpfs of the sandbox may take together, half of its
 * memory: files fill up with ENOSPC before the host's limit ends a process. -ENOSPC.
 */
int tmpfs_take_bytes(struct tmpfs_sb *ts, uint64_t n) must_check;
void tmpfs_give_bytes(struct tmpfs_sb *ts, uint64_t n);

struct tmpfs_entry {
    RB_ENTRY(tmpfs_entry) node;
    struct list order;   /* by age, for directory reads */
    struct inode *inode; /* counted */
    int64_t pos;         /* directory position: stable for the entry's life */
    char name[];
};
RB_HEAD(tmpfs_tree, tmpfs_entry);

/* An inode's part, under inode->lock. */
struct tmpfs_inode {
    struct list xattrs;
    /* directories */
    struct tmpfs_tree entries;
    struct list order;
    int64_t next_pos;
    struct inode *parent; /* not counted: a directory outlives its entries' use; itself at the root */
    /* symbolic links */
    char *target;
    /* files */
    int fd;               /* memfd; -1: none yet, the bytes are in small */
    unsigned char *small; /* malloced: the bytes of a file that has no memfd, as many as its size; NULL: empty */
    uint32_t small_cap;
    uint64_t charged; /* bytes of the limit it holds */
    int readonly_fd;  /* the same memfd, for mappings of files that are not open for writing; -1: none yet */
    /* idle.c, under its lock */
    struct inode *inode; /* (c) whose part this is */
    struct list idle;
    int users;   /* files open on it */
    bool has_fd; /* fd >= 0 */
};

static inline struct tmpfs_inode *tmpfs_data(const struct inode *i)
{
    return i->fs_data;
}

static inline struct tmpfs_sb *tmpfs_sb(const struct inode *i)
{
    return i->sb->fs_data;
}

extern const struct file_ops tmpfs_file_ops;

/* Sets a regular file's size; inode lock held. */
int tmpfs_set_size(struct inode *i, uint64_t size) must_check;
/* Gives the file a memfd if it has none, with its bytes in it; inode lock held. */
int tmpfs_need_fd(struct inode *i) must_check;
/* Takes the memfd away again, its bytes to the sentry's memory, if they are few; inode lock held, nobody uses it. */
void tmpfs_demote(struct inode *i);

/* ---- idle.c ---- */

/* While a regular file is open, its memfd, if it has or gets one, stays. */
void tmpfs_use_begin(struct inode *i);
void tmpfs_use_end(struct inode *i);
/* The file has got or lost its memfd. */
void tmpfs_note_fd(struct inode *i, bool has_fd);
/* Takes memfds away from files that have been idle longest, if there are too many. No inode's lock is held. */
void tmpfs_trim_idle(void);

/* A new inode with one reference, owned by cred (NULL: root). NULL: no memory. */
struct inode *tmpfs_inode_new(struct super_block *sb, mode_t mode, const struct cred *cred) must_check;
/* seals.c: gives the file, which has no bytes yet, a memfd that can be sealed; noexec: with F_SEAL_EXEC. */
int tmpfs_make_sealable(struct inode *i, bool noexec) must_check;
/* Is one of these F_SEAL_* set? Inode lock held. */
bool tmpfs_sealed(struct inode *i, unsigned seals);
/* Drops the file's bytes and its charge. */
void tmpfs_drop_data(struct inode *i);
/* Extended attributes, as inode_ops say. */
ssize_t tmpfs_getxattr(struct inode *i, const char *name, void *buf, size_t cap);
int tmpfs_setxattr(struct inode *i, const char *name, const void *val, size_t len, int flags);
ssize_t tmpfs_listxattr(struct inode *i, char *buf, size_t cap);
int tmpfs_removexattr(struct inode *i, const char *name);
void tmpfs_drop_xattrs(struct inode *i);
void tmpfs_touch(struct inode *i, bool modified);
