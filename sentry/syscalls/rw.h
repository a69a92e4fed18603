/* What the calls that move bytes share. */
#pragma once

#include "lib/compiler.h"

#include <stdint.h>
#include <sys/types.h>

struct file;
struct task;
struct uio;

/* file_write() on behalf of t, with what write(2) adds: RLIMIT_FSIZE (SIGXFSZ, -EFBIG) and SIGPIPE with -EPIPE. */
ssize_t task_write_file(struct task *t, struct file *f, struct uio *u, int64_t *pos) must_check;
