/* The extension's operations: see include/p9.h. */
#include "gofer/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct walk_req {
    uint32_t newfids[P9_MAX_WALK];
    char names[P9_MAX_WALK][NAME_MAX + 1];
    unsigned count, flags;
};

struct walk_result {
    struct p9_attr attrs[P9_MAX_WALK];
    unsigned found;
    int err;
    struct fid *last; /* of those found */
};

/* The names, and that each new fid is free and given once. */
static int walk_decode(struct conn *c, struct wirebuf *in, struct walk_req *r)
{
    r->flags = wire_get32(in);
    r->count = wire_get16(in);
    if (r->count < 1 || r->count > P9_MAX_WALK)
        return -EINVAL;
    for (unsigned i = 0; i < r->count; i++) {
        r->newfids[i] = wire_get32(in);
        wire_get_str(in, r->names[i], sizeof(r->names[i]));
        if (in->bad)
            return -EPROTO;
        if (r->newfids[i] == P9_NOFID || fid_find(c, r->newfids[i]))
            return -EBADF;
        for (unsigned j = 0; j < i; j++)
            if (r->newfids[j] == r->newfids[i])
                return -EBADF;
    }
    return 0;
}

static void walk_steps(struct conn *c, struct fid *from, const struct walk_req *r, struct walk_result *res)
{
    for (; res->found < r->count; res->found++) {
        int fd = step(from->fd, r->names[res->found]);
        res->err = fd < 0 ? fd : fd_attr(fd, &res->attrs[res->found]);
        if (fd >= 0 && res->err < 0)
            close(fd);
        if (res->err == 0 && (r->flags & P9_WALK_XATTRS))
            fd_has_xattrs(fd, &res->attrs[res->found]);
        if (res->err == 0)
            res->err = fid_add(c, r->newfids[res->found], fd, NULL, "", &from);
        if (res->err < 0)
            return;
        res->last = from;
    }
}

static void donate(struct conn *c, int fd)
{
    c->reply_fd = fd;
    c->reply_fd_owned = true;
}

static int op_walk(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    not_cleared struct walk_req r;
    struct walk_result res = {0};
    not_cleared char target[PATH_MAX];
    struct fid *f = fid_find(c, wire_get32(in));
    ssize_t target_len = 0;
    int fd = -1;

    int ret = walk_decode(c, in, &r);
    if (ret < 0 || !f)
        return ret < 0 ? ret : -EBADF;
    walk_steps(c, f, &r, &res);
    mode_t last_mode = res.found ? res.attrs[res.found - 1].mode : 0;
    if (S_ISLNK(last_mode))
        target_len = MAX(readlinkat(res.last->fd, "", target, sizeof(target)), 0);
    if ((r.flags & P9_WALK_OPEN) && res.found == r.count && S_ISREG(last_mode))
        fd = fid_reopen_as(c, res.last, last_mode, O_RDONLY);
    if (fd >= 0)
        donate(c, fd);
    wire_put16(out, (uint16_t)res.found);
    wire_put32(out, (uint32_t)-res.err);
    wire_put8(out, fd >= 0);
    wire_put_str(out, target, (size_t)target_len);
    for (unsigned i = 0; i < res.found; i++)
        p9_put_attr(out, &res.attrs[i]);
    return 0;
}

/* Each name for itself: what one of them meets is told in its place. */
static int op_look(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    char name[NAME_MAX + 1];
    struct p9_attr a;
    struct fid *f = fid_find(c, wire_get32(in));
    uint32_t flags = wire_get32(in);
    unsigned count = wire_get16(in);

    if (!f || count > P9_MAX_LOOK)
        return f ? -EINVAL : -EBADF;
    for (unsigned i = 0; i < count; i++) {
        wire_get_str(in, name, sizeof(name));
        if (in->bad)
            return -EPROTO;
        int ret = entry_attr(f->fd, name, flags & P9_WALK_XATTRS, &a);
        wire_put32(out, (uint32_t)-ret);
        if (ret == 0)
            p9_put_attr(out, &a);
    }
    return 0;
}

/* Only regular files: with a directory's descriptor the sentry could name files by itself. */
static int op_open(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    struct p9_attr a;
    struct fid *f = fid_find(c, wire_get32(in));
    uint32_t flags = wire_get32(in);

    int ret = f ? fid_attr(f, &a) : -EBADF;
    if (ret < 0)
        return ret;
    if ((flags & ~(uint32_t)P9_O_ACCMODE) || flags == P9_O_ACCMODE)
        return -EINVAL;
    if (S_ISDIR(a.mode))
        return -EISDIR;
    int fd = fid_reopen_as(c, f, a.mode, (int)flags);
    if (fd < 0)
        return fd;
    donate(c, fd);
    return 0;
}

static int make_entry(struct conn *c, int dir, const struct make_req *r)
{
    switch (r->mode & S_IFMT) {
    case S_IFIFO:
    case S_IFSOCK:
        return mknodat(dir, r->name, r->mode, 0);
    case S_IFDIR:
        return mkdirat(dir, r->name, r->mode & 07777);
    case S_IFLNK:
        return symlinkat(r->target, dir, r->name);
    default:
        errno = c->tree->allow_dev && (S_ISCHR(r->mode) || S_ISBLK(r->mode)) ? 0 : EPERM;
        return errno ? -1 : mknodat(dir, r->name, r->mode, r->rdev);
    }
}

