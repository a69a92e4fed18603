/* The stub's machine code, in our read-only data: x86_64.c and arm64.c hold it as assembly. */
#pragma once

#include <elf.h>

extern const unsigned char stub_image_start[], stub_image_syscall[], stub_image_cmpxchg[], stub_image_end[];

#if defined(__x86_64__)
#define IMAGE_MACHINE EM_X86_64
#define IMAGE_TASK_SIZE 0x7ffffffff000UL
#else
#define IMAGE_MACHINE EM_AARCH64
#define IMAGE_TASK_SIZE 0x1000000000000UL
#endif
