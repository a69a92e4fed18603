/* The first line of a script, "#!interpreter [argument]": execve(2). A pure function over bytes. */
#pragma once

#include "lib/compiler.h"

#include <stddef.h>

#define SCRIPT_LINE_MAX 256 /* bytes looked at, "#!" included */

struct script {
    char interpreter[SCRIPT_LINE_MAX];
    char argument[SCRIPT_LINE_MAX]; /* "": none; else the rest of the line, inner blanks kept, outer ones cut */
};

/* bytes: the file's beginning, up to SCRIPT_LINE_MAX. -ENOEXEC: no script, no interpreter, or its name may be cut off.
 */
int script_parse(const char *bytes, size_t len, struct script *out) must_check;
