/*
 * User and group ids, supplementary groups: credentials(7). A change builds a new credential object, fixes the
 * capabilities as capabilities(7) says under "Effect of user ID changes on capabilities", and installs it.
 */
#include "sentry/kernel/cred.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX 65536
#define NO_ID ((uint32_t)-1)
#define BIT(n) (1ULL << (n))
#define FS_CAPS                                                                                                        \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |           \
     BIT(CAP_LINUX_IMMUTABLE) | BIT(CAP_MKNOD) | BIT(CAP_MAC_OVERRIDE))

static bool any_root(const struct cred *c)
{
    return c->ruid == 0 || c->euid == 0 || c->suid == 0;
}

static void fix_caps(const struct cred *old, struct cred *c)
{
    if (c->securebits & BIT(SECURE_NO_SETUID_FIXUP))
        return;
    if (any_root(old) && !any_root(c)) {
        if (!(c->securebits & BIT(SECURE_KEEP_CAPS)))
            c->cap_permitted = c->cap_effective = 0;
        c->cap_ambient = 0;
    }
    if (old->euid == 0 && c->euid != 0)
        c->cap_effective = 0;
    if (old->euid != 0 && c->euid == 0)
        c->cap_effective = c->cap_permitted;
}

static void fix_fs_caps(const struct cred *old, struct cred *c)
{
    if (c->securebits & BIT(SECURE_NO_SETUID_FIXUP))
        return;
    if (old->fsuid == 0 && c->fsuid != 0)
        c->cap_effective &= ~FS_CAPS;
    if (old->fsuid != 0 && c->fsuid == 0)
        c->cap_effective |= c->cap_permitted & FS_CAPS;
}

static long install_uids(struct task *t, struct cred *c)
{
    c->fsuid = c->euid;
    fix_caps(t->cred, c);
    cred_install(t, c);
    return 0;
}

static long install_gids(struct task *t, struct cred *c)
{
    c->fsgid = c->egid;
    cred_install(t, c);
    return 0;
}

long sys_getuid(struct task *t, const struct sysargs *a unused_arg)
{
    return t->cred->ruid;
}

long sys_geteuid(struct task *t, const struct sysargs *a unused_arg)
{
    return t->cred->euid;
}

long sys_getgid(struct task *t, const struct sysargs *a unused_arg)
{
    return t->cred->rgid;
}

long sys_getegid(struct task *t, const struct sysargs *a unused_arg)
{
    return t->cred->egid;
}

static bool uid_is_one(const struct cred *c, uid_t id)
{
    return id == c->ruid || id == c->euid || id == c->suid;
}

static bool gid_is_one(const struct cred *c, gid_t id)
{
    return id == c->rgid || id == c->egid || id == c->sgid;
}

long sys_setuid(struct task *t, const struct sysargs *a)
{
    uid_t id = (uid_t)a->a[0];
    bool may = cred_capable(t->cred, CAP_SETUID);
    struct cred *c;

    if (id == NO_ID)
        return -EINVAL;
    if (!may && id != t->cred->ruid && id != t->cred->suid)
        return -EPERM;
    c = cred_clone(t->cred);
    if (!c)
        return -ENOMEM;
    c->euid = id;
    if (may)
        c->ruid = c->suid = id;
    return install_uids(t, c);
}

long sys_setgid(struct task *t, const struct sysargs *a)
{
    gid_t id = (gid_t)a->a[0];
    bool may = cred_capable(t->cred, CAP_SETGID);
    struct cred *c;

    if (id == NO_ID)
        return -EINVAL;
    if (!may && id != t->cred->rgid && id != t->cred->sgid)
        return -EPERM;
    c = cred_clone(t->cred);
    if (!c)
        return -ENOMEM;
    c->egid = id;
    if (may)
        c->rgid = c->sgid = id;
    return install_gids(t, c);
}

long sys_setreuid(struct task *t, const struct sysargs *a)
{
    uid_t r = (uid_t)a->a[0], e = (uid_t)a->a[1];
    const struct cred *old = t->cred;
    bool may = cred_capable(old, CAP_SETUID);
    struct cred *c;

    if (r != NO_ID && !may && r != old->ruid && r != old->euid)
        return -EPERM;
    if (e != NO_ID && !may && !uid_is_one(old, e))
        return -EPERM;
    c = cred_clone(old);
    if (!c)
        return -ENOMEM;
    if (r != NO_ID)
        c->ruid = r;
    if (e != NO_ID)
        c->euid = e;
    if (r != NO_ID || (e != NO_ID && e != old->ruid))
        c->suid = c->euid;
    return install_uids(t, c);
}

long sys_setregid(struct task *t, const struct sysargs *a)
{
    gid_t r = (gid_t)a->a[0], e = (gid_t)a->a[1];
    const struct cred *old = t->cred;
    bool may = cred_capable(old, CAP_SETGID);
    struct cred *c;

    if (r != NO_ID && !may && r != old->rgid && r != old->egid)
        return -EPERM;
    if (e != NO_ID && !may && !gid_is_one(old, e))
        return -EPERM;
    c = cred_clone(old);
    if (!c)
        return -ENOMEM;
    if (r != NO_ID)
        c->rgid = r;
    if (e != NO_ID)
        c->egid = e;
    if (r != NO_ID || (e != NO_ID && e != old->rgid))
        c->sgid = c->egid;
    return install_gids(t, c);
}

