/* unshare(2): a task stops sharing its descriptor table or its place in the tree. Namespaces are not served. */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>

#define NAMESPACES                                                                                                     \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |       \
     0x80 /* CLONE_NEWTIME */)
#define ONLY_ALONE (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)
#define KNOWN (NAMESPACES | ONLY_ALONE | CLONE_FILES | CLONE_FS | CLONE_SYSVSEM)

/* As clone(2) answers the same flags. */
static int check(struct task *t, unsigned flags)
{
    if (flags & ~(unsigned)KNOWN)
        return -EINVAL;
    if (flags & NAMESPACES)
        return cred_capable(t->cred, CAP_SYS_ADMIN) ? -EINVAL : -EPERM;
    if (!(flags & ONLY_ALONE))
        return 0;
    lock(&tasks_lock);
    const bool alone = t->tg->live == 1;
    unlock(&tasks_lock);
    return alone ? 0 : -EINVAL;
}

long sys_unshare(struct task *t, const struct sysargs *a)
{
    const unsigned flags = (unsigned)a->a[0];
    struct files *files = NULL;
    struct fs_context *fs = NULL;

    int ret = check(t, flags);
    if (ret < 0)
        return ret;
    if ((flags & CLONE_FILES) && !(files = files_clone(t->files)))
        return -ENOMEM;
    if ((flags & CLONE_FS) && !(fs = fs_context_clone(t->fs))) {
        if (files)
            files_put(files, t);
        return -ENOMEM;
    }
    lock(&tasks_lock);
    struct files *old_files = files ? t->files : NULL;
    struct fs_context *old_fs = fs ? t->fs : NULL;
    if (files)
        t->files = files;
    if (fs)
        t->fs = fs;
    unlock(&tasks_lock);
    if (old_files)
        files_put(old_files, t);
    if (old_fs)
        fs_context_put(old_fs);
    return 0;
}
