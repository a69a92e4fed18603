/* Attributes and small macros that the whole tree uses. */
#pragma once

#include <stddef.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, first) __attribute__((format(printf, fmt, first)))
#define cleanup(fn) __attribute__((cleanup(fn)))
#define unused_arg __attribute__((unused))
/* For a large local buffer that is written before it is read: it is not cleared first, as other locals are. */
#define not_cleared __attribute__((uninitialized))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* In a loop that waits for another processor. */
#if defined(__x86_64__)
#define cpu_relax() __builtin_ia32_pause()
#else
#define cpu_relax() __asm__ volatile("yield")
#endif

/* clang's -Wthread-safety; empty elsewhere. */
#if defined(__clang__)
#define CAPABILITY(x) __attribute__((capability(x)))
#define ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define NO_THREAD_SAFETY __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(x)
#define ACQUIRES(...)
#define RELEASES(...)
#define REQUIRES(...)
#define NO_THREAD_SAFETY
#endif
