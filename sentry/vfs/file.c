/* Open files: making, counting, and the checks that every read and write shares. */
#include "sentry/vfs/file.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* epoll.c forgets the file when its last reference goes. */
void epoll_file_released(struct file *f) __attribute__((weak));
/* flock.c drops the locks that the description holds. */
void file_locks_release(struct file *f) __attribute__((weak));

struct file *file_new(const struct path *p, unsigned fmode, unsigned flags, const struct cred *cred)
{
    struct file *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    ref_init(&f->refs);
    f->mnt = p->mnt;
    f->dentry = p->dentry;
    path_get(p);
    f->inode = dentry_inode(p->dentry);
    f->fmode = fmode;
    f->flags = flags;
    f->cred = cred ? cred_get(cred) : NULL;
    lock_init(&f->pos_lock, RANK_FILE_POS);
    lock_init(&f->epoll_lock, RANK_LEAF);
    list_init(&f->epoll_items);
    return f;
}

struct file *file_get(struct file *f)
{
    ref_get(&f->refs);
    return f;
}

void file_put(struct file *f)
{
    if (!f || !ref_put(&f->refs))
        return;
    if (!list_empty(&f->epoll_items) && epoll_file_released)
        epoll_file_released(f);
    if (f->inode && file_locks_release)
        file_locks_release(f);
    if (f->ops && f->ops->release)
        f->ops->release(f);
    if (f->fmode & FMODE_OPENED)
        notify_closed(f);
    struct inode *named = dentry_inode(f->dentry); /* where open counted; f->inode may be one below an overlay */
    if (f->fmode & FMODE_EXEC)
        atomic_fetch_sub(&named->write_deny, 1);
    else if ((f->fmode & FMODE_WRITE) && S_ISREG(named->mode))
        atomic_fetch_add(&named->write_deny, 1);
    struct path p = {f->mnt, f->dentry};
    path_put(&p);
    if (f->cred)
        cred_put(f->cred);
    lock_destroy(&f->pos_lock);
    lock_destroy(&f->epoll_lock);
    free(f);
}

/* ---- anonymous files ---- */

static int anon_setattr(struct inode *i, const struct iattr *a)
{
    return S_ISSOCK(i->mode) ? inode_setattr_kept(i, a) : -EOPNOTSUPP;
}

static const struct inode_ops anon_inode_ops = {.setattr = anon_setattr}; /* no open: it cannot be opened once more */

int anon_path_new(const char *name, const struct inode_ops *ops, mode_t mode, struct path *out)
{
    static _Atomic uint64_t next_ino = 1000;
    const size_t len = strlen(name);
    const uint64_t ino = atomic_fetch_add(&next_ino, 1);
    struct mount *mnt = mount_anon();
    char numbered[64];

    struct inode *i = inode_new(mount_sb(mnt), ops ? ops : &anon_inode_ops, NULL, ino, mode);
    if (!i)
        return -ENOMEM;
    if (current) {
        i->uid = current->cred->fsuid;
        i->gid = current->cred->fsgid;
    }
    if (len && name[len - 1] == ':') {
        snprintf(numbered, sizeof(numbered), "%s[%llu]", name, (unsigned long long)ino);
        name = numbered;
    }
    struct dentry *d = dentry_new_anon(i, name);
    if (!d) {
        inode_put(i);
        return -ENOMEM;
    }
    *out = (struct path){mount_get(mnt), d};
    return 0;
}

int file_new_on_anon(const struct path *p, const struct file_ops *ops, unsigned fmode, unsigned flags, void *priv,
                     struct file **out)
{
    struct file *f = file_new(p, fmode, flags, current ? current->cred : NULL);

    if (!f)
        return -ENOMEM;
    f->ops = ops;
    f->priv = priv;
    if ((fmode & FMODE_WRITE) && S_ISREG(f->inode->mode))
        atomic_fetch_sub(&f->inode->write_deny, 1);
    *out = f;
    return 0;
}

int file_new_anon(const char *name, const struct file_ops *ops, unsigned fmode, unsigned flags, mode_t mode, void *priv,
                  struct file **out)
{
    struct path p;

    int ret = anon_path_new(name, NULL, mode, &p);
    if (ret < 0)
        return ret;
    ret = file_new_on_anon(&p, ops, fmode, flags, priv, out);
    path_put(&p);
    return ret;
}

/* ---- reading and writing ---- */

typedef ssize_t (*transfer_fn)(struct file *f, struct uio *u, int64_t *pos);

/* At f's own position, held still meanwhile; streams have none. */
static ssize_t transfer_at_own(struct file *f, struct uio *u, transfer_fn fn)
{
    int64_t none = 0;

    if (f->fmode & FMODE_STREAM)
        return fn(f, u, &none);
    lock(&f->pos_lock);
    int64_t pos = f->pos;
    ssize_t n = fn(f, u, &pos);
    f->pos = pos;
    unlock(&f->pos_lock);
    return n;
}

static bool refuses_nowait(const struct file *f)
{
    return !(f->fmode & FMODE_NOWAIT) && !(S_ISREG(f->inode->mode) && (mount_sb(f->mnt)->flags & SB_NOWAIT));
}

static ssize_t transfer(struct file *f, struct uio *u, int64_t *pos, transfer_fn fn)
{
    if (u->nowait && refuses_nowait(f))
        return -EOPNOTSUPP;
    if (!pos)
        return transfer_at_own(f, u, fn);
    if (f->fmode & FMODE_STREAM)
        return -ESPIPE;
    if (*pos < 0)
        return -EINVAL;
    return fn(f, u, pos);
}

ssize_t file_read(struct file *f, struct uio *u, int64_t *pos)
{
    if (!(f->fmode & FMODE_READ))
        return -EBADF;
    if (!f->ops->read)
        return S_ISDIR(f->inode->mode) ? -EISDIR : -EINVAL;
    ssize_t n = transfer(f, u, pos, f->ops->read);
    if (n > 0)
        notify(f->dentry, IN_ACCESS);
    return n;
}

ssize_t file_write(struct file *f, struct uio *u, int64_t *pos)
{
    if (!(f->fmode & FMODE_WRITE))
        return -EBADF;
    if (!f->ops->write)
        return -EINVAL;
    ssize_t n = transfer(f, u, pos, f->ops->write);
    if (n > 0)
        notify(f->dentry, IN_MODIFY);
    return n;
}

bool file_may_wait(const struct file *f, const struct uio *u)
{
    return !(f->flags & O_NONBLOCK) && !u->nowait && current;
}

int file_retry(struct file *f, const struct uio *u, struct waitq *q, uint32_t events,
               bool (*try)(struct file *f, void *arg), void *arg)
{
    struct waiter w;
    int slept = 0;
    bool done;

    if (try(f, arg))
        return 0;
    if (!file_may_wait(f, u))
        return -EAGAIN;
    waiter_init_task(&w, current);
    w.mask = events;
    waitq_add(q, &w);
    while (!(done = try(f, arg)) && slept == 0)
        slept = task_sleep(current, NO_DEADLINE);
    waitq_remove(&w);
    return done ? 0 : slept;
}

ssize_t file_pread_kernel(struct file *f, void *buf, size_t len, int64_t pos)
{
    size_t done = 0;

    if (!f->ops->read)
        return -EINVAL;
    while (done < len) {
        struct uio u;
        uio_kernel(&u, (char *)buf + done, len - done);
        ssize_t n = f->ops->read(f, &u, &pos);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}
