/* Starting the first program; execve(2) itself is in the call table. */
#pragma once

#include "lib/compiler.h"

struct task;

/*
 * Loads the program at path (a sentry string; no search) for the first task, which has credentials, files and root but
 * no memory yet, and lets it run. Called by boot after plat_run(). All errors of execve(2); nothing runs then.
 */
int exec_init(struct task *t, const char *path, char *const argv[], char *const envp[]) must_check;
