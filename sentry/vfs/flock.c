/*
 * File locks: flock(2) locks, owned by an open file description, and fcntl(2) record locks, owned by a process or, as
 * OFD locks, by a description. flock and record locks do not see each other.
 *
 * An inode that was ever locked has a struct file_locks with two lists: whole-file flocks, and record locks, each a
 * range [start, end] of one owner, where the ranges of one owner never overlap. Setting a range first cuts it out of
 * what the owner has, then adds the new range and joins equal neighbours. Waiters sleep on one queue an inode and look
 * again.
 *
 * Deadlock: a process that will wait registers whom it waits for; before that, the chain of waits is followed, and if
 * it leads back to the process the call fails with EDEADLK. One lock (locks_lock) guards all lists and waits: file
 * locks are rare, and the chain crosses inodes.
 */
#include "sentry/vfs/flock.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>

struct range_lock {
    struct list node;
    const void *owner; /* struct thread_group, or struct file for OFD and flock */
    pid_t pid;         /* as F_GETLK shows: -1 for OFD */
    bool exclusive;
    int64_t start, end; /* inclusive; INT64_MAX: to the end of the file */
};

struct file_locks {
    struct list flocks, records;
    struct waitq wait;
};

/* A process that waits for another's record lock. */
struct lock_wait {
    struct list node;
    const void *waiter, *holder;
};

static struct lock locks_lock = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static struct list lock_waits = LIST_INIT(lock_waits);

static struct file_locks *locks_of(struct inode *i)
{
    lock(&locks_lock);
    struct file_locks *fl = i->locks;
    if (!fl && (fl = calloc(1, sizeof(*fl)))) {
        list_init(&fl->flocks);
        list_init(&fl->records);
        waitq_init(&fl->wait);
        __atomic_store_n(&i->locks, fl, __ATOMIC_RELEASE);
    }
    unlock(&locks_lock);
    return fl;
}

/* The file that f's name stands for: below an overlay f->inode changes when a file is copied up. */
static struct inode *locked_inode(const struct file *f)
{
    return dentry_inode(f->dentry);
}

static struct range_lock *find_conflict(struct list *head, const struct range_lock *want)
{
    struct range_lock *l;
    list_for_each (l, head, node) {
        if (l->owner != want->owner && (l->exclusive || want->exclusive) && l->start <= want->end &&
            want->start <= l->end)
            return l;
    }
    return NULL;
}

static void remove_owner(struct list *head, const void *owner)
{
    struct range_lock *l, *next;
    list_for_each_safe (l, next, head, node) {
        if (l->owner != owner)
            continue;
        list_del(&l->node);
        free(l);
    }
}

/* Cuts [want->start, want->end] out of what the owner has. *spare is used if a range is split in two. */
static void cut_range(struct list *head, const struct range_lock *want, struct range_lock **spare)
{
    struct range_lock *l, *next;
    list_for_each_safe (l, next, head, node) {
        if (l->owner != want->owner || l->end < want->start || l->start > want->end)
            continue;
        bool left = l->start<want->start, right = l->end> want->end;
        if (left && right) {
            struct range_lock *r = *spare;
            *spare = NULL;
            *r = *l;
            r->start = want->end + 1;
            l->end = want->start - 1;
            list_push_back(&l->node, &r->node);
        } else if (left) {
            l->end = want->start - 1;
        } else if (right) {
            l->start = want->end + 1;
        } else {
            list_del(&l->node);
            free(l);
        }
    }
}

/* Takes into l the owner's neighbours of the same kind. */
static void join_neighbours(struct list *head, struct range_lock *l)
{
    struct range_lock *o, *next;
    list_for_each_safe (o, next, head, node) {
        if (o == l || o->owner != l->owner || o->exclusive != l->exclusive)
            continue;
        if (o->end != INT64_MAX && o->end + 1 == l->start)
            l->start = o->start;
        else if (l->end != INT64_MAX && l->end + 1 == o->start)
            l->end = o->end;
        else
            continue;
        list_del(&o->node);
        free(o);
    }
}

static bool would_deadlock(const void *waiter, const void *holder)
{
    struct lock_wait *w;
    for (int depth = 0; depth < 64; depth++) {
        const void *next = NULL;
        if (holder == waiter)
            return true;
        list_for_each (w, &lock_waits, node) {
            if (w->waiter == holder)
                next = w->holder;
        }
        if (!next)
            return false;
        holder = next;
    }
    return false;
}

/* Repeats until no other owner's lock stands in the way. Returns with locks_lock held in any case. */
static int wait_for_range(struct task *t, struct file_locks *fl, struct list *head, const struct range_lock *want,
                          bool wait, bool detect)
{
    struct range_lock *c;
    struct waiter w;
    int ret = 0;
    lock(&locks_lock);
    if (!find_conflict(head, want))
        return 0;
    if (!wait)
        return -EAGAIN;
    waiter_init_task(&w, t);
    waitq_add(&fl->wait, &w);
    while (ret == 0 && (c = find_conflict(head, want))) {
        struct lock_wait lw = {.waiter = want->owner, .holder = c->owner};
        if (detect && would_deadlock(want->owner, c->owner)) {
            ret = -EDEADLK;
            break;
        }
        list_push_back(&lock_waits, &lw.node);
        unlock(&locks_lock);
        ret = task_sleep(t, NO_DEADLINE);
        lock(&locks_lock);
        list_del(&lw.node);
    }
    waitq_remove(&w);
    return ret;
}

