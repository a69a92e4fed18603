/*
 * Workers: the threads that listen for notices and run event() for them.
 *
 * Listening is a *token*. Usually one worker has it and keeps it: it receives, handles, answers and receives again
 * without touching a lock, and stays warm on the core of the guest it serves. The token moves when its holder says
 * that it will block (worker_block_begin), if any guest thread is running that could need a listener, and nobody else
 * has one. When a notice finds the next one waiting already, a second token is given out, up to one a core; a holder
 * that finds more tokens than running guest threads lays its own down. Workers without a token sleep, last in, first
 * out, and beyond a few they end.
 *
 * `running` counts the guest threads of which a notice is to come. A thread is counted before it is let go on, and
 * whoever lets it go on looks afterwards whether somebody listens; who stops listening looks at `running` after it has
 * laid down the token. Both happen under pool_lock, so no thread runs unheard. Should a holder be held
 * up without having said so, the watch gives out another token (watch.c).
 */
#include "platform/seccomp/internal.h"

#include "lib/placement.h"
#include "lib/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORKER_STACK (256u << 10)
#define SHARE_EVERY 8U /* notices */
#define IDLE_MAX 6U    /* sleeping workers that are kept */

enum wake { SLEEPING, WOKEN, WOKEN_TO_LISTEN };

struct worker {
    struct worker *below; /* pool_lock: on the stack of idle ones */
    atomic_uint wake;
};

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list queue = LIST_INIT(queue); /* pool_lock: threads with an event, each with a reference */
static struct worker *idle;                  /* pool_lock */
static unsigned idle_count;                  /* pool_lock */
static atomic_uint queued;                   /* written under pool_lock */
static atomic_uint tokens;                   /* written under pool_lock */
static unsigned tokens_max = 1;              /* (c) */
static atomic_int running;
static atomic_int receiving; /* holders of a token that wait for a notice */
static atomic_uint received; /* notices so far */
static atomic_bool started;  /* a guest thread was let go on */

static _Thread_local bool listening; /* this thread has a token */
static _Thread_local bool is_worker;

/* ---- counting ---- */

void expect(struct plat_thread *t)
{
    if (!atomic_exchange(&t->expected, true))
        atomic_fetch_add(&running, 1);
}

bool unexpect(struct plat_thread *t)
{
    const bool was = atomic_exchange(&t->expected, false);

    if (was)
        atomic_fetch_sub(&running, 1);
    return was;
}

unsigned guests_running(void)
{
    return (unsigned)atomic_load(&running);
}

bool nobody_listens(void)
{
    return atomic_load(&running) > 0 && atomic_load(&receiving) == 0;
}

unsigned notices_received(void)
{
    return atomic_load(&received);
}

int receive(struct seccomp_notif *n)
{
    atomic_fetch_add(&receiving, 1);
    int ret = notify_recv(n);
    atomic_fetch_sub(&receiving, 1);
    if (ret == 0)
        atomic_fetch_add_explicit(&received, 1, memory_order_relaxed);
    return ret;
}

/* ---- waking ---- */

static void *worker_main(void *arg);

static int start_worker(enum wake how)
{
    return thread_start_detached(worker_main, (void *)(uintptr_t)how, WORKER_STACK);
}

/*
 * Wakes an idle worker or makes one; drops pool_lock. With WOKEN_TO_LISTEN the caller has counted its token already.
 * If the host has no thread to give, the token is laid down and the next worker that comes free takes it.
 */
