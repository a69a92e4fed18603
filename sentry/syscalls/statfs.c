/* statfs(2), fstatfs(2). */
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/mount.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#define ST_VALID 0x0020 /* f_flags is meant */

static long flags_of(const struct mount *m)
{
    unsigned f = mount_flags(m);

    return ST_VALID | (f & MNT_RDONLY ? ST_RDONLY : 0) | (f & MNT_NOSUID ? ST_NOSUID : 0) |
           (f & MNT_NODEV ? ST_NODEV : 0) | (f & MNT_NOEXEC ? ST_NOEXEC : 0) | (f & MNT_NOATIME ? ST_NOATIME : 0) |
           (f & MNT_RELATIME ? ST_RELATIME : 0);
}

/* p's reference is given up. */
static long put_statfs(struct task *t, struct path *p, uint64_t addr)
{
    struct super_block *sb = dentry_inode(p->dentry)->sb;
    struct statfs out;

    memset(&out, 0, sizeof(out));
    int ret = sb->ops->statfs ? sb->ops->statfs(sb, &out) : -ENOSYS;
    out.f_flags = flags_of(p->mnt);
    if (!out.f_fsid.__val[0] && !out.f_fsid.__val[1])
        out.f_fsid.__val[0] = (int)sb->dev;
    if (!out.f_frsize)
        out.f_frsize = out.f_bsize;
    path_put(p);
    return ret < 0 ? ret : user_write(t, addr, &out, sizeof(out));
}

long sys_statfs(struct task *t, const struct sysargs *a)
{
    struct path p;

    int ret = user_path_lookup(t, AT_FDCWD, a->a[0], LOOKUP_FOLLOW, &p);
    return ret < 0 ? ret : put_statfs(t, &p, a->a[1]);
}

long sys_fstatfs(struct task *t, const struct sysargs *a)
{
    struct path p;

    int ret = fd_path(t, (int)a->a[0], true, &p);
    return ret < 0 ? ret : put_statfs(t, &p, a->a[1]);
}
