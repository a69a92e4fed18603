/*
 * Sleeping and waking.
 *
 * A wait queue is a list of waiters, each with a callback. The common waiter wakes a task; epoll's queues an event.
 * The usual shape of a blocking call:
 *
 *     struct waiter w;
 *     waiter_init_task(&w, t);
 *     waitq_add(&pipe->readers, &w);
 *     for (;;) {
 *         lock(&pipe->lock);  …try…  unlock(&pipe->lock);
 *         if (done)
 *             break;
 *         ret = task_sleep(t, deadline);      // 0: woken, look again
 *         if (ret < 0)                        // -ERESTARTSYS: signal pending; -ETIMEDOUT
 *             break;
 *     }
 *     waitq_remove(&w);
 *
 * A wake between waitq_add() and task_sleep() is not lost: it makes the sleep return at once.
 */
#pragma once

#include "lib/list.h"
#include "lib/lock.h"

#include <stdint.h>

struct task;

/* In-kernel results that never reach a guest as such; see syscalls/dispatch.c. Values as in Linux, for familiarity. */
#define ERESTARTSYS 512           /* restart if the handler has SA_RESTART, else EINTR */
#define ERESTARTNOINTR 513        /* always restart */
#define ERESTARTNOHAND 514        /* restart only if no handler ran */
#define ERESTART_RESTARTBLOCK 516 /* as NOHAND, but the restart uses t->restart (the remaining time) */

/* Absolute CLOCK_MONOTONIC nanoseconds; NO_DEADLINE sleeps until woken. */
#define NO_DEADLINE INT64_MAX

struct waitq {
    struct lock lock; /* RANK_WAITQ */
    struct list waiters;
};

struct waiter {
    struct list node;    /* on queue->waiters, under queue->lock */
    struct waitq *queue; /* NULL while on none */
    uint32_t mask;       /* EPOLL* events that wake it; 0 means all */
    bool exclusive;      /* waitq_wake_one() wakes at most one of these */
    /* Called with queue->lock held; must not sleep nor take locks below RANK_WAITQ. True if it used the wake-up. */
    bool (*wake)(struct waiter *w, uint32_t events);
    void *data;
};

void waitq_init(struct waitq *q);

/* A waiter that wakes task t. */
void waiter_init_task(struct waiter *w, struct task *t);

/* Puts w on q (not on two at once). Pair: waitq_remove(), which may be called on a waiter that is on no queue. */
void waitq_add(struct waitq *q, struct waiter *w);
void waitq_remove(struct waiter *w);

/* Wakes all waiters whose mask meets events (EPOLLIN …; ~0u for any). */
void waitq_wake(struct waitq *q, uint32_t events);

/* Wakes all non-exclusive waiters and one exclusive one. */
void waitq_wake_one(struct waitq *q, uint32_t events);

/*
 * Sleeps until task_wake(t), a deliverable signal, or the deadline. The caller is t's worker and holds no lock.
 * Returns 0, -ERESTARTSYS or -ETIMEDOUT. Tells the platform that this worker blocks.
 */
int task_sleep(struct task *t, int64_t deadline) must_check;

/* As task_sleep(), but only a fatal signal interrupts (-ERESTARTSYS). For vfork parents and the like. */
int task_sleep_killable(struct task *t, int64_t deadline) must_check;

/* Makes t's current or next task_sleep() return 0. Any thread; t must be referenced. */
void task_wake(struct task *t);

/* Now, CLOCK_MONOTONIC, ns. */
int64_t now_monotonic(void);
/* now + ns, saturating to NO_DEADLINE. */
int64_t deadline_after(int64_t ns);
