/* signalfd(2): pending signals of the reader, as bytes. */
#pragma once

#include "lib/compiler.h"
#include "sentry/kernel/signal.h"

struct file;

/* mask: signals to take. flags: O_NONBLOCK. A new reference in *out. */
int signalfd_new(sigset64_t mask, unsigned flags, struct file **out) must_check;
/* Gives f another mask. -EINVAL: it is no signalfd. */
int signalfd_set_mask(struct file *f, sigset64_t mask) must_check;
