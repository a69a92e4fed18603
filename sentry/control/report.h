/* Figures for --report. */
#pragma once

#include <jansson.h>

/* {"total":N,"calls":{name:N…},"unknown":{name:N…}}; NULL: out of memory. */
json_t *report_syscalls(void);
