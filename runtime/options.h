/* The command line of `sbox run`, as a plain description. Strings point into argv. */
#pragma once

#include "include/platform.h"
#include "lib/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/* --rw and --ro: a host path and where the guest sees it. */
struct path_option {
    char *host, *guest; /* owned; absolute */
    bool writable;
};

struct run_options {
    const char *platform, *rootfs, *cwd, *user, *hostname, *report; /* NULL: not given */
    struct path_option *paths;
    size_t path_count;
    const char **env; /* "K=V", or "K": as the caller's environment has it */
    size_t env_count;
    uint64_t memory;     /* bytes; 0: no limit */
    uint64_t timeout_ns; /* 0: none */
    unsigned pids;       /* 0: limits_default_pids() */
    unsigned millicpus;  /* thousandths of a CPU; 0: all */
    enum plat_fast_calls fast_calls;
    bool strace, debug, help;
    char **argv; /* the program and its arguments, NULL-terminated; empty only with help */
};

/* Reads the words after `run`; they end with NULL. The result is to be given to options_free() in any case. */
int options_parse(struct run_options *o, char **words, struct error *e) must_check;
void options_free(struct run_options *o);
