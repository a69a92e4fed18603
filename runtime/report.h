/* --report FILE: what happened, as one JSON object. The file is opened before anything starts. */
#pragma once

#include "lib/compiler.h"

#include <stdint.h>
#include <time.h>

struct cgroup;
struct error;
struct relay;
struct run_options;
struct sandbox;

struct report {
    int fd; /* owned; -1: none is wanted */
    struct timespec start;
};

int report_open(struct report *r, const char *file, struct error *e) must_check;
/* code: what sbox will exit with; failure: its words if that is sbox's own, else NULL. */
int report_write(struct report *r, const struct run_options *o, const struct relay *relay, const struct sandbox *s,
                 const struct cgroup *c, int code, const char *failure, struct error *e) must_check;
