/*
 * Workers: threads that run client->event() for stopped guest threads. One is made whenever a stop finds none idle, so
 * a blocked handler never holds up another guest thread; idle ones wait for the next stop.
 */
#include "platform/ptrace/internal.h"

#include "lib/thread.h"
#include "platform/ptrace/worker.h"

#define WORKER_STACK (256u << 10)

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static struct list queue = LIST_INIT(queue); /* queue_lock: threads by queue_node, each with a reference */
static unsigned idle, queued;                /* queue_lock */

/* Does what event() decided. */
static void apply(struct plat_thread *t, struct plat_resume r)
{
    switch (r.verdict) {
    case PLAT_RETURN:
        *regs_result(&t->regs) = (uint64_t)r.value;
        break;
    case PLAT_CONTINUE:
        *regs_result(&t->regs) = (uint64_t)plat_host_call(t, (long)t->event.nr, t->event.args);
        break;
    case PLAT_RESUME:
        break;
    case PLAT_GONE:
        return;
    }
    tracer_resume(t);
}

static struct plat_thread *take_stopped(void)
{
    pthread_mutex_lock(&queue_lock);
    idle++;
    while (list_empty(&queue))
        pthread_cond_wait(&queue_filled, &queue_lock);
    idle--;
    queued--;
    struct plat_thread *t = list_first(&queue, struct plat_thread, queue_node);
    list_del(&t->queue_node);
    pthread_mutex_unlock(&queue_lock);
    return t;
}

static void *worker_main(void *arg)
{
    (void)arg;
    for (;;) {
        struct plat_thread *t = take_stopped();
        if (!atomic_load(&t->gone))
            apply(t, client->event(t->cookie, t, &t->event));
        plat_thread_put(t);
    }
    return NULL;
}

int worker_start(void)
{
    return thread_start_detached(worker_main, NULL, WORKER_STACK);
}

void worker_queue(struct plat_thread *t)
{
    plat_thread_get(t);
    pthread_mutex_lock(&queue_lock);
    list_push_back(&queue, &t->queue_node);
    bool need_one = ++queued > idle;
    pthread_cond_signal(&queue_filled);
    pthread_mutex_unlock(&queue_lock);
    if (need_one)
        (void)!worker_start(); /* if the host has no thread to give, the stop waits for a worker that comes free */
}
