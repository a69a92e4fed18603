/*
 * The virtual file system: inodes, dentries, mounts, paths and open files, as Linux names them.
 *
 *   inode    a file of one super block: attributes and operations. Counted.
 *   dentry   a name in a directory, positive (inode) or negative (no such file; only where the fs allows caching it).
 *            A dentry holds its parent and its inode. Counted; unused ones stay on an LRU until pressure or
 * invalidation. mount    a super block attached at a dentry of another mount. path     {mount, dentry}, both counted.
 *   file     an open file description, shared by dup and fork. Counted.
 *
 * A file system supplies super_ops, inode_ops and file_ops; a NULL slot means what the comment at the slot says.
 * Names never contain '/' or NUL when they reach an operation, are at most NAME_MAX long, and are not "." or "..".
 * Permission checks are vfs's (namei.c: inode_permission), done before an operation is called.
 */
#pragma once

#include "lib/compiler.h"
#include "lib/list.h"
#include "lib/lock.h"
#include "lib/refcount.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/wait.h"
#include "sentry/mm/uio.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>

struct dentry;
struct file;
struct inode;
struct mount;
struct super_block;
struct task;

/* ---- attributes ---- */

struct kstat { /* what stat, statx and permission checks need; filled by inode_ops.getattr or from the inode itself */
    uint64_t ino;
    dev_t dev, rdev;
    mode_t mode; /* type and permissions */
    uint32_t nlink;
    uid_t uid;
    gid_t gid;
    uint64_t size, blocks; /* bytes; 512-byte units */
    uint32_t blksize;
    struct timespec atime, mtime, ctime, btime; /* btime.tv_nsec < 0: unknown */
};

enum {
    ATTR_MODE = 1,
    ATTR_UID = 2,
    ATTR_GID = 4,
    ATTR_SIZE = 8,
    ATTR_ATIME = 16,
    ATTR_MTIME = 32,
    ATTR_ATIME_NOW = 64,
    ATTR_MTIME_NOW = 128
};

struct iattr {
    unsigned valid; /* ATTR_* */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    uint64_t size;
    struct timespec atime, mtime;
};

/* ---- file systems ---- */

struct super_ops {
    int (*statfs)(struct super_block *sb, struct statfs *out);
    void (*destroy)(struct super_block *sb); /* frees sb->fs_data; the last mount and inode are gone */
};

enum { /* super_block->flags */
       SB_RDONLY = 1,
       SB_NODCACHE = 2, /* names may change behind us: dentry_ops revalidate each use */
       SB_NOWAIT = 4,   /* RWF_NOWAIT is possible on regular files, which tmpfs, proc and sysfs refuse on Linux */
};

struct super_block {
    refcount_t refs;
    const struct super_ops *ops;
    const char *type; /* "tmpfs", "9p", "proc" … as in /proc/mounts */
    unsigned flags;   /* SB_* */
    dev_t dev;        /* st_dev: from sb_new_dev() */
    uint32_t magic;   /* for statfs */
    void *fs_data;
    _Atomic unsigned mounts;       /* of it; without one nothing of it is cached */
    struct lock rename_lock;       /* RANK_RENAME */
    _Atomic uint64_t name_changes; /* grows when a name is made or removed, before its directory is unlocked; only file
                                    * systems that look ahead need to count */
};

