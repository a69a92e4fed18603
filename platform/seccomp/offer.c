/*
 * Threads that the stub makes by itself.
 *
 * A thread that is likely to make others is *offered* an area for the next one. When its clone(2) is trapped, its stub
 * prepares the child there, registers and all, and makes the host's clone(2) at once, in place of a report. So one stop
 * is all that a new thread costs: the call's arguments are the host's and the guest's, and the sentry, having made its
 * task, lets it through. They are in registers, where nothing changes them.
 *
 * The host's id of the child is in the area from before the parent goes on: the kernel stores it there. It is looked
 * for when somebody needs it, mostly when a notice comes from a thread that nobody knows (thread.c). The area is the
 * guest's to change; but that the id is of a thread of the child's process the kernel says, by tgkill(2), and that is
 * all we need to know: a process that names another thread of its own has two of them mixed up.
 *
 * If the host cannot make the thread, its parent reports that, and the child is *stillborn*: a task that ends before
 * its first instruction. So it does if its parent is to end instead of going on.
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The order of clone(2)'s arguments on x86-64; the last is not the host's. */
enum { ARG_FLAGS, ARG_SP, ARG_HOST_TID, ARG_CLEAR_TID, ARG_TLS, ARG_PARENT_TID };

#define NONE (-1)

/* ---- the offer ---- */

uint64_t offer_area(struct plat_thread *t)
{
    int area = atomic_load(&t->offer);

    if (!sc_host.native_futex) /* a thread's end is then to be told by us, not by the host */
        return 0;
    if (area == NONE && (area = space_take_spare(t->process->space)) >= 0)
        atomic_store(&t->offer, area);
    return area >= 0 ? area_address((unsigned)area) : 0;
}

void offer_withdraw(struct plat_thread *t)
{
    const int area = atomic_exchange(&t->offer, NONE);

    if (area != NONE)
        space_free(t->process->space, (unsigned)area);
}

/* ---- the stop ---- */

int offer_take(struct plat_thread *t, const struct seccomp_notif *n)
{
    const int area = atomic_load(&t->offer);
    const __u64 *a = n->data.args;
    const uint64_t start = area == NONE ? 0 : area_address((unsigned)area);
    const uint64_t frame = a[ARG_SP] + STUB_CHILD_ROOM - start + area_address(t->area);

    if (n->data.nr != SYS_clone || area == NONE || !stop_frame_in_area(t, frame) ||
        (a[ARG_FLAGS] & ~(uint64_t)(CLONE_SETTLS | CLONE_CHILD_CLEARTID)) !=
            (STUB_THREAD_FLAGS | CLONE_PARENT_SETTID) ||
        a[ARG_HOST_TID] != start + STUB_SELF_OFFSET + offsetof(struct stub_self, tid))
        return sc_thread_violation(t, "it made a call at the stub's address that was not ordered");
    t->stop = STOP_HANDLER;
    t->frame = frame;
    t->offered = t->regs_unread = true;
    return 0;
}

/* As clone(2) has it. The stack is in the child's registers already. */
void offer_event(struct plat_thread *t)
{
    const __u64 *a = t->notice.data.args;
    const uint64_t flags = a[ARG_PARENT_TID] ? a[ARG_FLAGS] : a[ARG_FLAGS] & ~(uint64_t)CLONE_PARENT_SETTID;

    t->event = (struct plat_event){
        .kind = PLAT_EV_SYSCALL, .nr = SYS_clone, .args = {flags, 0, a[ARG_PARENT_TID], a[ARG_CLEAR_TID], a[ARG_TLS]}};
}

/* ---- the thread ---- */

static bool as_the_call_says(const struct plat_thread *t, const uint64_t *tls, uint64_t clear_tid)
{
    const uint64_t *a = t->event.args;

    return (tls != NULL) == !!(a[ARG_FLAGS] & CLONE_SETTLS) && (!tls || *tls == a[ARG_TLS]) &&
           clear_tid == (a[ARG_FLAGS] & CLONE_CHILD_CLEARTID ? a[ARG_CLEAR_TID] : 0);
}

