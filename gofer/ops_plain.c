/*
 * 9P2000.L as any client speaks it: walks, opens, data and new entries, without the extension. Its messages name files
 * by the fid they were walked to, so a fid here remembers its directory and name, which are checked before use: another
 * client, or this one, may have renamed the file.
 */
#include "gofer/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- walking ---- */

struct walk {
    char names[P9_MAX_WALK][NAME_MAX + 1];
    struct p9_attr attrs[P9_MAX_WALK];
    unsigned count, found;
    int dir_fd, fd; /* owned: the last two places reached */
};

static void walk_close(struct walk *w)
{
    if (w->dir_fd >= 0)
        close(w->dir_fd);
    if (w->fd >= 0)
        close(w->fd);
    w->dir_fd = w->fd = -1;
}

static int walk_steps(struct walk *w)
{
    for (; w->found < w->count; w->found++) {
        int next = step(w->fd, w->names[w->found]);
        int ret = next < 0 ? next : fd_attr(next, &w->attrs[w->found]);
        if (ret < 0) {
            if (next >= 0)
                close(next);
            return ret;
        }
        if (w->dir_fd >= 0)
            close(w->dir_fd);
        w->dir_fd = w->fd;
        w->fd = next;
    }
    return 0;
}

/* The new fid, in place of an old one of the same number. w->fd is given to it. */
static int walk_end(struct conn *c, struct fid *from, uint32_t newfid, struct walk *w)
{
    const struct fid parent = {.fd = w->dir_fd >= 0 ? w->dir_fd : from->parent_fd};
    const char *name = w->count ? w->names[w->count - 1] : from->name;
    char copy[NAME_MAX + 1];

    snprintf(copy, sizeof(copy), "%s", name);
    int parent_fd = parent.fd < 0 ? -1 : fcntl(parent.fd, F_DUPFD_CLOEXEC, 0);
    const struct fid kept = {.fd = parent_fd};
    if (from->id == newfid)
        fid_remove(c, from);
    int ret = fid_add(c, newfid, w->fd, parent_fd < 0 ? NULL : &kept, copy, NULL);
    w->fd = -1;
    if (parent_fd >= 0)
        close(parent_fd);
    return ret;
}

static int op_walk(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    struct walk w = {.dir_fd = -1, .fd = -1};
    struct fid *f = fid_find(c, wire_get32(in));
    uint32_t newfid = wire_get32(in);

    w.count = wire_get16(in);
    if (w.count > P9_MAX_WALK)
        return -EINVAL;
    for (unsigned i = 0; i < w.count; i++)
        wire_get_str(in, w.names[i], sizeof(w.names[i]));
    if (in->bad)
        return -EPROTO;
    if (!f || (newfid != f->id && fid_find(c, newfid)))
        return -EBADF;
    w.fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
    if (w.fd < 0)
        return -errno;
    int ret = walk_steps(&w);
    if (ret == 0)
        ret = walk_end(c, f, newfid, &w);
    else if (w.found)
        ret = 0; /* as far as it went; no fid is made */
    walk_close(&w);
    if (ret < 0)
        return ret;
    wire_put16(out, (uint16_t)w.found);
    for (unsigned i = 0; i < w.found; i++)
        p9_put_qid(out, &w.attrs[i]);
    return 0;
}

/* ---- opening and data ---- */

/* Opens f with Linux's flags as the message has them; qid and iounit of the reply. */
static int open_fid(struct conn *c, struct fid *f, uint32_t flags, struct wirebuf *out)
{
    struct p9_attr a;
    int known = (int)(flags & P9_O_ACCMODE) | (flags & P9_O_TRUNC ? O_TRUNC : 0) | (flags & P9_O_APPEND ? O_APPEND : 0);

    if (f->io_fd >= 0)
        return -EBADF;
    int ret = fid_attr(f, &a);
    if (ret < 0)
        return ret;
    int fd = fid_reopen(c, f, known);
    if (fd < 0)
        return fd;
    f->io_fd = fd;
    p9_put_qid(out, &a);
    wire_put32(out, 0);
    return 0;
}

static int op_lopen(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    struct fid *f = fid_find(c, wire_get32(in));

    return f ? open_fid(c, f, wire_get32(in), out) : -EBADF;
}

