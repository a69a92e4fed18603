/* Kernel timers: one thread, made at the first timer, calls back at each deadline. Idle, it sleeps. */
#pragma once

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

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
