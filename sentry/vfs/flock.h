/* File locks: flock(2), and fcntl(2)'s record locks of processes and of open file descriptions. */
#pragma once

#include "lib/compiler.h"

#include <fcntl.h>
#include <stdbool.h>

struct file;
struct inode;
struct task;

/* flock(2): op is LOCK_SH, LOCK_EX or LOCK_UN. -EWOULDBLOCK if nonblock, -ERESTARTSYS, -ENOMEM. */
int flock_apply(struct task *t, struct file *f, int op, bool nonblock) must_check;
/* F_SETLK and F_SETLKW (wait), of the process or (ofd) the description. l was checked only by the guest. */
int posix_lock_apply(struct task *t, struct file *f, const struct flock *l, bool wait, bool ofd) must_check;
/* F_GETLK: *l becomes the first lock that stands in the way, or F_UNLCK. */
int posix_lock_test(struct task *t, struct file *f, struct flock *l, bool ofd) must_check;

/* For file.c, at each close of a descriptor: drops the record locks of t's process on the file. */
void file_locks_close(struct file *f, struct task *t);
/* For file.c, at the last put, before the inode is put: drops flock and OFD locks. */
void file_locks_release(struct file *f);
/* For inode.c, when the inode is freed. */
void file_locks_free(struct inode *i);
