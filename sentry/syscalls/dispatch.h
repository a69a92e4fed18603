/* The way in from the platform and back: what boot hands to plat_init(), and what it may set before the guest runs. */
#pragma once

#include "include/platform.h"
#include "lib/compiler.h"
#include "sentry/syscalls/syscalls.h"

#include <stdbool.h>

/* For plat_init(). */
extern const struct platform_client sentry_client;

/* The platform's two calls; see include/platform.h. The cookies are struct task and struct thread_group. */
struct plat_resume sentry_event(void *cookie, struct plat_thread *pt, const struct plat_event *ev);
void sentry_process_died(void *process_cookie, int status, const struct rusage *ru);

/* Ends the sandbox: init has ended with this wait status. Given by boot. May return while the rest winds down. */
void sentry_exit(int wait_status);

/* The first program was stopped by this signal, or goes on (0). Given by boot. No lock held. */
void sentry_stopped(int sig);

/* --strace: each call is written to fd as a line; -1 (the start): off. */
void strace_set_fd(int fd);
bool strace_on(void);
struct strace_line;
/* Begins a call's line, and ends it with the result and writes it. */
void strace_enter(struct task *t, const struct sysargs *a, struct strace_line *l);
void strace_exit(struct task *t, const struct sysargs *a, long ret, struct strace_line *l);

/* --report: how often each call was made, and how often it was answered ENOSYS for want of a handler. */
struct syscall_count {
    uint64_t calls, missing;
};
void syscall_count_enable(void);
struct syscall_count syscall_count_get(unsigned nr);
