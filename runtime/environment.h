/*
 * The program's environment. Of the caller's only what describes the terminal, the language and the user goes in:
 * environments hold keys and the names of sockets, which an untrusted program has no business with.
 */
#pragma once

#include "lib/compiler.h"

struct error;
struct run_options;
struct user;

/* A new vector of owned strings, NULL-terminated; NULL with e set. To be given to environment_free(). */
char **environment_make(const struct run_options *o, const struct user *u, const char *cwd, struct error *e) must_check;
void environment_free(char **env);