struct inode_ops {
    /* Directory operations: called with dir->lock held (rmdir, and rename without RENAME_EXCHANGE: also the victim's if
     * it is a directory; a victim of another type is not locked). New inodes are returned with one reference. */
    int (*lookup)(struct inode *dir, const char *name, struct inode **out); /* -ENOENT: no such name */
    int (*create)(struct inode *dir, const char *name, mode_t mode, const struct cred *cred,
                  struct inode **out); /* regular file; NULL slot: -EPERM */
    int (*tmpfile)(struct inode *dir, mode_t mode, const struct cred *cred,
                   struct inode **out); /* regular file without a name, nlink 0; NULL slot: -EOPNOTSUPP */
    int (*mkdir)(struct inode *dir, const char *name, mode_t mode, const struct cred *cred, struct inode **out);
    int (*mknod)(struct inode *dir, const char *name, mode_t mode, dev_t rdev, const struct cred *cred,
                 struct inode **out);
    int (*symlink)(struct inode *dir, const char *name, const char *target, const struct cred *cred,
                   struct inode **out);
    int (*link)(struct inode *dir, const char *name, struct inode *target);
    int (*unlink)(struct inode *dir, const char *name, struct inode *victim);
    int (*rmdir)(struct inode *dir, const char *name, struct inode *victim);
    /* flags: RENAME_NOREPLACE, RENAME_EXCHANGE. victim: what new_name is now, or NULL. Both dir locks and
     * sb->rename_lock held. */
    int (*rename)(struct inode *old_dir, const char *old_name, struct inode *old, struct inode *new_dir,
                  const char *new_name, struct inode *victim, unsigned flags);
    /* Any inode. */
    int (*readlink)(struct inode *i, char *buf, size_t cap); /* bytes (no NUL), at most cap */
    /* A magic link of /proc: the walk jumps to *out (a new reference) instead of reading the text. NULL slot: plain
     * link. */
    int (*follow)(struct inode *i, struct task *t, struct mount **out_mnt, struct dentry **out_dentry);
    int (*getattr)(struct inode *i, struct kstat *out);     /* NULL slot: inode's own fields */
    int (*setattr)(struct inode *i, const struct iattr *a); /* NULL slot: -EPERM */
    int (*permission)(struct inode *i, const struct cred *c,
                      int mask);                  /* NULL slot: mode bits. mask: 4 read 2 write 1 exec */
    int (*open)(struct inode *i, struct file *f); /* sets f->ops (and f->priv); NULL slot: f->ops = i->file_ops */
    ssize_t (*getxattr)(struct inode *i, const char *name, void *buf, size_t cap); /* NULL slots: -EOPNOTSUPP */
    int (*setxattr)(struct inode *i, const char *name, const void *val, size_t len, int flags);
    ssize_t (*listxattr)(struct inode *i, char *buf, size_t cap);
    int (*removexattr)(struct inode *i, const char *name);
    void (*evict)(struct inode *i); /* last reference gone: free fs_data */
};

/* Locks: (c) constant  (a) atomic  (l) inode->lock. */
struct inode {
    refcount_t refs;
    struct super_block *sb;                     /* (c) counted */
    const struct inode_ops *ops;                /* (c) */
    const struct file_ops *file_ops;            /* (c) default for open */
    uint64_t ino;                               /* (c) */
    _Atomic mode_t mode;                        /* (l) to write; type is (c) */
    _Atomic uint32_t nlink;                     /* (l) to write */
    _Atomic uid_t uid;                          /* (l) to write */
    _Atomic gid_t gid;                          /* (l) to write */
    dev_t rdev;                                 /* (c) */
    _Atomic uint64_t size;                      /* (l) to write */
    struct timespec atime, mtime, ctime, btime; /* (l) */
    struct lock lock;                           /* RANK_INODE_DIR for directories, RANK_INODE else */
    struct file_locks *locks;                   /* vfs/flock.c; NULL until the first lock */
    struct pipe *pipe;                          /* (l) a FIFO's ring while open; vfs/pipe.c */
    _Atomic(struct inode_watches *) watches;    /* (a) vfs/notify.c; NULL: nobody watches */
    _Atomic bool linkable;                      /* by O_TMPFILE, not yet named: link(2) is allowed with nlink 0 */
    _Atomic int write_deny;                     /* >0: being executed (ETXTBSY for writers); <0: open for writing */
    void *fs_data;                              /* (c) the file system's */
};

/* Called by directory reads for each entry; false: buffer full, stop. next_pos resumes after this entry. */
typedef bool (*dir_emit_fn)(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char d_type,
                            int64_t next_pos);

struct poll_table; /* epoll.c, poll.c: gathers wait queues */
/* To be called from file_ops.poll for each queue whose wake may change the answer. pt may be NULL (no waiting wanted).
 */
void poll_wait(struct poll_table *pt, struct waitq *q);

