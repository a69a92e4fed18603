/*
 * Futex wait queues; see futex.h.
 *
 * A key is (mm, address) for private words and for shared words in private memory, and (inode, offset) for words in
 * shared file mappings. Two buckets are locked together by lock_pair(). A waiter that is woken is taken off its bucket
 * by the waker, which is how the waiter knows that it was meant.
 */
#include "sentry/kernel/futex.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 256

struct futex_key {
    void *object; /* the mm or the inode */
    uint64_t offset;
    struct inode *inode; /* counted, or NULL */
};

struct futex_waiter {
    struct list node;                    /* bucket->lock */
    struct futex_bucket *_Atomic bucket; /* where it is queued; NULL once woken. Changed under the bucket's lock */
    struct futex_key key;
    uint32_t bitset;
    struct task *task;
};

struct futex_bucket {
    struct lock lock;
    struct list waiters;
};

static struct futex_bucket buckets[BUCKETS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void buckets_init(void)
{
    for (int i = 0; i < BUCKETS; i++) {
        lock_init(&buckets[i].lock, RANK_FUTEX);
        list_init(&buckets[i].waiters);
    }
}

static struct futex_bucket *bucket_of(const struct futex_key *k)
{
    uint64_t h = ((uint64_t)(uintptr_t)k->object >> 4) ^ (k->offset >> 2);

    pthread_once(&once, buckets_init);
    h *= 0x9e3779b97f4a7c15ULL;
    return &buckets[h >> 56];
}

static bool key_equal(const struct futex_key *a, const struct futex_key *b)
{
    return a->object == b->object && a->offset == b->offset;
}

/* The key of a word. Pair: key_put(). -EINVAL, -EFAULT. */
static int key_get(struct task *t, uint64_t addr, bool private_key, struct futex_key *k)
{
    *k = (struct futex_key){.object = t->mm, .offset = addr};
    if (addr & 3)
        return -EINVAL;
    if (addr >= plat_layout()->task_size)
        return -EFAULT;
    if (private_key)
        return 0;
    mm_futex_key(t->mm, addr, &k->inode, &k->offset);
    if (k->inode)
        k->object = k->inode;
    else
        k->offset = addr;
    return 0;
}

static void key_put(struct futex_key *k)
{
    if (k->inode)
        inode_put(k->inode);
    k->inode = NULL;
}

/* Takes w off its bucket and wakes its task. The bucket is locked; w may be gone afterwards. */
static void wake_waiter(struct futex_waiter *w)
{
    struct task *task = w->task;

    task_get(task);
    list_del(&w->node);
    atomic_store(&w->bucket, NULL);
    task_wake(task);
    task_put(task);
}

/* Takes w off whatever bucket a requeue has put it on. True if it was still queued, false if somebody woke it. */
static bool unqueue(struct futex_waiter *w) NO_THREAD_SAFETY
{
    for (;;) {
        struct futex_bucket *b = atomic_load(&w->bucket);

        if (!b)
            return false;
        lock(&b->lock);
        if (atomic_load(&w->bucket) == b) {
            list_del(&w->node);
            atomic_store(&w->bucket, NULL);
            unlock(&b->lock);
            return true;
        }
        unlock(&b->lock);
    }
}

/* Queues w if the word still has the value. Errors as futex_wait(). */
static int queue_if_equal(struct task *t, struct futex_waiter *w, const struct futex_wait_item *item)
{
    struct futex_bucket *b = bucket_of(&w->key);
    uint32_t seen;
    int ret;

    lock(&b->lock);
    ret = user_read(t, &seen, item->addr, sizeof(seen));
    if (!ret && seen != item->value)
        ret = -EAGAIN;
    if (!ret) {
        list_push_back(&b->waiters, &w->node);
        atomic_store(&w->bucket, b);
    }
    unlock(&b->lock);
    return ret;
}

/* Leaves all queues. Returns the highest index that had been woken, or -1. */
static long leave_queues(struct futex_waiter *w, unsigned n)
{
    long woken = -1;

    for (unsigned i = 0; i < n; i++) {
        if (!unqueue(&w[i]))
            woken = i;
        key_put(&w[i].key);
    }
    return woken;
}

static bool any_woken(struct futex_waiter *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!atomic_load(&w[i].bucket))
            return true;
    return false;
}

