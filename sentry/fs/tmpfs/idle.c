/*
 * The memfds of files that nobody has open. A tree may hold more files that were mapped once, or grew large, than the
 * sentry may have descriptors: so only some of the idle ones keep theirs, those used last. Of the others the bytes go
 * back to the sentry's memory (tmpfs_demote()), but for files that would take too long to copy; of those there cannot
 * be many, for want of memory.
 *
 * A mapping holds its file open, so an idle file is not mapped either.
 */
#include "sentry/fs/tmpfs/tmpfs.h"

#include "sentry/kernel/locking.h"

#include <sys/resource.h>

#define IDLE_MAX 4096
#define TRIM_AT_ONCE 4 /* more than one open can leave behind */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct lock idle_lock; /* RANK_LEAF: the list, and users, has_fd and idle of every inode */
static struct list idle_list = LIST_INIT(idle_list);
static _Atomic unsigned idle_count;
static unsigned idle_max;

static void idle_init(void)
{
    struct rlimit r;

    lock_init(&idle_lock, RANK_LEAF);
    idle_max = getrlimit(RLIMIT_NOFILE, &r) == 0 ? (unsigned)MIN(r.rlim_cur / 4, (rlim_t)IDLE_MAX) : 64;
}

/* Puts the file on the list or takes it off, as it now should be. */
static void relist_locked(struct tmpfs_inode *ti)
{
    const bool idle = ti->has_fd && !ti->users, listed = !list_empty(&ti->idle);

    if (idle && !listed) {
        list_push_back(&idle_list, &ti->idle);
        atomic_fetch_add(&idle_count, 1);
    } else if (!idle && listed) {
        list_del(&ti->idle);
        atomic_fetch_sub(&idle_count, 1);
    }
}

static void add_users(struct inode *i, int more)
{
    struct tmpfs_inode *ti = tmpfs_data(i);

    pthread_once(&once, idle_init);
    lock(&idle_lock);
    ti->users += more;
    relist_locked(ti);
    unlock(&idle_lock);
}

void tmpfs_use_begin(struct inode *i)
{
    add_users(i, 1);
}

void tmpfs_use_end(struct inode *i)
{
    add_users(i, -1);
}

void tmpfs_note_fd(struct inode *i, bool has_fd)
{
    struct tmpfs_inode *ti = tmpfs_data(i);

    pthread_once(&once, idle_init);
    lock(&idle_lock);
    ti->has_fd = has_fd;
    relist_locked(ti);
    unlock(&idle_lock);
}

static bool in_use(struct inode *i)
{
    lock(&idle_lock);
    const bool yes = tmpfs_data(i)->users > 0;
    unlock(&idle_lock);
    return yes;
}

/* Takes the file off the list that has been idle longest, if there are too many; a new reference, or NULL. */
static struct inode *take_oldest(void)
{
    struct inode *oldest = NULL;

    lock(&idle_lock);
    while (!oldest && atomic_load(&idle_count) > idle_max) {
        struct tmpfs_inode *ti = list_first(&idle_list, struct tmpfs_inode, idle);
        list_del(&ti->idle);
        atomic_fetch_sub(&idle_count, 1);
        if (ref_get_unless_zero(&ti->inode->refs))
            oldest = ti->inode;
    }
    unlock(&idle_lock);
    return oldest;
}

void tmpfs_trim_idle(void)
{
    struct inode *i;

    for (int n = 0; n < TRIM_AT_ONCE && atomic_load(&idle_count) > idle_max && (i = take_oldest()); n++) {
        lock(&i->lock);
        if (!in_use(i)) /* whoever opens it from now on waits for this lock before he looks for a descriptor */
            tmpfs_demote(i);
        unlock(&i->lock);
        inode_put(i);
    }
}
