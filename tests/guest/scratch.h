/* A folder of its own in /tmp for one part of a test, entered at its start and removed at its end. */
#pragma once

#include "check.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

static char scratch_path[64];

static inline int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void scratch_leave(void)
{
    if (chdir("/") == 0)
        nftw(scratch_path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static pid_t scratch_owner;

static inline void scratch_at_exit(void)
{
    if (getpid() == scratch_owner)
        scratch_leave();
}

static inline void scratch_enter(void)
{
    strcpy(scratch_path, "/tmp/testXXXXXX");
    CHECK(mkdtemp(scratch_path) && chdir(scratch_path) == 0);
    scratch_owner = getpid();
    atexit(scratch_at_exit);
}

/* Makes a file with these bytes and this mode. */
static inline void scratch_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchmod(fd, mode) == 0 && close(fd) == 0);
}
