/*
 * The gofer file system, inside: the sentry's view of a tree of host files that a gofer process serves.
 *
 *   conn.c    one request and its reply; fid numbers, and those to be given up
 *   near.c    where the gofer runs
 *   rpc.c     a function a message: encode, exchange, decode and check
 *   handle.c  the host descriptors that the gofer donated, shared by all who read or write a file
 *   inode.c   the inode table, attributes
 *   fid.c     inodes that have no fid yet
 *   lookup.c  look-up: whole paths and batches of names in one message
 *   names.c   the operations that change names
 *   listing.c what a directory's entries are; ahead.c what they stand for, found out ahead; dir.c directory reads
 *   file.c    reads, writes and mappings: straight on the host descriptors
 *   mapped.c  reads of files that are read again and again
 *   mount.c   the super block
 *
 * Nothing that the gofer says is trusted: a reply of the wrong shape ends the connection, and every later call is EIO.
 *
 * What is known of an exclusive mount stays known: vfs caches its names, and absent ones; inodes keep their attributes;
 * a directory that was read keeps its entries, which also answer for names that are not there. Of a shared mount
 * nothing is kept: each walk asks once, for all of its names.
 *
 * Lock order: inode->lock, then (never two of them at once) conn->lock; or one of the leaf locks.
 */
#pragma once

#include "include/p9.h"
#include "lib/placement.h"
#include "sentry/vfs/vfs.h"

#include <bsd/sys/tree.h>
#include <limits.h>

/* ---- connection ---- */

struct fid_list {
    uint32_t *ids; /* malloced */
    size_t count, cap;
};

struct gofer_conn {
    int sock;                   /* (c) owned */
    _Atomic bool dead;          /* no more exchanges: the peer is gone or broke the protocol */
    struct lock lock;           /* RANK_GOFER_CONN: the two buffers and the order of messages */
    uint32_t msize;             /* (lock) */
    uint8_t *in, *out;          /* (lock) */
    _Atomic uint64_t exchanges; /* for statistics */
    struct lock fids;           /* RANK_LEAF: what follows */
    uint32_t next_fid;          /* the first that was never used */
    struct fid_list free;       /* may be used again */
    struct fid_list forget;     /* to be given up with the next exchange */
};

/* One exchange; from gofer_begin() to gofer_end() the connection's lock is held. */
struct gofer_call {
    struct gofer_conn *c;
    struct wirebuf req;   /* the body is put here */
    struct wirebuf reply; /* after the exchange: at the body */
    int fd;               /* came with the reply; closed by gofer_end() if it is still here */
};

int gofer_conn_init(struct gofer_conn *c, int sock) must_check; /* sock is taken over in any case */
void gofer_conn_destroy(struct gofer_conn *c);
void gofer_begin(struct gofer_conn *c, struct gofer_call *call);
/* Sends the request and waits for its reply. 0, the gofer's error, or -EIO. */
int gofer_exchange(struct gofer_call *call, uint8_t type) must_check;
/* Its second half: waits for the reply to a request that was sent before. */
int gofer_await(struct gofer_call *call, uint8_t type) must_check;
/* Ends the call; ret if that is an error, -EIO (and the connection's end) if the reply was too short or too long. */
int gofer_end(struct gofer_call *call, int ret) must_check;
/* Takes count unused numbers. -ENOMEM, -EIO. */
int gofer_fid_alloc(struct gofer_conn *c, uint32_t *out, size_t count) must_check;
/* 0 until three quarters of what a gofer may have open are fids; then how many to give up to have room for a while. */
unsigned gofer_fids_to_forget(void);
/* The gofer has never heard of these: they may be used again at once. */
void gofer_fid_unused(struct gofer_conn *c, const uint32_t *ids, size_t count);
/* The gofer is to drop it. Under any lock but a leaf one. */
void gofer_fid_forget(struct gofer_conn *c, uint32_t id);

/* Around an exchange: where this thread is, and what the gofer is to be told of it (near.c). */
struct gofer_near {
    uint32_t cpu; /* or P9_NEAR_ANY */
    bool tell;
    struct placement here;
};

void gofer_near_begin(struct gofer_near *n);
void gofer_near_end(const struct gofer_near *n);

/* ---- messages (rpc.c); all 0 or -errno ---- */