static int op_read(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    struct fid *f = fid_find(c, wire_get32(in));
    uint64_t offset = wire_get64(in);
    uint32_t count = wire_get32(in);

    count = MIN(count, c->msize - P9_HEADER - 4);
    if (!f || (f->io_fd < 0 && !f->xattr))
        return -EBADF;
    if (offset > INT64_MAX)
        return -EINVAL;
    if (f->xattr)
        return fid_xattr_read(f, offset, count, out);
    void *to = out->data + out->pos + 4;
    ssize_t n = pread(f->io_fd, to, count, (off_t)offset);
    if (n < 0)
        return -errno;
    wire_put32(out, (uint32_t)n);
    wire_take(out, (size_t)n);
    return 0;
}

static int op_write(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    struct fid *f = fid_find(c, wire_get32(in));
    uint64_t offset = wire_get64(in);
    uint32_t count = wire_get32(in);
    const void *data = wire_take(in, count);

    if (in->bad)
        return -EPROTO;
    if (!f || (f->io_fd < 0 && !f->xattr))
        return -EBADF;
    if (offset > INT64_MAX)
        return -EINVAL;
    ssize_t n = f->xattr ? fid_xattr_write(f, offset, data, count) : pwrite(f->io_fd, data, count, (off_t)offset);
    if (n < 0)
        return f->xattr ? (int)n : -errno;
    wire_put32(out, (uint32_t)n);
    return 0;
}

/* ---- new entries ---- */

/* Makes an entry, owned by the user who attached; its attributes, and if wanted descriptors to walk from and of data.
 */
static int make(struct conn *c, struct fid *dir, struct make_req *r, struct p9_attr *out, int *out_fd, int *out_io)
{
    if (!name_ok(r->name))
        return -EINVAL;
    r->uid = c->uid == P9_NOUID ? (uid_t)-1 : c->uid;
    int fd = make_node(c, dir->fd, r, out_io);
    if (fd < 0)
        return fd;
    int ret = fd_attr(fd, out);
    if (ret == 0 && out_fd)
        *out_fd = fd;
    else
        close(fd);
    return ret;
}

static int make_and_reply(struct conn *c, struct fid *dir, const struct wirebuf *in, struct make_req *r,
                          struct wirebuf *out)
{
    struct p9_attr a;

    if (in->bad)
        return -EPROTO;
    int ret = dir ? make(c, dir, r, &a, NULL, NULL) : -EBADF;
    if (ret == 0)
        p9_put_qid(out, &a);
    return ret;
}

static int op_mkdir(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    char name[NAME_MAX + 1];
    struct make_req r = {.name = name};
    struct fid *dir = fid_find(c, wire_get32(in));

    wire_get_str(in, name, sizeof(name));
    r.mode = S_IFDIR | (wire_get32(in) & 07777);
    r.gid = wire_get32(in);
    return make_and_reply(c, dir, in, &r, out);
}

static int op_mknod(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    char name[NAME_MAX + 1];
    struct make_req r = {.name = name};
    struct fid *dir = fid_find(c, wire_get32(in));

    wire_get_str(in, name, sizeof(name));
    r.mode = wire_get32(in) & (S_IFMT | 07777);
    uint32_t major_nr = wire_get32(in), minor_nr = wire_get32(in);
    r.rdev = makedev(major_nr, minor_nr);
    r.gid = wire_get32(in);
    if (S_ISDIR(r.mode) || S_ISLNK(r.mode))
        return -EINVAL;
    return make_and_reply(c, dir, in, &r, out);
}

static int op_symlink(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    char name[NAME_MAX + 1], target[PATH_MAX];
    struct make_req r = {.name = name, .target = target, .mode = S_IFLNK | 0777};
    struct fid *dir = fid_find(c, wire_get32(in));

    wire_get_str(in, name, sizeof(name));
    wire_get_str(in, target, sizeof(target));
    r.gid = wire_get32(in);
    return make_and_reply(c, dir, in, &r, out);
}

