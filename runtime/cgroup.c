/*
 * See cgroup.h. A directory in the cgroup file system outlives us, so before it is made a janitor starts, a small
 * process that waits for us to end in whatever way and then removes it.
 */
#include "runtime/cgroup.h"

#include "lib/log.h"
#include "runtime/error.h"
#include "runtime/options.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CPU_PERIOD_US 100000
#define STUB_RESERVE (288UL << 20) /* addresses that a guest process has for sbox's own purposes, nearly all unused */
#define PREFIX "sbox-"

static void remove_dir(const char *dir)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    for (int tries = 0; *dir && tries < 1000 && rmdir(dir) < 0 && errno == EBUSY; tries++)
        nanosleep(&pause, NULL);
}

static void remove_dirs(const struct cgroup *c)
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        remove_dir(c->dirs[i]);
}

_Noreturn static void janitor(const struct cgroup *c, int fd)
{
    sigset_t all;
    char byte;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    /* Hold nothing of the caller's open. */
    dup2(fd, STDIN_FILENO);
    close_range(1, UINT_MAX, 0);
    while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
        ;
    remove_dirs(c);
    _exit(0);
}

static int start_janitor(struct cgroup *c, struct error *e)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_set(e, "cannot make a pipe: %s", strerror(errno));
    c->janitor = fork();
    if (c->janitor == 0) {
        close(fds[1]);
        janitor(c, fds[0]);
    }
    close(fds[0]);
    c->janitor_fd = fds[1];
    return c->janitor < 0 ? error_set(e, "cannot start a process: %s", strerror(errno)) : 0;
}

/* What a janitor that was killed itself has left: cgroups of ours whose maker is gone. */
static void remove_stale(const char *parent)
{
    DIR *d = opendir(parent);
    struct dirent *entry;

    while (d && (entry = readdir(d))) {
        char dir[PATH_MAX];
        long pid = strncmp(entry->d_name, PREFIX, strlen(PREFIX)) ? 0 : atol(entry->d_name + strlen(PREFIX));
        if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH &&
            snprintf(dir, sizeof(dir), "%s/%s", parent, entry->d_name) < (int)sizeof(dir))
            rmdir(dir);
    }
    if (d)
        closedir(d);
}

/* Names the directory for a controller; false where there can be none. */
static bool choose_dir(struct cgroup *c, enum cgroup_controller which)
{
    const char *parent = c->places[which].parent;

    if (!*parent || access(parent, W_OK) < 0)
        return false;
    remove_stale(parent);
    char dir[PATH_MAX];
    if (snprintf(dir, sizeof(dir), "%s/" PREFIX "%d", parent, (int)getpid()) >= (int)sizeof(dir))
        return false;
    memcpy(c->dirs[which], dir, sizeof(dir));
    return true;
}

static bool make_dir(struct cgroup *c, enum cgroup_controller which)
{
    if (c->dirs[which][0] && (mkdir(c->dirs[which], 0755) == 0 || errno == EEXIST))
        return true;
    c->dirs[which][0] = '\0';
    return false;
}

static bool write_number(const char *dir, const char *file, uint64_t n)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64, n);
    return cgroupfs_write(dir, file, text);
}

static bool limit_memory(const struct cgroup *c, uint64_t bytes)
{
    const struct cgroup_place *place = &c->places[CGROUP_MEMORY];
    const char *dir = c->dirs[CGROUP_MEMORY];
    uint64_t own;

    if (!place->v2) {
        if (!write_number(dir, "memory.limit_in_bytes", bytes))
            return false;
        /* Not every kernel counts swap. */
        return write_number(dir, "memory.memsw.limit_in_bytes", bytes) || errno == ENOENT || errno == EACCES;
    }
    /* A sibling is not under the limit that we are under. */
    if (cgroupfs_read(place->own, "memory.max", NULL, &own) && own < bytes)
        bytes = own;
    return write_number(dir, "memory.max", bytes) && (cgroupfs_write(dir, "memory.swap.max", "0") || errno == ENOENT);
}

