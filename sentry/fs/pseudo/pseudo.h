/*
 * File systems that are tables: proc and sys.
 *
 * A tree of constant struct pseudo_node describes directories, text files and links. Directories whose entries come and
 * go (process ids, descriptors) add a lookup and an iterate of their own behind their constant children. Inodes are
 * made at each lookup and carry a struct pseudo_arg: the process, thread or descriptor they speak of.
 */
#pragma once

#include "sentry/fs/pseudo/text.h"
#include "sentry/vfs/vfs.h"

struct pseudo_arg {
    pid_t tgid, tid; /* 0: not below a process directory */
    int num;         /* descriptor, CPU … */
};

struct pseudo_node {
    const char *name;
    mode_t mode; /* type and permissions */
    bool ptrace; /* opening it wants the right to trace the process (ptrace(2), PTRACE_MODE_READ) */
    const struct pseudo_node *children; /* ends with a NULL name */

    /* Text files: append the content; write the new one (buf is NUL-terminated; return bytes taken or -errno). */
    int (*show)(struct text *out, const struct pseudo_arg *arg);
    ssize_t (*store)(const struct pseudo_arg *arg, char *buf, size_t len);

    /* Links: the text; for magic links also where they lead (counted). */
    int (*readlink)(const struct pseudo_arg *arg, char *buf, size_t cap);
    int (*follow)(const struct pseudo_arg *arg, struct path *out);

    /* Changing directories: the entry of that name (0, filling node and arg, or -ENOENT); the first entry with a number
     * ≥ from, or -1. An entry's name is next_prefix (NULL: none) and the number in decimal. */
    int (*find)(const struct pseudo_arg *dir, const char *name, const struct pseudo_node **out, struct pseudo_arg *arg);
    int64_t (*next)(const struct pseudo_arg *dir, int64_t from);
    const char *next_prefix;
    unsigned char next_type; /* d_type of those */

    /* Files that are not text: their own operations. */
    const struct file_ops *fops;
};

/* A super block of that tree and its root dentry (one reference). */
int pseudo_mount(const char *type, uint32_t magic, const struct pseudo_node *root, struct dentry **out) must_check;

const struct pseudo_arg *pseudo_inode_arg(const struct inode *i);

/* Is i, of any file system, an inode made from node? */
bool pseudo_inode_is(const struct inode *i, const struct pseudo_node *node);
