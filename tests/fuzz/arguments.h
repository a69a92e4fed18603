/*
 * Arguments of system calls that get past the first checks: each is of the kind that the call wants (as --strace knows
 * them), mostly of values that mean something, and points to memory that holds something fitting.
 */
#pragma once

#include "tests/fuzz/fake_platform.h"

#include <stdint.h>

struct task;

/* The row of slots in guest memory ends here; behind it is room for whatever calls put there. */
#define ARGUMENT_ROOM (FAKE_BASE + 32 * 256)

/*
 * A random number made into argument i of a call of this name. Pointers are to places that arguments_fill() fills, so
 * one structure in a few is the right one.
 */
uint64_t argument_for(const char *call, int i, uint64_t random);

/* Fills guest memory, lifts low limits, and opens a descriptor of each kind, as far as there is room. */
void arguments_open(struct task *t);

/* Writes names, structures and lists to the fake platform's memory, as a guest does: while others look. */
void arguments_fill(void);
