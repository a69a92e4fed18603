/* The system call table: syscall_list.h turned into rows by number. */
#include "sentry/syscalls/syscalls_decl.h"

#include <asm/unistd.h>
#include <stddef.h>

/* While the tree grows a handler may still be missing: its row is then empty, as for N(). */
#define S(n, st, why) extern __typeof__(sys_##n) sys_##n __attribute__((weak));
#define F(n, err, why)
#define N(n, why)
#include "sentry/syscalls/syscall_list.h"
#undef S
#undef F
#undef N

#define S(n, st, why) [__NR_##n] = {.name = #n, .fn = sys_##n, .status = st, .note = why},
#define F(n, err, why) [__NR_##n] = {.name = #n, .fn = refuse_##err, .status = SYS_REFUSED, .note = why},
#define N(n, why) [__NR_##n] = {.name = #n, .fn = NULL, .status = SYS_NO, .note = why},

const struct syscall_desc syscall_table[SYSCALL_MAX] = {
#include "sentry/syscalls/syscall_list.h"
};