struct gofer_walk {
    /* in */
    const char *names[P9_MAX_WALK]; /* not NUL-terminated: name_len */
    size_t name_len[P9_MAX_WALK];
    unsigned count;
    bool open;   /* a descriptor of the last one, please */
    bool xattrs; /* say whether there are extended attributes */
    /* out; the new fids of those found are the caller's */
    unsigned found;
    int err; /* -errno: why not all were found; 0: all were */
    uint32_t fids[P9_MAX_WALK];
    struct p9_attr attrs[P9_MAX_WALK];
    char target[PATH_MAX]; /* of the last one found if it is a symbolic link */
    int fd;                /* owned by the caller; -1: none */
};

struct gofer_new { /* Xcreate */
    const char *name, *target;
    mode_t mode; /* with its type */
    uid_t uid;
    gid_t gid;
    dev_t rdev;
};

/* What gofer_greet() asked for: the root, whose fid is 0. */
int rpc_attached(struct gofer_conn *c, struct p9_attr *out) must_check;
int rpc_walk(struct gofer_conn *c, uint32_t fid, struct gofer_walk *w) must_check;
int rpc_getattr(struct gofer_conn *c, uint32_t fid, struct p9_attr *out) must_check;
/* valid: P9_SETATTR_* */
int rpc_setattr(struct gofer_conn *c, uint32_t fid, uint32_t valid, const struct iattr *a) must_check;
/* A descriptor that is really a regular file's, opened as flags (O_ACCMODE) say. */
int rpc_open(struct gofer_conn *c, uint32_t fid, int flags, int *out_fd) must_check;
/* *out_fd: read-write, for a regular file; else -1. */
int rpc_create(struct gofer_conn *c, uint32_t dir, uint32_t newfid, const struct gofer_new *n, struct p9_attr *out,
               int *out_fd) must_check;
int rpc_link(struct gofer_conn *c, uint32_t dir, uint32_t fid, const char *name) must_check;
int rpc_unlink(struct gofer_conn *c, uint32_t dir, const char *name, bool is_dir) must_check;
int rpc_rename(struct gofer_conn *c, uint32_t old_dir, const char *old_name, uint32_t new_dir, const char *new_name,
               unsigned flags) must_check;
int rpc_readlink(struct gofer_conn *c, uint32_t fid, char out[PATH_MAX]) must_check;
int rpc_fsync(struct gofer_conn *c, uint32_t fid) must_check;
int rpc_statfs(struct gofer_conn *c, uint32_t fid, struct statfs *out) must_check;
/* op: P9_XATTR_*. Bytes put into buf (-ERANGE if cap is too small; cap 0: how many there would be). */
ssize_t rpc_xattr(struct gofer_conn *c, uint32_t fid, unsigned op, const char *name, uint32_t flags, const void *value,
                  size_t len, void *buf, size_t cap) must_check;
/* Called for each entry but "." and ".."; a: its attributes if they came along, else NULL. false: no memory, stop. */
typedef bool (*rpc_entry_fn)(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type,
                             const struct p9_attr *a);
struct gofer_readdir {
    /* in */
    uint32_t fid;
    const char *name; /* of the directory in fid, which then gets newfid, the caller's; NULL: fid is the directory */
    uint32_t newfid;
    bool attrs, xattrs; /* attributes of the entries, and whether they have extended ones */
    rpc_entry_fn emit;
    void *ctx;
    /* in and out */
    uint64_t offset; /* where to go on */
    /* out */
    struct p9_attr attr; /* of the directory */
};
/* As many entries as one message carries. 1: there is more; 0: the end. */
int rpc_readdir(struct gofer_conn *c, struct gofer_readdir *r) must_check;

struct gofer_look {
    const char *name; /* in */
    int err;          /* 0: attr is its; else -errno */
    struct p9_attr attr;
};
/* Several names of one directory, at most P9_MAX_LOOK, each with its own answer. xattrs: as gofer_walk's. */
int rpc_look(struct gofer_conn *c, uint32_t dir, bool xattrs, struct gofer_look *looks, size_t count) must_check;
/* An error as the gofer sends it (0: none) as -errno of Linux's; nothing that only means something in here. */
int gofer_errno(uint32_t err);
/* True for what can name an entry of a directory. */
bool gofer_name_ok(const char *name);
/* True if fd is a regular file's, opened as flags (O_ACCMODE) say. */
bool gofer_fd_ok(int fd, int flags);

