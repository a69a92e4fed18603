/*
 * Starting a thread that nobody joins: those of sentry and platforms run until the process ends.
 */
#pragma once

#include "lib/compiler.h"

#include <stddef.h>

/* 0, or -errno if the host has no thread to give. stack: bytes of it, or 0 for what the C library gives. */
int thread_start_detached(void *(*fn)(void *arg), void *arg, size_t stack) must_check;