struct file_ops {
    /* pos is the file position to use and advance; NULL slot: -EINVAL (a directory: -EISDIR). */
    ssize_t (*read)(struct file *f, struct uio *u, int64_t *pos);
    ssize_t (*write)(struct file *f, struct uio *u, int64_t *pos);
    int64_t (*llseek)(struct file *f, int64_t off,
                      int whence); /* NULL slot: regular-file rules by inode size; FMODE_STREAM: -ESPIPE */
    int (*iterate)(struct file *f, int64_t *pos, dir_emit_fn emit,
                   void *ctx); /* includes . and ..; NULL slot: -ENOTDIR */
    uint32_t (*poll)(struct file *f,
                     struct poll_table *pt); /* EPOLL* now true; NULL slot: always readable and writable */
    long (*ioctl)(struct file *f, struct task *t, unsigned cmd, uint64_t arg); /* NULL slot: -ENOTTY */
    /* A host descriptor that the platform can map for this file, borrowed for the life of f. off_delta is added to the
     * guest's offset. NULL slot: -ENODEV. */
    int (*mmap_fd)(struct file *f, int prot, int flags, int *out_host_fd, uint64_t *out_off_delta);
    int (*fsync)(struct file *f, bool data_only); /* NULL slot: -EINVAL for non-regular, else 0 */
    int (*fallocate)(struct file *f, int mode, int64_t off, int64_t len); /* NULL slot: -EOPNOTSUPP */
    void (*flush)(struct file *f, struct task *t);                        /* each close(2) of a descriptor */
    void (*release)(struct file *f);                                      /* last reference gone */
};

enum { /* file->fmode, beside O_* in flags */
       FMODE_READ = 1,
       FMODE_WRITE = 2,
       FMODE_STREAM = 4,  /* no position: pipe, tty, socket */
       FMODE_PATH = 8,    /* O_PATH */
       FMODE_EXEC = 16,   /* opened for execution */
       FMODE_OPENED = 32, /* watchers were told of the open, and are to be told of the close */
       FMODE_NOWAIT = 64, /* reads and writes heed file_may_wait(): RWF_NOWAIT is possible. Regular files: SB_NOWAIT */
};

struct file {
    refcount_t refs;
    const struct file_ops *ops; /* (c) after open */
    struct mount *mnt;          /* (c) counted; anonymous files: the anon mount */
    struct dentry *dentry;      /* (c) counted */
    struct inode *inode;        /* (c) whose bytes these are: dentry's inode, or the one below it (overlay). Attributes
                                 * are those of dentry_inode(dentry). Counted through the dentry */
    unsigned fmode;             /* (c) FMODE_* */
    _Atomic unsigned flags;     /* O_* as F_GETFL shows; F_SETFL changes some */
    int64_t pos;                /* (p) bytes */
    struct lock pos_lock;       /* RANK_FILE_POS: held across read/write/lseek that use pos */
    const struct cred *cred;    /* (c) of the opener; counted */
    _Atomic int owner;          /* F_SETOWN: pid, or -pgid */
    _Atomic int owner_sig;      /* F_SETSIG */
    struct list epoll_items;    /* epoll.c */
    struct lock epoll_lock;     /* RANK_LEAF: epoll_items */
    void *priv;                 /* the fs's */
};

struct path {
    struct mount *mnt;
    struct dentry *dentry;
};

/* ---- life cycle ---- */

dev_t sb_new_dev(void);
struct super_block *sb_new(const char *type, const struct super_ops *ops, unsigned flags, uint32_t magic,
                           void *fs_data) must_check;
void sb_put(struct super_block *sb);
/* A new inode with one reference; takes a reference on sb. The caller then sets attributes. NULL: no memory. */
struct inode *inode_new(struct super_block *sb, const struct inode_ops *ops, const struct file_ops *fops, uint64_t ino,
                        mode_t mode) must_check;
