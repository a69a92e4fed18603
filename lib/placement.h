/*
 * Holding a thread on the processor that the caller runs on. To wake a thread on another processor costs many times a
 * switch to it on the same one, most of all where processors are virtual and the other one sleeps; but the kernel,
 * which cannot know that the waker is about to wait itself, sends who wakes up to an idle processor.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

struct placement {
    cpu_set_t allowed; /* where the thread could run before */
    bool held;
};

/* How many processors the caller may run on; 1, and an empty set, if the host does not tell. */
unsigned placement_allowed(cpu_set_t *out);
/* tid (0: the caller) runs on this processor only, until placement_release(). What does not work is left undone. */
void placement_hold(struct placement *p, pid_t tid);
void placement_release(const struct placement *p, pid_t tid);
