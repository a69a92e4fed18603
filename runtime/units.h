/* Numbers with units as they stand on a command line. True if the whole text was one, and *out is then set. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes: 512, 64k, 100M, 2G, 1T (of 1024; a B or iB may follow). */
bool parse_size(const char *text, uint64_t *out) must_check;
/* Nanoseconds: 10 (seconds), 1.5s, 200ms, 5m, 2h, 1d. Not zero. */
bool parse_duration(const char *text, uint64_t *out) must_check;
/* A whole number from 1 to max. */
bool parse_count(const char *text, uint64_t max, unsigned *out) must_check;
/* CPUs in thousandths: 0.5, 2. Not zero. */
bool parse_cpus(const char *text, unsigned *out) must_check;
