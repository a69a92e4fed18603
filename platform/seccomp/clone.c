/*
 * New threads and processes: a host clone by the stub, and how we come to know the child.
 *
 * A process makes a first report. The kernel tells us the child's id with that report's notice, and a random token in
 * it tells us which clone it comes from. Until then the child is *pending*. The caller has both, the parent's word that
 * it cloned and the child's first report, before clone_thread() returns. If a child dies before it has reported, only
 * the parent's word says which dead process it was; so that word decides nothing but how long we wait.
 *
 * So does a thread, unless its parent's stub has prepared it in an area that was offered: then see offer.c.
 *
 * What is ordered: CLONE_PARENT for processes, so that every stub process is the sentry's child and is reaped by it;
 * CLONE_THREAD and the rest of the usual flags for threads. The child asks to be killed with us first of all.
 */
#include "platform/seccomp/internal.h"

#include "lib/placement.h"
#include "platform/platform_ops.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>

#define UNKNOWN_DEATHS 16 /* remembered while clones are pending; older ones are not waited for any more */

struct pending {
    struct list node; /* pending_lock */
    uint64_t token;
    struct plat_thread *child; /* NULL: it has reported */
    pid_t told_pid;            /* the parent's word, or 0 */
    unsigned rounds;           /* how long it has been waited for */
};

static pthread_mutex_t pending_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list all_pending = LIST_INIT(all_pending); /* pending_lock */
static pid_t unknown_deaths[UNKNOWN_DEATHS];             /* pending_lock: a ring */
static unsigned unknown_count;                           /* pending_lock */

/* ---- pending children ---- */

/* With pending_lock. Tokens are drawn from the kernel a handful at a time. */
static int draw_token(uint64_t *out)
{
    static uint64_t stock[16];
    static size_t left;

    if (!left) {
        if (getrandom(stock, sizeof(stock), 0) != sizeof(stock))
            return -EIO;
        left = ARRAY_SIZE(stock);
    }
    *out = stock[--left];
    return 0;
}

static int pending_add(struct pending *p, struct plat_thread *child)
{
    pthread_mutex_lock(&pending_lock);
    int ret = draw_token(&p->token);
    if (ret == 0) {
        p->child = child;
        inbox_open(child);
        expect(child);
        list_push_back(&all_pending, &p->node);
    }
    pthread_mutex_unlock(&pending_lock);
    if (ret < 0)
        return ret;
    watch_threads();
    return 0;
}

/* Afterwards no report can claim the child. True if one has. */
static bool pending_remove(struct pending *p)
{
    pthread_mutex_lock(&pending_lock);
    list_del(&p->node);
    bool claimed = !p->child;
    pthread_mutex_unlock(&pending_lock);
    return claimed;
}

struct plat_thread *clone_claim(const struct seccomp_notif *n)
{
    struct plat_thread *child = NULL;
    struct pending *it;

    if (sc_thread_known((pid_t)n->pid))
        return NULL;
    pthread_mutex_lock(&pending_lock);
    list_for_each (it, &all_pending, node) {
        if (it->token == n->data.args[4] && it->child) {
            child = it->child;
            it->child = NULL;
            break;
        }
    }
    if (child) {
        sc_thread_get(child);
        sc_thread_enter(child, (pid_t)n->pid);
    }
    pthread_mutex_unlock(&pending_lock);
    return child;
}

/* ---- deaths before the first report ---- */

static void give_up_on(struct plat_thread *child)
{
    atomic_store(&child->gone, true);
    sc_thread_get(child);
    pthread_mutex_unlock(&pending_lock);
    inbox_wake(child);
    sc_thread_put(child);
    pthread_mutex_lock(&pending_lock);
}

void clone_process_died(struct process *p)
{
    struct pending *it;

    pthread_mutex_lock(&pending_lock);
again:
    list_for_each (it, &all_pending, node) {
        if (it->child && it->child->process == p && !atomic_load(&it->child->gone)) {
            give_up_on(it->child);
            goto again;
        }
    }
    pthread_mutex_unlock(&pending_lock);
}

/* Owners that wait for a first report look at the list again. */
void clone_unknown_death(pid_t pid)
{
    struct pending *it;

    pthread_mutex_lock(&pending_lock);
    unknown_deaths[unknown_count++ % UNKNOWN_DEATHS] = pid;
again:
    list_for_each (it, &all_pending, node) {
        if (it->child && it->told_pid == pid && !atomic_load(&it->child->gone)) {
            give_up_on(it->child);
            goto again;
        }
    }
    pthread_mutex_unlock(&pending_lock);
}

bool clone_watch(void)
{
    struct pending *it;

    pthread_mutex_lock(&pending_lock);
    bool any = !list_empty(&all_pending);
    list_for_each (it, &all_pending, node) {
        /* Before the parent's word its owner waits for the parent, which the watch ends if it must. */
        if (it->child && it->told_pid && ++it->rounds > sc_watch_rounds && !atomic_load(&it->child->gone)) {
            give_up_on(it->child);
            break; /* the list may have changed: the others' turn is in the next round */
        }
    }
    pthread_mutex_unlock(&pending_lock);
    return any;
}

/* The parent says that the child is `pid`: true if that one died already. */
static bool pending_told(struct pending *p, pid_t pid)
{
    bool dead = false;

    pthread_mutex_lock(&pending_lock);
    p->told_pid = pid;
    for (size_t i = 0; i < UNKNOWN_DEATHS; i++)
        if (unknown_deaths[i] == pid && p->child) {
            unknown_deaths[i] = 0;
            dead = true;
        }
    pthread_mutex_unlock(&pending_lock);
    return dead;
}

/* ---- orders ---- */

