/* chdir(2), chroot(2), getcwd(2), umask(2): a task's place in the tree. */
#include "sentry/kernel/cred.h"
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/dcache.h"
#include "sentry/vfs/fs_context.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdatomic.h>

/* The directory a path argument names, which the caller may search. Counted. */
static int directory_arg(struct task *t, uint64_t addr, struct path *out)
{
    int ret = user_path_lookup(t, AT_FDCWD, addr, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, out);
    if (ret < 0)
        return ret;
    ret = path_permission(t, out, 1);
    if (ret < 0)
        path_put(out);
    return ret;
}

long sys_chdir(struct task *t, const struct sysargs *a)
{
    struct path p;

    int ret = directory_arg(t, a->a[0], &p);
    if (ret < 0)
        return ret;
    fs_context_set_cwd(t->fs, &p);
    path_put(&p);
    return 0;
}

long sys_fchdir(struct task *t, const struct sysargs *a)
{
    struct path p;

    int ret = fd_path(t, (int)a->a[0], true, &p);
    if (ret < 0)
        return ret;
    ret = S_ISDIR(dentry_inode(p.dentry)->mode) ? path_permission(t, &p, 1) : -ENOTDIR;
    if (ret == 0)
        fs_context_set_cwd(t->fs, &p);
    path_put(&p);
    return ret;
}

long sys_chroot(struct task *t, const struct sysargs *a)
{
    struct path p;

    int ret = directory_arg(t, a->a[0], &p);
    if (ret < 0)
        return ret;
    if (cred_capable(t->cred, CAP_SYS_CHROOT))
        fs_context_set_root(t->fs, &p);
    else
        ret = -EPERM;
    path_put(&p);
    return ret;
}

long sys_getcwd(struct task *t, const struct sysargs *a)
{
    not_cleared char buf[PATH_MAX];
    struct path cwd;

    fs_context_cwd(t->fs, &cwd);
    ssize_t n = dentry_is_dead(cwd.dentry) ? -ENOENT : path_to_string(t, &cwd, buf, sizeof(buf));
    path_put(&cwd);
    if (n < 0)
        return n == -ERANGE ? -ENAMETOOLONG : n;
    if ((uint64_t)n + 1 > a->a[1])
        return -ERANGE;
    if (user_write(t, a->a[0], buf, (size_t)n + 1) < 0)
        return -EFAULT;
    return n + 1;
}

long sys_umask(struct task *t, const struct sysargs *a)
{
    return atomic_exchange(&t->fs->umask, (mode_t)a->a[0] & 0777);
}
