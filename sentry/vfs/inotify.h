/* inotify(7) instances: queues of events as files. */
#pragma once

#include "lib/compiler.h"

#include <stdint.h>

struct dentry;
struct file;

/* flags: IN_NONBLOCK or 0. A new reference in *out. -EMFILE: too many instances. */
int inotify_new(unsigned flags, struct file **out) must_check;
/* Watches what d names for mask (IN_*, checked by the caller). The watch's number, or -EINVAL (f is no instance),
 * -EEXIST (IN_MASK_CREATE), -ENOSPC, -ENOMEM. */
long inotify_add(struct file *f, struct dentry *d, uint32_t mask) must_check;
/* -EINVAL: f is no instance, or has no such watch. */
int inotify_remove(struct file *f, int wd) must_check;