struct inode *inode_get(struct inode *i);
void inode_put(struct inode *i);
/* Fills from the inode's own fields: what a NULL getattr does. */
void inode_fill_stat(struct inode *i, struct kstat *st);
/* The same with the lock held that guards i's attributes; and the taking over of a new mode, owner, group and times. */
void inode_fill_stat_locked(struct inode *i, struct kstat *st);
void inode_note_owner_locked(struct inode *i, const struct iattr *a);
void inode_note_times_locked(struct inode *i, const struct iattr *a);
/* A setattr for what has no size and no other place for its attributes: pipes and sockets. */
int inode_setattr_kept(struct inode *i, const struct iattr *a);
int inode_getattr(struct inode *i, struct kstat *st) must_check;

struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
struct inode *dentry_inode(struct dentry *d); /* borrowed; NULL: negative */
const char *dentry_name(struct dentry *d);    /* stable only while the parent's lock is held */
/* A root dentry, for mounting, or a nameless one (pipes, memfd): name is for /proc/PID/fd. Takes over the inode
 * reference. */
struct dentry *dentry_new_root(struct inode *i) must_check;
struct dentry *dentry_new_anon(struct inode *i, const char *name) must_check;
/* A name below parent that was never entered there (O_TMPFILE): shown as deleted. Takes over the inode reference. */
struct dentry *dentry_new_unlinked(struct dentry *parent, const char *name, struct inode *i) must_check;
/* Drops what is cached below d (the fs learnt that names changed). */
void dentry_invalidate_children(struct dentry *d);

void path_get(const struct path *p);
void path_put(struct path *p);

/* ---- mounts ---- */

enum { MNT_RDONLY = 1, MNT_NOSUID = 2, MNT_NODEV = 4, MNT_NOEXEC = 8, MNT_NOATIME = 16, MNT_RELATIME = 32 };

/* The first mount of the sandbox. root: dentry_new_root(), reference taken over. */
int mount_root(struct dentry *root, unsigned flags, const char *source, struct path *out) must_check;
/* Mounts on top of `at` (a directory for a directory, a file for a file). Reference on root taken over if 0 is
 * returned. -ENOTDIR, -EISDIR, -ENOSPC, -ENOMEM, -EINVAL (at is in a mount that was taken off). */
int mount_at(const struct path *at, struct dentry *root, unsigned flags, const char *source) must_check;
/* Text of /proc/PID/mounts (mountinfo false) or mountinfo, as seen from root; caller frees. */
int mount_format(const struct path *root, bool mountinfo, char **out, size_t *out_len) must_check;
unsigned mount_flags(const struct mount *m);
struct super_block *mount_sb(const struct mount *m);
int mount_id(const struct mount *m);
/* A mount for anonymous inodes (pipe:, anon_inode:, memfd:), made once. */
struct mount *mount_anon(void);

/* ---- the path walk (namei.c) ---- */

enum {
    LOOKUP_FOLLOW = 1,    /* follow a final symlink */
    LOOKUP_DIRECTORY = 2, /* the result must be a directory */
    LOOKUP_PARENT = 4,    /* stop at the last component, see path_lookup_parent */
    LOOKUP_EMPTY = 8,     /* AT_EMPTY_PATH: "" means the start itself */
    LOOKUP_NO_XDEV = 16,
    LOOKUP_NO_MAGICLINKS = 32,
    LOOKUP_NO_SYMLINKS = 64,
    LOOKUP_BENEATH = 128,
    LOOKUP_IN_ROOT = 256,
    LOOKUP_OPEN = 512, /* the result will be opened for reading (only helps to ask for more at once) */
};

/*
 * Resolves a path (a sentry string) from dirfd (AT_FDCWD or a guest descriptor) with t's root, cwd and credentials.
 * *out is counted. Errors as path_resolution(7).
 */
int path_lookup(struct task *t, int dirfd, const char *name, unsigned lookup, struct path *out) must_check;
/* The same starting at a given path (kernel use: boot, exec interpreter). */
int path_lookup_from(struct task *t, const struct path *start, const char *name, unsigned lookup,
                     struct path *out) must_check;
