/*
 * The pool: a few processes forked from the zygote in advance, each stopped in its handler, so that an exec finds one
 * ready. A thread of its own fills it, beside the programs that run: at first with one for the first program; from the
 * first fork of a guest's on, since who forks is likely to exec, with as many as are wanted after each that is taken.
 */
#include "platform/seccomp/internal.h"

#include "lib/log.h"
#include "lib/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define POOL_MAX 16U
#define POOL_STACK (64u << 10)

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pool_taken = PTHREAD_COND_INITIALIZER;
static struct plat_thread *ready[POOL_MAX]; /* pool_lock */
static unsigned count, wanted;              /* pool_lock */
static unsigned full;                       /* (c) what is wanted once guests fork */
static atomic_bool guests_fork;

static pthread_mutex_t zygote_lock = PTHREAD_MUTEX_INITIALIZER; /* taken first; held while the zygote forks */
static struct plat_thread *zygote;                              /* zygote_lock: its owner */

static int fork_zygote(struct plat_thread **out)
{
    if (pthread_mutex_trylock(&zygote_lock)) {
        worker_block_begin(); /* whoever holds it waits for notices */
        pthread_mutex_lock(&zygote_lock);
        worker_block_end();
    }
    int ret = clone_thread(zygote, PLAT_CLONE_FORK, NULL, NULL, 0, NULL, out);
    pthread_mutex_unlock(&zygote_lock);
    return ret;
}

static void *keeper_main(void *arg unused_arg)
{
    pthread_mutex_lock(&pool_lock);
    for (;;) {
        struct plat_thread *t;
        while (count >= wanted)
            pthread_cond_wait(&pool_taken, &pool_lock);
        pthread_mutex_unlock(&pool_lock);
        int ret = fork_zygote(&t);
        pthread_mutex_lock(&pool_lock);
        if (ret == 0)
            ready[count++] = t;
        else
            pthread_cond_wait(&pool_taken, &pool_lock); /* the host has no process to give just now */
    }
    return NULL;
}

int pool_start(struct plat_thread *first, unsigned size)
{
    zygote = first;
    full = MIN(size ? size : 2U, POOL_MAX);
    wanted = 1;
    return thread_start_detached(keeper_main, NULL, POOL_STACK);
}

static struct plat_thread *take_ready(void)
{
    pthread_mutex_lock(&pool_lock);
    struct plat_thread *t = count ? ready[--count] : NULL;
    wanted = atomic_load(&guests_fork) ? full : 0;
    if (wanted)
        pthread_cond_signal(&pool_taken);
    pthread_mutex_unlock(&pool_lock);
    return t;
}

void pool_expect_execs(void)
{
    if (likely(atomic_exchange(&guests_fork, true)))
        return;
    pthread_mutex_lock(&pool_lock);
    wanted = full;
    pthread_cond_signal(&pool_taken);
    pthread_mutex_unlock(&pool_lock);
}

int pool_take(void *cookie, void *process_cookie, struct plat_thread **out)
{
    for (unsigned tries = 0; tries <= POOL_MAX; tries++) {
        struct plat_thread *t = take_ready();
        int ret = t ? 0 : fork_zygote(&t);
        if (ret < 0)
            return ret;
        t->cookie = cookie;
        if (sc_process_hand_out(t->process, process_cookie)) {
            *out = t;
            return 0;
        }
        sc_thread_put(t);
    }
    return -EAGAIN;
}

void pool_shutdown(void)
{
    if (zygote)
        sc_process_kill(zygote->process);
}
