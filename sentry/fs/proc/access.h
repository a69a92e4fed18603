/* Who may look into a process through /proc: the rule of ptrace(2), PTRACE_MODE_READ_FSCREDS. */
#pragma once

#include "lib/compiler.h"

#include <sys/types.h>

struct file;
struct task;

/* 0, -EACCES, or -ESRCH when thread tid is gone. */
int proc_may_trace(struct task *reader, pid_t tid) must_check;

/* The process whose directory f is, which some calls take for a pidfd; 0: f is something else. */
pid_t proc_dir_pid(const struct file *f);
