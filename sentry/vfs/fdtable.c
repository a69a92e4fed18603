/*
 * Descriptor tables: an array of slots that grows by doubling, with bitmaps for "in use" (reserved or open) and
 * close-on-exec. One lock a table; a table that only one task uses is never contended.
 */
#include "sentry/vfs/fdtable.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* flock.c drops the process's record locks at each close. */
void file_locks_close(struct file *f, struct task *t) __attribute__((weak));

#define FIRST_SIZE 64
#define BITS 64
#define FD_LIMIT (1 << 20) /* nr_open */

struct files {
    refcount_t refs;
    struct lock lock;    /* RANK_FDTABLE: all below */
    int size;            /* slots; a multiple of BITS */
    struct file **slots; /* each counted; NULL: free or only reserved */
    uint64_t *used, *cloexec;
    int lowest; /* no free number is below it */
};

static bool bit_get(const uint64_t *map, int n)
{
    return map[n / BITS] >> (n % BITS) & 1;
}

static void bit_put(uint64_t *map, int n, bool on)
{
    uint64_t mask = 1ULL << (n % BITS);

    map[n / BITS] = on ? map[n / BITS] | mask : map[n / BITS] & ~mask;
}

static int files_grow(struct files *fs, int want)
{
    int size = fs->size ? fs->size : FIRST_SIZE;

    while (size <= want)
        size *= 2;
    if (size > FD_LIMIT)
        return -EMFILE;
    struct file **slots = calloc((size_t)size, sizeof(*slots));
    uint64_t *used = calloc((size_t)size / BITS, sizeof(*used)), *cloexec = calloc((size_t)size / BITS, sizeof(*used));
    if (!slots || !used || !cloexec) {
        free(slots);
        free(used);
        free(cloexec);
        return -ENOMEM;
    }
    if (fs->size) {
        memcpy(slots, fs->slots, (size_t)fs->size * sizeof(*slots));
        memcpy(used, fs->used, (size_t)fs->size / BITS * sizeof(*used));
        memcpy(cloexec, fs->cloexec, (size_t)fs->size / BITS * sizeof(*cloexec));
    }
    free(fs->slots);
    free(fs->used);
    free(fs->cloexec);
    fs->slots = slots, fs->used = used, fs->cloexec = cloexec, fs->size = size;
    return 0;
}

struct files *files_new(void)
{
    struct files *fs = calloc(1, sizeof(*fs));

    if (!fs)
        return NULL;
    ref_init(&fs->refs);
    lock_init(&fs->lock, RANK_FDTABLE);
    if (files_grow(fs, 0) < 0) {
        free(fs);
        return NULL;
    }
    return fs;
}

struct files *files_clone(struct files *fs)
{
    struct files *copy = files_new();
    int ret = 0;

    if (!copy)
        return NULL;
    lock(&fs->lock);
    if (fs->size > copy->size)
        ret = files_grow(copy, fs->size - 1);
    for (int fd = 0; ret == 0 && fd < fs->size; fd++) {
        if (!fs->slots[fd])
            continue;
        copy->slots[fd] = file_get(fs->slots[fd]);
        bit_put(copy->used, fd, true);
        bit_put(copy->cloexec, fd, bit_get(fs->cloexec, fd));
    }
    unlock(&fs->lock);
    if (ret < 0) {
        files_put(copy, NULL);
        return NULL;
    }
    return copy;
}

struct files *files_get(struct files *fs)
{
    ref_get(&fs->refs);
    return fs;
}

/* What close(2) does with a file that has left the table. */
static void close_file(struct file *f, struct task *t)
{
    if (t && f->inode && file_locks_close)
        file_locks_close(f, t);
    if (f->ops && f->ops->flush && t)
        f->ops->flush(f, t);
    file_put(f);
}

void files_put(struct files *fs, struct task *t)
{
    if (!fs || !ref_put(&fs->refs))
        return;
    for (int fd = 0; fd < fs->size; fd++)
        if (fs->slots[fd])
            close_file(fs->slots[fd], t);
    lock_destroy(&fs->lock);
    free(fs->slots);
    free(fs->used);
    free(fs->cloexec);
    free(fs);
}

int files_refs(struct files *fs)
{
    return atomic_load(&fs->refs.n);
}

struct file *files_get_file(struct files *fs, int fd)
{
    struct file *f = NULL;

    lock(&fs->lock);
    if (fd >= 0 && fd < fs->size && fs->slots[fd])
        f = file_get(fs->slots[fd]);
    unlock(&fs->lock);
    return f;
}

struct file *fd_get_raw(struct task *t, int fd)
{
    return files_get_file(t->files, fd);
}

struct file *fd_get(struct task *t, int fd)
{
    struct file *f = fd_get_raw(t, fd);

    if (f && (f->fmode & FMODE_PATH)) {
        file_put(f);
        return NULL;
    }
    return f;
}

static int nofile_limit(struct task *t)
{
    uint64_t limit = tg_limit(t->tg, RLIMIT_NOFILE);

    return limit > FD_LIMIT ? FD_LIMIT : (int)limit;
}

static int lowest_free(const struct files *fs, int from)
{
    for (int word = from / BITS; word < fs->size / BITS; word++) {
        uint64_t free_bits = ~fs->used[word];
        if (word == from / BITS)
            free_bits &= ~0ULL << (from % BITS);
        if (free_bits)
            return word * BITS + __builtin_ctzll(free_bits);
    }
    return fs->size;
}

