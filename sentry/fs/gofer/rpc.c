/* The messages: each function encodes a request, exchanges it, and decodes and checks the reply. include/p9.h. */
#include "sentry/fs/gofer/gofer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_XATTR 65536

bool gofer_fd_ok(int fd, int flags)
{
    struct stat st;
    int has = fcntl(fd, F_GETFL);

    return has >= 0 && !(has & O_PATH) && (has & O_ACCMODE) == flags && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* The descriptor that came with a reply which promised one. -ENFILE: this process has no number left for it. */
static int take_fd(struct gofer_call *call, int flags, int *out_fd)
{
    if (call->fd < 0)
        return -ENFILE;
    if (!gofer_fd_ok(call->fd, flags))
        return -EIO;
    *out_fd = call->fd;
    call->fd = -1;
    return 0;
}

bool gofer_name_ok(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void put_name(struct wirebuf *b, const char *name)
{
    wire_put_str(b, name, strlen(name));
}

/* A request without an answer but success. */
static int simple(struct gofer_call *call, uint8_t type)
{
    return gofer_end(call, gofer_exchange(call, type));
}

/* Of a type that there is, with a type that fits. */
static void get_attr(struct wirebuf *b, struct p9_attr *a)
{
    p9_get_attr(b, a);
    switch (a->mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        return;
    default:
        b->bad = true;
    }
}

int rpc_attached(struct gofer_conn *c, struct p9_attr *out)
{
    struct gofer_call call;

    gofer_begin(c, &call);
    int ret = gofer_await(&call, P9_XATTACH);
    if (ret == 0) {
        if (wire_get32(&call.reply) != P9_MSIZE_MAX)
            call.reply.bad = true; /* our own gofer takes what we ask for */
        get_attr(&call.reply, out);
    }
    return gofer_end(&call, ret);
}

static void get_walk(struct gofer_call *call, struct gofer_walk *w)
{
    struct wirebuf *b = &call->reply;

    w->found = wire_get16(b);
    uint32_t err = wire_get32(b);
    bool has_fd = wire_get8(b);
    wire_get_str(b, w->target, sizeof(w->target));
    if (w->found > w->count || (w->found < w->count) != (err != 0)) {
        b->bad = true;
        w->found = 0;
    }
    for (unsigned i = 0; i < w->found && !b->bad; i++) {
        get_attr(b, &w->attrs[i]);
        if (i + 1 < w->found && !S_ISDIR(w->attrs[i].mode))
            b->bad = true;
    }
    if (w->found && S_ISLNK(w->attrs[w->found - 1].mode) != (*w->target != '\0'))
        b->bad = true;
    w->err = gofer_errno(err);
    /* It asks again if it gets none. One that is no good stays in the call, whose end is then the connection's. */
    if (has_fd && w->open && !b->bad && call->fd >= 0 && take_fd(call, O_RDONLY, &w->fd) < 0)
        b->bad = true;
}

int rpc_walk(struct gofer_conn *c, uint32_t fid, struct gofer_walk *w)
{
    struct gofer_call call;

    w->found = 0;
    w->fd = -1;
    int ret = gofer_fid_alloc(c, w->fids, w->count);
    if (ret < 0)
        return ret;
    gofer_begin(c, &call);
    wire_put32(&call.req, fid);
    wire_put32(&call.req, (w->open ? P9_WALK_OPEN : 0U) | (w->xattrs ? P9_WALK_XATTRS : 0U));
    wire_put16(&call.req, (uint16_t)w->count);
    for (unsigned i = 0; i < w->count; i++) {
        wire_put32(&call.req, w->fids[i]);
        wire_put_str(&call.req, w->names[i], w->name_len[i]);
    }
    ret = gofer_exchange(&call, P9_XWALK);
    if (ret == 0)
        get_walk(&call, w);
    ret = gofer_end(&call, ret);
    if (ret < 0) {
        if (w->fd >= 0)
            close(w->fd);
        w->fd = -1;
        w->found = 0;
    }
    gofer_fid_unused(c, w->fids + w->found, w->count - w->found);
    return ret;
}

int rpc_getattr(struct gofer_conn *c, uint32_t fid, struct p9_attr *out)
{
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, fid);
    wire_put64(&call.req, ~0ULL);
    int ret = gofer_exchange(&call, P9_TGETATTR);
    if (ret == 0)
        get_attr(&call.reply, out);
    return gofer_end(&call, ret);
}

static void put_time(struct wirebuf *b, const struct timespec *t)
{
    wire_put64(b, (uint64_t)t->tv_sec);
    wire_put64(b, (uint64_t)t->tv_nsec);
}

int rpc_setattr(struct gofer_conn *c, uint32_t fid, uint32_t valid, const struct iattr *a)
{
    static const struct timespec none;
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, fid);
    wire_put32(&call.req, valid);
    wire_put32(&call.req, a->mode & 07777);
    wire_put32(&call.req, a->uid);
    wire_put32(&call.req, a->gid);
    wire_put64(&call.req, valid & P9_SETATTR_SIZE ? a->size : 0);
    put_time(&call.req, valid & P9_SETATTR_ATIME_SET ? &a->atime : &none);
    put_time(&call.req, valid & P9_SETATTR_MTIME_SET ? &a->mtime : &none);
    return simple(&call, P9_TSETATTR);
}