/* Below the copy of the parent's frame in the child's area, with room for the three words that the stub puts there. */
static uint64_t child_stack(const struct plat_thread *t, const struct plat_thread *child)
{
    return area_address(child->area) + (t->frame - area_address(t->area)) - STUB_CHILD_ROOM;
}

static struct stub_job clone_job(const struct plat_thread *t, const struct plat_thread *child,
                                 enum plat_clone_kind kind, const uint64_t *tls, uint64_t clear_tid)
{
    struct stub_job job = {.op = kind == PLAT_CLONE_FORK ? STUB_FORK : STUB_CLONE_VM,
                           .nr = SYS_clone,
                           .args = {platform_clone_flags(kind) | (tls ? CLONE_SETTLS : 0)},
                           .close_fd = -1};

    if (kind != PLAT_CLONE_FORK)
        job.args[1] = child_stack(t, child);
    /* x86-64's order of arguments */
    job.args[4] = tls ? *tls : 0;
    if (clear_tid && sc_host.native_futex) {
        job.args[0] |= CLONE_CHILD_CLEARTID;
        job.args[3] = clear_tid;
    }
    return job;
}

static struct plat_thread *child_new(struct plat_thread *t, enum plat_clone_kind kind, void *cookie)
{
    struct process *p = t->process;
    unsigned area = t->area;

    if (kind == PLAT_CLONE_FORK) {
        p = sc_process_new(space_fork(p->space, area));
    } else {
        int taken = space_take(p->space);
        if (taken < 0)
            return NULL;
        area = (unsigned)taken;
        p = kind == PLAT_CLONE_THREAD ? sc_process_get(p) : sc_process_new(space_get(p->space));
    }
    return sc_thread_new(p, area, cookie);
}

/* A child of which nothing came: it counts no longer, and its area is free. */
static void child_discard(struct plat_thread *child)
{
    unexpect(child);
    space_free(child->process->space, child->area);
    sc_thread_put(child);
}

/*
 * Has the stub clone; returns the id that it tells. Who will not be alone in its memory has no slot: the stub forgets
 * it, and with it its poller. Mostly the parent waits next, so the child starts where parent and sentry are, and
 * inherits that: whoever comes to know the child lets it go anywhere.
 */
static pid_t run_clone(struct plat_thread *t, const struct stub_job *job, struct placement *out_place)
{
    const struct stub_job jobs[] = {{.op = STUB_POKE, .args = {sc_stub.slot, 0}, .close_fd = -1}, *job};
    const bool forget = job->op != STUB_FORK && t->process->space->slot_shown;
    int64_t result;
    size_t done;

    if (forget)
        t->process->space->slot_shown = false;
    placement_hold(out_place, atomic_load(&t->tid));
    int ret = jobs_run(t, forget ? jobs : jobs + 1, forget ? 2 : 1, &result, &done);
    placement_release(out_place, atomic_load(&t->tid));
    if (ret < 0)
        return ret;
    return result > 0 && result <= INT_MAX ? (pid_t)result : result < 0 && result >= -4095 ? (int)result : -EAGAIN;
}

/* Has the stub clone, and waits for the child's first report. */
static int clone_and_wait(struct plat_thread *t, struct plat_thread *child, struct pending *p,
                          const struct stub_job *job)
{
    struct placement place;
    struct seccomp_notif n;

    const pid_t told = run_clone(t, job, &place);
    if (told < 0)
        return told;
    int ret = pending_told(p, told) ? -EAGAIN : inbox_await(child, &n);
    if (atomic_load(&child->tid))
        placement_release(&place, atomic_load(&child->tid));
    return ret < 0 ? -EAGAIN : stop_take(child, &n);
}

/* Descriptors of ours that were open in the parent just then are the child's too: away with them. */
static int close_inherited(struct plat_thread *t, struct plat_thread *child, unsigned returned_before)
{
    const uint64_t all[6] = {0, ~0U};

    if (child->process == t->process || atomic_load(&t->process->donations) == returned_before)
        return 0;
    return (int)job_call(child, SYS_close_range, all);
}

/* Makes a child that reports. */
static int clone_reporting(struct plat_thread *t, struct plat_thread *child, struct stub_job *job)
{
    const unsigned returned = atomic_load(&t->process->returned);
    struct pending p = {0};

    int ret = pending_add(&p, child);
    if (ret < 0) {
        child_discard(child);
        return ret;
    }
    job->token = p.token;
    ret = clone_and_wait(t, child, &p, job);
    const bool claimed = pending_remove(&p);
    if (ret == 0)
        ret = close_inherited(t, child, returned);
    if (ret == 0)
        return 0;
    /* A child that is there is known by now, and dies with its process; one that comes later is a stranger. */
    atomic_store(&child->inbox, INBOX_OFF);
    if (!claimed) {
        child_discard(child);
    } else {
        if (child->process != t->process)
            sc_process_kill(child->process);
        sc_thread_put(child);
    }
    return ret;
}

int clone_thread(struct plat_thread *t, enum plat_clone_kind kind, const struct regs *regs, const uint64_t *tls,
                 uint64_t clear_tid, void *cookie, struct plat_thread **out)
{
    int ret = stop_upgrade(t);
    if (ret < 0)
        return ret;
    struct plat_thread *child = child_new(t, kind, cookie);
    if (!child)
        return -EAGAIN;
    struct stub_job job = clone_job(t, child, kind, tls, clear_tid);
    ret = clone_reporting(t, child, &job);
    if (ret < 0)
        return ret;
    if (regs) {
        child->regs = *regs;
        child->regs_changed = true;
        child->fresh = true;
    }
    *out = child;
    return 0;
}
