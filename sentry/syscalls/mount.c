/*
 * mount(2), umount2(2): tmpfs, another view of the sandbox's one proc and sys, bind mounts and remounts.
 *
 * There is one mount namespace, so changes of propagation have nothing to change and succeed.
 */
#include "sentry/vfs/mount.h"
#include "sentry/fs/fs.h"
#include "sentry/kernel/cred.h"
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/dcache.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#define MAGIC_MASK 0xffff0000UL
#define MAGIC_VALUE 0xc0ed0000UL
#define PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)
#define NOFOLLOW_FLAG 8 /* UMOUNT_NOFOLLOW */
#define EXPIRE_FLAG 4   /* MNT_EXPIRE */
#define DETACH_FLAG 2   /* MNT_DETACH */
#define FORCE_FLAG 1    /* MNT_FORCE */

static unsigned mnt_flags_of(unsigned long flags)
{
    return (flags & MS_RDONLY ? MNT_RDONLY : 0) | (flags & MS_NOSUID ? MNT_NOSUID : 0) |
           (flags & MS_NODEV ? MNT_NODEV : 0) | (flags & MS_NOEXEC ? MNT_NOEXEC : 0) |
           (flags & MS_NOATIME ? MNT_NOATIME : 0) | (flags & MS_RELATIME ? MNT_RELATIME : 0);
}

/* A size of tmpfs(5): a number with k, m, g, or % of memory. 0: default. */
static int parse_size(const char *s, uint64_t *out)
{
    char *end;

    errno = 0;
    uint64_t n = strtoull(s, &end, 0);
    unsigned shift = *end == 'k' || *end == 'K'   ? 10
                     : *end == 'm' || *end == 'M' ? 20
                     : *end == 'g' || *end == 'G' ? 30
                                                  : 0;
    if (shift)
        end++;
    if (*end == '%') {
        *out = 0; /* of an amount that the guest cannot count on: the default */
        return end[1] ? -EINVAL : 0;
    }
    if (errno || end == s || *end || n > (UINT64_MAX >> shift) || *s == '-')
        return -EINVAL;
    *out = n << shift;
    return 0;
}

static int mount_tmpfs(char *options, struct dentry **out)
{
    uint64_t size = 0;
    mode_t mode = 01777;
    char *save = NULL;
    int ret = 0;

    for (char *o = strtok_r(options, ",", &save); o && ret == 0; o = strtok_r(NULL, ",", &save)) {
        if (!strncmp(o, "size=", 5))
            ret = parse_size(o + 5, &size);
        else if (!strncmp(o, "mode=", 5))
            mode = (mode_t)strtoul(o + 5, NULL, 8) & 07777;
        else if (strncmp(o, "nr_inodes=", 10) && strncmp(o, "uid=", 4) && strncmp(o, "gid=", 4) &&
                 strncmp(o, "huge=", 5))
            ret = -EINVAL;
    }
    return ret < 0 ? ret : tmpfs_mount(size, mode, out);
}

/* The root of a file system that the sandbox has once, found where boot mounted it. */
static int existing_root(struct task *t, const char *place, const char *type, struct dentry **out)
{
    struct path p;

    int ret = path_lookup(t, AT_FDCWD, place, LOOKUP_FOLLOW, &p);
    if (ret < 0)
        return -ENODEV;
    ret = strcmp(mount_sb(p.mnt)->type, type) ? -ENODEV : 0;
    if (ret == 0)
        *out = dentry_get(p.mnt->root);
    path_put(&p);
    return ret;
}

static int new_root(struct task *t, const char *type, char *options, struct dentry **out)
{
    if (!strcmp(type, "tmpfs") || !strcmp(type, "ramfs"))
        return mount_tmpfs(options, out);
    if (!strcmp(type, "proc"))
        return existing_root(t, "/proc", "proc", out);
    if (!strcmp(type, "sysfs"))
        return existing_root(t, "/sys", "sysfs", out);
    return -ENODEV;
}

struct mount_args {
    char source[PATH_MAX], target[PATH_MAX], type[64], options[4096];
    unsigned long flags;
};

