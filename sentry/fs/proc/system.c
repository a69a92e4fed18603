/*
 * The machine as the sandbox is: meminfo and stat follow the limits set, CPU counts too. What a guest may know of the
 * host (CPU model and flags, which CPUID tells it anyway) is read once before lock-in.
 */
#include "sentry/fs/proc/proc.h"

#include "include/boot.h"
#include "sentry/fs/fs.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/uts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#define HOST_TEXT_MAX 65536
#define NS_PER_TICK 10000000UL

static char *host_cpuinfo; /* NUL-terminated text of the first CPU's block, from "vendor_id" on */

/* A block begins with "processor\t: N"; the rest is the same for every CPU but for its ids. */
static char *first_cpu_block(char *text)
{
    char *start = strchr(text, '\n');
    char *end = strstr(text, "\n\n");

    if (!start)
        return strdup("");
    if (end)
        end[1] = '\0';
    return strdup(start + 1);
}

static void read_cpuinfo(void)
{
    char *text = malloc(HOST_TEXT_MAX);
    int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    size_t len = 0;

    if (fd >= 0 && text) {
        for (ssize_t n; len < HOST_TEXT_MAX - 1 && (n = read(fd, text + len, HOST_TEXT_MAX - 1 - len)) > 0;)
            len += (size_t)n;
        text[len] = '\0';
        host_cpuinfo = first_cpu_block(text);
    }
    if (fd >= 0)
        close(fd);
    free(text);
}

uint64_t proc_read_host(const struct boot_config *cfg)
{
    const uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    proc_memory_limit = cfg->memory_limit && cfg->memory_limit < memory ? cfg->memory_limit : memory;
    proc_cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    if (cfg->cpus && cfg->cpus < proc_cpus)
        proc_cpus = cfg->cpus;
    read_cpuinfo();
    return proc_memory_limit;
}

/* The ids in a CPU's block differ from CPU to CPU; every other line is shown as it is. */
static void show_cpu_line(struct text *out, const char *line, size_t len, unsigned cpu)
{
    static const char *const ids[] = {"core id", "apicid", "initial apicid"};

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        size_t n = strlen(ids[i]);
        if (len > n && !strncmp(line, ids[i], n) && (line[n] == '\t' || line[n] == ' ')) {
            text_printf(out, "%s\t%s: %u\n", ids[i], n < 8 ? "\t" : "", cpu);
            return;
        }
    }
    if (len > 8 && (!strncmp(line, "siblings", 8) || !strncmp(line, "cpu cores", 9))) {
        text_printf(out, "%s\t: %u\n", line[0] == 's' ? "siblings" : "cpu cores", proc_cpus);
        return;
    }
    text_append(out, line, len);
    text_append(out, "\n", 1);
}

int proc_show_cpuinfo(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    for (unsigned cpu = 0; cpu < proc_cpus; cpu++) {
        text_printf(out, "processor\t: %u\n", cpu);
        for (const char *line = host_cpuinfo, *end; line && *line; line = end + 1) {
            end = strchr(line, '\n');
            if (!end)
                break;
            show_cpu_line(out, line, (size_t)(end - line), cpu);
        }
        text_append(out, "\n", 1);
    }
    return 0;
}

int proc_show_meminfo(struct text *out, const struct pseudo_arg *arg)
{
    struct sysinfo si;
    (void)arg;

    if (sysinfo(&si) < 0)
        memset(&si, 0, sizeof(si));
    uint64_t unit = si.mem_unit ? si.mem_unit : 1;
    uint64_t total = proc_memory_limit, shmem = MIN(tmpfs_bytes(), total);
    uint64_t free_bytes = MIN(si.freeram * unit, total - shmem);
    uint64_t buffers = MIN(si.bufferram * unit, total - shmem - free_bytes);
    const struct {
        const char *name;
        uint64_t bytes;
    } rows[] = {
        {"MemTotal:", total},
        {"MemFree:", free_bytes},
        {"MemAvailable:", free_bytes + buffers},
        {"Buffers:", buffers},
        {"Cached:", shmem},
        {"SwapCached:", 0},
        {"Active:", 0},
        {"Inactive:", 0},
        {"SwapTotal:", 0},
        {"SwapFree:", 0},
        {"Dirty:", 0},
        {"Writeback:", 0},
        {"AnonPages:", 0},
        {"Mapped:", 0},
        {"Shmem:", shmem},
        {"KReclaimable:", 0},
        {"Slab:", 0},
        {"SReclaimable:", 0},
        {"SUnreclaim:", 0},
        {"CommitLimit:", total},
        {"Committed_AS:", total - free_bytes},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        text_printf(out, "%-15s %8lu kB\n", rows[i].name, rows[i].bytes / 1024);
    text_printf(out, "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
                     "HugePages_Surp:        0\nHugepagesize:       2048 kB\n");
    return 0;
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) < 0)
        return 0;
    return (uint64_t)ts.tv_sec * 1000000000UL + (uint64_t)ts.tv_nsec;
}

