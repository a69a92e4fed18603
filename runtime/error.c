/* See error.h. */
#include "runtime/error.h"

#include <stdio.h>

int error_set(struct error *e, const char *fmt, ...)
{
    va_list ap;

    e->code = EXIT_SBOX;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return -1;
}
