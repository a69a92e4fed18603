/* See report.h. A call that nobody knows the name of is shown by its number. */
#include "sentry/control/report.h"

#include "sentry/syscalls/dispatch.h"

#include <stdint.h>
#include <stdio.h>

static void add(json_t *object, unsigned nr, uint64_t count)
{
    char number[32];
    const char *name = syscall_table[nr].name;

    snprintf(number, sizeof(number), "%u", nr);
    json_object_set_new(object, name ? name : number, json_integer((json_int_t)count));
}

json_t *report_syscalls(void)
{
    json_t *calls = json_object(), *unknown = json_object();
    uint64_t total = 0;

    for (unsigned nr = 0; calls && unknown && nr < SYSCALL_MAX; nr++) {
        struct syscall_count c = syscall_count_get(nr);
        total += c.calls;
        if (c.calls)
            add(calls, nr, c.calls);
        if (c.missing)
            add(unknown, nr, c.missing);
    }
    return json_pack("{s:I, s:o, s:o}", "total", (json_int_t)total, "calls", calls, "unknown", unknown);
}
