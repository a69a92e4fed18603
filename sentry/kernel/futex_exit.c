/*
 * What the end of a thread means for futexes: locks that it still holds are marked (get_robust_list(2)), and the word
 * that it asked to be cleared is (set_tid_address(2)). Both wake a waiter, who waits with us or, where the platform has
 * native futexes, with the host's kernel.
 */
#include "sentry/kernel/futex.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#include <linux/futex.h>
#include <sys/syscall.h>

static void wake_one(struct task *t, uint64_t addr)
{
    const uint64_t args[6] = {addr, FUTEX_WAKE, 1};

    if (plat_layout()->native_futex)
        (void)!plat_host_call(t->pt, SYS_futex, args); /* fails if the process is being killed, waiters and all */
    else
        futex_wake(t, addr, false, 1, ~0U);
}

/* The owner of the lock word at addr is gone: mark it and wake one waiter. False if the list is broken. */
static bool owner_died(struct task *t, uint64_t addr, bool pi, bool pending)
{
    uint32_t word, seen;

    if ((addr & 3) || user_read(t, &word, addr, sizeof(word)) < 0)
        return false;
    /* A release was under way: the word may be free already, but the waiter not yet woken. */
    if (pending && !pi && !word) {
        wake_one(t, addr);
        return true;
    }
    while ((word & FUTEX_TID_MASK) == (uint32_t)t->tid) {
        if (plat_cmpxchg32(t->pt, addr, word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &seen) < 0)
            return false;
        if (seen == word) {
            if (!pi && (word & FUTEX_WAITERS))
                wake_one(t, addr);
            break;
        }
        word = seen;
    }
    return true;
}

uint64_t futex_robust_list(const struct task *t)
{
    return plat_layout()->native_futex && t->pt ? plat_robust_list(t->pt) : t->robust_list;
}

/* The words are marked by then: the host, which has its own ids, is not to look at them once more. */
static void forget_robust_list(struct task *t)
{
    const uint64_t args[6] = {0, sizeof(struct robust_list_head)};

    t->robust_list = 0;
    if (plat_layout()->native_futex)
        (void)!plat_host_call(t->pt, SYS_set_robust_list, args); /* fails if the process is being killed */
}

static void walk_robust_list(struct task *t, uint64_t list)
{
    struct {
        uint64_t next;
        int64_t offset;
        uint64_t pending;
    } head;
    uint64_t entry, next, pending;

    if (user_read(t, &head, list, sizeof(head)) < 0 || (head.next == list && !head.pending))
        return;
    entry = head.next;
    pending = head.pending & ~1ULL;
    for (int limit = ROBUST_LIST_LIMIT; limit > 0 && (entry & ~1ULL) != list; limit--) {
        /* The entry's link is read before the word is given up, since its new owner may change it. */
        bool more = user_read(t, &next, entry & ~1ULL, sizeof(next)) == 0;

        if ((entry & ~1ULL) != pending && !owner_died(t, (entry & ~1ULL) + (uint64_t)head.offset, entry & 1, false))
            break;
        if (!more)
            break;
        entry = next;
    }
    if (pending)
        owner_died(t, pending + (uint64_t)head.offset, head.pending & 1, true);
    forget_robust_list(t);
}

/* clone(2), CLONE_CHILD_CLEARTID: only where somebody is left to see it. */
static void clear_tid(struct task *t)
{
    const uint32_t zero = 0;

    if (!t->clear_child_tid || t->host_clears_tid || !mm_is_shared(t->mm))
        return;
    if (user_write(t, t->clear_child_tid, &zero, sizeof(zero)) == 0)
        wake_one(t, t->clear_child_tid);
    t->clear_child_tid = 0;
}

void futex_exit(struct task *t)
{
    const uint64_t list = futex_robust_list(t);

    if (list)
        walk_robust_list(t, list);
    clear_tid(t);
}