/* The fid of the directory becomes that of the new file, opened. */
static int op_lcreate(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    char name[NAME_MAX + 1];
    struct p9_attr a;
    struct make_req r = {.name = name};
    struct fid *f = fid_find(c, wire_get32(in));
    int fd, io = -1;

    wire_get_str(in, name, sizeof(name));
    wire_take(in, 4); /* flags: it can do both */
    r.mode = S_IFREG | (wire_get32(in) & 07777);
    r.gid = wire_get32(in);
    if (in->bad)
        return -EPROTO;
    if (!f || f->io_fd >= 0)
        return -EBADF;
    int ret = make(c, f, &r, &a, &fd, &io);
    if (ret < 0) {
        if (io >= 0)
            close(io);
        return ret;
    }
    if (f->parent_fd >= 0)
        close(f->parent_fd);
    f->parent_fd = f->fd;
    f->fd = fd;
    f->io_fd = io;
    snprintf(f->name, sizeof(f->name), "%s", name);
    p9_put_qid(out, &a);
    wire_put32(out, 0);
    return 0;
}

/* ---- names ---- */

/* -ENOENT if f's name does not stand for it any more. */
static int check_name(const struct fid *f)
{
    struct p9_attr a, b;

    if (f->parent_fd < 0)
        return -EBUSY; /* a root */
    int fd = step(f->parent_fd, f->name);
    if (fd < 0)
        return fd;
    int ret = fd_attr(fd, &a);
    close(fd);
    if (ret == 0)
        ret = fid_attr(f, &b);
    return ret == 0 && (a.ino != b.ino || a.dev != b.dev) ? -ENOENT : ret;
}

/* Whatever becomes of the file, the fid is gone. */
static int op_remove(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    struct p9_attr a;
    struct fid *f = fid_find(c, wire_get32(in));

    if (!f)
        return -EBADF;
    int ret = c->tree->readonly ? -EROFS : check_name(f);
    if (ret == 0)
        ret = fid_attr(f, &a);
    if (ret == 0 && unlinkat(f->parent_fd, f->name, S_ISDIR(a.mode) ? AT_REMOVEDIR : 0) < 0)
        ret = -errno;
    fid_remove(c, f);
    return ret;
}

static int op_rename(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    char name[NAME_MAX + 1];
    struct fid *f = fid_find(c, wire_get32(in)), *dir = fid_find(c, wire_get32(in));

    wire_get_str(in, name, sizeof(name));
    if (!f || !dir)
        return -EBADF;
    if (in->bad || !name_ok(name))
        return -EINVAL;
    int ret = check_name(f);
    int parent = ret == 0 ? fcntl(dir->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (ret == 0 && parent < 0)
        ret = -errno;
    if (ret == 0 && syscall(SYS_renameat2, f->parent_fd, f->name, parent, name, 0) < 0)
        ret = -errno;
    if (ret < 0) {
        if (parent >= 0)
            close(parent);
        return ret;
    }
    close(f->parent_fd);
    f->parent_fd = parent;
    snprintf(f->name, sizeof(f->name), "%s", name);
    return 0;
}

static int op_renameat(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    char from[NAME_MAX + 1], to[NAME_MAX + 1];
    struct fid *old = fid_find(c, wire_get32(in));

    wire_get_str(in, from, sizeof(from));
    struct fid *new = fid_find(c, wire_get32(in));
    wire_get_str(in, to, sizeof(to));
    if (!old || !new)
        return -EBADF;
    if (in->bad || !name_ok(from) || !name_ok(to))
        return -EINVAL;
    return syscall(SYS_renameat2, old->fd, from, new->fd, to, 0) < 0 ? -errno : 0;
}

const struct gofer_op ops_plain[] = {
    {P9_TWALK, 10, OP_PLAIN, op_walk},
    {P9_TLOPEN, 8, OP_PLAIN, op_lopen},
    {P9_TREAD, 16, OP_PLAIN, op_read},
    {P9_TWRITE, 16, OP_PLAIN, op_write},
    {P9_TLCREATE, 18, OP_PLAIN | OP_WRITES, op_lcreate},
    {P9_TMKDIR, 14, OP_PLAIN | OP_WRITES, op_mkdir},
    {P9_TMKNOD, 22, OP_PLAIN | OP_WRITES, op_mknod},
    {P9_TSYMLINK, 12, OP_PLAIN | OP_WRITES, op_symlink},
    {P9_TREMOVE, 4, OP_PLAIN, op_remove},
    {P9_TRENAME, 10, OP_PLAIN | OP_WRITES, op_rename},
    {P9_TRENAMEAT, 12, OP_PLAIN | OP_WRITES, op_renameat},
};
const size_t ops_plain_count = ARRAY_SIZE(ops_plain);
