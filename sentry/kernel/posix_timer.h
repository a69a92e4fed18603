/* POSIX timers, timer_create(2): of one process, each sending a signal when it expires. */
#pragma once

#include "lib/compiler.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct itimer_value;
struct task;
struct thread_group;

/* What timer_create(2) asks for. */
struct posix_timer_request {
    clockid_t clock;      /* as the guest names it */
    clockid_t host_clock; /* the host's id of a CPU clock, else the same */
    bool cpu;             /* host_clock counts CPU time */
    int notify;           /* SIGEV_NONE, SIGEV_SIGNAL or SIGEV_THREAD_ID */
    int signo;
    uint64_t value;      /* sigev_value, as the guest's 8 bytes */
    bool value_is_id;    /* no sigevent was given: the value is the timer's id */
    struct task *target; /* SIGEV_THREAD_ID: the thread, referenced by the caller; else NULL */
};

/* Makes a timer, disarmed. Its id, or -EAGAIN (too many), -ENOMEM. */
int posix_timer_new(struct thread_group *tg, const struct posix_timer_request *req) must_check;
/* Undoes new, disarming first. -EINVAL: no such timer (so do the calls below). */
int posix_timer_delete(struct thread_group *tg, int id) must_check;
/* Arms (value 0: disarms). absolute: the value is a time on the timer's clock. *old: what was left. */
int posix_timer_set(struct thread_group *tg, int id, bool absolute, const struct itimer_value *v,
                    struct itimer_value *old) must_check;
int posix_timer_get(struct thread_group *tg, int id, struct itimer_value *out) must_check;
/* Expirations beyond the first that the last delivered signal stood for. */
int posix_timer_overrun(struct thread_group *tg, int id) must_check;
/* Deletes all (execve, exit). No lock held. */
void posix_timers_exit(struct thread_group *tg);

/*
 * For signal.c: the signal of a timer has been taken off its queue, and stands for all expirations up to now: adds to
 * its overrun what has come since it was counted last. siglock held.
 */
void posix_timer_taken_locked(struct thread_group *tg, siginfo_t *info);
