/*
 * --strace: one line per call: [tid] name(arguments) = result. Arguments are hexadecimal above 4095 and decimal below;
 * those that are paths are shown as strings. A line is one write(2), so lines of different tasks do not mix.
 */
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/dispatch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_LEN 1024
#define PATH_SHOWN 200

static int strace_fd = -1;

/* Which arguments are paths, as a bit mask, for the calls where it helps most. */
static const struct {
    const char *name;
    unsigned mask;
} path_args[] = {
    {"open", 1},      {"openat", 2},     {"openat2", 2},   {"stat", 1},       {"lstat", 1},    {"newfstatat", 2},
    {"statx", 2},     {"access", 1},     {"faccessat", 2}, {"faccessat2", 2}, {"execve", 1},   {"execveat", 2},
    {"readlink", 1},  {"readlinkat", 2}, {"mkdir", 1},     {"mkdirat", 2},    {"rmdir", 1},    {"unlink", 1},
    {"unlinkat", 2},  {"rename", 3},     {"renameat", 10}, {"renameat2", 10}, {"link", 3},     {"linkat", 10},
    {"symlink", 3},   {"symlinkat", 5},  {"chdir", 1},     {"chroot", 1},     {"truncate", 1}, {"creat", 1},
    {"chmod", 1},     {"fchmodat", 2},   {"chown", 1},     {"lchown", 1},     {"fchownat", 2}, {"statfs", 1},
    {"utimensat", 2}, {"mknod", 1},      {"mknodat", 2},   {"mount", 3},      {"umount2", 1},
};

void strace_set_fd(int fd)
{
    strace_fd = fd;
}

bool strace_on(void)
{
    return strace_fd >= 0;
}

static unsigned paths_of(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_SIZE(path_args); i++)
        if (!strcmp(path_args[i].name, name))
            return path_args[i].mask;
    return 0;
}

static size_t put_path(struct task *t, char *out, size_t cap, uint64_t addr)
{
    char path[PATH_SHOWN];
    ssize_t n = t->mm ? user_string(t, path, addr, sizeof(path)) : -1;

    if (n < 0)
        return (size_t)snprintf(out, cap, "%#llx", (unsigned long long)addr);
    for (ssize_t i = 0; i < n; i++)
        if (path[i] < ' ' || path[i] == 127)
            path[i] = '?';
    return (size_t)snprintf(out, cap, "\"%s\"", path);
}

static size_t put_arg(struct task *t, char *out, size_t cap, uint64_t v, bool path)
{
    if (path)
        return put_path(t, out, cap, v);
    if ((int64_t)v >= -4096 && (int64_t)v < 4096)
        return (size_t)snprintf(out, cap, "%lld", (long long)v);
    if ((int32_t)v < 0 && (int32_t)v >= -4096 && v >> 32 == 0)
        return (size_t)snprintf(out, cap, "%d", (int32_t)v);
    return (size_t)snprintf(out, cap, "%#llx", (unsigned long long)v);
}

static size_t put_result(char *out, size_t cap, long ret)
{
    const char *err;

    if (ret == SYS_CONTINUE)
        return (size_t)snprintf(out, cap, ") = host\n");
    if (ret == SYS_RESUME || ret == SYS_GONE)
        return (size_t)snprintf(out, cap, ") = ?\n");
    if (ret >= 0 || ret < -4095)
        return (size_t)snprintf(out, cap, ret > 4095 ? ") = %#lx\n" : ") = %ld\n", ret);
    if (ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK)
        return (size_t)snprintf(out, cap, ") = ? (interrupted)\n");
    err = strerrorname_np((int)-ret);
    return (size_t)snprintf(out, cap, ") = -1 %s\n", err ? err : "?");
}

void strace_call(struct task *t, const struct sysargs *a, long ret)
{
    const struct syscall_desc *d = a->nr < SYSCALL_MAX ? &syscall_table[a->nr] : NULL;
    const char *name = d ? d->name : NULL;
    unsigned paths = paths_of(name);
    char line[LINE_MAX_LEN];
    size_t n;

    n = (size_t)snprintf(line, sizeof(line), "[%d] ", t->tid);
    if (name)
        n += (size_t)snprintf(line + n, sizeof(line) - n, "%s(", name);
    else
        n += (size_t)snprintf(line + n, sizeof(line) - n, "syscall_%llu(", (unsigned long long)a->nr);
    for (int i = 0; i < 6; i++) {
        if (i)
            n += (size_t)snprintf(line + n, sizeof(line) - n, ", ");
        n += put_arg(t, line + n, sizeof(line) - n, a->a[i], paths >> i & 1);
    }
    n += put_result(line + n, sizeof(line) - n, ret);
    if (write(strace_fd, line, MIN(n, sizeof(line) - 1)) < 0)
        strace_fd = -1;
}
