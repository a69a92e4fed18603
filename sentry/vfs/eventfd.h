/* eventfd(2): a counter as a file. */
#pragma once

#include "lib/compiler.h"

struct file;

/* flags: EFD_SEMAPHORE, EFD_NONBLOCK (checked by the caller). A new reference in *out. */
int eventfd_new(unsigned count, int flags, struct file **out) must_check;
