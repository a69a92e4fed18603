/* /dev: a tmpfs filled with the nodes and links that every program expects. */
#include "sentry/fs/fs.h"

#include "sentry/fs/dev/chrdev.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <sys/sysmacros.h>

#define DEV_SIZE_LIMIT (1u << 20)

static const struct {
    const char *name;
    unsigned major, minor;
} nodes[] = {{"null", 1, 3},    {"zero", 1, 5}, {"full", 1, 7},   {"random", 1, 8},
             {"urandom", 1, 9}, {"tty", 5, 0},  {"console", 5, 1}};

static const struct {
    const char *name, *target;
} links[] = {{"fd", "/proc/self/fd"},
             {"stdin", "/proc/self/fd/0"},
             {"stdout", "/proc/self/fd/1"},
             {"stderr", "/proc/self/fd/2"}};

static int make_node(struct inode *dir, const char *name, dev_t rdev, const struct cred *cred)
{
    struct inode *i;
    int ret = dir->ops->mknod(dir, name, S_IFCHR | 0666, rdev, cred, &i);

    if (ret == 0)
        inode_put(i);
    return ret;
}

static int make_link(struct inode *dir, const char *name, const char *target, const struct cred *cred)
{
    struct inode *i;
    int ret = dir->ops->symlink(dir, name, target, cred, &i);

    if (ret == 0)
        inode_put(i);
    return ret;
}

/* The directories that other file systems are mounted on (a tmpfs at shm). */
static int make_directory(struct inode *dir, const char *name, mode_t mode, const struct cred *cred)
{
    struct inode *i;
    int ret = dir->ops->mkdir(dir, name, mode, cred, &i);

    if (ret == 0)
        inode_put(i);
    return ret;
}

static int populate(struct inode *dir, const struct cred *cred)
{
    int ret = make_directory(dir, "shm", 01777, cred);

    for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(nodes); i++)
        ret = make_node(dir, nodes[i].name, makedev(nodes[i].major, nodes[i].minor), cred);
    for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(links); i++)
        ret = make_link(dir, links[i].name, links[i].target, cred);
    return ret;
}

int dev_mount(struct dentry **out)
{
    struct dentry *root;

    int ret = tmpfs_mount(DEV_SIZE_LIMIT, 0755, &root);
    if (ret < 0)
        return ret;
    struct cred *cred = cred_new(0, 0, NULL, 0);
    struct inode *dir = dentry_inode(root);
    if (cred) {
        lock(&dir->lock);
        ret = populate(dir, cred);
        unlock(&dir->lock);
        cred_put(cred);
    } else {
        ret = -ENOMEM;
    }
    if (ret < 0) {
        dentry_put(root);
        return ret;
    }
    *out = root;
    return 0;
}
