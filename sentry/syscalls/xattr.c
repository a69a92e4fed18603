/* setxattr(2), getxattr(2), listxattr(2), removexattr(2): extended attributes, xattr(7). */
#include "sentry/kernel/cred.h"
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/ops.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define NAME_CAP 256   /* XATTR_NAME_MAX and the NUL */
#define SIZE_CAP 65536 /* XATTR_SIZE_MAX, and XATTR_LIST_MAX */
#define AT_FD (-2)     /* how: the argument is a descriptor */

static bool starts(const char *s, const char *prefix)
{
    return !strncmp(s, prefix, strlen(prefix));
}

/* The file a call is about: nofollow by `how`, or by descriptor. Counted. */
static int target_arg(struct task *t, uint64_t arg, int how, struct path *out)
{
    if (how == AT_FD)
        return fd_path(t, (int)arg, false, out);
    return user_path_lookup(t, AT_FDCWD, arg, lookup_of_at(how), out);
}

static int name_arg(struct task *t, uint64_t addr, char name[NAME_CAP])
{
    ssize_t n = user_string(t, name, addr, NAME_CAP);

    if (n == -ENAMETOOLONG || n == 0)
        return -ERANGE;
    return n < 0 ? (int)n : 0;
}

static int user_attr_permission(struct task *t, struct inode *i, bool write)
{
    if (!S_ISREG(i->mode) && !S_ISDIR(i->mode))
        return write ? -EPERM : -ENODATA;
    bool sticky = S_ISDIR(i->mode) && (i->mode & S_ISVTX);
    if (write && sticky && t->cred->fsuid != i->uid && !cred_capable(t->cred, CAP_FOWNER))
        return -EPERM;
    return inode_permission(i, t->cred, write ? 2 : 4);
}

/* Who may read or write an attribute of this name space. */
static int attr_permission(struct task *t, const struct path *p, const char *name, bool write)
{
    struct inode *i = dentry_inode(p->dentry);

    int ret = write ? path_want_write(p) : 0;
    if (ret < 0)
        return ret;
    if (starts(name, "user."))
        return user_attr_permission(t, i, write);
    bool admin = cred_capable(t->cred, CAP_SYS_ADMIN);
    if (starts(name, "trusted."))
        return admin ? 0 : write ? -EPERM : -ENODATA;
    if (starts(name, "security."))
        return admin || !write ? 0 : -EPERM;
    if (!starts(name, "system."))
        return -EOPNOTSUPP;
    bool owner = t->cred->fsuid == i->uid || cred_capable(t->cred, CAP_FOWNER);
    return owner || !write ? 0 : -EPERM;
}

static int set_value(struct task *t, const struct path *p, const char *name, const void *value, size_t size, int flags)
{
    struct inode *i = dentry_inode(p->dentry);

    int ret = attr_permission(t, p, name, true);
    if (ret < 0)
        return ret;
    ret = i->ops->setxattr ? i->ops->setxattr(i, name, value, size, flags) : -EOPNOTSUPP;
    if (ret == 0)
        notify(p->dentry, IN_ATTRIB);
    return ret;
}

static long do_set(struct task *t, const struct sysargs *a, int how)
{
    char name[NAME_CAP];
    size_t size = a->a[3];
    int flags = (int)a->a[4];
    struct path p;

    if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    int ret = name_arg(t, a->a[1], name);
    if (ret < 0)
        return ret;
    if (size > SIZE_CAP)
        return -E2BIG;
    char *value = malloc(size + 1);
    if (!value)
        return -ENOMEM;
    ret = size ? user_read(t, value, a->a[2], size) : 0;
    if (ret == 0)
        ret = target_arg(t, a->a[0], how, &p);
    if (ret == 0) {
        ret = set_value(t, &p, name, value, size, flags);
        path_put(&p);
    }
    free(value);
    return ret;
}

/* Hands n bytes of buf to the guest, unless it only asked for the size. */
static long hand_out(struct task *t, uint64_t addr, size_t cap, const char *buf, ssize_t n)
{
    if (n < 0 || cap == 0)
        return n;
    if ((size_t)n > cap)
        return -ERANGE;
    return n && user_write(t, addr, buf, (size_t)n) < 0 ? -EFAULT : n;
}