static long queue_all(struct task *t, struct futex_waiter *w, const struct futex_wait_item *items, unsigned n,
                      uint32_t bitset)
{
    long woken;

    for (unsigned i = 0; i < n; i++) {
        int ret;

        w[i] = (struct futex_waiter){.bitset = bitset, .task = t};
        list_init(&w[i].node);
        ret = key_get(t, items[i].addr, items[i].private_key, &w[i].key);
        if (!ret) {
            ret = queue_if_equal(t, &w[i], &items[i]);
            if (ret)
                key_put(&w[i].key);
        }
        if (ret) {
            woken = leave_queues(w, i);
            return woken >= 0 ? woken : ret;
        }
    }
    return -EINPROGRESS;
}

static long wait_queued(struct task *t, struct futex_waiter *w, unsigned n, int64_t deadline)
{
    int ret = 0;
    long woken;

    while (!any_woken(w, n) && !ret)
        ret = task_sleep(t, deadline);
    woken = leave_queues(w, n);
    return woken >= 0 ? woken : ret;
}

long futex_wait(struct task *t, const struct futex_wait_item *items, unsigned n, uint32_t bitset, int64_t deadline)
{
    struct futex_waiter one, *w = &one;
    long ret;

    if (n > 1)
        w = calloc(n, sizeof(*w));
    if (!w)
        return -ENOMEM;
    ret = queue_all(t, w, items, n, bitset);
    if (ret == -EINPROGRESS)
        ret = wait_queued(t, w, n, deadline);
    if (w != &one)
        free(w);
    return ret;
}

/* Wakes up to n waiters of the key in its locked bucket (at least one for n of 0 or less, as Linux does for WAKE). */
static int wake_locked(struct futex_bucket *b, const struct futex_key *k, int n, uint32_t bitset)
{
    struct futex_waiter *w, *next;
    int woken = 0;

    list_for_each_safe (w, next, &b->waiters, node) {
        if (!key_equal(&w->key, k) || !(w->bitset & bitset))
            continue;
        wake_waiter(w);
        if (++woken >= n)
            break;
    }
    return woken;
}

long futex_wake(struct task *t, uint64_t addr, bool private_key, int n, uint32_t bitset)
{
    struct futex_bucket *b;
    struct futex_key k;
    long ret;

    if (!bitset)
        return -EINVAL;
    ret = key_get(t, addr, private_key, &k);
    if (ret < 0)
        return ret;
    b = bucket_of(&k);
    lock(&b->lock);
    ret = wake_locked(b, &k, n, bitset);
    unlock(&b->lock);
    key_put(&k);
    return ret;
}

/* Moves w to another key. Both buckets are locked. The old key's inode is put by the caller, after unlocking. */
static void move_waiter(struct futex_waiter *w, struct futex_bucket *to, const struct futex_key *k)
{
    list_del(&w->node);
    w->key = *k;
    if (k->inode)
        inode_get(k->inode);
    list_push_back(&to->waiters, &w->node);
    atomic_store(&w->bucket, to);
}

static long requeue_locked(struct futex_bucket *b1, struct futex_bucket *b2, struct futex_key *k1, struct futex_key *k2,
                           int n, int m, int *moved)
{
    struct list kept;
    struct futex_waiter *w, *next;
    int woken = 0;

    *moved = 0;
    if (key_equal(k1, k2))
        return n ? wake_locked(b1, k1, n, ~0U) : 0;
    list_init(&kept);
    list_for_each_safe (w, next, &b1->waiters, node) {
        if (!key_equal(&w->key, k1))
            continue;
        if (woken < n) {
            wake_waiter(w);
            woken++;
        } else if (*moved < m) {
            move_waiter(w, b2, k2);
            (*moved)++;
        } else {
            break;
        }
    }
    return woken + *moved;
}

