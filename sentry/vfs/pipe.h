/* Pipes and FIFOs: a ring of pages with readers and writers. pipe(7), fifo(7). */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct file;
struct inode;
struct pipe;
struct task;

/* Two new files on one new pipe. flags: O_NONBLOCK, O_DIRECT. References to the caller. -ENFILE, -ENOMEM. */
int pipe_new(unsigned flags, struct file **out_read, struct file **out_write) must_check;
/*
 * open(2) of a FIFO inode: attaches f to the ring and, as fifo(7) says, waits for the other end. Called without i->lock
 * by the opening task's worker. -ERESTARTSYS, -ENXIO. On failure f is not attached.
 */
int fifo_open(struct inode *i, struct file *f) must_check;
/* The pipe behind f, or NULL if f is no pipe. Borrowed for the life of f's reference. */
struct pipe *pipe_of(struct file *f);
/* Puts back the len bytes that were just read, for a sink that did not take them. Lost only for want of memory. */
void pipe_unread(struct pipe *p, const void *bytes, size_t len);
/* F_GETPIPE_SZ; F_SETPIPE_SZ (the new size, -EBUSY, -EPERM, -EINVAL, -ENOMEM). */
long pipe_get_size(struct pipe *p);
long pipe_set_size(struct pipe *p, size_t size, bool privileged);
/*
 * tee(2): copies up to len bytes from one pipe's ring to another's without taking them; waits unless nonblock.
 * -EINVAL: the same pipe. -ERESTARTSYS, -EAGAIN, -EPIPE.
 */
ssize_t pipe_tee(struct task *t, struct file *in, struct file *out, size_t len, bool nonblock) must_check;
/* Waits until in has something to read (or is at its end) or out has room (or no reader), for splice(2). */
int pipe_wait_readable(struct task *t, struct file *in, bool nonblock) must_check;
int pipe_wait_writable(struct task *t, struct file *out, bool nonblock) must_check;
/* Bytes that may be read now, and written now (room). */
size_t pipe_readable(struct pipe *p);
size_t pipe_room(struct pipe *p);
