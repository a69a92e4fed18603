/*
 * The signal mask of a guest thread, lent to its stub.
 *
 * Only the sentry knows what signals are pending, so it is its decision when a thread may change its mask unseen: while
 * none is. The mask then lies at the top of the thread's area, where rt_sigprocmask(2), which is trapped, finds and
 * changes it without a report: a signal frame and its return in place of a round trip as well. Before the sentry relies
 * on a mask it takes it back: it clears the word that says so, and reads the mask after that, while the stub stores the
 * mask and looks at the word after that. So a change that was not seen comes as a report (STUB_RECALLED). Children
 * begin with a copy of the area, lent or not.
 *
 * The guest can write whatever it likes there: it is the mask of its own thread.
 */
#include "platform/seccomp/internal.h"

bool mask_lend(struct plat_thread *t, uint64_t mask)
{
    struct stub_self m = {.lent = 1, .mask = mask};

    /* Its calls are events at any other stop: they were not trapped (a fast call), or all are to be seen. */
    if (t->stop != STOP_HANDLER || see_all)
        return false;
    m.offer = offer_area(t);
    atomic_store(&t->lends, true);
    return memory_write(t, self_address(t), &m, sizeof(m)) == 0;
}

int mask_recall(struct plat_thread *t, uint64_t *out_mask)
{
    const uint64_t no = 0;
    struct stub_self m;

    atomic_store(&t->lends, false);
    int ret = memory_write(t, self_address(t) + offsetof(struct stub_self, lent), &no, sizeof(no));
    if (ret < 0)
        return ret;
    atomic_thread_fence(memory_order_seq_cst);
    ret = memory_read(t, &m, self_address(t), sizeof(m));
    if (ret == 0)
        *out_mask = m.mask;
    return ret;
}