int rpc_open(struct gofer_conn *c, uint32_t fid, int flags, int *out_fd)
{
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, fid);
    wire_put32(&call.req, (uint32_t)flags);
    int ret = gofer_exchange(&call, P9_XOPEN);
    if (ret == 0)
        ret = take_fd(&call, flags, out_fd);
    return gofer_end(&call, ret);
}

int rpc_create(struct gofer_conn *c, uint32_t dir, uint32_t newfid, const struct gofer_new *n, struct p9_attr *out,
               int *out_fd)
{
    struct gofer_call call;

    *out_fd = -1;
    gofer_begin(c, &call);
    wire_put32(&call.req, dir);
    wire_put32(&call.req, newfid);
    put_name(&call.req, n->name);
    wire_put32(&call.req, n->mode & S_IFMT);
    wire_put32(&call.req, n->mode & 07777);
    wire_put32(&call.req, n->uid);
    wire_put32(&call.req, n->gid);
    wire_put64(&call.req, n->rdev);
    put_name(&call.req, n->target ? n->target : "");
    int ret = gofer_exchange(&call, P9_XCREATE);
    if (ret == 0) {
        get_attr(&call.reply, out);
        bool has_fd = wire_get8(&call.reply);
        if ((out->mode & S_IFMT) != (n->mode & S_IFMT))
            call.reply.bad = true;
        if (has_fd && !call.reply.bad && call.fd >= 0 && take_fd(&call, O_RDWR, out_fd) < 0)
            call.reply.bad = true;
    }
    ret = gofer_end(&call, ret);
    if (ret < 0 && *out_fd >= 0) {
        close(*out_fd);
        *out_fd = -1;
    }
    return ret;
}

int rpc_link(struct gofer_conn *c, uint32_t dir, uint32_t fid, const char *name)
{
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, dir);
    wire_put32(&call.req, fid);
    put_name(&call.req, name);
    return simple(&call, P9_TLINK);
}

int rpc_unlink(struct gofer_conn *c, uint32_t dir, const char *name, bool is_dir)
{
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, dir);
    put_name(&call.req, name);
    wire_put32(&call.req, is_dir ? AT_REMOVEDIR : 0);
    return simple(&call, P9_TUNLINKAT);
}

int rpc_rename(struct gofer_conn *c, uint32_t old_dir, const char *old_name, uint32_t new_dir, const char *new_name,
               unsigned flags)
{
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, old_dir);
    put_name(&call.req, old_name);
    wire_put32(&call.req, new_dir);
    put_name(&call.req, new_name);
    wire_put32(&call.req, flags);
    return simple(&call, P9_XRENAME);
}

int rpc_readlink(struct gofer_conn *c, uint32_t fid, char out[PATH_MAX])
{
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, fid);
    int ret = gofer_exchange(&call, P9_TREADLINK);
    if (ret == 0) {
        wire_get_str(&call.reply, out, PATH_MAX);
        if (!*out)
            call.reply.bad = true;
    }
    return gofer_end(&call, ret);
}

int rpc_fsync(struct gofer_conn *c, uint32_t fid)
{
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, fid);
    return simple(&call, P9_TFSYNC);
}

