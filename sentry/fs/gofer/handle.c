/*
 * Host descriptors of regular files: at most one for reading and one for writing an inode, shared by all files that are
 * open on it (they carry no position: all is pread and pwrite). One that nobody uses stays among the idle ones, so that
 * opening the file again asks nobody. Their number is bounded, and any of them may have to go for a new one: were it
 * the oldest, a program that goes over more files than that, again and again, would never find one.
 */
#include "sentry/fs/gofer/gofer.h"

#include "sentry/kernel/locking.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_IDLE 16384

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct lock handle_lock;                 /* RANK_LEAF: every handle's fields, inodes' slots, and what follows */
static struct gofer_handle *idle[MAX_IDLE + 1]; /* in no order; one more than are kept */
static unsigned idle_count, idle_max;

static void handles_init(void)
{
    struct rlimit r;

    lock_init(&handle_lock, RANK_LEAF);
    idle_max = getrlimit(RLIMIT_NOFILE, &r) == 0 ? (unsigned)MIN(r.rlim_cur / 4, (rlim_t)MAX_IDLE) : 64;
}

static void handle_free(struct gofer_handle *h)
{
    if (!h)
        return;
    gofer_map_free(&h->map);
    close(h->fd);
    free(h);
}

static struct gofer_handle *handle_new(int fd, int mode)
{
    struct gofer_handle *h = calloc(1, sizeof(*h));

    if (!h) {
        close(fd);
        return NULL;
    }
    h->fd = fd;
    h->mode = mode;
    return h;
}

/* ---- the idle ones ---- */

static void idle_add_locked(struct gofer_handle *h)
{
    idle[idle_count++] = h;
    h->idle = idle_count;
}

/* The last one takes the place of h, if that has one. */
static void idle_remove_locked(struct gofer_handle *h)
{
    if (!h->idle)
        return;
    struct gofer_handle *last = idle[--idle_count];
    idle[h->idle - 1] = last;
    last->idle = h->idle;
    h->idle = 0;
}

static void use_locked(struct gofer_handle *h)
{
    if (!h->users++)
        idle_remove_locked(h);
}

/* Takes h out of its inode and from the idle ones; the caller frees it. */
static void detach_locked(struct gofer_handle *h)
{
    if (h->slot)
        *h->slot = NULL;
    h->slot = NULL;
    idle_remove_locked(h);
}

/* One of the idle, to be freed so that no more than max are left, or NULL. */
static struct gofer_handle *overflow_locked(unsigned max)
{
    static uint32_t random = 1;

    if (idle_count <= max)
        return NULL;
    random = random * 1664525 + 1013904223; /* a linear congruential generator; its high bits are good enough */
    struct gofer_handle *h = idle[(uint64_t)random * idle_count >> 32];
    detach_locked(h);
    return h;
}

/* One user less; what is then to be freed, or NULL. */
static struct gofer_handle *put_locked(struct gofer_handle *h)
{
    if (--h->users)
        return NULL;
    if (!h->slot)
        return h;
    idle_add_locked(h);
    return overflow_locked(idle_max);
}

void gofer_handle_put(struct gofer_handle *h)
{
    lock(&handle_lock);
    struct gofer_handle *dead = put_locked(h);
    unlock(&handle_lock);
    handle_free(dead);
}

struct gofer_handle *gofer_handle_peek(struct inode *i, bool want_write)
{
    struct gofer_inode *gi = gofer_data(i);

    pthread_once(&once, handles_init);
    lock(&handle_lock);
    struct gofer_handle *h = gi->handles[HANDLE_WRITE];
    if (!h && !want_write)
        h = gi->handles[HANDLE_READ];
    if (h)
        use_locked(h);
    unlock(&handle_lock);
    return h;
}

static bool serves(const struct gofer_handle *h, int flags)
{
    return h && (h->mode == flags || (h->mode == O_RDWR && flags == O_WRONLY));
}

static int kind_of(int flags)
{
    return flags == O_RDONLY ? HANDLE_READ : HANDLE_WRITE;
}

/* Puts h into its slot if that is free, or holds one that can do less; what is to be freed, or NULL. */
static struct gofer_handle *install_locked(struct gofer_inode *gi, struct gofer_handle *h)
{
    struct gofer_handle **slot = &gi->handles[kind_of(h->mode)], *old = *slot;

    if (old && (old->mode == h->mode || old->mode == O_RDWR))
        return NULL; /* h stays without a slot */
    if (old)
        detach_locked(old);
    *slot = h;
    h->slot = slot;
    return old && !old->users ? old : NULL;
}

static int open_new(struct inode *i, int flags, int *out_fd, int *out_mode)
{
    struct gofer_conn *c = gofer_conn(i);
    struct gofer_walk w = {.open = flags == O_RDONLY};

    *out_mode = flags == O_WRONLY ? O_RDWR : flags;
    int ret = gofer_walk(i, &w); /* for its fid, if it has none: with that comes a descriptor */
    if (ret < 0)
        return ret;
    if (w.fd >= 0) {
        *out_fd = w.fd;
        return 0;
    }
    const uint32_t fid = atomic_load(&gofer_data(i)->fid);
    ret = rpc_open(c, fid, *out_mode, out_fd);
    if (ret == -EACCES && flags == O_WRONLY)
        ret = rpc_open(c, fid, *out_mode = O_WRONLY, out_fd);
    return ret;
}

/* Frees an idle handle; false: there was none. */
static bool free_one(void)
{
    lock(&handle_lock);
    struct gofer_handle *h = overflow_locked(idle_count ? idle_count - 1 : 0);
    unlock(&handle_lock);
    handle_free(h);
    return h;
}

int gofer_handle_get(struct inode *i, int flags, struct gofer_handle **out)
{
    struct gofer_inode *gi = gofer_data(i);
    int fd, mode;

    pthread_once(&once, handles_init);
    lock(&handle_lock);
    struct gofer_handle *h = gi->handles[kind_of(flags)];
    bool found = serves(h, flags);
    if (found)
        use_locked(h);
    unlock(&handle_lock);
    if (found) {
        *out = h;
        return 0;
    }
    int ret = open_new(i, flags, &fd, &mode);
    while (gofer_make_room(ret) || (ret == -ENFILE && free_one()))
        ret = open_new(i, flags, &fd, &mode);
    if (ret < 0)
        return ret;
    h = handle_new(fd, mode);
    if (!h)
        return -ENOMEM;
    lock(&handle_lock);
    h->users = 1;
    struct gofer_handle *dead = install_locked(gi, h);
    unlock(&handle_lock);
    handle_free(dead);
    *out = h;
    return 0;
}

void gofer_handle_offer(struct inode *i, int fd, int flags)
{
    pthread_once(&once, handles_init);
    struct gofer_handle *h = handle_new(fd, flags);
    if (!h)
        return;
    lock(&handle_lock);
    h->users = 1;
    struct gofer_handle *replaced = install_locked(gofer_data(i), h), *dead = put_locked(h);
    unlock(&handle_lock);
    handle_free(replaced);
    handle_free(dead);
}

void gofer_handle_drop(struct inode *i)
{
    struct gofer_inode *gi = gofer_data(i);

    pthread_once(&once, handles_init);
    for (int k = 0; k < HANDLE_KINDS; k++) {
        lock(&handle_lock);
        struct gofer_handle *h = gi->handles[k];
        if (h)
            detach_locked(h);
        unlock(&handle_lock);
        handle_free(h);
    }
}
