/* Operations on names: what mkdir(2), unlink(2), rename(2) and their kin do once their arguments are in the sentry. */
#pragma once

#include "sentry/vfs/vfs.h"

/*
 * Each resolves its name from dirfd with t's credentials, checks as the man page of the call says, changes the file
 * system under the directory's lock, and keeps the dentry cache in step. 0 or -errno.
 */
int vfs_mkdir(struct task *t, int dirfd, const char *name, mode_t mode) must_check;
int vfs_mknod(struct task *t, int dirfd, const char *name, mode_t mode, dev_t rdev) must_check;
/* For bind(2): makes a socket inode; *out is its name, counted. -EEXIST. */
int vfs_make_socket(struct task *t, const char *name, struct path *out) must_check;
int vfs_symlink(struct task *t, const char *target, int dirfd, const char *name) must_check;
int vfs_link(struct task *t, const struct path *from, int dirfd, const char *name) must_check;
int vfs_unlink(struct task *t, int dirfd, const char *name) must_check;
int vfs_rmdir(struct task *t, int dirfd, const char *name) must_check;
/* rename.c; flags: RENAME_NOREPLACE, RENAME_EXCHANGE. */
int vfs_rename(struct task *t, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name,
               unsigned flags) must_check;

/* -EROFS if what p names may not be changed for the mount's or the file system's sake. */
int path_want_write(const struct path *p) must_check;
/* May t remove child from dir: write permission and the sticky bit. Directory lock held. -EACCES, -EPERM, -EROFS. */
int path_may_delete(struct task *t, const struct path *dir, struct inode *child) must_check;
/* True for the final components "/", "." and "..", which name no entry of a directory. */
bool name_is_special(const char *last);

/* Attribute changes, attr.c. p is changed with t's credentials. */
int vfs_chmod(struct task *t, const struct path *p, mode_t mode) must_check;
int vfs_chown(struct task *t, const struct path *p, uid_t uid, gid_t gid) must_check;
/* times NULL: now. tv_nsec may be UTIME_NOW or UTIME_OMIT. */
int vfs_utimes(struct task *t, const struct path *p, const struct timespec *times) must_check;
/* Without permission check on the file's mode, nor a word to watchers: those are open's or the caller's. */
int vfs_truncate(struct task *t, struct inode *i, uint64_t size) must_check;
