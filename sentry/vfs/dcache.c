/* See dcache.h. */
#include "sentry/vfs/dcache.h"

#include "sentry/kernel/locking.h"
#include "sentry/vfs/lookahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_FIRST 256 /* one page */
#define TABLE_MAX 16384
#define LRU_MAX 65536

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct lock dcache_lock;
static struct list first_table[TABLE_FIRST];
static struct list *table = first_table;  /* dcache_lock; the buckets that were never used are all zero */
static unsigned table_size = TABLE_FIRST; /* dcache_lock; a power of two */
static unsigned hashed_count;             /* dcache_lock */
static struct list lru = LIST_INIT(lru);
static unsigned lru_count;

static void dcache_init(void)
{
    lock_init(&dcache_lock, RANK_DCACHE);
}

static uint32_t name_hash(const struct dentry *parent, const char *name, size_t len)
{
    uint64_t h = (uint64_t)(uintptr_t)parent * 0x9e3779b97f4a7c15ULL;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 0x100000001b3ULL;
    return (uint32_t)(h ^ (h >> 32));
}

/* dcache_lock held. */
static struct list *bucket(uint32_t hash)
{
    struct list *head = &table[hash & (table_size - 1)];

    if (!head->next)
        list_init(head);
    return head;
}

/* Moves all names to a table of four times the size. Without memory for it chains only get longer. */
static void grow_table_locked(void)
{
    struct list *old = table, *bigger = calloc(4 * (size_t)table_size, sizeof(*bigger));
    const unsigned old_size = table_size;
    struct dentry *it, *tmp;

    if (!bigger)
        return;
    table = bigger;
    table_size *= 4;
    for (unsigned i = 0; i < old_size; i++) {
        if (!old[i].next)
            continue;
        list_for_each_safe (it, tmp, &old[i], hash_node) {
            list_del(&it->hash_node);
            list_push_back(bucket(it->hash), &it->hash_node);
        }
    }
    if (old != first_table)
        free(old);
}

/* ---- making and freeing ---- */

static int dentry_set_name(struct dentry *d, const char *name)
{
    size_t len = strlen(name);
    char *to = len < sizeof(d->inline_name) ? d->inline_name : malloc(len + 1);

    if (!to)
        return -ENOMEM;
    if (d->name && d->name != d->inline_name)
        free(d->name);
    memcpy(to, name, len + 1);
    d->name = to;
    return 0;
}

/* Takes over the reference on inode when it succeeds. parent NULL: a root. */
static struct dentry *dentry_new(struct dentry *parent, const char *name, struct inode *inode)
{
    pthread_once(&once, dcache_init);
    struct dentry *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    if (dentry_set_name(d, name) < 0) {
        free(d);
        return NULL;
    }
    atomic_init(&d->refs, 1);
    atomic_init(&d->inode, inode);
    d->parent = parent ? dentry_get(parent) : d;
    list_init(&d->hash_node);
    list_init(&d->sibling);
    list_init(&d->children);
    list_init(&d->lru);
    return d;
}

struct dentry *dentry_new_root(struct inode *i)
{
    return dentry_new(NULL, "/", i);
}

struct dentry *dentry_new_anon(struct inode *i, const char *name)
{
    struct dentry *d = dentry_new(NULL, name, i);

    if (d)
        d->anonymous = true;
    return d;
}

struct dentry *dentry_new_unlinked(struct dentry *parent, const char *name, struct inode *i)
{
    return dentry_new(parent, name, i);
}

static void unhash_locked(struct dentry *d)
{
    if (!d->hashed)
        return;
    list_del(&d->hash_node);
    list_del(&d->sibling);
    d->hashed = false;
    hashed_count--;
}

static void hash_locked(struct dentry *d)
{
    if (hashed_count++ > table_size && table_size < TABLE_MAX)
        grow_table_locked();
    d->hash = name_hash(d->parent, d->name, strlen(d->name));
    list_push_front(bucket(d->hash), &d->hash_node);
    list_push_back(&d->parent->children, &d->sibling);
    d->hashed = true;
}

static void leave_lru_locked(struct dentry *d)
{
    if (!d->on_lru)
        return;
    list_del(&d->lru);
    d->on_lru = false;
    lru_count--;
}

