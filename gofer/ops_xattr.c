/*
 * Extended attributes: the extension's one message, and 9P2000.L's way, in which a fid stands for an attribute that is
 * then read or written like a file. Symbolic links have none: no name space that guests use is allowed on them.
 */
#include "gofer/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* What calls on f's attributes take as its path, or an error. */
static int xattr_path(const struct fid *f, char path[16])
{
    struct p9_attr a;

    int ret = fid_attr(f, &a);
    if (ret < 0)
        return ret;
    if (S_ISLNK(a.mode))
        return -EOPNOTSUPP;
    fd_name(f->fd, path);
    return 0;
}

void fd_has_xattrs(int fd, struct p9_attr *a)
{
    char path[16];

    if (!S_ISREG(a->mode) && !S_ISDIR(a->mode))
        return;
    fd_name(fd, path);
    ssize_t n = listxattr(path, NULL, 0);
    a->xattrs = n > 0 ? P9_XATTRS_SOME : n == 0 || errno == ENOTSUP ? P9_XATTRS_NONE : P9_XATTRS_UNKNOWN;
}

/* ---- the extension's ---- */

static ssize_t do_op(const char *path, unsigned op, const char *name, const void *value, size_t len, int flags,
                     char data[GOFER_MAX_XATTR])
{
    ssize_t n;

    switch (op) {
    case P9_XATTR_GET:
        n = getxattr(path, name, data, GOFER_MAX_XATTR);
        break;
    case P9_XATTR_SET:
        n = setxattr(path, name, value, len, flags);
        break;
    case P9_XATTR_LIST:
        n = listxattr(path, data, GOFER_MAX_XATTR);
        break;
    case P9_XATTR_REMOVE:
        n = removexattr(path, name);
        break;
    default:
        return -EINVAL;
    }
    return n < 0 ? -errno : n;
}

static int op_xattr(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    static char data[GOFER_MAX_XATTR];
    char name[NAME_MAX + 1], path[16];
    struct fid *f = fid_find(c, wire_get32(in));
    unsigned op = wire_get8(in);

    wire_get_str(in, name, sizeof(name));
    uint32_t flags = wire_get32(in), len = wire_get32(in);
    const void *value = wire_take(in, len);
    if (in->bad || !f)
        return in->bad ? -EPROTO : -EBADF;
    if ((op == P9_XATTR_SET || op == P9_XATTR_REMOVE) && c->tree->readonly)
        return -EROFS;
    int ret = xattr_path(f, path);
    if (ret < 0)
        return ret;
    ssize_t n = do_op(path, op, name, value, len, (int)flags, data);
    if (n < 0)
        return (int)n;
    wire_put32(out, (uint32_t)n);
    wire_put_bytes(out, data, (size_t)n);
    return 0;
}

/* ---- 9P2000.L's ---- */

static struct fid_xattr *xattr_new(size_t size, const char *name)
{
    struct fid_xattr *x = size > GOFER_MAX_XATTR ? NULL : calloc(1, sizeof(*x) + size);

    if (!x)
        return NULL;
    x->size = size;
    strcpy(x->name, name); /* both are NAME_MAX + 1 bytes */
    return x;
}

/* A new fid with the value of the attribute, or without a name the list of all. */
static int op_xattrwalk(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    static char data[GOFER_MAX_XATTR];
    char name[NAME_MAX + 1], path[16];
    struct fid *f = fid_find(c, wire_get32(in)), *new;
    uint32_t newfid = wire_get32(in);

    wire_get_str(in, name, sizeof(name));
    if (in->bad || !f)
        return in->bad ? -EPROTO : -EBADF;
    int ret = xattr_path(f, path);
    if (ret < 0)
        return ret;
    ssize_t n = do_op(path, *name ? P9_XATTR_GET : P9_XATTR_LIST, name, NULL, 0, 0, data);
    if (n < 0)
        return (int)n;
    struct fid_xattr *x = xattr_new((size_t)n, name);
    if (!x)
        return -ENOMEM;
    memcpy(x->data, data, (size_t)n);
    ret = fid_clone(c, newfid, f, &new);
    if (ret < 0) {
        free(x);
        return ret;
    }
    new->xattr = x;
    wire_put64(out, (uint64_t)n);
    return 0;
}

/* The fid becomes one for writing the attribute, which is set when it is clunked. */
static int op_xattrcreate(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    char name[NAME_MAX + 1];
    struct fid *f = fid_find(c, wire_get32(in));

    wire_get_str(in, name, sizeof(name));
    uint64_t size = wire_get64(in);
    uint32_t flags = wire_get32(in);
    if (in->bad)
        return -EPROTO;
    if (!f || f->io_fd >= 0 || f->xattr)
        return -EBADF;
    if (size > GOFER_MAX_XATTR)
        return -E2BIG;
    f->xattr = xattr_new(size, name);
    if (!f->xattr)
        return -ENOMEM;
    f->xattr->writing = true;
    f->xattr->flags = flags;
    return 0;
}

int fid_xattr_read(const struct fid *f, uint64_t offset, uint32_t count, struct wirebuf *out)
{
    const struct fid_xattr *x = f->xattr;
    size_t start = MIN(offset, x->size), n = MIN((size_t)count, x->size - start);

    if (x->writing)
        return -EBADF;
    wire_put32(out, (uint32_t)n);
    wire_put_bytes(out, x->data + start, n);
    return 0;
}

ssize_t fid_xattr_write(struct fid *f, uint64_t offset, const void *data, size_t count)
{
    struct fid_xattr *x = f->xattr;

    if (!x->writing || offset != x->filled)
        return -EINVAL;
    if (count > x->size - x->filled)
        return -ENOSPC;
    if (count)
        memcpy(x->data + x->filled, data, count);
    x->filled += count;
    return (ssize_t)count;
}

int fid_xattr_commit(const struct fid *f)
{
    const struct fid_xattr *x = f->xattr;
    char path[16];

    if (!x || !x->writing)
        return 0;
    if (x->filled != x->size)
        return -EINVAL;
    int ret = xattr_path(f, path);
    if (ret < 0)
        return ret;
    ssize_t n = x->size ? do_op(path, P9_XATTR_SET, x->name, x->data, x->size, (int)x->flags, NULL)
                        : do_op(path, P9_XATTR_REMOVE, x->name, NULL, 0, 0, NULL);
    return n < 0 ? (int)n : 0;
}

const struct gofer_op ops_xattr[] = {
    {P9_XXATTR, 15, OP_EXTENDED, op_xattr},
    {P9_TXATTRWALK, 10, OP_PLAIN, op_xattrwalk},
    {P9_TXATTRCREATE, 18, OP_PLAIN | OP_WRITES, op_xattrcreate},
};
const size_t ops_xattr_count = ARRAY_SIZE(ops_xattr);
