/* What each file system offers to boot (sentry/boot/mounts.c): a new root inode's dentry to mount. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct dentry;
struct file;
struct boot_config;

/*
 * Before lock-in, while host files can still be opened: what /proc and /sys show of the machine, under cfg's limits,
 * and the host's /dev/zero for mapping (-errno if there is none). proc_read_host() returns the memory that the sandbox
 * has.
 */
uint64_t proc_read_host(const struct boot_config *cfg);
int dev_open_host(void) must_check;

/* How much memory the sandbox has, bytes: its tmpfs take at most half of it. Before the first is mounted. */
void tmpfs_set_memory(uint64_t bytes);
/* What all tmpfs hold now, bytes. */
uint64_t tmpfs_bytes(void);

/* All return 0 with a root dentry (one reference) or -errno. */
int tmpfs_mount(uint64_t size_limit, mode_t mode, struct dentry **out) must_check;
int proc_mount(struct dentry **out) must_check;
int sysfs_mount(struct dentry **out) must_check;
int dev_mount(struct dentry **out) must_check;
/* Sends the first request to a gofer, which gofer_mount() reads the answer to; it need not be up yet. */
void gofer_greet(int conn_fd);
/* conn_fd, on which gofer_greet() was called, is taken over. exclusive: see docs/files.md. */
int gofer_mount(int conn_fd, bool exclusive, bool readonly, struct dentry **out) must_check;
/* Upper: a fresh tmpfs. lower's reference is taken over. */
int overlay_mount(struct dentry *lower, struct dentry **out) must_check;

/* An unlinked tmpfs file (memfd_create, shared anonymous memory), open read-write. */
int tmpfs_new_anon_file(const char *name, uint64_t size, unsigned flags, struct file **out) must_check;
/* The same, and F_ADD_SEALS may seal it; noexec: never to be executable (MFD_NOEXEC_SEAL). */
int tmpfs_new_sealable_file(const char *name, bool noexec, struct file **out) must_check;
/* A guest file on a host descriptor: stdin, stdout, stderr (pipes, terminals, regular files). fd is taken over. */
int hostfd_new_file(int host_fd, unsigned flags, struct file **out) must_check;
