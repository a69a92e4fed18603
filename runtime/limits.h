/*
 * The caller's resource limits (setrlimit(2)), which bind the sandbox's own processes too. What these cannot do without
 * is asked for before anything starts, so that a limit is named and not the odd failure that comes of it.
 */
#pragma once

#include "lib/compiler.h"

struct error;

/* Raises soft limits as far as they must and may be. Fails where a hard limit leaves too little. */
int limits_prepare(struct error *e) must_check;
