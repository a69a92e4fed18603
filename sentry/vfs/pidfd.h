/* Process descriptors, pidfd_open(2): a file that names one process for as long as it is open. */
#pragma once

#include "lib/compiler.h"

#include <sys/types.h>

struct file;
struct thread_group;

/* A file on tg (a reference is taken). flags: O_NONBLOCK. */
int pidfd_new(struct thread_group *tg, unsigned flags, struct file **out) must_check;
/* The process behind f, borrowed for the life of f's reference; NULL: f is no pidfd. */
struct thread_group *pidfd_tg(struct file *f);
