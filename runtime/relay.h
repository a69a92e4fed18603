/* Between the user and the sandbox while it runs: signals and terminal in, stops and the end out. */
#pragma once

#include "lib/compiler.h"
#include "runtime/terminal.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct error;
struct sandbox;

struct relay {
    struct sandbox *sandbox; /* borrowed */
    struct terminal terminal;
    int signal_fd;       /* owned */
    uint64_t timeout_ns; /* 0: none */
    int64_t deadline;    /* CLOCK_MONOTONIC; 0: none */
    bool timed_out;      /* and the program was told to end */

    bool ended;      /* the program ran and is over: */
    int wait_status; /* … so */
    json_t *figures; /* the sentry's last message, owned; or NULL */
};

/* Which signals the caller has set to be ignored, bit N-1 for signal N; before relay_prepare(). */
uint64_t relay_ignored_signals(void);
/* Blocks the signals that are to be passed on, and readies a descriptor for them; before the sandbox starts. */
int relay_prepare(struct relay *r, uint64_t ignored, struct error *e) must_check;
/* Serves until the program has ended: the code to exit with, or -1. */
int relay_run(struct relay *r, struct sandbox *s, struct error *e) must_check;
void relay_close(struct relay *r);
