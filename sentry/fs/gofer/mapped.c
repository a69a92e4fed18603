/*
 * Reads out of the mapped file. One copy takes the bytes from the host's page cache to the guest, where a pread and a
 * copy take two; a small read is spared the host call.
 *
 * But to touch a page of a mapping for the first time may cost several times what copying it does (docs/benchmarks.md).
 * So a file is mapped once it has been read some times over: what its pages then cost once is about what was spent for
 * second copies before, and most files, which are read once, are never mapped.
 *
 * No instruction of the sentry touches the mapping, as a page that was cut off, or cannot be read, is SIGBUS to one.
 * Only the host's copying calls do, and to them it is EFAULT: then pread says what Linux says.
 */
#include "sentry/fs/gofer/gofer.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BIG_READ 16384    /* bytes from which on it pays to ask the host for the size */
#define TIMES_TO_MAP 3UL  /* over the whole file, … */
#define PAGES_TO_MAP 16UL /* … and so many pages or reads: making a mapping has its price too */
#define MAP_SIZE_MAX (1UL << 30)

/* Nobody but this sentry changes the size, so that no host call is needed to know it. */
static bool knows_size(const struct inode *i)
{
    return gofer_sb(i)->exclusive && !atomic_load(&gofer_data(i)->mapped);
}

/* The file's size as it is now; 0 if it cannot be told. */
static uint64_t size_now(const struct file *f)
{
    const struct gofer_handle *h = f->priv;
    struct stat st;

    if (knows_size(f->inode))
        return atomic_load(&f->inode->size);
    return fstat(h->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static uint64_t pages(uint64_t bytes)
{
    return (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
}

void gofer_map_count(struct gofer_map *m, size_t n)
{
    atomic_fetch_add_explicit(&m->pages_read, pages(n), memory_order_relaxed);
}

/* It is time to look, or to look again, whether the file should be mapped. */
static bool is_due(struct gofer_map *m)
{
    return atomic_load_explicit(&m->pages_read, memory_order_relaxed) >=
           MAX(atomic_load_explicit(&m->pages_due, memory_order_relaxed), PAGES_TO_MAP);
}

/* Maps the file, if it was read often enough for its size. At most one thread does, and at most once. */
static void map_file(struct gofer_handle *h, uint64_t size)
{
    struct gofer_map *m = &h->map;
    const uint64_t due = size > MAP_SIZE_MAX ? UINT64_MAX : TIMES_TO_MAP * pages(size);
    uint64_t none = 0;

    atomic_store(&m->pages_due, due);
    if (!size || atomic_load(&m->pages_read) < due || !atomic_compare_exchange_strong(&m->len, &none, size))
        return;
    atomic_store(&m->pages_due, UINT64_MAX);
    char *at = mmap(NULL, size, PROT_READ, MAP_SHARED, h->fd, 0);
    if (at != MAP_FAILED)
        atomic_store(&m->at, at);
}

void gofer_map_free(struct gofer_map *m)
{
    if (m->at)
        munmap(m->at, m->len);
}

ssize_t gofer_read_mapped(struct file *f, struct uio *u, int64_t *pos)
{
    struct gofer_handle *h = f->priv;
    const uint64_t at = (uint64_t)*pos;

    if (!u->task || h->mode == O_WRONLY || (u->left < BIG_READ && !knows_size(f->inode)))
        return -EAGAIN;
    const bool mapped = atomic_load_explicit(&h->map.at, memory_order_acquire);
    if (!mapped && !is_due(&h->map))
        return -EAGAIN;
    const uint64_t size = size_now(f);
    if (!mapped)
        map_file(h, size);
    const char *map = atomic_load_explicit(&h->map.at, memory_order_acquire);
    if (!map || at >= size)
        return -EAGAIN;
    const uint64_t want = MIN(u->left, size - at);
    if (at + want > atomic_load(&h->map.len))
        return -EAGAIN;
    const ssize_t n = uio_copy_out(u, map + at, want);
    if (n <= 0)
        return -EAGAIN;
    *pos += n;
    return n;
}
