/* See script.h. */
#include "sentry/mm/script.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

int script_parse(const char *bytes, size_t len, struct script *out)
{
    len = MIN(len, SCRIPT_LINE_MAX - 1);
    if (len < 2 || bytes[0] != '#' || bytes[1] != '!')
        return -ENOEXEC;
    size_t end = 2;
    while (end < len && bytes[end] != '\n' && bytes[end] != '\0')
        end++;
    bool whole_line = end < len || len < SCRIPT_LINE_MAX - 1;

    size_t name = 2;
    while (name < end && blank(bytes[name]))
        name++;
    size_t name_end = name;
    while (name_end < end && !blank(bytes[name_end]))
        name_end++;
    /* A name that reaches the end of what was read may go on behind it. */
    if (name_end == name || (name_end == end && !whole_line))
        return -ENOEXEC;

    size_t arg = name_end;
    while (arg < end && blank(bytes[arg]))
        arg++;
    while (end > arg && blank(bytes[end - 1]))
        end--;
    *out = (struct script){0};
    memcpy(out->interpreter, bytes + name, name_end - name);
    memcpy(out->argument, bytes + arg, end - arg);
    return 0;
}
