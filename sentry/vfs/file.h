/* Making struct file, for open and for file systems' own needs. */
#pragma once

#include "sentry/vfs/vfs.h"

/* A file on p (references taken) with no operations yet; fmode's write count on the inode is the caller's to take.
 * NULL: no memory. */
struct file *file_new(const struct path *p, unsigned fmode, unsigned flags, const struct cred *cred) must_check;
