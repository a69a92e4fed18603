/* Between the user and the sandbox while it runs: signals in, the exit out. */
#pragma once

#include "lib/compiler.h"

#include <stdint.h>

struct error;
struct sandbox;

/* Blocks the signals that are to be passed on, and readies a descriptor for them; before the sandbox starts. */
int relay_prepare(struct error *e) must_check;
/* Serves until the program has ended: the code to exit with, or -1. */
int relay_run(struct sandbox *s, struct error *e) must_check;
