/* Who may look into a process through /proc: the rule of ptrace(2), PTRACE_MODE_READ_FSCREDS. */
#pragma once

#include "lib/compiler.h"

#include <sys/types.h>

struct task;

/* 0, -EACCES, or -ESRCH when thread tid is gone. */
int proc_may_trace(struct task *reader, pid_t tid) must_check;