long sys_setresuid(struct task *t, const struct sysargs *a)
{
    struct cred *c;

    for (int i = 0; i < 3; i++)
        if ((uid_t)a->a[i] != NO_ID && !uid_is_one(t->cred, (uid_t)a->a[i]) && !cred_capable(t->cred, CAP_SETUID))
            return -EPERM;
    c = cred_clone(t->cred);
    if (!c)
        return -ENOMEM;
    if ((uid_t)a->a[0] != NO_ID)
        c->ruid = (uid_t)a->a[0];
    if ((uid_t)a->a[1] != NO_ID)
        c->euid = (uid_t)a->a[1];
    if ((uid_t)a->a[2] != NO_ID)
        c->suid = (uid_t)a->a[2];
    return install_uids(t, c);
}

long sys_setresgid(struct task *t, const struct sysargs *a)
{
    struct cred *c;

    for (int i = 0; i < 3; i++)
        if ((gid_t)a->a[i] != NO_ID && !gid_is_one(t->cred, (gid_t)a->a[i]) && !cred_capable(t->cred, CAP_SETGID))
            return -EPERM;
    c = cred_clone(t->cred);
    if (!c)
        return -ENOMEM;
    if ((gid_t)a->a[0] != NO_ID)
        c->rgid = (gid_t)a->a[0];
    if ((gid_t)a->a[1] != NO_ID)
        c->egid = (gid_t)a->a[1];
    if ((gid_t)a->a[2] != NO_ID)
        c->sgid = (gid_t)a->a[2];
    return install_gids(t, c);
}

static long put_three(struct task *t, const struct sysargs *a, uint32_t x, uint32_t y, uint32_t z)
{
    if (user_write(t, a->a[0], &x, sizeof(x)) < 0 || user_write(t, a->a[1], &y, sizeof(y)) < 0 ||
        user_write(t, a->a[2], &z, sizeof(z)) < 0)
        return -EFAULT;
    return 0;
}

long sys_getresuid(struct task *t, const struct sysargs *a)
{
    return put_three(t, a, t->cred->ruid, t->cred->euid, t->cred->suid);
}

long sys_getresgid(struct task *t, const struct sysargs *a)
{
    return put_three(t, a, t->cred->rgid, t->cred->egid, t->cred->sgid);
}

/* setfsuid(2) and setfsgid(2) return the old id and report no errors. */
long sys_setfsuid(struct task *t, const struct sysargs *a)
{
    uid_t id = (uid_t)a->a[0], old = t->cred->fsuid;
    struct cred *c;

    if (id == NO_ID || (!uid_is_one(t->cred, id) && id != old && !cred_capable(t->cred, CAP_SETUID)))
        return old;
    c = cred_clone(t->cred);
    if (!c)
        return old;
    c->fsuid = id;
    fix_fs_caps(t->cred, c);
    cred_install(t, c);
    return old;
}

long sys_setfsgid(struct task *t, const struct sysargs *a)
{
    gid_t id = (gid_t)a->a[0], old = t->cred->fsgid;
    struct cred *c;

    if (id == NO_ID || (!gid_is_one(t->cred, id) && id != old && !cred_capable(t->cred, CAP_SETGID)))
        return old;
    c = cred_clone(t->cred);
    if (!c)
        return old;
    c->fsgid = id;
    cred_install(t, c);
    return old;
}

long sys_getgroups(struct task *t, const struct sysargs *a)
{
    const struct cred *c = t->cred;
    int size = (int)a->a[0];

    if (size < 0)
        return -EINVAL;
    if (size) {
        if ((size_t)size < c->ngroups)
            return -EINVAL;
        if (c->ngroups && user_write(t, a->a[1], c->groups, c->ngroups * sizeof(gid_t)) < 0)
            return -EFAULT;
    }
    return (long)c->ngroups;
}

static int compare_gid(const void *x, const void *y)
{
    gid_t p = *(const gid_t *)x, q = *(const gid_t *)y;

    return (p > q) - (p < q);
}

long sys_setgroups(struct task *t, const struct sysargs *a)
{
    uint32_t n = (uint32_t)a->a[0];
    gid_t *groups = NULL;
    struct cred *c;

    if (!cred_capable(t->cred, CAP_SETGID))
        return -EPERM;
    if (n > GROUPS_MAX)
        return -EINVAL;
    if (n && !(groups = malloc(n * sizeof(*groups))))
        return -ENOMEM;
    if (n && user_read(t, groups, a->a[1], n * sizeof(*groups)) < 0) {
        free(groups);
        return -EFAULT;
    }
    c = cred_clone(t->cred);
    if (!c) {
        free(groups);
        return -ENOMEM;
    }
    if (n)
        qsort(groups, n, sizeof(*groups), compare_gid);
    free(c->groups);
    c->groups = groups;
    c->ngroups = n;
    cred_install(t, c);
    return 0;
}
