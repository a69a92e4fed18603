/* See log.h. Each message is formatted into one buffer and leaves with one write(2), so lines never mix. */
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

bool log_debug_on;
static int log_fd = STDERR_FILENO;
static const char *log_who = "";

void log_init(int fd, const char *who, bool debug)
{
    log_fd = fd;
    log_who = who;
    log_debug_on = debug;
}

static void write_line(const char *prefix, const char *fmt, va_list ap)
{
    char line[LINE_MAX_BYTES];
    int saved_errno = errno;

    if (log_fd < 0)
        return;
    int n = snprintf(line, sizeof(line), "%s", prefix);
    int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    size_t len = m < 0 ? (size_t)n : MIN((size_t)n + (size_t)m, sizeof(line) - 2);
    line[len++] = '\n';
    ssize_t ignored = write(log_fd, line, len);
    (void)ignored;
    errno = saved_errno;
}

void log_user(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line("sbox: ", fmt, ap);
    va_end(ap);
}

void log_debug_write(const char *fmt, ...)
{
    char prefix[64];
    va_list ap;

    snprintf(prefix, sizeof(prefix), "%s[%d]: ", log_who, (int)gettid());
    va_start(ap, fmt);
    write_line(prefix, fmt, ap);
    va_end(ap);
}
