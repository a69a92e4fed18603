/* fcntl(2) and flock(2): what can be asked of and set on a descriptor, its description and its locks. */
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/flock.h"
#include "sentry/vfs/pipe.h"
#include "sentry/vfs/seals.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/file.h>

#define SETTABLE (O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT)

static long set_flags(struct file *f, unsigned flags)
{
    unsigned old = f->flags;
    if (f->fmode & FMODE_PATH)
        return -EBADF;
    while (!atomic_compare_exchange_weak(&f->flags, &old, (old & ~(unsigned)SETTABLE) | (flags & SETTABLE)))
        ;
    return 0;
}

static long dup_from(struct task *t, struct file *f, int min, bool cloexec)
{
    if (min < 0 || (uint64_t)min >= tg_limit(t->tg, RLIMIT_NOFILE))
        return -EINVAL;
    int fd = fd_reserve(t, min);
    if (fd >= 0)
        fd_install(t, fd, file_get(f), cloexec);
    return fd;
}

static long set_owner(struct file *f, int owner)
{
    if (owner == INT32_MIN)
        return -EINVAL;
    f->owner = owner;
    return 0;
}

static long owner_ex(struct task *t, struct file *f, uint64_t arg, bool set)
{
    struct f_owner_ex ex = {.type = f->owner < 0 ? F_OWNER_PGRP : F_OWNER_PID};
    ex.pid = f->owner < 0 ? -f->owner : f->owner;
    if (!set)
        return user_write(t, arg, &ex, sizeof(ex));
    int ret = user_read(t, &ex, arg, sizeof(ex));
    if (ret < 0)
        return ret;
    if (ex.pid < 0 || (ex.type != F_OWNER_TID && ex.type != F_OWNER_PID && ex.type != F_OWNER_PGRP))
        return -EINVAL;
    return set_owner(f, ex.type == F_OWNER_PGRP ? -ex.pid : ex.pid);
}

static long record_lock(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
    struct flock l;
    bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
    int ret = user_read(t, &l, arg, sizeof(l));
    if (ret < 0)
        return ret;
    if (ofd && l.l_pid != 0)
        return -EINVAL;
    if (cmd != F_GETLK && cmd != F_OFD_GETLK)
        return posix_lock_apply(t, f, &l, cmd == F_SETLKW || cmd == F_OFD_SETLKW, ofd);
    ret = posix_lock_test(t, f, &l, ofd);
    return ret < 0 ? ret : user_write(t, arg, &l, sizeof(l));
}

static long pipe_size(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
    struct pipe *p = pipe_of(f);
    if (!p)
        return -EBADF;
    if (cmd == F_GETPIPE_SZ)
        return pipe_get_size(p);
    return pipe_set_size(p, (unsigned)arg, cred_capable(t->cred, CAP_SYS_RESOURCE));
}

static long seals(struct file *f, unsigned cmd, uint64_t arg)
{
    if (cmd == F_GET_SEALS)
        return file_get_seals ? file_get_seals(f) : -EINVAL;
    return file_add_seals ? file_add_seals(f, (unsigned)arg) : -EINVAL;
}

/* What needs a file that is open, not only named (O_PATH). */
static long fcntl_open(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
    switch (cmd) {
    case F_SETFL:
        return set_flags(f, (unsigned)arg);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return record_lock(t, f, cmd, arg);
    case F_SETOWN:
        return set_owner(f, (int)arg);
    case F_GETOWN:
        return f->owner;
    case F_SETOWN_EX:
    case F_GETOWN_EX:
        return owner_ex(t, f, arg, cmd == F_SETOWN_EX);
    case F_SETSIG:
        if (arg > NSIG_MAX)
            return -EINVAL;
        f->owner_sig = (int)arg;
        return 0;
    case F_GETSIG:
        return f->owner_sig;
    case F_GETPIPE_SZ:
    case F_SETPIPE_SZ:
        return pipe_size(t, f, cmd, arg);
    case F_GET_SEALS:
    case F_ADD_SEALS:
        return seals(f, cmd, arg);
    case F_GETLEASE:
        return F_UNLCK;
    case F_SETLEASE:
        return arg == F_UNLCK ? -EAGAIN : -EINVAL;
    default:
        return -EINVAL;
    }
}

long sys_fcntl(struct task *t, const struct sysargs *a)
{
    int fd = (int)a->a[0];
    unsigned cmd = (unsigned)a->a[1];
    struct file *f = fd_get_raw(t, fd);
    long ret;
    if (!f)
        return -EBADF;
    switch (cmd) {
    case F_GETFD:
        ret = fd_get_cloexec(t, fd);
        break;
    case F_SETFD:
        ret = fd_set_cloexec(t, fd, a->a[2] & FD_CLOEXEC);
        break;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        ret = dup_from(t, f, (int)a->a[2], cmd == F_DUPFD_CLOEXEC);
        break;
    case F_GETFL: /* a 64-bit guest's files all have O_LARGEFILE, which glibc's headers call 0 */
        ret = (long)(f->flags & ~(unsigned)O_CLOEXEC);
        break;
    default:
        ret = f->fmode & FMODE_PATH ? -EBADF : fcntl_open(t, f, cmd, a->a[2]);
    }
    file_put(f);
    return ret;
}

long sys_flock(struct task *t, const struct sysargs *a)
{
    int op = (int)a->a[1] & ~LOCK_NB;
    if (op != LOCK_SH && op != LOCK_EX && op != LOCK_UN)
        return -EINVAL;
    struct file *f = fd_get(t, (int)a->a[0]);
    if (!f)
        return -EBADF;
    int ret = flock_apply(t, f, op, a->a[1] & LOCK_NB);
    file_put(f);
    return ret;
}
