/* Fids: the table of a connection, steps from one to the next, and opening what one stands for. */
#include "gofer/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAX_FIDS 1000000
#define OVERFLOW_ID 65534 /* what the kernel shows for ids that have no place in our user namespace */

static int fid_compare(const struct fid *a, const struct fid *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(fid_tree, fid, node, fid_compare, static unused_arg);

struct fid *fid_find(struct conn *c, uint32_t id)
{
    struct fid key = {.id = id};

    return RB_FIND(fid_tree, &c->fids, &key);
}

int fid_add(struct conn *c, uint32_t id, int fd, const struct fid *parent, const char *name, struct fid **out)
{
    bool taken = id == P9_NOFID || fid_find(c, id), room = c->fid_count < MAX_FIDS;
    struct fid *f = taken || !room ? NULL : calloc(1, sizeof(*f));

    if (!f) {
        close(fd);
        return taken ? -EBADF : room ? -ENOMEM : -ENFILE;
    }
    *f = (struct fid){.id = id, .fd = fd, .io_fd = -1, .parent_fd = -1};
    if (parent && !c->extended) {
        f->parent_fd = fcntl(parent->fd, F_DUPFD_CLOEXEC, 0);
        snprintf(f->name, sizeof(f->name), "%s", name);
    }
    RB_INSERT(fid_tree, &c->fids, f);
    c->fid_count++;
    if (out)
        *out = f;
    return 0;
}

int fid_clone(struct conn *c, uint32_t id, const struct fid *f, struct fid **out)
{
    int fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);

    return fd < 0 ? -errno : fid_add(c, id, fd, NULL, "", out);
}

void fid_remove(struct conn *c, struct fid *f)
{
    RB_REMOVE(fid_tree, &c->fids, f);
    c->fid_count--;
    close(f->fd);
    if (f->io_fd >= 0)
        close(f->io_fd);
    if (f->parent_fd >= 0)
        close(f->parent_fd);
    free(f->xattr);
    free(f);
}

void fid_remove_all(struct conn *c)
{
    struct fid *f;

    while ((f = RB_ROOT(&c->fids)))
        fid_remove(c, f);
}

static struct timespec stx_time(const struct statx_timestamp *t)
{
    return (struct timespec){.tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec};
}

static bool unmapped_is_root;

void fd_show_unmapped_as_root(void)
{
    unmapped_is_root = true;
}

static uint32_t shown_id(uint32_t id)
{
    return unmapped_is_root && id == OVERFLOW_ID ? 0 : id;
}

/* flags: AT_EMPTY_PATH with the name "", or AT_SYMLINK_NOFOLLOW with the name of an entry. */
static int attr_at(int fd, const char *name, int flags, struct p9_attr *out)
{
    struct statx st;

    if (statx(fd, name, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
        return -errno;
    *out = (struct p9_attr){
        .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
        .rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor),
        .ino = st.stx_ino,
        .mode = st.stx_mode,
        .uid = shown_id(st.stx_uid),
        .gid = shown_id(st.stx_gid),
        .blksize = MIN(st.stx_blksize, 1u << 19),
        .nlink = st.stx_nlink,
        .size = st.stx_size,
        .blocks = st.stx_blocks,
        .atime = stx_time(&st.stx_atime),
        .mtime = stx_time(&st.stx_mtime),
        .ctime = stx_time(&st.stx_ctime),
        .btime = {.tv_nsec = -1},
    };
    if (st.stx_mask & STATX_BTIME)
        out->btime = stx_time(&st.stx_btime);
    return 0;
}

int fd_attr(int fd, struct p9_attr *out)
{
    return attr_at(fd, "", AT_EMPTY_PATH, out);
}

int entry_attr(int dir_fd, const char *name, bool xattrs, struct p9_attr *out)
{
    if (!name_ok(name))
        return -EINVAL;
    if (!xattrs)
        return attr_at(dir_fd, name, AT_SYMLINK_NOFOLLOW, out);
    int fd = step(dir_fd, name), ret = fd < 0 ? fd : fd_attr(fd, out);
    if (ret == 0)
        fd_has_xattrs(fd, out);
    if (fd >= 0)
        close(fd);
    return ret;
}

int fid_attr(const struct fid *f, struct p9_attr *out)
{
    return fd_attr(f->fd, out);
}

bool name_ok(const char *name)
{
    return *name && strlen(name) <= NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int step(int dir_fd, const char *name)
{
    if (!name_ok(name))
        return -EINVAL;
    int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void fd_name(int fd, char out[16])
{
    snprintf(out, 16, "%d", fd);
}

/*
 * The type is checked on the O_PATH descriptor, which pins the inode: nothing can be put in its place before the open.
 * O_NONBLOCK keeps even an allowed device from blocking the only thread.
 */
int fid_reopen_as(struct conn *c, const struct fid *f, mode_t type, int flags)
{
    char name[16];
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);

    if (S_ISLNK(type))
        return -ELOOP;
    if (S_ISDIR(type) && writes)
        return -EISDIR;
    if (S_ISFIFO(type) || S_ISSOCK(type))
        return -ENXIO;
    if ((S_ISCHR(type) || S_ISBLK(type)) && !c->tree->allow_dev)
        return -EPERM;
    if (writes && c->tree->readonly)
        return -EROFS;
    fd_name(f->fd, name);
    flags &= O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECTORY;
    int fd = openat(AT_FDCWD, name, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int fid_reopen(struct conn *c, const struct fid *f, int flags)
{
    struct p9_attr a;

    int ret = fid_attr(f, &a);
    if (ret < 0)
        return ret;
    return fid_reopen_as(c, f, a.mode, flags);
}
