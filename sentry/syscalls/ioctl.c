/* ioctl(2): the requests that every file understands, then the file's own operation. */
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <sys/ioctl.h>

static long set_flag(struct task *t, struct file *f, uint64_t arg, unsigned flag)
{
    int on;
    int ret = user_read(t, &on, arg, sizeof(on));
    if (ret < 0)
        return ret;
    if (on)
        atomic_fetch_or(&f->flags, flag);
    else
        atomic_fetch_and(&f->flags, ~flag);
    return 0;
}

/* FIONREAD of a regular file: what is left to its end. */
static long bytes_left(struct task *t, struct file *f, uint64_t arg)
{
    struct kstat st;
    int ret = inode_getattr(f->inode, &st);
    if (ret < 0)
        return ret;
    int n = (int)((int64_t)st.size - f->pos);
    return user_write(t, arg, &n, sizeof(n));
}

long sys_ioctl(struct task *t, const struct sysargs *a)
{
    int fd = (int)a->a[0];
    unsigned cmd = (unsigned)a->a[1];
    struct file *f = fd_get(t, fd);
    long ret;
    if (!f)
        return -EBADF;
    switch (cmd) {
    case FIOCLEX:
    case FIONCLEX:
        ret = fd_set_cloexec(t, fd, cmd == FIOCLEX);
        break;
    case FIONBIO:
        ret = set_flag(t, f, a->a[2], O_NONBLOCK);
        break;
    case FIOASYNC: /* no SIGIO is ever sent, so setting the flag would be a lie */
        ret = -ENOTTY;
        break;
    default:
        if (f->ops->ioctl)
            ret = f->ops->ioctl(f, t, cmd, a->a[2]);
        else
            ret = cmd == FIONREAD && S_ISREG(f->inode->mode) ? bytes_left(t, f, a->a[2]) : -ENOTTY;
    }
    file_put(f);
    return ret;
}
