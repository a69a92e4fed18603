/*
 * --strace: one line a call, "[tid] name(arguments) = result", written with one write(2), so that lines of different
 * tasks do not mix. Arguments are printed before the call is made, since execve and exit leave nothing to print them
 * from, but for calls that bring bytes.
 */
#include "sentry/syscalls/strace.h"

#include "sentry/kernel/task.h"
#include "sentry/syscalls/dispatch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int strace_fd = -1;

void strace_set_fd(int fd)
{
    strace_fd = fd;
}

bool strace_on(void)
{
    return strace_fd >= 0;
}

void strace_put(struct strace_line *l, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, format, args);
    va_end(args);
    if (n > 0)
        l->len = MIN(l->len + (size_t)n, sizeof(l->text) - 1);
}

static const char *name_of(const struct sysargs *a)
{
    return a->nr < SYSCALL_MAX ? syscall_table[a->nr].name : NULL;
}

static void put_call(struct task *t, struct strace_line *l, const struct sysargs *a, long ret)
{
    const char *name = name_of(a), *kinds = strace_kinds(name);

    if (name)
        strace_put(l, "%s(", name);
    else
        strace_put(l, "syscall_%llu(", (unsigned long long)a->nr);
    if (!kinds)
        kinds = "xxxxxx";
    for (int i = 0; kinds[i]; i++) {
        if (i)
            strace_put(l, ", ");
        strace_arg(t, l, kinds[i], a, i, ret);
    }
}

static void put_result(struct strace_line *l, long ret)
{
    if (ret == SYS_CONTINUE) {
        strace_put(l, ") = (by the host)");
    } else if (ret == SYS_RESUME || ret == SYS_GONE) {
        strace_put(l, ") = ?");
    } else if (ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK) {
        strace_put(l, ") = ? (interrupted)");
    } else if (ret < 0 && ret >= -4095) {
        const char *name = strerrorname_np((int)-ret);
        strace_put(l, ") = -1 %s (%s)", name ? name : "?", strerrordesc_np((int)-ret));
    } else {
        strace_put(l, ret > INT32_MAX || ret < 0 ? ") = %#lx" : ") = %ld", ret);
    }
}

void strace_enter(struct task *t, const struct sysargs *a, struct strace_line *l)
{
    const char *kinds = strace_kinds(name_of(a));

    l->len = 0;
    strace_put(l, "[%d] ", t->tid);
    if (!kinds || !strchr(kinds, 'R'))
        put_call(t, l, a, -1);
}

void strace_exit(struct task *t, const struct sysargs *a, long ret, struct strace_line *l)
{
    const char *kinds = strace_kinds(name_of(a));

    if (kinds && strchr(kinds, 'R'))
        put_call(t, l, a, ret);
    put_result(l, ret);
    if (l->len > sizeof(l->text) - 2)
        l->len = sizeof(l->text) - 2;
    l->text[l->len++] = '\n';
    if (write(strace_fd, l->text, l->len) < 0)
        strace_fd = -1; /* nobody reads any more */
}
