/* 9P2000.L's operations on sessions, names and attributes. Each handler decodes all of its message, then acts. */
#include "gofer/server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

/* Begins a session of the version that the client asks for, if there is one. */
static int take_version(struct conn *c, struct wirebuf *in)
{
    char version[32];
    uint32_t msize = wire_get32(in);

    wire_get_str(in, version, sizeof(version));
    if (in->bad || msize < P9_MSIZE_MIN)
        return -EPROTO;
    fid_remove_all(c);
    c->msize = MIN(msize, (uint32_t)P9_MSIZE_MAX);
    c->extended = strcmp(version, P9_VERSION_SBOX) == 0;
    c->versioned = c->extended || strcmp(version, P9_VERSION) == 0;
    return 0;
}

static int op_version(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    int ret = take_version(c, in);

    if (ret < 0)
        return ret;
    const char *answer = c->extended ? P9_VERSION_SBOX : c->versioned ? P9_VERSION : "unknown";
    wire_put32(out, c->msize);
    wire_put_str(out, answer, strlen(answer));
    return 0;
}

/* Who holds the socket may: nobody has to say who they are. Clients take this error to mean that. */
static int op_auth(struct conn *c unused_arg, struct wirebuf *in unused_arg, struct wirebuf *out unused_arg)
{
    return -ENOENT;
}

