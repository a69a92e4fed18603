/* Extended attributes of tmpfs: a list an inode, under its lock. Which names a guest may use is vfs's to check. */
#include "sentry/fs/tmpfs/tmpfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define MAX_BYTES 65536 /* of an inode's names and values */

struct tmpfs_xattr {
    struct list node;
    size_t size;
    char *name; /* behind the value */
    char value[];
};

static bool is_supported(const char *name)
{
    static const char *const spaces[] = {"user.", "trusted.", "security."};

    for (size_t n = 0; n < ARRAY_SIZE(spaces); n++)
        if (!strncmp(name, spaces[n], strlen(spaces[n])))
            return true;
    return false;
}

static struct tmpfs_xattr *find(const struct inode *i, const char *name)
{
    struct tmpfs_xattr *x;

    list_for_each (x, &tmpfs_data(i)->xattrs, node)
        if (!strcmp(x->name, name))
            return x;
    return NULL;
}

static size_t bytes_used(const struct inode *i)
{
    struct tmpfs_xattr *x;
    size_t sum = 0;

    list_for_each (x, &tmpfs_data(i)->xattrs, node)
        sum += x->size + strlen(x->name) + 1;
    return sum;
}

static void drop(struct tmpfs_xattr *x)
{
    list_del(&x->node);
    free(x);
}

void tmpfs_drop_xattrs(struct inode *i)
{
    struct tmpfs_xattr *x, *next;

    list_for_each_safe (x, next, &tmpfs_data(i)->xattrs, node)
        drop(x);
}

ssize_t tmpfs_getxattr(struct inode *i, const char *name, void *buf, size_t cap)
{
    lock(&i->lock);
    const struct tmpfs_xattr *x = find(i, name);
    ssize_t ret = !x ? -ENODATA : cap && x->size > cap ? -ERANGE : (ssize_t)x->size;
    if (ret > 0 && cap)
        memcpy(buf, x->value, x->size);
    unlock(&i->lock);
    return ret < 0 && !is_supported(name) ? -EOPNOTSUPP : ret;
}

ssize_t tmpfs_listxattr(struct inode *i, char *buf, size_t cap)
{
    struct tmpfs_xattr *x;
    size_t sum = 0;

    lock(&i->lock);
    list_for_each (x, &tmpfs_data(i)->xattrs, node) {
        size_t len = strlen(x->name) + 1;
        if (sum + len <= cap)
            memcpy(buf + sum, x->name, len);
        sum += len;
    }
    unlock(&i->lock);
    return cap && sum > cap ? -ERANGE : (ssize_t)sum;
}

static struct tmpfs_xattr *xattr_new(const char *name, const void *val, size_t len)
{
    size_t name_len = strlen(name) + 1;
    struct tmpfs_xattr *x = malloc(sizeof(*x) + len + name_len);

    if (!x)
        return NULL;
    list_init(&x->node);
    x->size = len;
    x->name = x->value + len;
    if (len)
        memcpy(x->value, val, len);
    memcpy(x->name, name, name_len);
    return x;
}

int tmpfs_setxattr(struct inode *i, const char *name, const void *val, size_t len, int flags)
{
    int ret = 0;

    if (!is_supported(name))
        return -EOPNOTSUPP;
    struct tmpfs_xattr *x = xattr_new(name, val, len);
    if (!x)
        return -ENOMEM;
    lock(&i->lock);
    struct tmpfs_xattr *old = find(i, name);
    if (old && (flags & XATTR_CREATE))
        ret = -EEXIST;
    else if (!old && (flags & XATTR_REPLACE))
        ret = -ENODATA;
    else if (bytes_used(i) - (old ? old->size : 0) + len + strlen(name) + 1 > MAX_BYTES)
        ret = -ENOSPC;
    if (ret == 0) {
        if (old)
            drop(old);
        list_push_back(&tmpfs_data(i)->xattrs, &x->node);
        tmpfs_touch(i, false);
    }
    unlock(&i->lock);
    if (ret < 0)
        free(x);
    return ret;
}

int tmpfs_removexattr(struct inode *i, const char *name)
{
    lock(&i->lock);
    struct tmpfs_xattr *x = find(i, name);
    if (x) {
        drop(x);
        tmpfs_touch(i, false);
    }
    unlock(&i->lock);
    return x ? 0 : is_supported(name) ? -ENODATA : -EOPNOTSUPP;
}
