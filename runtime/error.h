/*
 * Errors of the runtime: the one line that the user reads and the exit code that goes with it. A function that can fail
 * takes a struct error last, returns -1, and has said everything in it.
 */
#pragma once

#include "lib/compiler.h"

#include <stdarg.h>

#define EXIT_SBOX 125       /* sbox itself could not do its work */
#define EXIT_CANNOT_RUN 126 /* the program is there and cannot be run */
#define EXIT_NOT_FOUND 127

struct error {
    int code;        /* to exit with */
    char text[1024]; /* without "sbox: " and newline */
};

/* Writes the words and the code EXIT_SBOX; returns -1 so that it can be returned. */
int error_set(struct error *e, const char *fmt, ...) printf_like(2, 3);
