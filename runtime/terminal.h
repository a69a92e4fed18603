/*
 * The terminal of the caller. The guest changes its modes through the sentry; here is what keeps the caller's shell
 * whole: its modes come back when the sandbox stops or ends. Does nothing where there is no controlling terminal.
 */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <termios.h>

struct terminal {
    int fd; /* owned; -1: none */
    struct termios caller, guest;
    bool guest_saved;
};

void terminal_open(struct terminal *t);
void terminal_close(struct terminal *t);
/* Which of standard input, output and error is the controlling terminal; -1: none. */
int terminal_stdio(void);
/* Is another job in the foreground? */
bool terminal_in_background(const struct terminal *t);
/* To the shell, and back to the guest. */
void terminal_give_back(struct terminal *t);
void terminal_take_again(struct terminal *t);
