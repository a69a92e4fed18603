/* Loading a program into a fresh address space: the second half of execve(2). */
#pragma once

#include "include/arch/regs.h"
#include "lib/compiler.h"
#include "sentry/mm/stack_image.h"

#include <stdbool.h>

struct cred;
struct file;
struct mm;
struct plat_thread;
struct task;

/* What is to be loaded. */
struct load_request {
    struct file *exe; /* opened by vfs_open_exec(), borrowed */
    const struct exec_strings *strings;
    const char *execfn;      /* AT_EXECFN: the path as given */
    const struct cred *cred; /* for AT_UID …, and for AT_SECURE */
    bool secure;
    uint64_t stack_size; /* RLIMIT_STACK, bytes */
};

struct loaded {
    struct mm *mm;    /* one reference */
    struct regs regs; /* where the program starts */
};

/*
 * Maps the program (and its interpreter) into pt, which the caller has from plat_new() for this purpose. Touches
 * nothing of t but its root directory, for the interpreter's path. On failure pt is to be killed. -ENOEXEC, -ELIBBAD,
 * -EACCES, -ENOENT, -E2BIG, -ENOMEM, -EIO.
 */
int load_program(struct task *t, struct plat_thread *pt, const struct load_request *req, struct loaded *out) must_check;
