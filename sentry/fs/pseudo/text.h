/* A growing text buffer, for files whose content is made when they are read. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data; /* malloced; not NUL-terminated */
    size_t len, cap;
    bool failed; /* an append ran out of memory: the content is not to be used */
};

void text_printf(struct text *t, const char *fmt, ...) printf_like(2, 3);
void text_append(struct text *t, const void *bytes, size_t len);
void text_free(struct text *t);
