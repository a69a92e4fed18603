/* Character devices by number: what opening a device node, on whatever file system, leads to. */
#pragma once

#include "lib/compiler.h"

#include <sys/types.h>

struct file;

/* Sets f->ops for the device; -ENXIO where there is none of that number. Called by open for S_ISCHR inodes. */
int chrdev_open(dev_t rdev, struct file *f) must_check;