int offer_clone(struct plat_thread *t, const uint64_t *tls, uint64_t clear_tid, void *cookie, struct plat_thread **out)
{
    struct process *p = t->process;

    if (!as_the_call_says(t, tls, clear_tid))
        return -EINVAL;
    const int area = atomic_exchange(&t->offer, NONE);
    if (area == NONE)
        return -EAGAIN; /* withdrawn: the process is dead */
    struct plat_thread *child = sc_thread_new(sc_process_get(p), (unsigned)area, cookie);
    if (!child)
        return -EAGAIN;
    /* While the process is in use the reaper does not count its threads. */
    if (!sc_process_use(p)) {
        space_free(p->space, child->area);
        sc_thread_put(child);
        return -EAGAIN;
    }
    sc_thread_enter(child, 0);
    sc_process_unuse(p);
    sc_thread_get(child);
    t->making = child;
    *out = child;
    return 0;
}

/*
 * Tells the stub the result of its guest's call, and the next offer. The child has a copy of its parent's mask, with
 * the word that lends it: that the mask was taken back since is told here. Who is not alone in its memory any more has
 * no slot.
 */
static int tell_stub(struct plat_thread *t, const struct plat_thread *child, uint64_t result)
{
    struct stub_self self = {.offer = offer_area(t), .result = result, .made = 1};
    const size_t first = offsetof(struct stub_self, offer), len = offsetof(struct stub_self, tid) - first;
    uint64_t zero = 0;
    struct iovec local[3] = {{(char *)&self + first, len}}, guest[3] = {{(void *)(self_address(t) + first), len}};
    size_t n = 1, total = len;

    if (!atomic_load(&t->lends)) {
        guest[n] = (struct iovec){(void *)(self_address(child) + offsetof(struct stub_self, lent)), sizeof(zero)};
        local[n++] = (struct iovec){&zero, sizeof(zero)};
    }
    if (t->process->space->slot_shown) {
        t->process->space->slot_shown = false;
        guest[n] = (struct iovec){(void *)sc_stub.slot, sizeof(zero)};
        local[n++] = (struct iovec){&zero, sizeof(zero)};
    }
    for (size_t i = 1; i < n; i++)
        total += sizeof(zero);
    return memory_out(t, guest, n, local, n) == (ssize_t)total ? 0 : -EFAULT;
}

void offer_let_go(struct plat_thread *t, uint64_t result)
{
    struct plat_thread *child = t->making;

    atomic_store(&child->lends, atomic_load(&t->lends));
    if (tell_stub(t, child, result) < 0) {
        (void)!sc_thread_violation(t, "its area cannot be written");
        return;
    }
    t->making = NULL;
    t->made = child;
    sc_thread_get(child); /* t, and with it t->made, is another's afterwards */
    expect(child);
    stop_let_go_continue(t);
    if (atomic_load(&child->kick))
        sc_thread_send_kick(child);
    sc_thread_put(child);
}

void offer_stillborn(struct plat_thread *child)
{
    const struct plat_event ev = {.kind = PLAT_EV_STILLBORN};

    sc_thread_leave(child);
    (void)sc_client->event(child->cookie, child, &ev);
}

/* ---- its id ---- */

pid_t offer_told_tid(struct plat_thread *child)
{
    struct process *p = child->process;
    uint32_t tid;

    if (memory_read(child, &tid, self_address(child) + offsetof(struct stub_self, tid), sizeof(tid)) < 0 || !tid ||
        tid > INT_MAX || sc_thread_known((pid_t)tid) || !sc_process_use(p))
        return 0;
    const bool is_its_own = syscall(SYS_tgkill, p->pid, tid, 0) == 0;
    sc_process_unuse(p);
    return is_its_own ? (pid_t)tid : 0;
}
