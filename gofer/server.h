/*
 * The gofer's own structures: a connection serves one tree; a fid is a number of the client's for an O_PATH descriptor.
 * Single-threaded: no locks. Order of calls: conn_new, conn_message for each message, conn_free.
 */
#pragma once

#include "include/boot.h"
#include "include/p9.h"
#include "lib/compiler.h"

#include <bsd/sys/tree.h>
#include <limits.h>
#include <stdbool.h>

#define GOFER_MAX_XATTR 65536

/* An extended attribute being read or written through a fid, as 9P2000.L does it. */
struct fid_xattr {
    bool writing;
    uint32_t flags;
    size_t size;   /* of data */
    size_t filled; /* writing: bytes received */
    char name[NAME_MAX + 1];
    uint8_t data[];
};

struct fid {
    RB_ENTRY(fid) node;
    uint32_t id;
    int fd;                  /* O_PATH, owned; never -1 */
    int io_fd;               /* opened for data or entries, owned; or -1 */
    int parent_fd;           /* O_PATH of the directory it was walked from, owned; plain clients only, else -1 */
    char name[NAME_MAX + 1]; /* in parent_fd */
    struct fid_xattr *xattr; /* owned */
};

RB_HEAD(fid_tree, fid);

struct conn {
    int sock;
    const struct gofer_tree *tree; /* borrowed */
    bool privileged;
    bool versioned, extended; /* Tversion seen; it chose the extension */
    uint32_t msize;
    uint32_t uid; /* n_uname of the last Tattach: owner of what a plain client creates */
    struct fid_tree fids;
    size_t fid_count;
    int reply_fd; /* goes with the reply; owned if reply_fd_owned */
    bool reply_fd_owned;
    size_t in_len;     /* bytes in `in` */
    uint8_t *in, *out; /* P9_MSIZE_MAX each */
};

struct gofer_op {
    uint8_t type;
    uint16_t min_len;                                                        /* of the body */
    uint8_t flags;                                                           /* OP_* */
    int (*handler)(struct conn *c, struct wirebuf *in, struct wirebuf *out); /* 0 or -errno */
};

enum {
    OP_WRITES = 1,   /* EROFS on a read-only tree */
    OP_EXTENDED = 2, /* only with the extension */
    OP_NO_REPLY = 4,
    OP_UNVERSIONED = 8, /* before Tversion */
    OP_PLAIN = 16,      /* only without the extension */
};

/* server.c */
struct conn *conn_new(int sock, const struct gofer_tree *tree, bool privileged) must_check;
void conn_free(struct conn *c);
/* Handles one complete message; the reply is in c->out. Returns its length, 0 for none, or -EPROTO: hang up. */
ssize_t conn_message(struct conn *c, uint8_t *msg, size_t len) must_check;
/* Serves cfg's trees until all connections are closed; ready() is called once everything is set up. 0 or -errno. */
int gofer_serve(const struct gofer_config *cfg, int (*ready)(const struct gofer_config *)) must_check;
/* Opens what the magic links of /proc need; before the lock-in. The working directory becomes /proc/self/fd. */
int gofer_enter_fd_dir(void) must_check;

/* fid.c */
struct fid *fid_find(struct conn *c, uint32_t id);
/* A new fid for fd, which is taken over even on failure. NULL parent: none. -EBADF: id in use. */
int fid_add(struct conn *c, uint32_t id, int fd, const struct fid *parent, const char *name,
            struct fid **out) must_check;
/* A new fid for the file of f. */
int fid_clone(struct conn *c, uint32_t id, const struct fid *f, struct fid **out) must_check;
void fid_remove(struct conn *c, struct fid *f);
void fid_remove_all(struct conn *c);
int fid_attr(const struct fid *f, struct p9_attr *out) must_check;
int fd_attr(int fd, struct p9_attr *out) must_check;
/* What name in the directory of dir_fd is, no symbolic link followed. */
int entry_attr(int dir_fd, const char *name, bool xattrs, struct p9_attr *out) must_check;
/* Fills in whether the file of fd, which is the one that a describes, has extended attributes. */
void fd_has_xattrs(int fd, struct p9_attr *a);
/* In a user namespace that knows one user only: others, nearly always root, are shown as root. Called once. */
void fd_show_unmapped_as_root(void);
bool name_ok(const char *name);
/* Opens the file behind f for data: flags O_ACCMODE|O_TRUNC|O_APPEND of Linux. A descriptor or -errno. */
int fid_reopen(struct conn *c, const struct fid *f, int flags) must_check;
/* The same where the file's type is known already: the fid's mode, as fid_attr() tells it. */
int fid_reopen_as(struct conn *c, const struct fid *f, mode_t type, int flags) must_check;
/* One step down: an O_PATH descriptor or -errno. */
int step(int dir_fd, const char *name) must_check;
/* The name of a descriptor relative to the working directory, for calls that take only paths. */
void fd_name(int fd, char out[16]);

/* ops_*.c: the tables, in no order */
extern const struct gofer_op ops_names[], ops_data[], ops_sbox[], ops_plain[], ops_xattr[];
extern const size_t ops_names_count, ops_data_count, ops_sbox_count, ops_plain_count, ops_xattr_count;

/* ops_xattr.c: a fid that stands for an attribute. What it holds from offset on, as Rread has it. */
int fid_xattr_read(const struct fid *f, uint64_t offset, uint32_t count, struct wirebuf *out) must_check;
/* Takes the next bytes of the value, or -errno. */
ssize_t fid_xattr_write(struct fid *f, uint64_t offset, const void *data, size_t count) must_check;
/* Sets what was written, when f is clunked; 0 if f stands for no attribute. */
int fid_xattr_commit(const struct fid *f) must_check;

/*
 * Makes a regular file, directory, symlink or node; the new O_PATH descriptor, or -errno. A regular file without a name
 * (O_TMPFILE) is one for the new descriptor alone. out_io: a regular file's read-write descriptor, else left alone; or
 * NULL.
 */
struct make_req {
    const char *name, *target;
    uint32_t mode, uid, gid; /* mode with its type */
    uint64_t rdev;
};
int make_node(struct conn *c, int dir_fd, const struct make_req *r, int *out_io) must_check;

/* near.c */
/* Remembers where the process may run, before the lock-in. Until then it stays where the kernel puts it. */
void gofer_near_init(void);
int op_near(struct conn *c, struct wirebuf *in, struct wirebuf *out) must_check;

/* jail.c: no way back. 0 or -errno. */
int gofer_lock_in(const struct gofer_config *cfg) must_check;
