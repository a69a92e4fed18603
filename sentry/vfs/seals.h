/* File seals (fcntl F_ADD_SEALS): served by the file system that has them (tmpfs), if it is there. */
#pragma once

struct file;

/* The seals set on f, or -EINVAL if f cannot have any. */
long file_get_seals(struct file *f) __attribute__((weak));
/* -EPERM (sealed against it, or not open for writing), -EBUSY, -EINVAL. */
long file_add_seals(struct file *f, unsigned seals) __attribute__((weak));
