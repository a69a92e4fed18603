/* Who may do what with a file: path_resolution(7), capabilities(7). */
#include "sentry/kernel/task.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <linux/capability.h>

#define MAY_EXEC 1
#define MAY_WRITE 2
#define MAY_READ 4

/* What the mode bits alone give to c. */
static bool mode_allows(mode_t mode, uid_t uid, gid_t gid, const struct cred *c, int mask)
{
    if (c->fsuid == uid)
        mode >>= 6;
    else if (c->fsgid == gid || cred_in_group(c, gid))
        mode >>= 3;
    return ((int)mode & mask) == mask;
}

int inode_permission(struct inode *i, const struct cred *c, int mask)
{
    if (i->ops->permission)
        return i->ops->permission(i, c, mask);
    if (mode_allows(i->mode, i->uid, i->gid, c, mask))
        return 0;
    if (S_ISDIR(i->mode)) {
        if (cred_capable(c, CAP_DAC_OVERRIDE) || (!(mask & MAY_WRITE) && cred_capable(c, CAP_DAC_READ_SEARCH)))
            return 0;
        return -EACCES;
    }
    /* Even with the capability, a file is executable only if somebody may execute it. */
    if (cred_capable(c, CAP_DAC_OVERRIDE) && (!(mask & MAY_EXEC) || (i->mode & 0111)))
        return 0;
    if (mask == MAY_READ && cred_capable(c, CAP_DAC_READ_SEARCH))
        return 0;
    return -EACCES;
}

int path_permission(struct task *t, const struct path *p, int mask)
{
    struct inode *i = dentry_inode(p->dentry);

    if (!i)
        return -ENOENT;
    bool data = S_ISREG(i->mode) || S_ISDIR(i->mode) || S_ISLNK(i->mode);
    if ((mask & MAY_WRITE) && data && ((mount_flags(p->mnt) & MNT_RDONLY) || (i->sb->flags & SB_RDONLY)))
        return -EROFS;
    return inode_permission(i, t->cred, mask);
}
