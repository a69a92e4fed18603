/* Kernel timers: one thread, made at the first timer, calls back at each deadline. Idle, it sleeps. */
#pragma once

#include "lib/compiler.h"

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct task;
struct thread_group;

struct ktimer {
    RB_ENTRY(ktimer) node;
    int64_t deadline;             /* CLOCK_MONOTONIC ns */
    uint64_t seq;                 /* orders equal deadlines */
    bool armed;                   /* queue lock */
    void (*fn)(struct ktimer *t); /* runs on the timer thread with no lock held; may re-arm */
};

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t));
/* Arms or moves. */
void ktimer_arm(struct ktimer *t, int64_t deadline);
/* Disarms; after it returns fn is not running (so it must not be called from fn nor with locks fn takes). True if it
 * was armed. */
bool ktimer_cancel(struct ktimer *t);

/* ---- clock.c ---- */

/* Reads a struct timespec as ns (saturating). -EFAULT, -EINVAL (negative, or not below a second). */
int timespec_read_ns(struct task *t, uint64_t addr, int64_t *out) must_check;
int timespec_write_ns(struct task *t, uint64_t addr, int64_t ns) must_check;
/* The CLOCK_MONOTONIC deadline of an absolute time on `clock`; of one that can be set, as it stands now. */
int64_t clock_deadline(clockid_t clock, int64_t ns);
/* The host's clock behind a guest's clock id: CPU clocks are translated to the host's ids. -EINVAL: none. */
int clock_host_id(struct task *t, clockid_t id, clockid_t *out) must_check;
/* Reads such a clock, ns. -EINVAL: it is no clock, or its process or thread is gone. */
int clock_host_read(clockid_t host_clock, int64_t *out) must_check;
/* CPU time of the process, ns; user time alone is not told apart. */
int64_t clock_process_cpu(struct thread_group *tg);

/* ---- itimer.c ---- */

/* One interval timer's state. */
struct itimer_value {
    int64_t value, interval; /* ns; value 0: disarmed */
};

/* which: ITIMER_*. new_value may be NULL. -ENOMEM. */
int itimer_set(struct thread_group *tg, int which, const struct itimer_value *new_value,
               struct itimer_value *old_value) must_check;
/* Stops and frees the group's timers (exit). No lock held. */
void itimers_exit(struct thread_group *tg);
