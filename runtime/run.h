/* The command `sbox run`. */
#pragma once

#include "lib/compiler.h"

struct error;

/* words: what follows `run`, NULL-terminated. The code to exit with, or -1. */
int run_command(char **words, struct error *e) must_check;
