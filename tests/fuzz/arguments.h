/*
 * Arguments of system calls that get past the first checks: each is of the kind that the call wants (as --strace knows
 * them), mostly of values that mean something, and points to memory that holds something fitting.
 */
#pragma once

#include "tests/fuzz/fake_platform.h"

#include <stdint.h>
#include <sys/resource.h>

/* The row of slots in guest memory, and what callers need of it. */
#define ARGUMENT_SLOT(n) (FAKE_BASE + (uint64_t)(n)*256)
#define ARGUMENT_FILES_LIMIT ARGUMENT_SLOT(0) /* for prlimit(2): all descriptors below it come up as arguments */
#define ARGUMENT_SIZE_LIMIT (ARGUMENT_SLOT(0) + sizeof(struct rlimit))
#define ARGUMENT_FILE ARGUMENT_SLOT(1)
#define ARGUMENT_DIRECTORY ARGUMENT_SLOT(2)
#define ARGUMENT_ROOM ARGUMENT_SLOT(32) /* holds whatever calls put there */

/*
 * A random number made into argument i of a call of this name. Pointers are to places that arguments_fill() fills, so
 * one structure in a few is the right one.
 */
uint64_t argument_for(const char *call, int i, uint64_t random);

/* Writes names, structures and lists to the fake platform's memory, as a guest does: while others look. */
void arguments_fill(void);