int rpc_statfs(struct gofer_conn *c, uint32_t fid, struct statfs *out)
{
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, fid);
    int ret = gofer_exchange(&call, P9_TSTATFS);
    if (ret == 0) {
        struct wirebuf *b = &call.reply;
        *out = (struct statfs){0};
        out->f_type = (int64_t)wire_get32(b);
        out->f_bsize = (int64_t)wire_get32(b);
        out->f_blocks = wire_get64(b);
        out->f_bfree = wire_get64(b);
        out->f_bavail = wire_get64(b);
        out->f_files = wire_get64(b);
        out->f_ffree = wire_get64(b);
        wire_get64(b);
        uint32_t namelen = wire_get32(b);
        out->f_namelen = (int64_t)MIN(namelen, (uint32_t)NAME_MAX);
        out->f_frsize = out->f_bsize;
    }
    return gofer_end(&call, ret);
}

ssize_t rpc_xattr(struct gofer_conn *c, uint32_t fid, unsigned op, const char *name, uint32_t flags, const void *value,
                  size_t len, void *buf, size_t cap)
{
    struct gofer_call call;
    uint32_t n = 0;

    gofer_begin(c, &call);
    wire_put32(&call.req, fid);
    wire_put8(&call.req, (uint8_t)op);
    put_name(&call.req, name);
    wire_put32(&call.req, flags);
    wire_put32(&call.req, (uint32_t)len);
    wire_put_bytes(&call.req, value, len);
    int ret = gofer_exchange(&call, P9_XXATTR);
    if (ret == 0) {
        n = wire_get32(&call.reply);
        const void *bytes = wire_take(&call.reply, n);
        if (n > MAX_XATTR)
            call.reply.bad = true;
        else if (bytes && cap && n > cap)
            ret = -ERANGE;
        else if (bytes && cap)
            memcpy(buf, bytes, n);
    }
    ret = gofer_end(&call, ret);
    return ret < 0 ? ret : (ssize_t)n;
}

/* One entry; a name that is none ends the connection. */
static bool get_entry(struct wirebuf *b, struct gofer_readdir *r)
{
    char name[NAME_MAX + 1];
    struct p9_attr a;

    uint64_t ino = wire_get64(b);
    r->offset = wire_get64(b);
    uint8_t type = wire_get8(b);
    wire_get_str(b, name, sizeof(name));
    if (!gofer_name_ok(name))
        b->bad = true;
    bool known = wire_get8(b);
    if (known)
        get_attr(b, &a);
    return b->bad || r->emit(r->ctx, name, strlen(name), ino, type, known ? &a : NULL);
}

static void put_readdir(struct wirebuf *b, const struct gofer_readdir *r)
{
    wire_put32(b, r->fid);
    wire_put32(b, r->name ? r->newfid : P9_NOFID);
    put_name(b, r->name ? r->name : "");
    wire_put64(b, r->offset);
    wire_put32(b, (r->attrs ? P9_READDIR_ATTRS : 0U) | (r->xattrs ? P9_WALK_XATTRS : 0U));
}

int rpc_readdir(struct gofer_conn *c, struct gofer_readdir *r)
{
    struct gofer_call call;
    bool end = false;

    gofer_begin(c, &call);
    put_readdir(&call.req, r);
    int ret = gofer_exchange(&call, P9_XREADDIR);
    if (ret == 0) {
        struct wirebuf *b = &call.reply;
        get_attr(b, &r->attr);
        end = wire_get8(b);
        if (!S_ISDIR(r->attr.mode) || (!end && b->pos == b->cap))
            b->bad = true; /* no directory, or no progress */
        while (!b->bad && b->pos < b->cap && ret == 0)
            ret = get_entry(b, r) ? 0 : -ENOMEM;
    }
    ret = gofer_end(&call, ret);
    return ret < 0 ? ret : !end;
}

static void get_looks(struct wirebuf *b, struct gofer_look *looks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t err = wire_get32(b);
        looks[i].err = gofer_errno(err);
        if (!err)
            get_attr(b, &looks[i].attr);
    }
}

int rpc_look(struct gofer_conn *c, uint32_t dir, bool xattrs, struct gofer_look *looks, size_t count)
{
    struct gofer_call call;

    gofer_begin(c, &call);
    wire_put32(&call.req, dir);
    wire_put32(&call.req, xattrs ? P9_WALK_XATTRS : 0);
    wire_put16(&call.req, (uint16_t)count);
    for (size_t i = 0; i < count; i++)
        put_name(&call.req, looks[i].name);
    int ret = gofer_exchange(&call, P9_XLOOK);
    if (ret == 0)
        get_looks(&call.reply, looks, count);
    return gofer_end(&call, ret);
}
