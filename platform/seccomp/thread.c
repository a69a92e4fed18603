/*
 * Guest threads: the table that finds them by tid, their references, and kicks.
 *
 * A thread is in the table until it makes no more notices; the table's reference keeps it. One that its parent's stub
 * makes is there before it has a tid (offer.c), any other from its first report on. A tid is the kernel's word. A
 * thread that ended may still be in the table when its tid is given to a new one, which then replaces it.
 */
#include "platform/seccomp/internal.h"

#include "lib/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUCKETS 512

/* All zero is an unused one, so that only the pages of those that are used are touched. */
static struct bucket {
    pthread_mutex_t lock;
    struct list threads; /* lock; by hash_node */
} table[BUCKETS + 1];    /* the last: threads without a tid */

static atomic_uint left;                 /* how many threads ever left the table */
static _Thread_local unsigned left_seen; /* that, when this thread of ours last began to listen */

static struct bucket *bucket_lock(unsigned i)
{
    struct bucket *b = &table[i];

    pthread_mutex_lock(&b->lock);
    if (unlikely(!b->threads.next))
        list_init(&b->threads);
    return b;
}

static struct bucket *bucket_lock_of(pid_t tid)
{
    return bucket_lock(tid ? (unsigned)tid % BUCKETS : BUCKETS);
}

static void bucket_unlock(struct bucket *b)
{
    pthread_mutex_unlock(&b->lock);
}

struct plat_thread *sc_thread_new(struct process *process, unsigned area, void *cookie)
{
    struct plat_thread *t = process ? calloc(1, sizeof(*t)) : NULL;

    if (!t) {
        if (process) {
            space_free(process->space, area);
            sc_process_put(process);
        }
        return NULL;
    }
    ref_init(&t->refs);
    t->process = process;
    t->area = area;
    t->cookie = cookie;
    t->need = POLLER_NEED_MIN;
    atomic_store(&t->offer, -1);
    list_init(&t->hash_node);
    list_init(&t->process_node);
    list_init(&t->queue_node);
    return t;
}

void sc_thread_get(struct plat_thread *t)
{
    ref_get(&t->refs);
}

void sc_thread_put(struct plat_thread *t)
{
    if (!ref_put(&t->refs))
        return;
    slot_free(t);
    if (t->making)
        sc_thread_put(t->making);
    if (t->made)
        sc_thread_put(t->made);
    sc_process_put(t->process);
    free(t);
}

static struct plat_thread *find_locked(struct bucket *b, pid_t tid)
{
    struct plat_thread *it;

    list_for_each (it, &b->threads, hash_node)
        if (atomic_load_explicit(&it->tid, memory_order_relaxed) == tid)
            return it;
    return NULL;
}

struct plat_thread *sc_thread_find(pid_t tid)
{
    struct bucket *b = bucket_lock_of(tid);
    struct plat_thread *t = find_locked(b, tid);

    if (t)
        sc_thread_get(t);
    bucket_unlock(b);
    return t;
}

/* A thread that is known already cannot be new. */
bool sc_thread_known(pid_t tid)
{
    struct plat_thread *t = sc_thread_find(tid);
    bool yes = t && !atomic_load(&t->gone);

    if (t)
        sc_thread_put(t);
    return yes;
}

struct process *sc_process_find(pid_t pid)
{
    struct plat_thread *t = sc_thread_find(pid);
    struct process *p = t && t->process->pid == pid ? sc_process_get(t->process) : NULL;

    if (t)
        sc_thread_put(t);
    return p;
}

static void enter_bucket(struct plat_thread *t, pid_t tid)
{
    struct bucket *b = bucket_lock_of(tid);
    struct plat_thread *stale = tid ? find_locked(b, tid) : NULL;

    atomic_store(&t->tid, tid);
    if (stale)
        list_del(&stale->hash_node);
    list_push_back(&b->threads, &t->hash_node);
    bucket_unlock(b);
    if (stale)
        sc_thread_put(stale);
}

void sc_thread_enter(struct plat_thread *t, pid_t tid)
{
    if (!t->process->pid)
        t->process->pid = tid;
    sc_thread_get(t);
    enter_bucket(t, tid);
    pthread_mutex_lock(&t->process->threads_lock);
    list_push_back(&t->process->threads, &t->process_node);
    pthread_mutex_unlock(&t->process->threads_lock);
}

/* Takes t out of its bucket: true if it was in one, whose reference is now the caller's. */
static bool leave_bucket(struct plat_thread *t)
{
    for (;;) {
        const pid_t tid = atomic_load(&t->tid);
        struct bucket *b = bucket_lock_of(tid);
        const bool moved = atomic_load(&t->tid) != tid, listed = !moved && !list_empty(&t->hash_node);
        if (listed)
            list_del(&t->hash_node);
        bucket_unlock(b);
        if (!moved)
            return listed;
    }
}

