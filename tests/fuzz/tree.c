/* See tree.h. Trees are mounted, one at a time, in a root that inputs do not see, which holds /proc and the others. */
#include "tests/fuzz/tree.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/ops.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define TREE_BYTES (1 << 20)

static const struct {
    const char *name, *in_tree;
    int (*make)(struct dentry **);
} systems[] = {
    {"/proc", "/tree/proc", proc_mount}, {"/dev", "/tree/dev", dev_mount}, {"/sys", "/tree/sys", sysfs_mount}};

static struct path top;

/* What a harness cannot do without. */
static void must(int ret)
{
    if (ret < 0)
        abort();
}

static void move_into(struct task *t, const struct path *root)
{
    struct fs_context *old = t->fs, *fs = fs_context_new(root, root, 022);

    must(fs ? 0 : -ENOMEM);
    lock(&tasks_lock);
    t->fs = fs;
    unlock(&tasks_lock);
    if (old)
        fs_context_put(old);
}

/* The directory of this name, made if it is not there. */
static void directory(struct task *t, const char *name, struct path *out)
{
    int ret = vfs_mkdir(t, AT_FDCWD, name, 0755);

    must(ret == -EEXIST ? 0 : ret);
    must(path_lookup(t, AT_FDCWD, name, 0, out));
}

static void mount_on(struct task *t, const char *name, struct dentry *root)
{
    struct path at;

    directory(t, name, &at);
    must(mount_at(&at, root, 0, name));
    path_put(&at);
}

static void make_top(struct task *t)
{
    struct dentry *d;

    must(tmpfs_mount(TREE_BYTES, 0755, &d));
    must(mount_root(d, 0, "none", &top));
    move_into(t, &top);
    for (size_t i = 0; i < ARRAY_SIZE(systems); i++) {
        must(systems[i].make(&d));
        mount_on(t, systems[i].name, d);
    }
}

static void bind(struct task *t, const char *name, const char *to)
{
    struct path from, at;

    directory(t, name, &from);
    directory(t, to, &at);
    must(mount_bind(&from, &at, false));
    path_put(&from);
    path_put(&at);
}

void tree_begin(struct task *t)
{
    struct path root;
    struct dentry *d;

    if (!top.dentry)
        make_top(t);
    must(tmpfs_mount(TREE_BYTES, 0755, &d));
    mount_on(t, "/tree", d);
    for (size_t i = 0; i < ARRAY_SIZE(systems); i++)
        bind(t, systems[i].name, systems[i].in_tree);
    directory(t, "/tree", &root);
    move_into(t, &root);
    path_put(&root);
}

void tree_end(struct task *t)
{
    struct path p;
    int ret;

    move_into(t, &top);
    do { /* the input may have mounted something on it */
        directory(t, "/tree", &p);
        ret = mount_detach(&p, true);
        path_put(&p);
    } while (ret == 0);
}
