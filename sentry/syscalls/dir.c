/*
 * getdents(2) and getdents64(2), mkdir(2), rmdir(2).
 *
 * Directory entries are gathered in a sentry buffer while the file system iterates under its lock, and copied to the
 * guest afterwards, so that a guest page fault never happens under a directory's lock.
 */
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/dcache.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_MAX 65536
#define ALIGN8(n) (((n) + 7) & ~(size_t)7)

struct dirent_old {
    uint64_t ino;
    uint64_t off;
    uint16_t reclen;
    char name[]; /* NUL, padding, and the type in the record's last byte */
};

struct dirent_new {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    unsigned char type;
    char name[];
};

struct gather {
    char *buf;
    size_t used, cap;
    bool full;
};

static char *record(struct gather *g, size_t size)
{
    if (size > g->cap - g->used) {
        g->full = true;
        return NULL;
    }
    char *at = g->buf + g->used;
    memset(at, 0, size);
    g->used += size;
    return at;
}

static bool emit_old(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type, int64_t next)
{
    size_t size = ALIGN8(offsetof(struct dirent_old, name) + len + 2);
    struct dirent_old *d = (void *)record(ctx, size);

    if (!d)
        return false;
    d->ino = ino;
    d->off = (uint64_t)next;
    d->reclen = (uint16_t)size;
    memcpy(d->name, name, len);
    ((char *)d)[size - 1] = (char)type;
    return true;
}

static bool emit_new(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type, int64_t next)
{
    size_t size = ALIGN8(offsetof(struct dirent_new, name) + len + 1);
    struct dirent_new *d = (void *)record(ctx, size);

    if (!d)
        return false;
    d->ino = ino;
    d->off = next;
    d->reclen = (uint16_t)size;
    d->type = type;
    memcpy(d->name, name, len);
    return true;
}

static long read_entries(struct task *t, struct file *f, uint64_t addr, struct gather *g, dir_emit_fn emit)
{
    if (!f->ops->iterate)
        return -ENOTDIR;
    if (dentry_is_dead(f->dentry))
        return -ENOENT;
    lock(&f->pos_lock);
    int64_t pos = f->pos;
    int ret = f->ops->iterate(f, &pos, emit, g);
    if (g->used)
        ret = user_write(t, addr, g->buf, g->used);
    if (ret == 0)
        f->pos = pos;
    unlock(&f->pos_lock);
    if (ret < 0)
        return ret;
    return g->full && !g->used ? -EINVAL : (long)g->used;
}

static long do_getdents(struct task *t, const struct sysargs *a, dir_emit_fn emit)
{
    struct gather g = {.cap = MIN((size_t)(unsigned)a->a[2], (size_t)BUFFER_MAX)};
    struct file *f = fd_get(t, (int)a->a[0]);

    if (!f)
        return -EBADF;
    g.buf = malloc(g.cap ? g.cap : 1);
    long ret = g.buf ? read_entries(t, f, a->a[1], &g, emit) : -ENOMEM;
    free(g.buf);
    if (ret >= 0)
        notify(f->dentry, IN_ACCESS);
    file_put(f);
    return ret;
}

long sys_getdents(struct task *t, const struct sysargs *a)
{
    return do_getdents(t, a, emit_old);
}

long sys_getdents64(struct task *t, const struct sysargs *a)
{
    return do_getdents(t, a, emit_new);
}

static long do_mkdir(struct task *t, int dirfd, uint64_t addr, mode_t mode)
{
    not_cleared char name[PATH_MAX];

    int ret = path_arg(t, name, addr);
    return ret < 0 ? ret : vfs_mkdir(t, dirfd, name, mode);
}

long sys_mkdir(struct task *t, const struct sysargs *a)
{
    return do_mkdir(t, AT_FDCWD, a->a[0], (mode_t)a->a[1]);
}

long sys_mkdirat(struct task *t, const struct sysargs *a)
{
    return do_mkdir(t, (int)a->a[0], a->a[1], (mode_t)a->a[2]);
}

long sys_rmdir(struct task *t, const struct sysargs *a)
{
    not_cleared char name[PATH_MAX];

    int ret = path_arg(t, name, a->a[0]);
    return ret < 0 ? ret : vfs_rmdir(t, AT_FDCWD, name);
}
