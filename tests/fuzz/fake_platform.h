/* The guest memory of the platform that fuzz targets use; see fake_platform.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FAKE_BASE 0x10000ULL
#define FAKE_SIZE 65536

extern unsigned char fake_memory[FAKE_SIZE];

/* plat_clone() makes a thread that never runs, and notes whose it is; else it fails. */
extern bool fake_clone_works;
extern void *fake_cloned;

/* Writes to it, as a guest would: while others look. */
void fake_write(size_t at, const void *bytes, size_t n);
