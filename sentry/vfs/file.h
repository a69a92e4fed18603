/* Making struct file, for open and for file systems' own needs. */
#pragma once

#include "sentry/vfs/vfs.h"

/* A file on p (references taken) with no operations yet; fmode's write count on the inode is the caller's to take.
 * NULL: no memory. */
struct file *file_new(const struct path *p, unsigned fmode, unsigned flags, const struct cred *cred) must_check;

/* The two halves of file_new_anon(), for what may have several files on one inode (pipes): a nameless inode at *out
 * (counted; a name that ends in ':' gets "[inode number]" appended), and a file on it. ops NULL, or without open: it
 * cannot be opened once more through /proc/PID/fd (-ENXIO). */
int anon_path_new(const char *name, const struct inode_ops *ops, mode_t mode, struct path *out) must_check;
int file_new_on_anon(const struct path *p, const struct file_ops *ops, unsigned fmode, unsigned flags, void *priv,
                     struct file **out) must_check;