static long requeue_keys(struct task *t, struct futex_key *k1, struct futex_key *k2, uint64_t from, int n, int m,
                         const uint32_t *cmp)
{
    struct futex_bucket *b1 = bucket_of(k1), *b2 = bucket_of(k2);
    uint32_t seen;
    int moved = 0;
    long ret = 0;

    lock_pair(&b1->lock, &b2->lock);
    if (cmp) {
        ret = user_read(t, &seen, from, sizeof(seen));
        if (!ret && seen != *cmp)
            ret = -EAGAIN;
    }
    if (!ret)
        ret = requeue_locked(b1, b2, k1, k2, n, m, &moved);
    unlock_pair(&b1->lock, &b2->lock);
    for (; moved > 0 && k1->inode; moved--)
        inode_put(k1->inode);
    return ret;
}

long futex_requeue(struct task *t, uint64_t from, uint64_t to, bool private_key, int n, int m, const uint32_t *cmp)
{
    struct futex_key k1, k2;
    long ret;

    if (n < 0 || m < 0)
        return -EINVAL;
    ret = key_get(t, from, private_key, &k1);
    if (ret < 0)
        return ret;
    ret = key_get(t, to, private_key, &k2);
    if (!ret) {
        ret = requeue_keys(t, &k1, &k2, from, n, m, cmp);
        key_put(&k2);
    }
    key_put(&k1);
    return ret;
}

static int apply_op(uint32_t op, uint32_t old, uint32_t *out)
{
    uint32_t arg = (uint32_t)((int32_t)(op << 8) >> 20);
    uint32_t code = (op >> 28) & 7;

    if (op & ((uint32_t)FUTEX_OP_OPARG_SHIFT << 28))
        arg = 1U << (arg & 31);
    switch (code) {
    case FUTEX_OP_SET:
        *out = arg;
        return 0;
    case FUTEX_OP_ADD:
        *out = old + arg;
        return 0;
    case FUTEX_OP_OR:
        *out = old | arg;
        return 0;
    case FUTEX_OP_ANDN:
        *out = old & ~arg;
        return 0;
    case FUTEX_OP_XOR:
        *out = old ^ arg;
        return 0;
    default:
        return -ENOSYS;
    }
}

/* -ENOSYS for an unknown comparison, else whether it holds. */
static int compare_op(uint32_t op, uint32_t old_value)
{
    int32_t old = (int32_t)old_value, arg = (int32_t)(op << 20) >> 20;

    switch ((op >> 24) & 15) {
    case FUTEX_OP_CMP_EQ:
        return old == arg;
    case FUTEX_OP_CMP_NE:
        return old != arg;
    case FUTEX_OP_CMP_LT:
        return old < arg;
    case FUTEX_OP_CMP_LE:
        return old <= arg;
    case FUTEX_OP_CMP_GT:
        return old > arg;
    case FUTEX_OP_CMP_GE:
        return old >= arg;
    default:
        return -ENOSYS;
    }
}

/* Changes the word atomically. *out_old is what it was. */
static int change_word(struct task *t, uint64_t addr, uint32_t op, uint32_t *out_old)
{
    uint32_t old, seen, wanted;
    int ret = user_read(t, &old, addr, sizeof(old));

    while (!ret) {
        ret = apply_op(op, old, &wanted);
        if (!ret)
            ret = plat_cmpxchg32(t->pt, addr, old, wanted, &seen);
        if (ret < 0 || seen == old)
            break;
        old = seen;
    }
    *out_old = old;
    return ret < 0 ? ret : 0;
}

long futex_wake_op(struct task *t, uint64_t addr1, uint64_t addr2, bool private_key, int n1, int n2, uint32_t op)
{
    struct futex_bucket *b1, *b2;
    struct futex_key k1, k2;
    uint32_t old;
    long ret;
    int holds;

    ret = key_get(t, addr1, private_key, &k1);
    if (ret < 0)
        return ret;
    ret = key_get(t, addr2, private_key, &k2);
    if (ret < 0) {
        key_put(&k1);
        return ret;
    }
    b1 = bucket_of(&k1);
    b2 = bucket_of(&k2);
    lock_pair(&b1->lock, &b2->lock);
    ret = change_word(t, addr2, op, &old);
    if (!ret) {
        ret = wake_locked(b1, &k1, n1, ~0U);
        holds = compare_op(op, old);
        if (holds > 0)
            ret += wake_locked(b2, &k2, n2, ~0U);
        else if (holds < 0)
            ret = holds;
    }
    unlock_pair(&b1->lock, &b2->lock);
    key_put(&k1);
    key_put(&k2);
    return ret;
}
