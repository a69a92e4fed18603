/* /sys: what programs read to learn of the machine's shape, mostly CPU topology. The sandbox has one node and one
 * package. */
#include "sentry/fs/fs.h"

#include "sentry/fs/proc/proc.h"
#include "sentry/fs/pseudo/pseudo.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSFS_MAGIC 0x62656572
#define DIR_MODE (S_IFDIR | 0555)
#define FILE_MODE (S_IFREG | 0444)

static int show_cpu_list(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    if (proc_cpus > 1)
        text_printf(out, "0-%u\n", proc_cpus - 1);
    else
        text_printf(out, "0\n");
    return 0;
}

static int show_cpu_mask(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "%lx\n", proc_cpus >= 64 ? ~0UL : (1UL << proc_cpus) - 1);
    return 0;
}

static int show_kernel_max(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "8191\n");
    return 0;
}

static int show_empty_line(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "\n");
    return 0;
}

/* The directory's own CPU number. */
static int show_number(struct text *out, const struct pseudo_arg *arg)
{
    text_printf(out, "%d\n", arg->num);
    return 0;
}

static int show_zero(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "0\n");
    return 0;
}

static int show_one(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "1\n");
    return 0;
}

static int show_own_mask(struct text *out, const struct pseudo_arg *arg)
{
    text_printf(out, "%lx\n", 1UL << (arg->num & 63));
    return 0;
}

static const struct pseudo_node topology_children[] = {
    {.name = "core_id", .mode = FILE_MODE, .show = show_number},
    {.name = "physical_package_id", .mode = FILE_MODE, .show = show_zero},
    {.name = "thread_siblings", .mode = FILE_MODE, .show = show_own_mask},
    {.name = "thread_siblings_list", .mode = FILE_MODE, .show = show_number},
    {.name = "core_cpus_list", .mode = FILE_MODE, .show = show_number},
    {.name = "core_siblings", .mode = FILE_MODE, .show = show_cpu_mask},
    {.name = "core_siblings_list", .mode = FILE_MODE, .show = show_cpu_list},
    {.name = "package_cpus_list", .mode = FILE_MODE, .show = show_cpu_list},
    {0},
};

static const struct pseudo_node cpu_children[] = {
    {.name = "online", .mode = FILE_MODE, .show = show_one},
    {.name = "topology", .mode = DIR_MODE, .children = topology_children},
    {0},
};

static const struct pseudo_node cpu_node = {.mode = DIR_MODE, .children = cpu_children};

static int find_cpu(const struct pseudo_arg *dir, const char *name, const struct pseudo_node **out,
                    struct pseudo_arg *arg)
{
    char *end;
    (void)dir;

    if (strncmp(name, "cpu", 3) || name[3] < '0' || name[3] > '9' || (name[3] == '0' && name[4]))
        return -ENOENT;
    unsigned long n = strtoul(name + 3, &end, 10);
    if (*end || n >= proc_cpus)
        return -ENOENT;
    *out = &cpu_node;
    arg->num = (int)n;
    return 0;
}

static int64_t next_cpu(const struct pseudo_arg *dir, int64_t from)
{
    (void)dir;
    return from < (int64_t)proc_cpus ? from : -1;
}

static const struct pseudo_node cpus_children[] = {
    {.name = "online", .mode = FILE_MODE, .show = show_cpu_list},
    {.name = "possible", .mode = FILE_MODE, .show = show_cpu_list},
    {.name = "present", .mode = FILE_MODE, .show = show_cpu_list},
    {.name = "offline", .mode = FILE_MODE, .show = show_empty_line},
    {.name = "isolated", .mode = FILE_MODE, .show = show_empty_line},
    {.name = "kernel_max", .mode = FILE_MODE, .show = show_kernel_max},
    {0},
};

static int show_node_meminfo(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    const uint64_t used = MIN(tmpfs_bytes(), proc_memory_limit);

    text_printf(out, "Node 0 MemTotal:       %8lu kB\n", proc_memory_limit / 1024);
    text_printf(out, "Node 0 MemFree:        %8lu kB\n", (proc_memory_limit - used) / 1024);
    text_printf(out, "Node 0 MemUsed:        %8lu kB\n", used / 1024);
    return 0;
}

static const struct pseudo_node node0_children[] = {
    {.name = "cpulist", .mode = FILE_MODE, .show = show_cpu_list},
    {.name = "cpumap", .mode = FILE_MODE, .show = show_cpu_mask},
    {.name = "meminfo", .mode = FILE_MODE, .show = show_node_meminfo},
    {0},
};

static const struct pseudo_node nodes_children[] = {
    {.name = "online", .mode = FILE_MODE, .show = show_zero},
    {.name = "possible", .mode = FILE_MODE, .show = show_zero},
    {.name = "node0", .mode = DIR_MODE, .children = node0_children},
    {0},
};

static const struct pseudo_node system_children[] = {
    {.name = "cpu",
     .mode = DIR_MODE,
     .children = cpus_children,
     .find = find_cpu,
     .next = next_cpu,
     .next_prefix = "cpu",
     .next_type = DT_DIR},
    {.name = "node", .mode = DIR_MODE, .children = nodes_children},
    {0},
};

static int show_thp(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "always [madvise] never\n");
    return 0;
}

static int show_thp_size(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "2097152\n");
    return 0;
}

static const struct pseudo_node thp_children[] = {
    {.name = "enabled", .mode = FILE_MODE, .show = show_thp},
    {.name = "hpage_pmd_size", .mode = FILE_MODE, .show = show_thp_size},
    {0},
};

static const struct pseudo_node mm_children[] = {
    {.name = "transparent_hugepage", .mode = DIR_MODE, .children = thp_children}, {0}};
static const struct pseudo_node kernel_children[] = {{.name = "mm", .mode = DIR_MODE, .children = mm_children}, {0}};
static const struct pseudo_node devices_children[] = {{.name = "system", .mode = DIR_MODE, .children = system_children},
                                                      {0}};
static const struct pseudo_node net_children[] = {{.name = "lo", .mode = DIR_MODE}, {0}};
static const struct pseudo_node class_children[] = {{.name = "net", .mode = DIR_MODE, .children = net_children}, {0}};
static const struct pseudo_node fs_children[] = {{.name = "cgroup", .mode = DIR_MODE}, {0}};

static const struct pseudo_node root_children[] = {
    {.name = "devices", .mode = DIR_MODE, .children = devices_children},
    {.name = "kernel", .mode = DIR_MODE, .children = kernel_children},
    {.name = "class", .mode = DIR_MODE, .children = class_children},
    {.name = "fs", .mode = DIR_MODE, .children = fs_children},
    {.name = "block", .mode = DIR_MODE},
    {.name = "bus", .mode = DIR_MODE},
    {.name = "module", .mode = DIR_MODE},
    {0},
};

static const struct pseudo_node root_node = {.mode = DIR_MODE, .children = root_children};

int sysfs_mount(struct dentry **out)
{
    return pseudo_mount("sysfs", SYSFS_MAGIC, &root_node, out);
}