void sc_thread_leave(struct plat_thread *t)
{
    if (atomic_exchange(&t->gone, true))
        return;
    atomic_fetch_add(&left, 1);
    unexpect(t);
    pthread_mutex_lock(&t->process->threads_lock);
    list_del(&t->process_node);
    pthread_mutex_unlock(&t->process->threads_lock);
    space_free(t->process->space, t->area);
    offer_withdraw(t);
    if (leave_bucket(t))
        sc_thread_put(t);
}

/* ---- threads that have no tid yet ---- */

/* With the lock of their bucket. Both locks are held while t moves, so that who looks for it finds it in one of them.
 */
static pid_t find_out_tid(struct plat_thread *t)
{
    const pid_t tid = offer_told_tid(t);

    if (!tid)
        return 0;
    list_del(&t->hash_node);
    enter_bucket(t, tid);
    return tid;
}

struct plat_thread *sc_thread_find_new(pid_t tid)
{
    struct bucket *b = bucket_lock_of(0);
    struct plat_thread *found = sc_thread_find(tid); /* somebody may just have found it out */
    struct plat_thread *it, *next;

    list_for_each_safe (it, next, &b->threads, hash_node) {
        if (found)
            break;
        if (find_out_tid(it) == tid) {
            found = it;
            sc_thread_get(found);
        }
    }
    bucket_unlock(b);
    return found;
}

pid_t sc_thread_tid(struct plat_thread *t)
{
    pid_t tid = atomic_load(&t->tid);

    if (likely(tid))
        return tid;
    struct bucket *b = bucket_lock_of(0);
    tid = atomic_load(&t->tid);
    if (!tid && !list_empty(&t->hash_node))
        tid = find_out_tid(t);
    bucket_unlock(b);
    return tid;
}

bool sc_threads_kick_new(void)
{
    struct bucket *b = bucket_lock_of(0);
    struct plat_thread *it, *next;
    bool any = false;

    list_for_each_safe (it, next, &b->threads, hash_node) {
        if (!atomic_load(&it->kick) || !atomic_load(&it->expected))
            continue;
        if (find_out_tid(it))
            sc_thread_send_kick(it);
        else
            any = true;
    }
    bucket_unlock(b);
    return any;
}

/* ---- */

void sc_threads_note_recv(void)
{
    left_seen = atomic_load(&left);
}

bool sc_threads_left_since_recv(void)
{
    return atomic_load(&left) != left_seen;
}

/* A thread of p, referenced, or NULL when none is left. */
static struct plat_thread *any_thread(struct process *p)
{
    struct plat_thread *t = NULL;

    pthread_mutex_lock(&p->threads_lock);
    if (!list_empty(&p->threads)) {
        t = list_first(&p->threads, struct plat_thread, process_node);
        sc_thread_get(t);
    }
    pthread_mutex_unlock(&p->threads_lock);
    return t;
}

void sc_threads_of_dead(struct process *p)
{
    struct plat_thread *t;

    while ((t = any_thread(p))) {
        sc_thread_leave(t);
        inbox_wake(t);
        sc_thread_put(t);
    }
}

void sc_thread_send_kick(struct plat_thread *t)
{
    const pid_t tid = sc_thread_tid(t);

    if (!tid)
        return watch_new_threads();
    if (!sc_process_use(t->process))
        return;
    syscall(SYS_tgkill, t->process->pid, tid, STUB_KICK_SIGNAL);
    sc_process_unuse(t->process);
    watch_threads();
}

/* Whoever lets the thread go on sets `expected` and then looks at `kick`: one of the two sees the other. */
void sc_thread_kick(struct plat_thread *t)
{
    if (!atomic_exchange(&t->kick, true) && atomic_load(&t->expected))
        sc_thread_send_kick(t);
}

/* Whether t, expected, is kicked or waited for; notices that come in between begin a new count. */
static bool overdue(struct plat_thread *t, bool *out_any)
{
    const unsigned inbox = atomic_load(&t->inbox);

    if (!atomic_load(&t->expected) || !(atomic_load(&t->kick) || inbox == INBOX_OPEN || inbox == INBOX_ASLEEP)) {
        t->watched_rounds = 0;
        return false;
    }
    *out_any = true;
    if (t->watched_id != t->notice.id)
        t->watched_rounds = 0;
    t->watched_id = t->notice.id;
    return ++t->watched_rounds > sc_watch_rounds;
}

bool sc_threads_watch(void)
{
    struct plat_thread *it;
    bool any = false;

    for (unsigned i = 0; i <= BUCKETS; i++) {
        struct bucket *b = bucket_lock(i);
        list_for_each (it, &b->threads, hash_node)
            if (overdue(it, &any))
                (void)!sc_thread_violation(it, "a thread of it does not stop");
        bucket_unlock(b);
    }
    return any;
}

int sc_thread_violation(struct plat_thread *t, const char *what)
{
    log_debug("seccomp: process %d is killed: %s", t->process->pid, what);
    sc_process_kill(t->process);
    return -ESRCH;
}