/* The root as fid `id`; what it is. */
static int attach(struct conn *c, uint32_t id, struct p9_attr *out)
{
    int ret = fd_attr(c->tree->root_fd, out);

    if (ret < 0)
        return ret;
    int fd = fcntl(c->tree->root_fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : fid_add(c, id, fd, NULL, "", NULL);
}

static int op_attach(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    struct p9_attr a;
    uint32_t id = wire_get32(in);

    wire_take(in, 4);
    wire_take(in, wire_get16(in));
    wire_take(in, wire_get16(in));
    uint32_t uid = wire_get32(in);
    if (in->bad)
        return -EPROTO;
    int ret = attach(c, id, &a);
    if (ret < 0)
        return ret;
    c->uid = uid;
    p9_put_qid(out, &a);
    return 0;
}

static int op_xattach(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    struct p9_attr a;
    int ret = take_version(c, in);
    uint32_t id = wire_get32(in);

    if (ret < 0 || in->bad || !c->extended)
        return -EPROTO;
    ret = attach(c, id, &a);
    if (ret < 0)
        return ret;
    wire_put32(out, c->msize);
    p9_put_attr(out, &a);
    return 0;
}

static int op_clunk(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    struct fid *f = fid_find(c, wire_get32(in));

    if (!f)
        return -EBADF;
    int ret = fid_xattr_commit(f);
    fid_remove(c, f);
    return ret;
}

static int op_flush(struct conn *c unused_arg, struct wirebuf *in unused_arg, struct wirebuf *out unused_arg)
{
    return 0; /* requests are handled in order: the flushed one has been answered */
}

static void put_time(struct wirebuf *b, const struct timespec *t)
{
    wire_put64(b, (uint64_t)t->tv_sec);
    wire_put64(b, (uint64_t)t->tv_nsec);
}

static int op_getattr(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    struct p9_attr a;
    struct fid *f = fid_find(c, wire_get32(in));
    int ret = f ? fid_attr(f, &a) : -EBADF;

    if (ret < 0)
        return ret;
    if (c->extended) {
        p9_put_attr(out, &a);
        return 0;
    }
    bool btime = a.btime.tv_nsec >= 0;
    wire_put64(out, btime ? 0xfff : 0x7ff);
    p9_put_qid(out, &a);
    wire_put32(out, a.mode);
    wire_put32(out, a.uid);
    wire_put32(out, a.gid);
    wire_put64(out, a.nlink);
    wire_put64(out, a.rdev);
    wire_put64(out, a.size);
    wire_put64(out, a.blksize);
    wire_put64(out, a.blocks);
    put_time(out, &a.atime);
    put_time(out, &a.mtime);
    put_time(out, &a.ctime);
    put_time(out, btime ? &a.btime : &(struct timespec){0});
    wire_put64(out, 0);
    wire_put64(out, 0);
    return 0;
}

static struct timespec set_time(uint32_t valid, uint32_t bit, uint32_t set_bit, uint64_t sec, uint64_t nsec)
{
    if (!(valid & bit))
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    if (!(valid & set_bit))
        return (struct timespec){.tv_nsec = UTIME_NOW};
    return (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = (long)nsec};
}

/* Owner first: chown clears set-id bits that the mode may then set. */
static int op_setattr(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    char name[16];
    struct p9_attr a;
    struct fid *f = fid_find(c, wire_get32(in));
    uint32_t valid = wire_get32(in), mode = wire_get32(in), uid = wire_get32(in), gid = wire_get32(in);
    uint64_t size = wire_get64(in), asec = wire_get64(in), ansec = wire_get64(in), msec = wire_get64(in),
             mnsec = wire_get64(in);

    if (in->bad || size > INT64_MAX || ansec > 999999999 || mnsec > 999999999)
        return -EINVAL;
    int ret = f ? fid_attr(f, &a) : -EBADF;
    if (ret < 0)
        return ret;
    if ((valid & P9_SETATTR_SIZE) && !S_ISREG(a.mode))
        return S_ISDIR(a.mode) ? -EISDIR : -EINVAL;
    if ((valid & P9_SETATTR_MODE) && S_ISLNK(a.mode))
        return -EOPNOTSUPP;
    fd_name(f->fd, name);
    if ((valid & (P9_SETATTR_UID | P9_SETATTR_GID)) &&
        fchownat(f->fd, "", valid & P9_SETATTR_UID ? uid : (uid_t)-1, valid & P9_SETATTR_GID ? gid : (gid_t)-1,
                 AT_EMPTY_PATH) < 0)
        return -errno;
    if ((valid & P9_SETATTR_MODE) && fchmodat(AT_FDCWD, name, mode & 07777, 0) < 0)
        return -errno;
    if ((valid & P9_SETATTR_SIZE) && truncate(name, (off_t)size) < 0)
        return -errno;
    struct timespec times[2] = {set_time(valid, P9_SETATTR_ATIME, P9_SETATTR_ATIME_SET, asec, ansec),
                                set_time(valid, P9_SETATTR_MTIME, P9_SETATTR_MTIME_SET, msec, mnsec)};
    if ((valid & (P9_SETATTR_ATIME | P9_SETATTR_MTIME)) && utimensat(f->fd, "", times, AT_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

static int op_statfs(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    struct statfs st;
    struct fid *f = fid_find(c, wire_get32(in));

    if (!f)
        return -EBADF;
    if (fstatfs(f->fd, &st) < 0)
        return -errno;
    wire_put32(out, (uint32_t)st.f_type);
    wire_put32(out, (uint32_t)st.f_bsize);
    wire_put64(out, st.f_blocks);
    wire_put64(out, st.f_bfree);
    wire_put64(out, st.f_bavail);
    wire_put64(out, st.f_files);
    wire_put64(out, st.f_ffree);
    wire_put64(out, 0);
    wire_put32(out, (uint32_t)st.f_namelen);
    return 0;
}

static int op_readlink(struct conn *c, struct wirebuf *in, struct wirebuf *out)
{
    char target[PATH_MAX];
    struct fid *f = fid_find(c, wire_get32(in));
    ssize_t n = f ? readlinkat(f->fd, "", target, sizeof(target)) : -1;

    if (!f)
        return -EBADF;
    if (n < 0)
        return errno == ENOENT ? -EINVAL : -errno;
    wire_put_str(out, target, (size_t)n);
    return 0;
}

/* Through the magic link: needs no capability, and names exactly the inode that the fid holds. */
static int op_link(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    char name[NAME_MAX + 1], target[16];
    struct fid *dir = fid_find(c, wire_get32(in)), *f = fid_find(c, wire_get32(in));

    wire_get_str(in, name, sizeof(name));
    if (!dir || !f)
        return -EBADF;
    if (in->bad || !name_ok(name))
        return -EINVAL;
    fd_name(f->fd, target);
    return linkat(AT_FDCWD, target, dir->fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int op_unlinkat(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    char name[NAME_MAX + 1];
    struct fid *dir = fid_find(c, wire_get32(in));

    wire_get_str(in, name, sizeof(name));
    uint32_t flags = wire_get32(in);
    if (!dir)
        return -EBADF;
    if (in->bad || !name_ok(name) || (flags & ~(uint32_t)AT_REMOVEDIR))
        return -EINVAL;
    return unlinkat(dir->fd, name, (int)flags) < 0 ? -errno : 0;
}

/* Directories: files are synced through the descriptors that were donated. */
static int op_fsync(struct conn *c, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    struct fid *f = fid_find(c, wire_get32(in));

    if (!f)
        return -EBADF;
    int fd = fid_reopen(c, f, O_RDONLY);
    if (fd < 0)
        return fd;
    int ret = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return ret;
}

const struct gofer_op ops_names[] = {
    {P9_TVERSION, 6, OP_UNVERSIONED, op_version},
    {P9_XATTACH, 10, OP_UNVERSIONED, op_xattach},
    {P9_TAUTH, 8, 0, op_auth},
    {P9_TATTACH, 16, 0, op_attach},
    {P9_TCLUNK, 4, 0, op_clunk},
    {P9_TFLUSH, 2, 0, op_flush},
    {P9_TGETATTR, 12, 0, op_getattr},
    {P9_TSETATTR, 60, OP_WRITES, op_setattr},
    {P9_TSTATFS, 4, 0, op_statfs},
    {P9_TREADLINK, 4, 0, op_readlink},
    {P9_TFSYNC, 4, 0, op_fsync},
    {P9_TLINK, 10, OP_WRITES, op_link},
    {P9_TUNLINKAT, 10, OP_WRITES, op_unlinkat},
};
const size_t ops_names_count = ARRAY_SIZE(ops_names);
