/* See access.h. */
#include "sentry/fs/proc/access.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"

#include <errno.h>
#include <linux/capability.h>

static bool ids_match(const struct cred *r, const struct cred *c)
{
    return r->fsuid == c->ruid && r->fsuid == c->euid && r->fsuid == c->suid && r->fsgid == c->rgid &&
           r->fsgid == c->egid && r->fsgid == c->sgid;
}

int proc_may_trace(struct task *reader, pid_t tid)
{
    int ret = 0;
    struct task *t = task_find(tid);

    if (!t)
        return -ESRCH;
    lock(&tasks_lock);
    if (t->tg != reader->tg && !cred_capable(reader->cred, CAP_SYS_PTRACE) &&
        (!t->tg->dumpable || !ids_match(reader->cred, t->cred)))
        ret = -EACCES;
    unlock(&tasks_lock);
    task_put(t);
    return ret;
}
