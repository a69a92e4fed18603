/* See limits.h. */
#include "runtime/limits.h"

#include "runtime/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* What the largest user of each needs, with room to spare. */
static const struct need {
    __rlimit_resource_t resource;
    rlim_t least;
    const char *name, *option; /* in words, and to ulimit */
    const char *unit;
    rlim_t unit_size;
} needs[] = {
    {RLIMIT_NOFILE, 1024, "open files", "-n", "", 1},               /* sentry and gofer: a few for each file in use */
    {RLIMIT_STACK, 1UL << 20, "stack size", "-s", " KiB", 1024},    /* the boot's buffers for paths */
    {RLIMIT_AS, 1UL << 30, "virtual memory", "-v", " KiB", 1024},   /* the areas of a stub alone are 256 MiB */
    {RLIMIT_DATA, 64UL << 20, "data size", "-d", " KiB", 1024},     /* the sentry's heap and thread stacks */
    {RLIMIT_FSIZE, 16UL << 20, "file size", "-f", " blocks", 1024}, /* files in memory are files */
};

static int need_ensure(const struct need *n, struct error *e)
{
    struct rlimit limit;

    if (getrlimit(n->resource, &limit) < 0)
        return error_set(e, "cannot read the limit of %s: %s", n->name, strerror(errno));
    if (limit.rlim_max < n->least)
        return error_set(e, "the limit of %s is too low for sbox, which needs %" PRIu64 "%s: raise it (ulimit %s)",
                         n->name, (uint64_t)(n->least / n->unit_size), n->unit, n->option);
    if (limit.rlim_cur >= n->least)
        return 0;
    limit.rlim_cur = n->least;
    return setrlimit(n->resource, &limit) < 0
               ? error_set(e, "cannot raise the limit of %s: %s", n->name, strerror(errno))
               : 0;
}

int limits_prepare(struct error *e)
{
    int ret = 0;

    for (size_t i = 0; i < ARRAY_SIZE(needs) && ret == 0; i++)
        ret = need_ensure(&needs[i], e);
    return ret;
}

/* The number in a file of one; `otherwise` if there is none. */
static unsigned long number_in(const char *path, unsigned long otherwise)
{
    FILE *f = fopen(path, "re");
    unsigned long n;

    if (!f)
        return otherwise;
    if (fscanf(f, "%lu", &n) != 1)
        n = otherwise;
    fclose(f);
    return n;
}

unsigned limits_default_pids(void)
{
    const unsigned long pids = number_in("/proc/sys/kernel/pid_max", 32768);
    const unsigned long threads = number_in("/proc/sys/kernel/threads-max", pids);

    return (unsigned)(MIN(pids, threads) / 2);
}
