/*
 * System calls: one handler each, grouped by family in this folder, named in a table per architecture.
 *
 * A handler runs in a worker, may block, and returns a result ≥ 0, -errno, one of the ERESTART* codes of kernel/wait.h,
 * or one of the codes below.
 */
#pragma once

#include "lib/compiler.h"

#include <stdint.h>

struct task;

struct sysargs {
    uint64_t nr;
    uint64_t a[6];
    uint64_t ip;
};

/* Results that tell dispatch.c how to go on; outside the range of -errno and ERESTART*. */
#define SYS_CONTINUE (-5001L) /* let the host perform this call (register arguments only) */
#define SYS_RESUME (-5002L)   /* registers were set explicitly (rt_sigreturn, execve) */
#define SYS_GONE (-5003L)     /* the task has exited */

typedef long (*syscall_fn)(struct task *t, const struct sysargs *a);

enum syscall_status { SYS_NO = 0, SYS_REFUSED, SYS_PARTLY, SYS_FULL };

struct syscall_desc {
    const char *name;
    syscall_fn fn;              /* NULL: -ENOSYS, counted */
    enum syscall_status status; /* for docs/compatibility.md */
    const char *note;           /* for docs/compatibility.md: what is missing, or why there is none */
};

#define SYSCALL_MAX 512
extern const struct syscall_desc syscall_table[SYSCALL_MAX];

/* Declares a handler; every family file defines its own and syscalls_decl.h lists them all. */
#define DECLARE_SYSCALL(name) long sys_##name(struct task *t, const struct sysargs *a)
