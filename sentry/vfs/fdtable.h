/* File descriptor tables, shared under CLONE_FILES. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stdint.h>

struct file;
struct files;
struct task;

struct files *files_new(void) must_check;
/* A copy, for fork: same files, own table. NULL: no memory. */
struct files *files_clone(struct files *fs) must_check;
struct files *files_get(struct files *fs);
/* The last put closes everything (file_ops.flush with t). */
void files_put(struct files *fs, struct task *t);
int files_refs(struct files *fs);

/* The file of fd with a new reference, or NULL (EBADF). O_PATH files only through the _raw form. */
struct file *fd_get(struct task *t, int fd) must_check;
struct file *fd_get_raw(struct task *t, int fd) must_check;

/* Reserve → install. Lowest free number ≥ min, below RLIMIT_NOFILE: -EMFILE. */
int fd_reserve(struct task *t, int min) must_check;
void fd_unreserve(struct task *t, int fd);
/* Reserves two and writes their numbers to the guest's addr, or does neither. Pair: fd_install() or fd_unreserve(). */
int fd_reserve_pair(struct task *t, uint64_t addr, int fds[2]) must_check;
/* Takes over the reference on f. */
void fd_install(struct task *t, int fd, struct file *f, bool cloexec);
/* reserve + install at the lowest number; on failure f is put. Returns fd or -errno. */
int fd_add(struct task *t, struct file *f, bool cloexec) must_check;
/* close(2): -EBADF. */
int fd_close(struct task *t, int fd) must_check;
/* dup2/dup3 at exactly new_fd; takes over the reference. */
int fd_replace(struct task *t, int new_fd, struct file *f, bool cloexec) must_check;
int fd_set_cloexec(struct task *t, int fd, bool on) must_check;
int fd_get_cloexec(struct task *t, int fd) must_check; /* 0, 1, -EBADF */
int fd_close_range(struct task *t, unsigned first, unsigned last, bool only_mark) must_check;
/* execve: closes what is close-on-exec; the table must be unshared. */
void files_close_on_exec(struct task *t);
/* For /proc/PID/fd: the next used number ≥ fd, or -1; with files borrowed from a referenced task under its lock. */
int files_next(struct files *fs, int fd);
/* A new reference to files' fd, for other tasks' tables. */
struct file *files_get_file(struct files *fs, int fd) must_check;
