/* See text.h. */
#include "sentry/fs/pseudo/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 512

/* Makes room for more bytes; false: out of memory. */
static bool text_reserve(struct text *t, size_t more)
{
    if (t->failed)
        return false;
    if (t->cap - t->len >= more)
        return true;
    size_t cap = MAX(t->cap * 2, FIRST_CAP);
    while (cap - t->len < more)
        cap *= 2;
    char *data = realloc(t->data, cap);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->cap = cap;
    return true;
}

void text_append(struct text *t, const void *bytes, size_t len)
{
    if (!len || !text_reserve(t, len))
        return;
    memcpy(t->data + t->len, bytes, len);
    t->len += len;
}

void text_printf(struct text *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !text_reserve(t, (size_t)n + 1))
        return;
    va_start(ap, fmt);
    vsnprintf(t->data + t->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->len += (size_t)n;
}

void text_free(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}