/* The attribute's name and the file, which is to be put if 0 is returned. */
static int named_arg(struct task *t, const struct sysargs *a, int how, char name[NAME_CAP], struct path *out)
{
    int ret = name_arg(t, a->a[1], name);

    return ret < 0 ? ret : target_arg(t, a->a[0], how, out);
}

static long do_get(struct task *t, const struct sysargs *a, int how)
{
    size_t cap = MIN(a->a[3], (uint64_t)SIZE_CAP);
    char name[NAME_CAP];
    struct path p;

    int ret = named_arg(t, a, how, name, &p);
    if (ret < 0)
        return ret;
    struct inode *i = dentry_inode(p.dentry);
    char *buf = malloc(cap + 1);
    ssize_t n = buf ? attr_permission(t, &p, name, false) : -ENOMEM;
    if (n == 0)
        n = i->ops->getxattr ? i->ops->getxattr(i, name, buf, cap) : -EOPNOTSUPP;
    n = hand_out(t, a->a[2], cap, buf, n);
    free(buf);
    path_put(&p);
    return n;
}

/* Leaves out the names that t may not know of; a NUL-separated list of n bytes. */
static ssize_t filter_names(struct task *t, char *buf, ssize_t n)
{
    ssize_t kept = 0;

    if (cred_capable(t->cred, CAP_SYS_ADMIN))
        return n;
    for (ssize_t at = 0, len; at < n; at += len) {
        len = (ssize_t)strnlen(buf + at, (size_t)(n - at)) + 1;
        len = MIN(len, n - at);
        if (starts(buf + at, "trusted."))
            continue;
        memmove(buf + kept, buf + at, (size_t)len);
        kept += len;
    }
    return kept;
}

static long do_list(struct task *t, const struct sysargs *a, int how)
{
    size_t cap = MIN(a->a[2], (uint64_t)SIZE_CAP);
    struct path p;

    int ret = target_arg(t, a->a[0], how, &p);
    if (ret < 0)
        return ret;
    struct inode *i = dentry_inode(p.dentry);
    char *buf = malloc(SIZE_CAP + 1);
    ssize_t n = !buf ? -ENOMEM : i->ops->listxattr ? i->ops->listxattr(i, buf, SIZE_CAP) : -EOPNOTSUPP;
    if (n > 0) {
        buf[n] = '\0';
        n = filter_names(t, buf, n);
    }
    n = hand_out(t, a->a[1], cap, buf, n);
    free(buf);
    path_put(&p);
    return n;
}

static long do_remove(struct task *t, const struct sysargs *a, int how)
{
    char name[NAME_CAP];
    struct path p;

    int ret = named_arg(t, a, how, name, &p);
    if (ret < 0)
        return ret;
    struct inode *i = dentry_inode(p.dentry);
    ret = attr_permission(t, &p, name, true);
    if (ret == 0)
        ret = i->ops->removexattr ? i->ops->removexattr(i, name) : -EOPNOTSUPP;
    if (ret == 0)
        notify(p.dentry, IN_ATTRIB);
    path_put(&p);
    return ret;
}

/* The three forms of each: following, not following, by descriptor. */
#define FORMS(verb)                                                                                                    \
    long sys_##verb##xattr(struct task *t, const struct sysargs *a)                                                    \
    {                                                                                                                  \
        return do_##verb(t, a, 0);                                                                                     \
    }                                                                                                                  \
    long sys_l##verb##xattr(struct task *t, const struct sysargs *a)                                                   \
    {                                                                                                                  \
        return do_##verb(t, a, AT_SYMLINK_NOFOLLOW);                                                                   \
    }                                                                                                                  \
    long sys_f##verb##xattr(struct task *t, const struct sysargs *a)                                                   \
    {                                                                                                                  \
        return do_##verb(t, a, AT_FD);                                                                                 \
    }

FORMS(set)
FORMS(get)
FORMS(list)
FORMS(remove)
