/* timerfd_create(2): a timer as a file that is readable once it has expired. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct file;
struct itimer_value;

/* clock: REALTIME, MONOTONIC or BOOTTIME, checked by the caller. flags: O_NONBLOCK. A new reference in *out. */
int timerfd_new(clockid_t clock, unsigned flags, struct file **out) must_check;
/* Arms (value 0: disarms) f; absolute: the value is a time on f's clock. *old: what was left. -EINVAL: no timerfd. */
int timerfd_set(struct file *f, bool absolute, const struct itimer_value *v, struct itimer_value *old) must_check;
int timerfd_get(struct file *f, struct itimer_value *out) must_check;