/* A regular file is made by opening it: what its mode does not let us do later is done with that descriptor. */
static int make_file(int dir, const struct make_req *r, int *out_io)
{
    const int flags = O_RDWR | O_NONBLOCK | O_CLOEXEC;
    char path[16];

    int io = *r->name ? openat(dir, r->name, flags | O_CREAT | O_EXCL | O_NOFOLLOW, r->mode & 07777)
                      : openat(dir, ".", flags | O_TMPFILE, r->mode & 07777);
    if (io < 0)
        return -errno;
    fd_name(io, path);
    int fd = openat(AT_FDCWD, path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    if (fd >= 0 && out_io)
        *out_io = io;
    else
        close(io);
    return fd;
}

/* Owner, then the bits that chown clears. */
static int set_owner(struct conn *c, int fd, const struct make_req *r)
{
    char path[16];

    fd_name(fd, path);
    if (c->privileged && fchownat(fd, "", r->uid, r->gid, AT_EMPTY_PATH) < 0)
        return -errno;
    if ((r->mode & 07000) && !S_ISLNK(r->mode) && fchmodat(AT_FDCWD, path, r->mode & 07777, 0) < 0)
        return -errno;
    return 0;
}

/* What was made is removed again if its owner cannot be set. */
int make_node(struct conn *c, int dir_fd, const struct make_req *r, int *out_io)
{
    bool nameless = !*r->name && S_ISREG(r->mode);
    int fd;

    if (!nameless && !name_ok(r->name))
        return -EINVAL;
    if (S_ISREG(r->mode))
        fd = make_file(dir_fd, r, out_io);
    else
        fd = make_entry(c, dir_fd, r) < 0 ? -errno : step(dir_fd, r->name);
    if (fd < 0)
        return fd;
    int ret = set_owner(c, fd, r);
    if (ret == 0)
        return fd;
    if (!nameless)
        unlinkat(dir_fd, r->name, S_ISDIR(r->mode) ? AT_REMOVEDIR : 0);
    close(fd);
    if (out_io && *out_io >= 0) {
        close(*out_io);
        *out_io = -1;
    }
    return ret;
}

static int op_create(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    char name[NAME_MAX + 1], target[PATH_MAX];
    struct p9_attr a;
    struct fid *dir = fid_find(c, wire_get32(in));
    uint32_t newfid = wire_get32(in);
    struct make_req r = {.name = name, .target = target};
    int io = -1;

    wire_get_str(in, name, sizeof(name));
    r.mode = wire_get32(in) & S_IFMT;
    r.mode |= wire_get32(in) & 07777;
    r.uid = wire_get32(in);
    r.gid = wire_get32(in);
    r.rdev = wire_get64(in);
    wire_get_str(in, target, sizeof(target));
    if (in->bad)
        return -EPROTO;
    if (!dir || fid_find(c, newfid))
        return -EBADF;
    int fd = make_node(c, dir->fd, &r, S_ISREG(r.mode) ? &io : NULL);
    if (fd < 0)
        return fd;
    int ret = fd_attr(fd, &a);
    int added = fid_add(c, newfid, fd, NULL, "", NULL);
    if (ret < 0 || added < 0) {
        if (io >= 0)
            close(io);
        return ret < 0 ? ret : added;
    }
    p9_put_attr(out, &a);
    wire_put8(out, io >= 0);
    if (io >= 0)
        donate(c, io);
    return 0;
}

static int op_rename(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    char from[NAME_MAX + 1], to[NAME_MAX + 1];
    struct fid *old = fid_find(c, wire_get32(in));

    wire_get_str(in, from, sizeof(from));
    struct fid *new = fid_find(c, wire_get32(in));
    wire_get_str(in, to, sizeof(to));
    uint32_t flags = wire_get32(in);
    if (!old || !new)
        return -EBADF;
    if (in->bad || !name_ok(from) || !name_ok(to) || (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE)))
        return -EINVAL;
    return syscall(SYS_renameat2, old->fd, from, new->fd, to, flags) < 0 ? -errno : 0;
}

static int op_forget(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    unsigned count = wire_get16(in);

    for (unsigned i = 0; i < count && !in->bad; i++) {
        struct fid *f = fid_find(c, wire_get32(in));
        if (f && !in->bad)
            fid_remove(c, f);
    }
    return 0;
}

const struct gofer_op ops_sbox[] = {
    {P9_XWALK, 16, OP_EXTENDED, op_walk},
    {P9_XOPEN, 8, OP_EXTENDED, op_open},
    {P9_XCREATE, 36, OP_EXTENDED | OP_WRITES, op_create},
    {P9_XRENAME, 16, OP_EXTENDED | OP_WRITES, op_rename},
    {P9_XLOOK, 10, OP_EXTENDED, op_look},
    {P9_XFORGET, 2, OP_EXTENDED | OP_NO_REPLY, op_forget},
    {P9_XNEAR, 4, OP_EXTENDED | OP_NO_REPLY, op_near},
};
const size_t ops_sbox_count = ARRAY_SIZE(ops_sbox);