/* A string argument that may be NULL, which reads as "". */
static int optional_arg(struct task *t, uint64_t addr, char *buf, size_t cap)
{
    buf[0] = '\0';
    if (!addr)
        return 0;
    ssize_t n = user_string(t, buf, addr, cap);
    if (n == -ENAMETOOLONG)
        return -EINVAL;
    return n < 0 ? (int)n : 0;
}

static int copy_args(struct task *t, const struct sysargs *a, struct mount_args *m)
{
    m->flags = a->a[3];
    if ((m->flags & MAGIC_MASK) == MAGIC_VALUE)
        m->flags &= ~MAGIC_MASK;
    int ret = optional_arg(t, a->a[0], m->source, sizeof(m->source));
    if (ret == 0)
        ret = path_arg(t, m->target, a->a[1]);
    if (ret == 0)
        ret = optional_arg(t, a->a[2], m->type, sizeof(m->type));
    m->options[0] = '\0';
    bool has_options = !(m->flags & (MS_BIND | MS_REMOUNT | MS_MOVE | PROPAGATION));
    if (ret == 0 && has_options)
        ret = optional_arg(t, a->a[4], m->options, sizeof(m->options));
    return ret;
}

static int bind_or_move(struct task *t, struct mount_args *m, const struct path *at)
{
    struct path from;

    int ret = path_lookup(t, AT_FDCWD, m->source, LOOKUP_FOLLOW, &from);
    if (ret < 0)
        return ret;
    ret = m->flags & MS_BIND ? mount_bind(&from, at, m->flags & MS_REC) : mount_move(&from, at);
    path_put(&from);
    return ret;
}

static int mount_new_fs(struct task *t, struct mount_args *m, const struct path *at)
{
    struct dentry *root;

    if (!m->type[0])
        return -EINVAL;
    int ret = new_root(t, m->type, m->options, &root);
    if (ret < 0)
        return ret;
    ret = mount_at(at, root, mnt_flags_of(m->flags), m->source[0] ? m->source : "none");
    if (ret < 0)
        dentry_put(root);
    return ret;
}

static int do_mount(struct task *t, struct mount_args *m)
{
    struct path at;

    int ret = path_lookup(t, AT_FDCWD, m->target, LOOKUP_FOLLOW, &at);
    if (ret < 0)
        return ret;
    if (!cred_capable(t->cred, CAP_SYS_ADMIN))
        ret = -EPERM;
    else if (m->flags & MS_REMOUNT)
        ret = mount_remount(&at, mnt_flags_of(m->flags));
    else if (m->flags & MS_BIND)
        ret = bind_or_move(t, m, &at);
    else if (m->flags & PROPAGATION)
        ret = at.dentry == at.mnt->root ? 0 : -EINVAL;
    else if (m->flags & MS_MOVE)
        ret = bind_or_move(t, m, &at);
    else
        ret = mount_new_fs(t, m, &at);
    path_put(&at);
    return ret;
}

long sys_mount(struct task *t, const struct sysargs *a)
{
    struct mount_args *m = malloc(sizeof(*m));

    if (!m)
        return -ENOMEM;
    int ret = copy_args(t, a, m);
    if (ret == 0)
        ret = do_mount(t, m);
    free(m);
    return ret;
}

long sys_umount2(struct task *t, const struct sysargs *a)
{
    unsigned flags = (unsigned)a->a[1];
    struct path p;

    if (flags & ~(unsigned)(FORCE_FLAG | DETACH_FLAG | EXPIRE_FLAG | NOFOLLOW_FLAG))
        return -EINVAL;
    if (flags & EXPIRE_FLAG) /* marking a mount for expiry is not served */
        return -EINVAL;
    int ret = user_path_lookup(t, AT_FDCWD, a->a[0], flags & NOFOLLOW_FLAG ? 0 : LOOKUP_FOLLOW, &p);
    if (ret < 0)
        return ret;
    if (!cred_capable(t->cred, CAP_SYS_ADMIN))
        ret = -EPERM;
    else
        ret = mount_detach(&p, flags & DETACH_FLAG);
    path_put(&p);
    return ret;
}
