/* 9P2000.L's operations on directory entries. */
#include "gofer/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* As many entries as fit in count; an entry's d_off is where the next read goes on. */
static int op_readdir(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    _Alignas(8) char buf[32768];
    struct fid *f = fid_find(c, wire_get32(in));
    uint64_t offset = wire_get64(in);
    uint32_t count = wire_get32(in);

    if (!f)
        return -EBADF;
    if (f->io_fd < 0) {
        int fd = fid_reopen(c, f, O_RDONLY);
        if (fd < 0)
            return fd;
        f->io_fd = fd;
    }
    if (lseek(f->io_fd, (off_t)offset, SEEK_SET) < 0)
        return -errno;
    count = MIN(count, c->msize - P9_HEADER - 4);
    ssize_t n = getdents64(f->io_fd, buf, MIN(sizeof(buf), (size_t)count));
    if (n < 0)
        return -errno;
    size_t start = out->pos, end = start + 4 + count;
    wire_put32(out, 0);
    for (ssize_t at = 0; at < n;) {
        const struct dirent64 *d = (const void *)(buf + at);
        size_t len = strlen(d->d_name);
        if (out->pos + 24 + len > end)
            break;
        struct p9_attr a = {.ino = d->d_ino, .mode = DTTOIF(d->d_type)};
        p9_put_qid(out, &a);
        wire_put64(out, (uint64_t)d->d_off);
        wire_put8(out, d->d_type);
        wire_put_str(out, d->d_name, len);
        at += d->d_reclen;
    }
    struct wirebuf size;
    wire_init(&size, out->data + start, 4);
    wire_put32(&size, (uint32_t)(out->pos - start - 4));
    return 0;
}

static bool is_dot(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* Puts what fits of the n bytes of entries of fd's directory; true: all did. */
static bool put_entries(struct wirebuf *out, int fd, uint32_t flags, const char *buf, ssize_t n)
{
    const size_t attr_size = flags & P9_READDIR_ATTRS ? P9_ATTR_SIZE : 0;
    struct p9_attr a;

    for (ssize_t at = 0; at < n;) {
        const struct dirent64 *d = (const void *)(buf + at);
        size_t len = strlen(d->d_name);
        at += d->d_reclen;
        if (is_dot(d->d_name))
            continue;
        if (out->cap - out->pos < 20 + len + attr_size)
            return false;
        bool known = attr_size && entry_attr(fd, d->d_name, flags & P9_WALK_XATTRS, &a) == 0;
        wire_put64(out, d->d_ino);
        wire_put64(out, (uint64_t)d->d_off);
        wire_put8(out, d->d_type);
        wire_put_str(out, d->d_name, len);
        wire_put8(out, known);
        if (known)
            p9_put_attr(out, &a);
    }
    return true;
}

/* As many entries as a message carries. The descriptor is kept only while there is more to come. */
static int put_listing(struct conn *c, struct fid *f, uint64_t offset, uint32_t flags, struct wirebuf *out)
{
    _Alignas(8) static char buf[65536];
    struct p9_attr a;
    bool fits = true, fresh = false;
    ssize_t n = 0;

    int ret = fid_attr(f, &a);
    if (ret < 0)
        return ret;
    if (f->io_fd < 0) {
        int fd = fid_reopen(c, f, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
            return fd;
        f->io_fd = fd;
        fresh = true;
    }
    if ((offset || !fresh) && lseek(f->io_fd, (off_t)offset, SEEK_SET) < 0)
        return -errno;
    p9_put_attr(out, &a);
    size_t end_at = out->pos;
    wire_put8(out, 0);
    while (fits && (n = getdents64(f->io_fd, buf, sizeof(buf))) > 0)
        fits = put_entries(out, f->io_fd, flags, buf, n);
    if (n < 0)
        return -errno;
    out->data[end_at] = fits;
    if (fits) {
        close(f->io_fd);
        f->io_fd = -1;
    }
    return 0;
}

static int op_xreaddir(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    char name[NAME_MAX + 1];
    struct fid *f = fid_find(c, wire_get32(in));
    uint32_t newfid = wire_get32(in);

    wire_get_str(in, name, sizeof(name));
    uint64_t offset = wire_get64(in);
    uint32_t flags = wire_get32(in);
    if (in->bad || !f)
        return f ? -EPROTO : -EBADF;
    if (!*name)
        return put_listing(c, f, offset, flags, out);
    int fd = step(f->fd, name);
    int ret = fd < 0 ? fd : fid_add(c, newfid, fd, NULL, "", &f);
    if (ret < 0)
        return ret;
    ret = put_listing(c, f, offset, flags, out);
    if (ret < 0)
        fid_remove(c, f);
    return ret;
}

const struct gofer_op ops_data[] = {
    {P9_TREADDIR, 16, 0, op_readdir},
    {P9_XREADDIR, 22, OP_EXTENDED, op_xreaddir},
};
const size_t ops_data_count = ARRAY_SIZE(ops_data);