int fd_reserve(struct task *t, int min)
{
    struct files *fs = t->files;
    int limit = nofile_limit(t);

    if (min < 0 || min >= limit)
        return min < 0 ? -EINVAL : -EMFILE;
    lock(&fs->lock);
    int from = MAX(min, fs->lowest), fd = from < fs->size ? lowest_free(fs, from) : from;
    int ret = fd >= limit ? -EMFILE : fd >= fs->size ? files_grow(fs, fd) : 0;
    if (ret == 0) {
        bit_put(fs->used, fd, true);
        if (from == fs->lowest)
            fs->lowest = fd + 1;
        ret = fd;
    }
    unlock(&fs->lock);
    return ret;
}

static void release_number(struct files *fs, int fd)
{
    bit_put(fs->used, fd, false);
    bit_put(fs->cloexec, fd, false);
    fs->lowest = MIN(fs->lowest, fd);
}

void fd_unreserve(struct task *t, int fd)
{
    lock(&t->files->lock);
    release_number(t->files, fd);
    unlock(&t->files->lock);
}

int fd_reserve_pair(struct task *t, uint64_t addr, int fds[2])
{
    fds[0] = fd_reserve(t, 0);
    if (fds[0] < 0)
        return fds[0];
    fds[1] = fd_reserve(t, 0);
    int ret = fds[1] < 0 ? fds[1] : user_write(t, addr, fds, 2 * sizeof(int));
    if (ret == 0)
        return 0;
    if (fds[1] >= 0)
        fd_unreserve(t, fds[1]);
    fd_unreserve(t, fds[0]);
    return ret;
}

void fd_install(struct task *t, int fd, struct file *f, bool cloexec)
{
    lock(&t->files->lock);
    t->files->slots[fd] = f;
    bit_put(t->files->cloexec, fd, cloexec);
    unlock(&t->files->lock);
}

int fd_add(struct task *t, struct file *f, bool cloexec)
{
    int fd = fd_reserve(t, 0);

    if (fd < 0)
        file_put(f);
    else
        fd_install(t, fd, f, cloexec);
    return fd;
}

/* Takes the file out of its slot and frees the number; NULL: it is not open. */
static struct file *take_locked(struct files *fs, int fd)
{
    if (fd < 0 || fd >= fs->size || !fs->slots[fd])
        return NULL;
    struct file *f = fs->slots[fd];
    fs->slots[fd] = NULL;
    release_number(fs, fd);
    return f;
}

int fd_close(struct task *t, int fd)
{
    lock(&t->files->lock);
    struct file *f = take_locked(t->files, fd);
    unlock(&t->files->lock);
    if (!f)
        return -EBADF;
    close_file(f, t);
    return 0;
}

int fd_replace(struct task *t, int new_fd, struct file *f, bool cloexec)
{
    struct files *fs = t->files;
    struct file *old = NULL;
    int ret = new_fd < 0 || new_fd >= nofile_limit(t) ? -EBADF : 0;

    lock(&fs->lock);
    if (ret == 0 && new_fd >= fs->size)
        ret = files_grow(fs, new_fd);
    if (ret == 0 && bit_get(fs->used, new_fd) && !fs->slots[new_fd])
        ret = -EBUSY; /* another thread's open() is about to use this number */
    if (ret == 0) {
        old = fs->slots[new_fd];
        fs->slots[new_fd] = f;
        bit_put(fs->used, new_fd, true);
        bit_put(fs->cloexec, new_fd, cloexec);
    }
    unlock(&fs->lock);
    if (ret < 0) {
        file_put(f);
        return ret;
    }
    if (old)
        close_file(old, t);
    return new_fd;
}

int fd_set_cloexec(struct task *t, int fd, bool on)
{
    struct files *fs = t->files;
    int ret = -EBADF;

    lock(&fs->lock);
    if (fd >= 0 && fd < fs->size && fs->slots[fd]) {
        bit_put(fs->cloexec, fd, on);
        ret = 0;
    }
    unlock(&fs->lock);
    return ret;
}

int fd_get_cloexec(struct task *t, int fd)
{
    struct files *fs = t->files;
    int ret = -EBADF;

    lock(&fs->lock);
    if (fd >= 0 && fd < fs->size && fs->slots[fd])
        ret = bit_get(fs->cloexec, fd);
    unlock(&fs->lock);
    return ret;
}

int fd_close_range(struct task *t, unsigned first, unsigned last, bool only_mark)
{
    struct files *fs = t->files;

    if (first > last)
        return -EINVAL;
    for (unsigned fd = first; fd <= last; fd++) {
        struct file *f = NULL;
        lock(&fs->lock);
        bool beyond = fd >= (unsigned)fs->size;
        if (!beyond && only_mark && fs->slots[fd])
            bit_put(fs->cloexec, (int)fd, true);
        else if (!beyond && !only_mark)
            f = take_locked(fs, (int)fd);
        unlock(&fs->lock);
        if (f)
            close_file(f, t);
        if (beyond)
            break;
    }
    return 0;
}

void files_close_on_exec(struct task *t)
{
    struct files *fs = t->files;

    for (int fd = 0; fd < fs->size; fd++) {
        lock(&fs->lock);
        struct file *f = bit_get(fs->cloexec, fd) ? take_locked(fs, fd) : NULL;
        unlock(&fs->lock);
        if (f)
            close_file(f, t);
    }
}

int files_next(struct files *fs, int fd)
{
    lock(&fs->lock);
    while (fd < fs->size && !fs->slots[fd])
        fd++;
    int ret = fd < fs->size ? fd : -1;
    unlock(&fs->lock);
    return ret;
}