/* Frees d, which nobody refers to any more, and gives up its hold on its parent. */
static void dentry_free(struct dentry *d)
{
    struct dentry *parent = d->parent == d ? NULL : d->parent;

    inode_put(atomic_load(&d->inode));
    if (d->name != d->inline_name)
        free(d->name);
    free(d);
    if (parent)
        dentry_put(parent);
}

/* Takes the oldest unused dentry out of the cache, for the caller to free; NULL: the list is short enough. */
static struct dentry *lru_overflow_locked(void)
{
    if (lru_count <= LRU_MAX)
        return NULL;
    struct dentry *d = list_first(&lru, struct dentry, lru);
    leave_lru_locked(d);
    unhash_locked(d);
    return d;
}

struct dentry *dentry_get(struct dentry *d)
{
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void dentry_put(struct dentry *d)
{
    int n = atomic_load_explicit(&d->refs, memory_order_relaxed);

    while (n > 1)
        if (atomic_compare_exchange_weak_explicit(&d->refs, &n, n - 1, memory_order_release, memory_order_relaxed))
            return;
    /* Maybe the last one: a look-up can only revive it under the lock. */
    struct dentry *victim = NULL;
    lock(&dcache_lock);
    if (atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) == 1) {
        if (d->hashed && !d->on_lru) {
            list_push_back(&lru, &d->lru);
            d->on_lru = true;
            lru_count++;
            victim = lru_overflow_locked();
        } else if (!d->hashed) {
            victim = d;
        }
    }
    unlock(&dcache_lock);
    if (victim)
        dentry_free(victim);
}

struct inode *dentry_inode(struct dentry *d)
{
    return atomic_load_explicit(&d->inode, memory_order_acquire);
}

const char *dentry_name(struct dentry *d)
{
    return d->name;
}

unsigned dcache_shrink(unsigned count)
{
    unsigned dropped = 0;

    for (; dropped < count; dropped++) {
        lock(&dcache_lock);
        struct dentry *d = list_empty(&lru) ? NULL : list_first(&lru, struct dentry, lru);
        if (d) {
            leave_lru_locked(d);
            unhash_locked(d);
        }
        unlock(&dcache_lock);
        if (!d)
            break;
        dentry_free(d);
    }
    return dropped;
}

/* ---- look-up ---- */

static struct dentry *find_locked(struct dentry *dir, const char *name, size_t len)
{
    uint32_t hash = name_hash(dir, name, len);
    struct dentry *it;

    list_for_each (it, bucket(hash), hash_node) {
        if (it->hash != hash || it->parent != dir || strncmp(it->name, name, len) || it->name[len])
            continue;
        leave_lru_locked(it);
        return dentry_get(it);
    }
    return NULL;
}

struct dentry *dcache_find(struct dentry *dir, const char *name, size_t len)
{
    lock(&dcache_lock);
    struct dentry *d = find_locked(dir, name, len);
    unlock(&dcache_lock);
    return d;
}

int dentry_lookup(struct dentry *dir, const char *name, struct dentry **out)
{
    struct inode *di = dentry_inode(dir), *i = NULL;
    bool cache = !(di->sb->flags & SB_NODCACHE);

    struct dentry *d = dcache_find(dir, name, strlen(name));
    if (d && (cache || atomic_load(&d->pinned))) {
        *out = d;
        return 0;
    }
    if (d)
        dentry_put(d);
    int ret = inode_lookup(di, name, &i);
    if (ret < 0 && ret != -ENOENT)
        return ret;
    d = dentry_new(dir, name, ret < 0 ? NULL : i);
    if (!d) {
        if (ret == 0)
            inode_put(i);
        return -ENOMEM;
    }
    if (cache && !dentry_is_dead(dir)) {
        lock(&dcache_lock);
        if (atomic_load(&di->sb->mounts)) /* else dcache_forget() has been here */
            hash_locked(d);
        unlock(&dcache_lock);
    }
    *out = d;
    return 0;
}

/* ---- changes ---- */

void dentry_instantiate(struct dentry *d, struct inode *i)
{
    atomic_store_explicit(&d->inode, i, memory_order_release);
}

void dentry_make_negative(struct dentry *d)
{
    lock(&dcache_lock);
    unhash_locked(d);
    unlock(&dcache_lock);
}

/* Drops the cached dentry of a name, if it is not keep. */
static void displace_locked(struct dentry *parent, const char *name, const struct dentry *keep, struct dentry **out)
{
    struct dentry *old = find_locked(parent, name, strlen(name));

    *out = old;
    if (old && old != keep)
        unhash_locked(old);
}