/* Copies the path string in from the guest first (-ENOENT for "" without LOOKUP_EMPTY, -ENAMETOOLONG, -EFAULT). */
int user_path_lookup(struct task *t, int dirfd, uint64_t name, unsigned lookup, struct path *out) must_check;
/* Everything but the last component, which goes to last (NAME_MAX+1 bytes); *out_slash: it had a trailing slash. */
int path_lookup_parent(struct task *t, int dirfd, const char *name, struct path *out_dir, char *last,
                       bool *out_slash) must_check;
/*
 * The same for a walk that is done in several steps, as open(2) with O_CREAT follows a final link itself: at is where
 * relative names start, root where "/" and ".." end. begin finds both (-EBADF); the caller may move at between steps.
 */
struct path_scope {
    struct path root, at; /* counted */
    unsigned lookup;      /* LOOKUP_* that limit each step */
};
int path_scope_begin(struct task *t, int dirfd, const char *name, unsigned lookup, struct path_scope *out) must_check;
void path_scope_end(struct path_scope *s);
int path_lookup_parent_in(struct task *t, const struct path_scope *scope, const char *name, struct path *out_dir,
                          char *last, bool *out_slash) must_check;
/* The guest's name of a path, from t's root; "(unreachable)" prefix if outside. buf has cap bytes. Returns length or
 * -errno. */
ssize_t path_to_string(struct task *t, const struct path *p, char *buf, size_t cap) must_check;
/* mask: 4 read, 2 write, 1 execute/search; with effective ids and capabilities. -EACCES, -EROFS. */
int path_permission(struct task *t, const struct path *p, int mask) must_check;
int inode_permission(struct inode *i, const struct cred *c, int mask) must_check;

/* ---- opening and open files (open.c, file.c) ---- */

/* open(2) with O_* flags: creates, truncates, checks. Returns a new reference in *out. */
int vfs_open(struct task *t, int dirfd, const char *name, int flags, mode_t mode, unsigned lookup,
             struct file **out) must_check;
/* open(2) with O_TMPFILE: a file without a name in the file system of the directory `name`. -EOPNOTSUPP, -EINVAL (not
 * for writing). */
int vfs_open_tmpfile(struct task *t, int dirfd, const char *name, int flags, mode_t mode, unsigned lookup,
                     struct file **out) must_check;
/* Opens what a path already names (execve, /proc/PID/fd reopen). */
int vfs_open_path(struct task *t, const struct path *p, int flags, struct file **out) must_check;
/* Read-write on a nameless regular file (memfd), without checks. */
int vfs_open_anon(const struct path *p, unsigned flags, struct file **out) must_check;
/* For execve: read-only, execute permission and noexec checked, writers denied until the file is put. */
int vfs_open_exec(struct task *t, int dirfd, const char *name, unsigned lookup, struct file **out) must_check;
/* A file on an anonymous inode with the given operations; name as shown in /proc/PID/fd, e.g. "anon_inode:[eventfd]",
 * or "socket:", to which the inode's number is appended. priv is given over. */
int file_new_anon(const char *name, const struct file_ops *ops, unsigned fmode, unsigned flags, mode_t mode, void *priv,
                  struct file **out) must_check;
struct file *file_get(struct file *f);
void file_put(struct file *f);

/* Reads and writes at f's own position (pos == NULL) or at *pos; all checks of read(2)/write(2) on f itself included.
 */
ssize_t file_read(struct file *f, struct uio *u, int64_t *pos) must_check;
ssize_t file_write(struct file *f, struct uio *u, int64_t *pos) must_check;
/*
 * What the read or write of a small object comes to: try(f, arg) until it says that it is done, with sleeps on q
 * between (events: what wakes them, 0 for all). 0; -EAGAIN where it may not wait; -ERESTARTSYS.
 */
int file_retry(struct file *f, const struct uio *u, struct waitq *q, uint32_t events,
               bool (*try)(struct file *f, void *arg), void *arg) must_check;
/* May a read or write by u wait for what is not there yet? Neither O_NONBLOCK nor RWF_NOWAIT forbids it. */
bool file_may_wait(const struct file *f, const struct uio *u);
/* Whole-buffer read for the kernel's own use (ELF headers): bytes read. */
ssize_t file_pread_kernel(struct file *f, void *buf, size_t len, int64_t pos) must_check;