static void wake_worker_unlock(enum wake how)
{
    struct worker *w = idle;

    if (w) {
        idle = w->below;
        idle_count--;
    }
    pthread_mutex_unlock(&pool_lock);
    if (w) {
        atomic_store(&w->wake, how);
        syscall(SYS_futex, &w->wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        return;
    }
    if (start_worker(how) == 0 || how == WOKEN)
        return;
    pthread_mutex_lock(&pool_lock);
    atomic_fetch_sub(&tokens, 1);
    pthread_mutex_unlock(&pool_lock);
}

/* With pool_lock, which is dropped: gives a token to another worker if somebody runs and nobody listens. */
static void ensure_listener_unlock(void)
{
    if (atomic_load(&tokens) == 0 && atomic_load(&running) > 0) {
        atomic_fetch_add(&tokens, 1);
        wake_worker_unlock(WOKEN_TO_LISTEN);
    } else {
        pthread_mutex_unlock(&pool_lock);
        watch_listeners();
    }
}

void add_listener(void)
{
    pthread_mutex_lock(&pool_lock);
    atomic_fetch_add(&tokens, 1);
    wake_worker_unlock(WOKEN_TO_LISTEN);
}

/* Who lays down a token looks at `running` afterwards, and so sees the thread that our caller has counted. */
void ensure_listener(void)
{
    if (unlikely(!atomic_load(&started)))
        atomic_store(&started, true);
    if (likely(atomic_load(&tokens) > 0))
        return watch_listeners();
    pthread_mutex_lock(&pool_lock);
    ensure_listener_unlock();
}

void queue_event(struct plat_thread *t, bool now)
{
    pthread_mutex_lock(&pool_lock);
    list_push_back(&queue, &t->queue_node);
    atomic_fetch_add(&queued, 1);
    if (now || !is_worker)
        wake_worker_unlock(WOKEN);
    else
        pthread_mutex_unlock(&pool_lock);
}

/* ---- tokens ---- */

static void lay_down_token(void)
{
    listening = false;
    atomic_fetch_sub(&tokens, 1);
}

static bool take_token(void)
{
    if (atomic_load(&tokens) > 0)
        return false;
    atomic_fetch_add(&tokens, 1);
    listening = true;
    return true;
}

/*
 * An owner listens only as the one holder of a token: nobody but a holder hands out a second, and a notice is routed
 * before its receiver lays down the token, so what another received for this owner is in its inbox by now.
 */
bool listen_for_owner(void)
{
    if (listening && atomic_load(&tokens) == 1)
        return true;
    pthread_mutex_lock(&pool_lock);
    if (listening)
        lay_down_token();
    bool got = take_token();
    pthread_mutex_unlock(&pool_lock);
    return got;
}

/*
 * Before the first program goes on only its maker orders jobs, and comes back to listen for them: a worker that did it
 * meanwhile would stand between each job and its maker.
 */
void listen_for_owner_end(void)
{
    if (!listening || is_worker)
        return;
    pthread_mutex_lock(&pool_lock);
    lay_down_token();
    if (atomic_load(&started))
        ensure_listener_unlock();
    else
        pthread_mutex_unlock(&pool_lock);
}

void worker_block_begin(void)
{
    poller_wait_begin();
    if (!is_worker)
        return;
    if (!listening && !atomic_load(&queued))
        return;
    pthread_mutex_lock(&pool_lock);
    if (listening)
        lay_down_token();
    if (atomic_load(&queued))
        wake_worker_unlock(WOKEN); /* it takes the token too, when it is through */
    else
        ensure_listener_unlock();
}

/* Where to listen next is decided when the event is through. */
void worker_block_end(void)
{
    poller_wait_end();
}

/*
 * Another notice waits while this one is being handled: give it a worker of its own, if there is a core for it. To look
 * costs a host call, so it is not done at each notice; load that lasts is shared soon enough.
 */
static void share_load(void)
{
    static _Thread_local unsigned notices;

    if (likely(atomic_load(&running) <= 1) || atomic_load(&tokens) >= tokens_max)
        return;
    if (++notices % SHARE_EVERY || !notify_pending())
        return;
    pthread_mutex_lock(&pool_lock);
    if (atomic_load(&tokens) < tokens_max) {
        atomic_fetch_add(&tokens, 1);
        wake_worker_unlock(WOKEN_TO_LISTEN);
    } else {
        pthread_mutex_unlock(&pool_lock);
    }
}

/* ---- the workers ---- */

/* Sleeps until woken; drops pool_lock. False: there are idle ones enough, and this one is to end. */
static bool sleep_unlock(struct worker *self)
{
    if (idle_count >= IDLE_MAX) {
        pthread_mutex_unlock(&pool_lock);
        return false;
    }
    atomic_store(&self->wake, SLEEPING);
    self->below = idle;
    idle = self;
    idle_count++;
    pthread_mutex_unlock(&pool_lock);
    watch_listeners();
    while (atomic_load(&self->wake) == SLEEPING)
        syscall(SYS_futex, &self->wake, FUTEX_WAIT_PRIVATE, SLEEPING, NULL, NULL, 0);
    listening = atomic_load(&self->wake) == WOKEN_TO_LISTEN;
    return true;
}

static struct plat_thread *take_queued(void)
{
    if (list_empty(&queue))
        return NULL;
    struct plat_thread *t = list_first(&queue, struct plat_thread, queue_node);
    list_del(&t->queue_node);
    atomic_fetch_sub(&queued, 1);
    return t;
}

/* For a holder of a token: another one listens, and there are more of them than running threads. */
static bool too_many_listen(void)
{
    const unsigned n = atomic_load(&tokens);

    return n > 1 && (int)n > atomic_load(&running) && atomic_load(&receiving) > 0;
}

/*
 * What to do without listening: a queued event (returned), or sleep. *out_end: the worker is to end. While no guest
 * thread runs nobody listens, so that whoever orders jobs meanwhile, as the first program's start does, hears of them
 * without another thread between.
 */
static struct plat_thread *look_around(struct worker *self, bool *out_end)
{
    pthread_mutex_lock(&pool_lock);
    struct plat_thread *t = take_queued();
    if (listening && too_many_listen())
        lay_down_token();
    if (t || listening || (atomic_load(&running) > 0 && take_token())) {
        pthread_mutex_unlock(&pool_lock);
        return t;
    }
    *out_end = !sleep_unlock(self);
    return NULL;
}

/* The next event, with a reference, or NULL: this worker is not needed any more. */
static struct plat_thread *next_event(struct worker *self)
{
    struct seccomp_notif n;
    bool end = false;

    while (!end) {
        if (!listening || atomic_load(&queued) || too_many_listen()) {
            struct plat_thread *t = look_around(self, &end);
            if (t)
                return t;
            continue;
        }
        if (receive(&n) < 0)
            continue;
        share_load();
        struct plat_thread *t = route_notice(&n);
        if (t) {
            if (unlikely(atomic_load(&running) > 0))
                watch_listeners();
            return t;
        }
    }
    return NULL;
}

static void *worker_main(void *arg)
{
    struct worker self = {0};
    struct plat_thread *t;

    is_worker = true;
    listening = (enum wake)(uintptr_t)arg == WOKEN_TO_LISTEN;
    while ((t = next_event(&self))) {
        stop_handle(t);
        sc_thread_put(t);
    }
    return NULL;
}

static void nudged(int sig unused_arg)
{
}

int workers_init(void)
{
    struct sigaction sa = {.sa_handler = nudged}; /* without SA_RESTART: receiving is to be interrupted */
    cpu_set_t allowed;
    sigset_t nudge;

    /* Whoever started us may have blocked it; the workers inherit this thread's mask. */
    sigemptyset(&nudge);
    sigaddset(&nudge, NUDGE_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &nudge, NULL);
    poller_init();
    tokens_max = MIN(placement_allowed(&allowed), 64U);
    return sigaction(NUDGE_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
}
