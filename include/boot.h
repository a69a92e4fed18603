/*
 * What the runtime hands to the gofer and the sentry when it starts them: a plain description, made by trusted code
 * before any guest byte is looked at. The same process image serves all (fork without exec), so it is passed by
 * pointer.
 */
#pragma once

#include "include/platform.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum mount_kind {
    MOUNT_GOFER, /* a tree of host files, served on conn_fd */
    MOUNT_TMPFS,
    MOUNT_PROC,
    MOUNT_SYS,
    MOUNT_DEV,
};

/* One mount of the guest, in the order in which they are made; the first is "/". */
struct boot_mount {
    enum mount_kind kind;
    const char *target; /* absolute guest path; missing directories on the way are made in the overlay or tmpfs */
    const char *source; /* as shown in /proc/mounts */
    bool readonly, nosuid, nodev, noexec;
    bool overlay;        /* MOUNT_GOFER: writes go to an upper layer in memory */
    bool exclusive;      /* MOUNT_GOFER: nobody else changes the tree: cache freely */
    int conn_fd;         /* MOUNT_GOFER: 9P socket; else -1 */
    uint64_t size_limit; /* MOUNT_TMPFS: bytes, 0 for the default (half of memory) */
    mode_t mode;         /* MOUNT_TMPFS: of the root directory */
    uid_t uid;           /* MOUNT_TMPFS: its owner */
    gid_t gid;
};

/* A symbolic link that is made in the root before the other mounts, such as /bin. */
struct boot_link {
    const char *path; /* directly below "/" */
    const char *target;
};

struct boot_config {
    const char *platform; /* "seccomp" or "ptrace" */
    struct boot_mount *mounts;
    size_t mount_count;
    const struct boot_link *links;
    size_t link_count;

    char **argv, **envp; /* NULL-terminated */
    const char *path;    /* program: searched in envp's PATH if it has no slash */
    bool own_init;       /* the program does not run as process 1 but as the child of an init of the sandbox's own */
    uint64_t ignored_signals; /* bit N-1: the program starts with signal N ignored */
    const char *cwd;
    const char *hostname;
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t ngroups;
    mode_t umask;

    int stdio[3];    /* host descriptors for guest 0, 1, 2; -1: closed */
    int terminal;    /* which of them is the terminal that becomes the guest's controlling one; -1: none */
    bool background; /* the terminal's foreground job on the host is another */
    int control_fd;  /* socket to the runtime: include/control.h */
    int log_fd;
    bool debug;
    enum plat_fast_calls fast_calls;
    bool strace;
    int strace_fd; /* where --strace writes */

    uint64_t memory_limit; /* bytes as shown in /proc/meminfo; 0: the host's */
    unsigned pids_limit;   /* guest tasks; 0: default */
    unsigned cpus;         /* as shown to the guest; 0: the host's */
    bool want_report;      /* count system calls for --report */
};

/*
 * The sentry process: boots from cfg, locks itself in, runs the guest to its end and does not return. The exit reaches
 * the runtime over control_fd, and as this process's exit status (0..255).
 */
_Noreturn void sentry_main(const struct boot_config *cfg);

/* One tree that the gofer serves. */
struct gofer_tree {
    int root_fd; /* O_PATH descriptor of its root */
    int conn_fd; /* 9P socket */
    bool readonly;
    bool allow_dev; /* device nodes may be opened */
};

struct gofer_config {
    const struct gofer_tree *trees;
    size_t tree_count;
    int log_fd;
    bool debug;
    bool privileged; /* started by root: keeps the file capabilities it needs to act as the guest's uids */
};

#define GOFER_EXIT_TOLD 125 /* its exit code if it could not start and has told the user why */

/* The gofer process: locks itself in, serves until every connection is closed, and exits. */
_Noreturn void gofer_main(const struct gofer_config *cfg);
