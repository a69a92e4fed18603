/* --strace, inside: strace.c makes the lines, strace_args.c prints arguments by their kind, strace_table.c says which
 * kinds a call has. */
#pragma once

#include "sentry/syscalls/syscalls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STRACE_LINE 1024

/* A line in the making; it is cut, never overrun. */
struct strace_line {
    char text[STRACE_LINE];
    size_t len;
};

void strace_put(struct strace_line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A call's arguments, one letter each:
 *   d int   u unsigned   x hexadecimal   o octal mode   O offset   p pointer (NULL or hexadecimal)
 *   s path or other string   B bytes that go in, their number is the next argument
 *   R bytes that come out, as many as the result says
 *   D directory descriptor (AT_FDCWD)   S signal   C clock
 * and flags: f open  t AT_*  P mmap protection  M mmap flags  c clone  W wait options  F fcntl command  L lseek
 *   E epoll operation  U futex operation  T socket type  A address family  K kind of sigprocmask  a access mode
 *   m memory advice  I ioctl request
 */
const char *strace_kinds(const char *name);

/* Prints argument i, which is of this kind. ret: the call's result, if it has been made (else pass -1). */
void strace_arg(struct task *t, struct strace_line *l, char kind, const struct sysargs *a, int i, long ret);