/* ---- host descriptors (handle.c) ---- */

struct gofer_map {               /* mapped.c's */
    char *_Atomic at;            /* the file's bytes; NULL: not mapped (yet) */
    _Atomic uint64_t len;        /* set before `at`, and never again */
    _Atomic uint64_t pages_read; /* while it was not mapped: full pages' worth of bytes, at least one a read */
    _Atomic uint64_t pages_due;  /* with so many the file is looked at (again) */
};

struct gofer_handle {           /* fields under the one handle lock, but: */
    int fd;                     /* (c) owned */
    int mode;                   /* (c) O_RDONLY, O_RDWR or O_WRONLY */
    unsigned users;             /* open files; 0: among the idle ones */
    struct gofer_handle **slot; /* the inode's pointer to this; NULL: none, closed with its last user */
    unsigned idle;              /* its place among them, from 1 on; 0: it is in use, or closed with its last user */
    struct gofer_map map;       /* for reads */
};

enum { HANDLE_READ, HANDLE_WRITE, HANDLE_KINDS };

/* ---- inodes ---- */

#define GOFER_MAX_DEVS 32

struct gofer_dir;
RB_HEAD(gofer_table, gofer_inode);

struct gofer_sb {
    struct gofer_conn conn;
    bool exclusive;                   /* (c) nobody else changes the tree: what is known stays true */
    _Atomic unsigned xattr_questions; /* so many were asked for: it pays to ask along with look-ups */
    _Atomic unsigned idle_listings;   /* directories read with attributes, since one of these was wanted */
    _Atomic uint64_t changes;         /* through this sentry: attributes of entries not looked up yet may be old */
    struct lock table_lock;           /* RANK_LEAF: what follows */
    struct gofer_table table;         /* live inodes by host device and number: hard links share one */
    unsigned dev_count;               /* host devices seen, and what the guest sees in their place */
    uint64_t host_devs[GOFER_MAX_DEVS];
    dev_t guest_devs[GOFER_MAX_DEVS];
};

/* Locks: (c) constant  (t) table_lock  (a) attr_lock  (h) handle lock  (i) inode->lock. */
struct gofer_inode {
    RB_ENTRY(gofer_inode) node;                 /* (t) */
    bool in_table;                              /* (t) */
    struct inode *inode;                        /* (c) the one this belongs to */
    uint64_t host_dev, host_ino;                /* (a) */
    dev_t dev;                                  /* (c) as the guest sees it */
    _Atomic uint32_t fid;                       /* P9_NOFID: none yet; never taken back */
    struct inode *parent;                       /* (c) fid is what name in it is; counted; NULL: had one at once */
    char *name;                                 /* (c) malloced, or NULL */
    struct lock attr_lock;                      /* RANK_LEAF: the inode's attributes too */
    uint64_t blocks;                            /* (a) */
    uint32_t blksize;                           /* (a) */
    bool stale;                                 /* (a) attributes changed in a way that only the host knows in full */
    unsigned changes;                           /* (a) grows with each change through this sentry */
    uint8_t xattrs;                             /* (a) exclusive: P9_XATTRS_* */
    _Atomic bool mapped;                        /* has been mapped for writing: attributes change unseen, from now on */
    struct gofer_handle *handles[HANDLE_KINDS]; /* (h) not counted */
    char *_Atomic target;                       /* symbolic link: its text, once known */
    struct gofer_dir *dir;                      /* (i) exclusive: what is known of a directory's entries, or NULL */
};

static inline struct gofer_inode *gofer_data(const struct inode *i)
{
    return i->fs_data;
}

static inline struct gofer_sb *gofer_sb(const struct inode *i)
{
    return i->sb->fs_data;
}

static inline struct gofer_conn *gofer_conn(const struct inode *i)
{
    return &gofer_sb(i)->conn;
}

/* Something has changed that the next getattr must ask for. attr_lock held. */
static inline void gofer_changed_locked(struct gofer_inode *gi)
{
    gi->stale = true;
    gi->changes++;
    atomic_fetch_add_explicit(&gofer_sb(gi->inode)->changes, 1, memory_order_relaxed);
}