int dentry_move(struct dentry *d, struct dentry *new_parent, const char *new_name)
{
    struct dentry *old_parent = NULL, *displaced;

    lock(&dcache_lock);
    displace_locked(new_parent, new_name, d, &displaced);
    bool was_hashed = d->hashed;
    unhash_locked(d);
    int ret = dentry_set_name(d, new_name);
    if (ret == 0 && d->parent != new_parent) {
        old_parent = d->parent;
        d->parent = dentry_get(new_parent);
    }
    if (was_hashed)
        hash_locked(d);
    unlock(&dcache_lock);
    if (displaced)
        dentry_put(displaced);
    if (old_parent)
        dentry_put(old_parent);
    return ret;
}

int dentry_exchange(struct dentry *a, struct dentry *b)
{
    char *a_name = strdup(a->name);
    int ret = -ENOMEM;

    if (!a_name)
        return ret;
    lock(&dcache_lock);
    unhash_locked(a);
    unhash_locked(b);
    ret = dentry_set_name(a, b->name);
    if (ret == 0)
        ret = dentry_set_name(b, a_name);
    if (ret == 0) {
        struct dentry *p = a->parent;
        a->parent = b->parent;
        b->parent = p;
        hash_locked(a);
        hash_locked(b);
    }
    unlock(&dcache_lock);
    free(a_name);
    return ret;
}

void dentry_pin(struct dentry *d)
{
    lock(&dcache_lock);
    for (; d->parent != d; d = d->parent) {
        if (!d->hashed)
            hash_locked(d);
        atomic_store(&d->pinned, true);
    }
    unlock(&dcache_lock);
}

/* Forgets d's name; if nobody uses d, it goes to `unused`. */
static void drop_locked(struct dentry *d, struct list *unused)
{
    unhash_locked(d);
    if (d->on_lru) {
        leave_lru_locked(d);
        list_push_back(unused, &d->lru);
    }
}

static void free_unused(struct list *unused)
{
    struct dentry *it, *tmp;

    list_for_each_safe (it, tmp, unused, lru) {
        list_del(&it->lru);
        dentry_free(it);
    }
}

void dentry_invalidate_children(struct dentry *d)
{
    struct list unused = LIST_INIT(unused);
    struct dentry *it, *tmp;

    lock(&dcache_lock);
    list_for_each_safe (it, tmp, &d->children, sibling) {
        if (atomic_load(&it->pinned))
            continue;
        drop_locked(it, &unused);
    }
    unlock(&dcache_lock);
    free_unused(&unused);
}

void dcache_forget(struct dentry *d)
{
    struct list unused = LIST_INIT(unused);
    struct dentry *top = d;

    lock(&dcache_lock);
    while (top->parent != top)
        top = top->parent;
    for (d = top;;) {
        if (!list_empty(&d->children)) {
            d = list_first(&d->children, struct dentry, sibling);
            continue;
        }
        if (d == top)
            break;
        struct dentry *done = d;
        d = d->parent;
        drop_locked(done, &unused);
    }
    unlock(&dcache_lock);
    free_unused(&unused);
}

bool dentry_is_ancestor(struct dentry *a, struct dentry *d)
{
    bool found = false;

    lock(&dcache_lock);
    for (;; d = d->parent) {
        found = a == d;
        if (found || d->parent == d)
            break;
    }
    unlock(&dcache_lock);
    return found;
}

struct dentry *dentry_get_parent(struct dentry *d)
{
    lock(&dcache_lock);
    struct dentry *p = dentry_get(d->parent);
    unlock(&dcache_lock);
    return p;
}

struct dentry *dentry_watched_parent(struct dentry *d, char *name, bool *out_unlinked)
{
    lock(&dcache_lock);
    struct dentry *p = d->parent;
    struct inode *pi = p == d ? NULL : dentry_inode(p);
    if (pi && atomic_load_explicit(&pi->watches, memory_order_relaxed)) {
        dentry_get(p);
        strcpy(name, d->name);
        *out_unlinked = pi->sb->flags & SB_NODCACHE ? dentry_is_dead(d) : !d->hashed;
    } else {
        p = NULL;
    }
    unlock(&dcache_lock);
    return p;
}

bool dentry_is_dead(struct dentry *d)
{
    struct inode *i = dentry_inode(d);

    return i && d->parent != d && i->nlink == 0;
}