static bool limit_cpu(const struct cgroup *c, unsigned millicpus)
{
    const char *dir = c->dirs[CGROUP_CPU];
    uint64_t quota = (uint64_t)millicpus * CPU_PERIOD_US / 1000;
    char text[64];

    quota = MAX(quota, 1000);
    if (!c->places[CGROUP_CPU].v2)
        return write_number(dir, "cpu.cfs_period_us", CPU_PERIOD_US) && write_number(dir, "cpu.cfs_quota_us", quota);
    snprintf(text, sizeof(text), "%" PRIu64 " %d", quota, CPU_PERIOD_US);
    return cgroupfs_write(dir, "cpu.max", text);
}

/* Each process for itself: the best there is without a cgroup. */
static int limit_memory_alone(uint64_t bytes, struct error *e)
{
    const struct rlimit limit = {.rlim_cur = bytes + STUB_RESERVE, .rlim_max = bytes + STUB_RESERVE};

    log_user("no cgroup can be made here: --memory limits each process of the program by itself; "
             "as root, or in a delegated cgroup (systemd-run --user --scope -p Delegate=yes), it limits all together");
    return setrlimit(RLIMIT_DATA, &limit) < 0 ? error_set(e, "cannot limit memory: %s", strerror(errno)) : 0;
}

static int limit_cpu_alone(unsigned millicpus, struct error *e)
{
    unsigned want = (millicpus + 999) / 1000;
    cpu_set_t all, some;

    if (sched_getaffinity(0, sizeof(all), &all) < 0)
        return error_set(e, "cannot read the CPUs: %s", strerror(errno));
    if (millicpus % 1000)
        log_user("no cgroup can be made here: --cpus gives the program %u whole CPU%s", want, want == 1 ? "" : "s");
    CPU_ZERO(&some);
    for (int cpu = 0; cpu < CPU_SETSIZE && want; cpu++)
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &some);
            want--;
        }
    return sched_setaffinity(0, sizeof(some), &some) < 0 ? error_set(e, "cannot limit CPUs: %s", strerror(errno)) : 0;
}

int cgroup_make(struct cgroup *c, const struct run_options *o, struct error *e)
{
    if (!o->memory && !o->millicpus)
        return 0;
    cgroupfs_find(c->places);
    bool memory = o->memory && choose_dir(c, CGROUP_MEMORY);
    bool cpu = o->millicpus && choose_dir(c, CGROUP_CPU);
    if ((memory || cpu) && start_janitor(c, e) < 0)
        return -1;
    memory = memory && make_dir(c, CGROUP_MEMORY) && limit_memory(c, o->memory);
    cpu = cpu && make_dir(c, CGROUP_CPU) && limit_cpu(c, o->millicpus);
    if (o->memory && !memory && limit_memory_alone(o->memory, e) < 0)
        return -1;
    return o->millicpus && !cpu ? limit_cpu_alone(o->millicpus, e) : 0;
}

int cgroup_enter(const struct cgroup *c, pid_t pid, struct error *e)
{
    if (c->janitor_fd < 0)
        return 0;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        if (c->dirs[i][0] && !write_number(c->dirs[i], "cgroup.procs", (uint64_t)pid))
            return error_set(e, "cannot move the sandbox into its cgroup %s: %s", c->dirs[i], strerror(errno));
    return 0;
}

uint64_t cgroup_peak_memory(const struct cgroup *c)
{
    const char *dir = c->dirs[CGROUP_MEMORY];
    uint64_t bytes = 0;

    if (!*dir ||
        !cgroupfs_read(dir, c->places[CGROUP_MEMORY].v2 ? "memory.peak" : "memory.max_usage_in_bytes", NULL, &bytes))
        return 0;
    return bytes;
}

bool cgroup_out_of_memory(const struct cgroup *c)
{
    const char *dir = c->dirs[CGROUP_MEMORY];
    uint64_t kills = 0;

    return c->janitor_fd >= 0 && *dir &&
           cgroupfs_read(dir, c->places[CGROUP_MEMORY].v2 ? "memory.events" : "memory.oom_control", "oom_kill",
                         &kills) &&
           kills;
}

void cgroup_remove(struct cgroup *c)
{
    if (c->janitor_fd < 0)
        return;
    remove_dirs(c);
    close(c->janitor_fd);
    c->janitor_fd = -1;
    if (c->janitor > 0)
        while (waitpid(c->janitor, NULL, 0) < 0 && errno == EINTR)
            ;
    c->janitor = 0;
}
