/* A platform's side of include/platform.h: the same calls, as a table. platform.c forwards to the one that plat_init
 * chose. */
#pragma once

#include "include/platform.h"

struct platform_ops {
    const char *name;
    int (*init)(const struct platform_config *cfg, const struct platform_client *client, const char **out_why);
    int (*greet)(const char **out_why);
    int (*run)(void);
    void (*shutdown)(void);
    int (*new_process)(void *cookie, void *process_cookie, struct plat_thread **out);
    void (*start)(struct plat_thread *t, const struct regs *regs);
    int (*clone)(struct plat_thread *t, enum plat_clone_kind kind, const struct regs *child_regs, const uint64_t *tls,
                 uint64_t clear_tid, void *cookie, void *process_cookie, struct plat_thread **out);
    bool (*child_prepared)(const struct plat_thread *t); /* NULL: never */
    void (*exit_thread)(struct plat_thread *t);
    void (*end)(struct plat_thread *t); /* NULL: kill */
    void (*kill)(struct plat_thread *t);
    void (*get)(struct plat_thread *t);
    void (*put)(struct plat_thread *t);
    pid_t (*host_tid)(struct plat_thread *t);
    pid_t (*host_pid)(const struct plat_thread *t);
    void (*kick)(struct plat_thread *t);
    int (*get_regs)(struct plat_thread *t, struct regs *out);
    int (*set_regs)(struct plat_thread *t, const struct regs *regs);
    ssize_t (*get_fpstate)(struct plat_thread *t, void *buf, size_t cap);
    int (*set_fpstate)(struct plat_thread *t, const void *buf, size_t len);
    int64_t (*host_call)(struct plat_thread *t, long nr, const uint64_t args[6]);
    int (*see_memory_calls)(struct plat_thread *t); /* NULL: they always are events */
    int64_t (*mmap)(struct plat_thread *t, const struct plat_mapping *map);
    int (*lend_fd)(struct plat_thread *t, int fd); /* NULL: never possible */
    int (*mmap_batch)(struct plat_thread *t, const struct plat_mapping *maps, size_t n);
    int (*cmpxchg32)(struct plat_thread *t, uint64_t addr, uint32_t old, uint32_t new_value, uint32_t *out_seen);
    ssize_t (*copy_in)(struct plat_thread *t, const struct iovec *dst, size_t n, const struct iovec *guest,
                       size_t n_guest);
    ssize_t (*copy_out)(struct plat_thread *t, const struct iovec *guest, size_t n_guest, const struct iovec *src,
                        size_t n);
    uint64_t (*robust_list)(struct plat_thread *t);          /* NULL: no native futexes */
    bool (*lend_mask)(struct plat_thread *t, uint64_t mask); /* NULL: never */
    int (*recall_mask)(struct plat_thread *t, uint64_t *out_mask);
    void (*stub_range)(const struct plat_thread *t, uint64_t *start, uint64_t *end);
    const struct plat_layout *(*layout)(void);
    void (*block_begin)(void);
    void (*block_end)(void);
};

extern const struct platform_ops ptrace_platform;
extern const struct platform_ops seccomp_platform;

/* The host's clone flags for a thread or process of that kind; a process is the sentry's child. */
uint64_t platform_clone_flags(enum plat_clone_kind kind);
