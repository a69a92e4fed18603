/*
 * Host processes and address spaces.
 *
 * A process's pid means that process until the reaper has reaped it. Whoever passes the pid to the kernel does so
 * between sc_process_use() and sc_process_unuse(); the reaper first marks the process dead and then waits for the last
 * user, so no call of ours ever meets another process that got the same pid.
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- address spaces ---- */

struct space *space_new(void)
{
    struct space *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    ref_init(&s->refs);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

struct space *space_get(struct space *s)
{
    ref_get(&s->refs);
    return s;
}

static void space_put(struct space *s)
{
    if (!ref_put(&s->refs))
        return;
    pthread_mutex_destroy(&s->lock);
    free(s->sites);
    free(s);
}

struct space *space_fork(struct space *s, unsigned area)
{
    struct space *copy = space_new();

    if (copy) {
        space_take_this(copy, area);
        copy->sites = sites_copy(s);
    }
    return copy;
}

static int take(struct space *s, size_t words)
{
    int area = -EAGAIN;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < words && area < 0; i++) {
        if (s->used[i] == ~0UL)
            continue;
        int bit = __builtin_ctzl(~s->used[i]);
        s->used[i] |= 1UL << bit;
        area = (int)i * 64 + bit;
    }
    pthread_mutex_unlock(&s->lock);
    return area;
}

int space_take(struct space *s)
{
    return take(s, ARRAY_SIZE(s->used));
}

int space_take_spare(struct space *s)
{
    return take(s, ARRAY_SIZE(s->used) / 2);
}

void space_take_this(struct space *s, unsigned area)
{
    pthread_mutex_lock(&s->lock);
    s->used[area / 64] |= 1UL << area % 64;
    pthread_mutex_unlock(&s->lock);
}

void space_free(struct space *s, unsigned area)
{
    pthread_mutex_lock(&s->lock);
    s->used[area / 64] &= ~(1UL << area % 64);
    pthread_mutex_unlock(&s->lock);
}

/* ---- processes ---- */

struct process *sc_process_new(struct space *space)
{
    struct process *p = space ? calloc(1, sizeof(*p)) : NULL;

    if (!p) {
        if (space)
            space_put(space);
        return NULL;
    }
    ref_init(&p->refs);
    p->space = space;
    pthread_mutex_init(&p->threads_lock, NULL);
    list_init(&p->threads);
    return p;
}

struct process *sc_process_get(struct process *p)
{
    ref_get(&p->refs);
    return p;
}

void sc_process_put(struct process *p)
{
    if (!ref_put(&p->refs))
        return;
    space_put(p->space);
    pthread_mutex_destroy(&p->threads_lock);
    free(p);
}

bool sc_process_hand_out(struct process *p, void *cookie)
{
    atomic_store(&p->cookie, cookie);
    if (!(atomic_load(&p->users) & PROCESS_DEAD))
        return true;
    return !atomic_exchange(&p->cookie, NULL); /* if the reaper was faster, it tells */
}

bool sc_process_use(struct process *p)
{
    if (!(atomic_fetch_add(&p->users, 1) & PROCESS_DEAD))
        return true;
    sc_process_unuse(p);
    return false;
}

void sc_process_unuse(struct process *p)
{
    if (atomic_fetch_sub(&p->users, 1) == PROCESS_DEAD + 1)
        syscall(SYS_futex, &p->users, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void sc_process_kill(struct process *p)
{
    if (!sc_process_use(p))
        return;
    if (p->pid > 0)
        kill(p->pid, SIGKILL);
    sc_process_unuse(p);
}

void sc_process_seal(struct process *p)
{
    unsigned users = atomic_fetch_or(&p->users, PROCESS_DEAD) | PROCESS_DEAD;

    while (users != PROCESS_DEAD) {
        syscall(SYS_futex, &p->users, FUTEX_WAIT_PRIVATE, users, NULL, NULL, 0);
        users = atomic_load(&p->users);
    }
}