struct totals {
    struct usage used;
    unsigned running, groups;
};

static bool add_group(struct thread_group *tg, void *data)
{
    struct totals *sum = data;
    struct task *it;

    sum->groups++;
    list_for_each (it, &tg->tasks, tg_node)
        if (it->state == TASK_RUNNING)
            sum->running++;
    sum->used.utime_ns += tg->self_dead.utime_ns + tg->children_dead.utime_ns;
    sum->used.stime_ns += tg->self_dead.stime_ns + tg->children_dead.stime_ns;
    return true;
}

static void sum_groups(struct totals *sum)
{
    *sum = (struct totals){0};
    lock(&tasks_lock);
    tg_for_each_locked(add_group, sum);
    unlock(&tasks_lock);
}

int proc_show_system_stat(struct text *out, const struct pseudo_arg *arg)
{
    struct totals sum;
    (void)arg;

    sum_groups(&sum);
    uint64_t up = clock_ns(CLOCK_BOOTTIME), user = sum.used.utime_ns / NS_PER_TICK,
             sys = sum.used.stime_ns / NS_PER_TICK, all = up / NS_PER_TICK * proc_cpus;
    uint64_t idle = all > user + sys ? all - user - sys : 0;
    text_printf(out, "cpu  %lu 0 %lu %lu 0 0 0 0 0 0\n", user, sys, idle);
    for (unsigned i = 0; i < proc_cpus; i++)
        text_printf(out, "cpu%u %lu 0 %lu %lu 0 0 0 0 0 0\n", i, user / proc_cpus, sys / proc_cpus, idle / proc_cpus);
    text_printf(out, "intr 0\nctxt 0\nbtime %lu\nprocesses %u\nprocs_running %u\nprocs_blocked 0\nsoftirq 0\n",
                (clock_ns(CLOCK_REALTIME) - up) / 1000000000UL, sum.groups, MAX(sum.running, 1u));
    return 0;
}

int proc_show_uptime(struct text *out, const struct pseudo_arg *arg)
{
    uint64_t up = clock_ns(CLOCK_BOOTTIME);
    (void)arg;

    text_printf(out, "%lu.%02lu %lu.%02lu\n", up / 1000000000UL, up / 10000000UL % 100, up / 1000000000UL * proc_cpus,
                up / 10000000UL % 100);
    return 0;
}

int proc_show_loadavg(struct text *out, const struct pseudo_arg *arg)
{
    struct totals sum;
    struct sysinfo si = {0};
    (void)arg;

    sum_groups(&sum);
    if (sysinfo(&si) < 0)
        memset(&si, 0, sizeof(si));
    for (int i = 0; i < 3; i++)
        text_printf(out, "%lu.%02lu ", si.loads[i] >> 16, (si.loads[i] & 0xffff) * 100 >> 16);
    text_printf(out, "%u/%d %d\n", MAX(sum.running, 1u), task_count(), current ? current->tg->tgid : 1);
    return 0;
}

int proc_show_version(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "Linux version " SBOX_OSRELEASE " (sbox) #1 SMP " SBOX_OSVERSION_DATE "\n");
    return 0;
}

int proc_show_boot_cmdline(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "sbox\n");
    return 0;
}

int proc_show_filesystems(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\toverlay\nnodev\t9p\nnodev\tdevtmpfs\n");
    return 0;
}

int proc_show_swaps(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    return 0;
}

int proc_show_devices(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n136 pts\n\nBlock devices:\n");
    return 0;
}

int proc_show_vmstat(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "nr_free_pages %lu\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\n",
                proc_memory_limit / 4096);
    return 0;
}
