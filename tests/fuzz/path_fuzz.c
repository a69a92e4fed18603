/*
 * The path walk, opens and changes of names over a tmpfs, driven by random programs of a few operations on a handful
 * of names. A crash, a sanitizer's report or a lock out of order is a finding; every error code is fine.
 */
#include "tests/fuzz/tree.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/ops.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 200

struct input {
    const uint8_t *at;
    size_t left;
};

static struct task *me;

static uint8_t next_byte(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

static void set_up(void)
{
    me = calloc(1, sizeof(*me));
    me->tg = calloc(1, sizeof(*me->tg));
    me->tg->rlimits[RLIMIT_NOFILE] = (struct rlimit64){64, 64};
    me->tg->rlimits[RLIMIT_FSIZE] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
    me->cred = cred_new(0, 0, NULL, 0);
    current = me;
}

/* A path of a few components out of few names, so that they meet. */
static const char *path_of(struct input *in, char *buf, size_t cap)
{
    static const char *const parts[] = {"a", "b", "c", ".", "..", "/", "d", "", "a/b", "//", "c/", "link"};
    size_t n = next_byte(in) % 6;

    buf[0] = '\0';
    if (next_byte(in) & 1)
        strcat(buf, "/");
    for (size_t i = 0; i <= n; i++) {
        const char *part = parts[next_byte(in) % ARRAY_SIZE(parts)];
        if (strlen(buf) + strlen(part) + 2 >= cap)
            break;
        strcat(buf, part);
        if (i < n)
            strcat(buf, "/");
    }
    return buf;
}

static int dirfd_of(struct input *in)
{
    uint8_t b = next_byte(in);

    return b & 1 ? AT_FDCWD : b >> 1 & 15;
}

static void do_open(struct input *in, const char *path)
{
    static const int flags[] = {O_CREAT,  O_EXCL, O_TRUNC,  O_DIRECTORY, O_NOFOLLOW, O_PATH,
                                O_WRONLY, O_RDWR, O_APPEND, O_TMPFILE,   O_NOATIME,  O_CLOEXEC};
    int f = 0, dirfd = dirfd_of(in);
    unsigned lookup = (unsigned)next_byte(in) << 4;
    struct file *file;

    for (int i = 0; i < 3; i++)
        f |= flags[next_byte(in) % ARRAY_SIZE(flags)];
    int ret = f & (O_TMPFILE & ~O_DIRECTORY) ? vfs_open_tmpfile(me, dirfd, path, f, 0644, lookup, &file)
                                             : vfs_open(me, dirfd, path, f, 0644, lookup, &file);
    if (ret == 0 && fd_add(me, file, false) < 0)
        return;
}

static void do_mount(struct input *in, const char *path, const char *other)
{
    struct path from, at;
    struct dentry *d;

    if (path_lookup(me, AT_FDCWD, path, LOOKUP_FOLLOW, &from) < 0)
        return;
    int ret = path_lookup(me, AT_FDCWD, other, LOOKUP_FOLLOW, &at);
    if (ret == 0) {
        switch (next_byte(in) % 4) {
        case 0:
            ret = mount_bind(&from, &at, next_byte(in) & 1);
            break;
        case 1:
            ret = mount_move(&from, &at);
            break;
        case 2:
            ret = mount_detach(&at, next_byte(in) & 1);
            break;
        default:
            ret = tmpfs_mount(1 << 16, 0755, &d);
            if (ret == 0 && (ret = mount_at(&at, d, 0, "none")) < 0)
                dentry_put(d);
        }
        path_put(&at);
    }
    path_put(&from);
}

static void do_lookup(struct input *in, const char *path)
{
    char text[PATH_MAX];
    struct path p;

    if (path_lookup(me, dirfd_of(in), path, (unsigned)next_byte(in) | (unsigned)next_byte(in) << 8, &p) < 0)
        return;
    ssize_t n = path_to_string(me, &p, text, sizeof(text));
    if (n >= 0 && (size_t)n >= sizeof(text))
        abort();
    if ((next_byte(in) & 7) == 0 && S_ISDIR(dentry_inode(p.dentry)->mode))
        fs_context_set_cwd(me->fs, &p);
    path_put(&p);
}

static void do_link(struct input *in, const char *path, const char *other)
{
    struct path p;

    if (path_lookup(me, AT_FDCWD, path, next_byte(in) & LOOKUP_FOLLOW, &p) < 0)
        return;
    int ret = vfs_link(me, &p, AT_FDCWD, other);
    (void)ret;
    path_put(&p);
}

static void step(struct input *in)
{
    char a[256], b[256];
    int ret = 0;
    uint8_t op = next_byte(in);

    path_of(in, a, sizeof(a));
    path_of(in, b, sizeof(b));
    switch (op % 12) {
    case 0:
    case 1:
        do_open(in, a);
        break;
    case 2:
        ret = vfs_mkdir(me, dirfd_of(in), a, 0755);
        break;
    case 3:
        ret = vfs_symlink(me, b, dirfd_of(in), a);
        break;
    case 4:
        ret = vfs_unlink(me, dirfd_of(in), a);
        break;
    case 5:
        ret = vfs_rmdir(me, dirfd_of(in), a);
        break;
    case 6:
        ret = vfs_rename(me, AT_FDCWD, a, AT_FDCWD, b, next_byte(in) & 3);
        break;
    case 7:
        do_link(in, a, b);
        break;
    case 8:
        ret = vfs_mknod(me, AT_FDCWD, a, S_IFIFO | 0600, 0);
        break;
    case 9:
        do_mount(in, a, b);
        break;
    case 10:
        ret = fd_close(me, next_byte(in) & 15);
        break;
    default:
        do_lookup(in, a);
    }
    (void)ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    if (!me)
        set_up();
    tree_begin(me);
    me->files = files_new();
    if (!me->files)
        return 0;
    for (int i = 0; i < STEPS_MAX && in.left; i++)
        step(&in);
    files_put(me->files, me);
    tree_end(me);
    return 0;
}