/* Whether look-ups should ask for extended attributes. */
static inline bool gofer_wants_xattrs(const struct gofer_sb *gs)
{
    return gs->exclusive && atomic_load_explicit(&gs->xattr_questions, memory_order_relaxed) > 4;
}

/*
 * The inode for what the gofer calls fid and describes by a, counted. fid is taken over, also on failure. target: text
 * of a symbolic link, or NULL. -EIO: the description contradicts what is known.
 */
int gofer_inode_get(struct super_block *sb, uint32_t fid, const struct p9_attr *a, const char *target,
                    struct inode **out) must_check;
/* The same for an entry of dir that was only looked at: a fid is asked for when it is needed. */
int gofer_inode_listed(struct inode *dir, const char *name, const struct p9_attr *a, struct inode **out) must_check;
/* fid.c: i's fid. -ESTALE: the host has put something else in its place since it was looked at. */
int gofer_fid(struct inode *i, uint32_t *out) must_check;
/* rpc_walk() from an inode, which gets its fid in the same message if it has none. No names: what is opened is it. */
int gofer_walk(struct inode *from, struct gofer_walk *w) must_check;
/* i is what the gofer calls fid and describes by a; the fid is taken over. -ESTALE: it is something else. */
int gofer_take_fid(struct inode *i, uint32_t fid, const struct p9_attr *a) must_check;
/* Look-ups do not find i by its host numbers any more. */
void gofer_table_leave(struct inode *i);
/* Notes the text of a symbolic link, which never changes. */
void gofer_keep_target(struct inode *i, const char *target);
/* Something has changed that the next getattr must ask for. */
void gofer_mark_stale(struct inode *i);
/* Attributes at least as fresh as the last change through this sentry; on shared mounts: as they are. */
int gofer_refresh(struct inode *i) must_check;
int gofer_getattr(struct inode *i, struct kstat *st);
int gofer_setattr(struct inode *i, const struct iattr *a);
int gofer_readlink(struct inode *i, char *buf, size_t cap);
ssize_t gofer_getxattr(struct inode *i, const char *name, void *buf, size_t cap);
int gofer_setxattr(struct inode *i, const char *name, const void *val, size_t len, int flags);
ssize_t gofer_listxattr(struct inode *i, char *buf, size_t cap);
int gofer_removexattr(struct inode *i, const char *name);
void gofer_evict(struct inode *i);
extern const struct inode_ops gofer_inode_ops; /* mount.c: the table of all of these */

/*
 * A descriptor for reading (O_RDONLY) or for writing (O_WRONLY or O_RDWR: one that can do at least that), one user
 * more. Asks the gofer if there is none. Pair: gofer_handle_put().
 */
int gofer_handle_get(struct inode *i, int flags, struct gofer_handle **out) must_check;
void gofer_handle_put(struct gofer_handle *h);
/* Keeps fd, opened with flags, for i's next user; takes it over. */
void gofer_handle_offer(struct inode *i, int fd, int flags);
/* A user's hold on any descriptor that is there, preferring the one for writing; NULL: none. want_write: only that. */
struct gofer_handle *gofer_handle_peek(struct inode *i, bool want_write);
/* Closes what i still has; it has no open files any more. */
void gofer_handle_drop(struct inode *i);

/* mapped.c */

/* Reads as file_ops.read does, if f's file is mapped, or due to be. -EAGAIN: nothing was read, read it the other way.
 */
ssize_t gofer_read_mapped(struct file *f, struct uio *u, int64_t *pos) must_check;
/* n bytes were read the other way. */
void gofer_map_count(struct gofer_map *m, size_t n);
void gofer_map_free(struct gofer_map *m);

/* lookup.c */
int gofer_lookup(struct inode *dir, const char *name, struct inode **out);
/* err: what the gofer said. If it has no descriptors left, names are forgotten whose fids it can then drop: true, and
 * asking again may help. No lock beyond inodes' is held. */
bool gofer_make_room(int err);

/* names.c */
int gofer_create(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out);
int gofer_mkdir(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out);
int gofer_mknod(struct inode *dir, const char *name, mode_t mode, dev_t rdev, const struct cred *cred,
                struct inode **out);
