/*
 * The log: one line a message, to stderr or to the descriptor that log_init() was given.
 *
 * log_user() is what a user of `sbox` must read ("sbox: …"); the rest is for --debug and costs one branch when off.
 */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>

extern bool log_debug_on;

/* Sends messages to fd (-1: nowhere); who is put before each debug line ("sentry", "gofer"); debug enables log_debug.
 */
void log_init(int fd, const char *who, bool debug);

/* "sbox: message": something the user has to know. */
void log_user(const char *fmt, ...) printf_like(1, 2);

void log_debug_write(const char *fmt, ...) printf_like(1, 2);

#define log_debug(...)                                                                                                 \
    do {                                                                                                               \
        if (unlikely(log_debug_on))                                                                                    \
            log_debug_write(__VA_ARGS__);                                                                              \
    } while (0)
