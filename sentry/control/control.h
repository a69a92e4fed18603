/*
 * The sentry's end of the control socket (include/control.h). Boot opens it first of all; control_loop() then is the
 * main thread's work to the end. sentry_exit() and sentry_stopped() of syscalls/dispatch.h are here too.
 */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>

/* fd is taken over. report: the exit is told with the figures of --report. */
void control_open(int fd, bool report);
/* Tells why the program could not be started and ends the process with this code. */
_Noreturn void control_fail(int code, const char *what, int err);
/* The same for a step of the sandbox's own start, with what the user can do about it. */
_Noreturn void control_fail_start(const char *what, int err);
/* Serves the runtime's messages; when the runtime is gone the sandbox ends. */
_Noreturn void control_loop(void);