int gofer_symlink(struct inode *dir, const char *name, const char *target, const struct cred *cred, struct inode **out);
int gofer_tmpfile(struct inode *dir, mode_t mode, const struct cred *cred, struct inode **out);
int gofer_link(struct inode *dir, const char *name, struct inode *target);
int gofer_unlink(struct inode *dir, const char *name, struct inode *victim);
int gofer_rmdir(struct inode *dir, const char *name, struct inode *victim);
int gofer_rename(struct inode *old_dir, const char *old_name, struct inode *old, struct inode *new_dir,
                 const char *new_name, struct inode *victim, unsigned flags);

/* dir.c */
extern const struct file_ops gofer_dir_ops;

/* file.c */
extern const struct file_ops gofer_file_ops;
int gofer_open(struct inode *i, struct file *f);

/* ---- what is in a directory (listing.c) ---- */

struct gofer_entry {
    uint64_t ino;
    uint32_t name;          /* offset in names */
    uint8_t name_len, type; /* name_len 0: removed */
};

struct gofer_listing { /* changed only while the directory's inode alone holds it */
    refcount_t refs;
    struct gofer_entry *entries;
    size_t count, cap, removed;
    char *names; /* one after the other, each with its NUL */
    size_t names_len, names_cap;
    uint32_t *index; /* entries' numbers + 1 by hash of name; NULL: not made, for want of memory or use */
    size_t index_size;
};

#define GOFER_BATCH_FIRST 16 /* see lookup.c */

/* What is known of a directory of an exclusive mount; under its inode->lock. */
struct gofer_dir {
    struct gofer_listing *listing; /* counted; NULL: not read */
    struct p9_attr **ahead;        /* see ahead.c: by entry, malloced; NULL: not known */
    size_t ahead_cap, kept;        /* of ahead: how long it is, and how many are there */
    uint64_t changes;              /* of the super block, before these were found out */
    unsigned absent;               /* names asked for that were not there, while there was no listing */
    unsigned batch;                /* how many names to ask for at once, 0: one */
};

/* What is in dir now, counted; from the inode where it is kept. Directory lock held. */
int gofer_listing_get(struct inode *dir, struct gofer_listing **out) must_check;
void gofer_listing_put(struct gofer_listing *l);
static inline const char *gofer_entry_name(const struct gofer_listing *l, const struct gofer_entry *e)
{
    return l->names + e->name;
}
/* The number of the entry of that name, or -1. The directory's lock is held: the index is made at first use. */
int64_t gofer_listing_find(struct gofer_listing *l, const char *name);
/* What is kept of a directory's entries, made if there is nothing; NULL: no memory. Directory lock held. */
struct gofer_dir *gofer_dir_get(struct inode *dir);
/* Reads the directory, of an exclusive mount, for the names that are not in it; not if it is huge. Directory lock held.
 */
void gofer_dir_read_ahead(struct inode *dir);
/* What is kept follows a change of names. Directory lock held. */
void gofer_dir_added(struct inode *dir, const char *name, uint64_t ino, mode_t mode);
void gofer_dir_removed(struct inode *dir, const char *name);
/* dir has just been made, by us: it is empty. */
void gofer_dir_is_new(struct inode *dir);
/* The directory's entries have changed: forget what is known of them. inode->lock held, or the inode is going. */
void gofer_dir_forget(struct inode *dir);

/* ---- what entries are, found out ahead (ahead.c); directory lock held ---- */

/* Before entries are asked for: what was found out before a change is forgotten. */
void gofer_ahead_begin(struct gofer_sb *gs, struct gofer_dir *gd);
/* Keeps what entry n is, if there is room and nobody has asked for it yet. */
void gofer_ahead_put(struct gofer_dir *gd, size_t n, const struct p9_attr *a);
/* Entry n is asked for. True: *out is what it is. */
bool gofer_ahead_take(struct gofer_sb *gs, struct gofer_dir *gd, size_t n, struct p9_attr *out);
/* True if entry n was neither found out nor asked for. */
bool gofer_ahead_unknown(const struct gofer_dir *gd, size_t n);
/* True if so much is kept that no more should be found out. */
bool gofer_ahead_full(void);
void gofer_ahead_free(struct gofer_dir *gd);
