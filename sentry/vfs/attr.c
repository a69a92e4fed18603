/* Changing attributes: who may, and what else changes with them (set-user-ID bits). chmod(2), chown(2), utimensat(2).
 */
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/ops.h"

#include <errno.h>
#include <linux/capability.h>

#define SAME ((uid_t)-1)

static int set(struct inode *i, const struct iattr *a)
{
    return i->ops->setattr ? i->ops->setattr(i, a) : -EPERM;
}

/* The same on a path, with watchers told. */
static int set_and_tell(const struct path *p, const struct iattr *a, uint32_t event)
{
    int ret = set(dentry_inode(p->dentry), a);

    if (ret == 0)
        notify(p->dentry, event);
    return ret;
}

/* utimensat(2) of one time only looks like a read or a write. */
static uint32_t time_event(unsigned valid)
{
    bool atime = valid & (ATTR_ATIME | ATTR_ATIME_NOW), mtime = valid & (ATTR_MTIME | ATTR_MTIME_NOW);

    return atime && mtime ? IN_ATTRIB : atime ? IN_ACCESS : IN_MODIFY;
}

static bool is_owner(const struct task *t, const struct kstat *st)
{
    return t->cred->fsuid == st->uid || cred_capable(t->cred, CAP_FOWNER);
}

static bool in_group(const struct cred *c, gid_t gid)
{
    return c->fsgid == gid || cred_in_group(c, gid);
}

int vfs_chmod(struct task *t, const struct path *p, mode_t mode)
{
    struct inode *i = dentry_inode(p->dentry);
    struct kstat st;

    int ret = path_want_write(p);
    if (ret == 0)
        ret = inode_getattr(i, &st);
    if (ret < 0)
        return ret;
    if (S_ISLNK(st.mode))
        return -EOPNOTSUPP;
    if (!is_owner(t, &st))
        return -EPERM;
    if (!in_group(t->cred, st.gid) && !cred_capable(t->cred, CAP_FSETID))
        mode &= ~(mode_t)S_ISGID;
    const struct iattr a = {.valid = ATTR_MODE, .mode = (st.mode & S_IFMT) | (mode & 07777)};
    return set_and_tell(p, &a, IN_ATTRIB);
}

/* The mode without the bits that a change of owner or contents takes away. */
static mode_t without_suid(mode_t mode)
{
    mode_t kill = S_ISUID | (mode & S_IXGRP ? S_ISGID : 0);

    return S_ISDIR(mode) ? mode : mode & ~kill;
}

int vfs_chown(struct task *t, const struct path *p, uid_t uid, gid_t gid)
{
    struct inode *i = dentry_inode(p->dentry);
    const struct cred *c = t->cred;
    struct kstat st;

    int ret = path_want_write(p);
    if (ret == 0)
        ret = inode_getattr(i, &st);
    if (ret < 0)
        return ret;
    bool owner = c->fsuid == st.uid, may = cred_capable(c, CAP_CHOWN);
    if (uid != SAME && !may && !(owner && uid == st.uid))
        return -EPERM;
    if (gid != SAME && !may && !(owner && (gid == st.gid || in_group(c, gid))))
        return -EPERM;
    struct iattr a = {.uid = uid, .gid = gid, .mode = without_suid(st.mode)};
    if (uid != SAME)
        a.valid |= ATTR_UID;
    if (gid != SAME)
        a.valid |= ATTR_GID;
    if (a.mode != st.mode)
        a.valid |= ATTR_MODE;
    return a.valid ? set_and_tell(p, &a, IN_ATTRIB) : 0;
}

static unsigned time_change(const struct timespec *ts, unsigned explicit, unsigned now)
{
    if (ts->tv_nsec == UTIME_OMIT)
        return 0;
    return ts->tv_nsec == UTIME_NOW ? now : explicit;
}

int vfs_utimes(struct task *t, const struct path *p, const struct timespec *times)
{
    struct inode *i = dentry_inode(p->dentry);
    struct iattr a = {.valid = ATTR_ATIME_NOW | ATTR_MTIME_NOW};
    struct kstat st;

    if (times) {
        a.valid =
            time_change(&times[0], ATTR_ATIME, ATTR_ATIME_NOW) | time_change(&times[1], ATTR_MTIME, ATTR_MTIME_NOW);
        a.atime = times[0];
        a.mtime = times[1];
    }
    if (!a.valid)
        return 0;
    int ret = path_want_write(p);
    if (ret == 0)
        ret = inode_getattr(i, &st);
    if (ret < 0)
        return ret;
    if (!is_owner(t, &st)) {
        if (a.valid != (ATTR_ATIME_NOW | ATTR_MTIME_NOW))
            return -EPERM;
        ret = inode_permission(i, t->cred, 2);
        if (ret < 0)
            return ret;
    }
    return set_and_tell(p, &a, time_event(a.valid));
}

int vfs_truncate(struct task *t, struct inode *i, uint64_t size)
{
    uint64_t limit = tg_limit(t->tg, RLIMIT_FSIZE);
    struct kstat st;

    int ret = inode_getattr(i, &st);
    if (ret < 0)
        return ret;
    if (size > st.size && size > limit) {
        siginfo_t info = {.si_signo = SIGXFSZ, .si_code = SI_KERNEL};
        signal_send_task(t, SIGXFSZ, &info);
        return -EFBIG;
    }
    struct iattr a = {.valid = ATTR_SIZE | ATTR_MTIME_NOW, .size = size, .mode = without_suid(st.mode)};
    if (a.mode != st.mode && !cred_capable(t->cred, CAP_FSETID))
        a.valid |= ATTR_MODE;
    return set(i, &a);
}
