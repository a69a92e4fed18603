/* The guest memory of the platform that fuzz targets use; see fake_platform.c. */
#pragma once

#define FAKE_BASE 0x10000ULL
#define FAKE_SIZE 65536

extern unsigned char fake_memory[FAKE_SIZE];
