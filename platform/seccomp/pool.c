/*
 * The pool: a few processes forked from the zygote in advance, each stopped in its handler, so that an exec finds one
 * ready. Who forks is likely to exec: from the first fork of a guest's on a thread of the pool's own fills it, beside
 * the programs that run. The first program's process is forked when it is wanted, as nobody else runs yet who could do
 * it meanwhile for less than the thread costs.
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
static unsigned count;                      /* pool_lock */
static unsigned full;                       /* (c) how many are to be ready once guests fork */
static atomic_bool guests_fork;             /* and the keeper runs */

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
        while (count >= full)
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

void pool_init(struct plat_thread *first, unsigned size)
{
    zygote = first;
    full = MIN(size ? size : 2U, POOL_MAX);
}

static struct plat_thread *take_ready(void)
{
    pthread_mutex_lock(&pool_lock);
    struct plat_thread *t = count ? ready[--count] : NULL;
    pthread_cond_signal(&pool_taken);
    pthread_mutex_unlock(&pool_lock);
    return t;
}

void pool_expect_execs(void)
{
    if (likely(atomic_exchange(&guests_fork, true)))
        return;
    if (thread_start_detached(keeper_main, NULL, POOL_STACK) < 0)
        atomic_store(&guests_fork, false); /* the host has no thread to give just now: with the next fork */
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
