/* Users and groups by name, from passwd(5) and group(5) files; the C library's look-up cannot be linked statically. */
#pragma once

#include "lib/compiler.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct error;

struct user {
    uid_t uid;
    gid_t gid;
    char name[64]; /* empty: not in the file */
    char home[PATH_MAX], shell[PATH_MAX];
    gid_t groups[64]; /* supplementary */
    size_t group_count;
};

/* The user with this id as root's passwd file has it; without an entry only uid is set, and home is "/". */
void user_by_id(const char *root, uid_t uid, struct user *out);
/* text: NAME, UID, or either with :GROUP or :GID, looked up below root. */
int user_parse(const char *root, const char *text, struct user *out, struct error *e) must_check;