int flock_apply(struct task *t, struct file *f, int op, bool nonblock)
{
    struct file_locks *fl = locks_of(locked_inode(f));
    struct range_lock *l = calloc(1, sizeof(*l));
    int ret = -ENOMEM;
    if (!fl || !l)
        goto out;
    *l = (struct range_lock){.owner = f, .exclusive = op == LOCK_EX, .end = INT64_MAX};
    list_init(&l->node);
    lock(&locks_lock);
    remove_owner(&fl->flocks, f); /* flock(2): a conversion is not atomic: the old lock goes first */
    unlock(&locks_lock);
    waitq_wake(&fl->wait, ~0u);
    ret = 0;
    if (op == LOCK_UN)
        goto out;
    ret = wait_for_range(t, fl, &fl->flocks, l, !nonblock, false);
    if (ret == 0) {
        list_push_back(&fl->flocks, &l->node);
        l = NULL;
    }
    unlock(&locks_lock);
out:
    free(l);
    return ret;
}

/* The range that l names, resolved against f's position and size. -EINVAL, -EOVERFLOW. */
static int resolve_range(struct file *f, const struct flock *l, struct range_lock *out)
{
    int64_t base = 0, start, last;
    struct kstat st;
    if (l->l_whence == SEEK_CUR) {
        base = f->pos;
    } else if (l->l_whence == SEEK_END) {
        int ret = inode_getattr(locked_inode(f), &st);
        if (ret < 0)
            return ret;
        base = (int64_t)st.size;
    } else if (l->l_whence != SEEK_SET) {
        return -EINVAL;
    }
    if (__builtin_add_overflow(base, l->l_start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    if (l->l_len > 0) {
        if (__builtin_add_overflow(start, l->l_len - 1, &last))
            return -EOVERFLOW;
        *out = (struct range_lock){.start = start, .end = last};
    } else if (l->l_len < 0) {
        if (__builtin_add_overflow(start, l->l_len, &last) || last < 0)
            return -EINVAL;
        *out = (struct range_lock){.start = last, .end = start - 1};
    } else {
        *out = (struct range_lock){.start = start, .end = INT64_MAX};
    }
    return 0;
}

static void set_owner(struct range_lock *r, struct task *t, struct file *f, bool ofd)
{
    r->owner = ofd ? (const void *)f : (const void *)t->tg;
    r->pid = ofd ? -1 : t->tg->tgid;
}

static int check_type(struct file *f, int type)
{
    if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK)
        return -EINVAL;
    if ((type == F_RDLCK && !(f->fmode & FMODE_READ)) || (type == F_WRLCK && !(f->fmode & FMODE_WRITE)))
        return -EBADF;
    return 0;
}

int posix_lock_apply(struct task *t, struct file *f, const struct flock *l, bool wait, bool ofd)
{
    struct range_lock want, *mine = NULL, *spare = NULL;
    struct file_locks *fl;
    int ret = check_type(f, l->l_type);
    if (ret == 0)
        ret = resolve_range(f, l, &want);
    if (ret < 0)
        return ret;
    set_owner(&want, t, f, ofd);
    want.exclusive = l->l_type == F_WRLCK;
    fl = locks_of(locked_inode(f));
    mine = calloc(1, sizeof(*mine));
    spare = calloc(1, sizeof(*spare));
    ret = -ENOMEM;
    if (!fl || !mine || !spare)
        goto out;
    if (l->l_type == F_UNLCK) {
        lock(&locks_lock);
        ret = 0;
    } else {
        ret = wait_for_range(t, fl, &fl->records, &want, wait, !ofd);
    }
    if (ret == 0) {
        cut_range(&fl->records, &want, &spare);
        if (l->l_type != F_UNLCK) {
            *mine = want;
            list_push_back(&fl->records, &mine->node);
            join_neighbours(&fl->records, mine);
            mine = NULL;
        }
    }
    unlock(&locks_lock);
    waitq_wake(&fl->wait, ~0u); /* an unlock or a downgrade may let others in */
out:
    free(mine);
    free(spare);
    return ret;
}

int posix_lock_test(struct task *t, struct file *f, struct flock *l, bool ofd)
{
    struct range_lock want, *c;
    if (l->l_type != F_RDLCK && l->l_type != F_WRLCK)
        return -EINVAL;
    int ret = resolve_range(f, l, &want);
    if (ret < 0)
        return ret;
    set_owner(&want, t, f, ofd);
    want.exclusive = l->l_type == F_WRLCK;
    lock(&locks_lock);
    c = locked_inode(f)->locks ? find_conflict(&locked_inode(f)->locks->records, &want) : NULL;
    l->l_type = F_UNLCK;
    if (c) {
        l->l_type = c->exclusive ? F_WRLCK : F_RDLCK;
        l->l_whence = SEEK_SET;
        l->l_start = c->start;
        l->l_len = c->end == INT64_MAX ? 0 : c->end - c->start + 1;
        l->l_pid = c->pid;
    }
    unlock(&locks_lock);
    return 0;
}

static struct file_locks *any_locks(struct inode *i)
{
    return __atomic_load_n(&i->locks, __ATOMIC_ACQUIRE);
}

void file_locks_close(struct file *f, struct task *t)
{
    struct file_locks *fl = any_locks(locked_inode(f));
    if (!fl)
        return;
    lock(&locks_lock);
    remove_owner(&fl->records, t->tg);
    unlock(&locks_lock);
    waitq_wake(&fl->wait, ~0u);
}

void file_locks_release(struct file *f)
{
    struct file_locks *fl = any_locks(locked_inode(f));
    if (!fl)
        return;
    lock(&locks_lock);
    remove_owner(&fl->flocks, f);
    remove_owner(&fl->records, f);
    unlock(&locks_lock);
    waitq_wake(&fl->wait, ~0u);
}

void file_locks_free(struct inode *i)
{
    free(i->locks);
    i->locks = NULL;
}
