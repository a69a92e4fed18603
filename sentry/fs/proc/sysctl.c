/* /proc/sys and /proc/net: constants of this kernel, and the few values that can be set. */
#include "sentry/fs/proc/proc.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/uts.h"
#include "sentry/net/unix/info.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/random.h>

#define DIR_MODE (S_IFDIR | 0555)
#define FILE_MODE (S_IFREG | 0444)

/* A file that holds one constant line. */
#define CONSTANT(id, value)                                                                                            \
    static int show_##id(struct text *out, const struct pseudo_arg *arg)                                               \
    {                                                                                                                  \
        (void)arg;                                                                                                     \
        text_printf(out, "%s\n", value);                                                                               \
        return 0;                                                                                                      \
    }
#define ROW(id)                                                                                                        \
    {                                                                                                                  \
        .name = #id, .mode = FILE_MODE, .show = show_##id                                                              \
    }

CONSTANT(ostype, "Linux")
CONSTANT(osrelease, SBOX_OSRELEASE)
CONSTANT(version, "#1 SMP " SBOX_OSVERSION_DATE)
CONSTANT(pid_max, "4194304")
CONSTANT(threads_max, "126000")
CONSTANT(cap_last_cap, "40")
CONSTANT(ngroups_max, "65536")
CONSTANT(overflowuid, "65534")
CONSTANT(overflowgid, "65534")
CONSTANT(core_pattern, "core")
CONSTANT(core_uses_pid, "0")
CONSTANT(shmmax, "18446744073692774399")
CONSTANT(shmall, "18446744073692774399")
CONSTANT(shmmni, "4096")
CONSTANT(msgmax, "8192")
CONSTANT(msgmnb, "16384")
CONSTANT(msgmni, "32000")
CONSTANT(sem, "32000\t1024000000\t500\t32000")
CONSTANT(randomize_va_space, "2")
CONSTANT(tainted, "0")
CONSTANT(entropy_avail, "256")
CONSTANT(poolsize, "256")
CONSTANT(overcommit_memory, "0")
CONSTANT(overcommit_ratio, "50")
CONSTANT(max_map_count, "65530")
CONSTANT(swappiness, "60")
CONSTANT(mmap_min_addr, "65536")
CONSTANT(nr_hugepages, "0")
CONSTANT(file_max, "1048576")
CONSTANT(nr_open, "1048576")
CONSTANT(pipe_max_size, "1048576")
CONSTANT(pipe_user_pages_soft, "16384")
CONSTANT(max_user_watches, "1000000")
CONSTANT(protected_hardlinks, "0")
CONSTANT(protected_symlinks, "0")
CONSTANT(somaxconn, "4096")

static int show_file_nr(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "%d\t0\t1048576\n", task_count());
    return 0;
}

static void show_uuid_bytes(struct text *out, unsigned char b[16])
{
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++)
        text_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    text_printf(out, "\n");
}

static int show_uuid(struct text *out, const struct pseudo_arg *arg)
{
    unsigned char b[16];
    (void)arg;

    if (getrandom(b, sizeof(b), 0) != sizeof(b))
        return -EIO;
    show_uuid_bytes(out, b);
    return 0;
}

static int show_boot_id(struct text *out, const struct pseudo_arg *arg)
{
    static unsigned char id[16];
    static bool made;
    unsigned char b[16];
    (void)arg;

    lock(&tasks_lock); /* read by few, once: any lock does */
    if (!made)
        made = getrandom(id, sizeof(id), 0) == sizeof(id);
    memcpy(b, id, sizeof(b));
    unlock(&tasks_lock);
    show_uuid_bytes(out, b);
    return 0;
}

static int show_hostname(struct text *out, const struct pseudo_arg *arg)
{
    char name[65];
    (void)arg;
    uts_get(UTS_HOSTNAME, name, sizeof(name));
    text_printf(out, "%s\n", name);
    return 0;
}

static int show_domainname(struct text *out, const struct pseudo_arg *arg)
{
    char name[65];
    (void)arg;
    uts_get(UTS_DOMAINNAME, name, sizeof(name));
    text_printf(out, "%s\n", name);
    return 0;
}

static ssize_t store_name(enum uts_field field, char *buf, size_t len)
{
    if (!cred_capable(current->cred, CAP_SYS_ADMIN))
        return -EPERM;
    buf[strcspn(buf, "\n")] = '\0';
    int ret = uts_set(field, buf, strlen(buf));
    return ret < 0 ? ret : (ssize_t)len;
}

static ssize_t store_hostname(const struct pseudo_arg *arg, char *buf, size_t len)
{
    (void)arg;
    return store_name(UTS_HOSTNAME, buf, len);
}

static ssize_t store_domainname(const struct pseudo_arg *arg, char *buf, size_t len)
{
    (void)arg;
    return store_name(UTS_DOMAINNAME, buf, len);
}

static const struct pseudo_node random_children[] = {ROW(boot_id), ROW(uuid), ROW(entropy_avail), ROW(poolsize), {0}};

static const struct pseudo_node kernel_children[] = {
    ROW(ostype),
    ROW(osrelease),
    ROW(version),
    {.name = "hostname", .mode = S_IFREG | 0644, .show = show_hostname, .store = store_hostname},
    {.name = "domainname", .mode = S_IFREG | 0644, .show = show_domainname, .store = store_domainname},
    ROW(pid_max),
    {.name = "threads-max", .mode = FILE_MODE, .show = show_threads_max},
    ROW(cap_last_cap),
    ROW(ngroups_max),
    ROW(overflowuid),
    ROW(overflowgid),
    ROW(core_pattern),
    ROW(core_uses_pid),
    ROW(shmmax),
    ROW(shmall),
    ROW(shmmni),
    ROW(msgmax),
    ROW(msgmnb),
    ROW(msgmni),
    ROW(sem),
    ROW(randomize_va_space),
    ROW(tainted),
    {.name = "random", .mode = DIR_MODE, .children = random_children},
    {0},
};

static const struct pseudo_node vm_children[] = {
    ROW(overcommit_memory),
    ROW(overcommit_ratio),
    ROW(max_map_count),
    ROW(swappiness),
    ROW(mmap_min_addr),
    ROW(nr_hugepages),
    {0},
};

/* As vfs/inotify.c has them. */
CONSTANT(max_queued_events, "16384")
CONSTANT(max_user_instances, "128")
CONSTANT(inotify_watches, "65536")

static const struct pseudo_node epoll_children[] = {ROW(max_user_watches), {0}};

static const struct pseudo_node inotify_children[] = {
    {.name = "max_queued_events", .mode = FILE_MODE, .show = show_max_queued_events},
    {.name = "max_user_instances", .mode = FILE_MODE, .show = show_max_user_instances},
    {.name = "max_user_watches", .mode = FILE_MODE, .show = show_inotify_watches},
    {0},
};

static const struct pseudo_node fs_children[] = {
    {.name = "file-max", .mode = FILE_MODE, .show = show_file_max},
    {.name = "file-nr", .mode = FILE_MODE, .show = show_file_nr},
    ROW(nr_open),
    {.name = "pipe-max-size", .mode = FILE_MODE, .show = show_pipe_max_size},
    {.name = "pipe-user-pages-soft", .mode = FILE_MODE, .show = show_pipe_user_pages_soft},
    ROW(protected_hardlinks),
    ROW(protected_symlinks),
    {.name = "epoll", .mode = DIR_MODE, .children = epoll_children},
    {.name = "inotify", .mode = DIR_MODE, .children = inotify_children},
    {0},
};

static const struct pseudo_node core_children[] = {ROW(somaxconn), {0}};
static const struct pseudo_node sys_net_children[] = {{.name = "core", .mode = DIR_MODE, .children = core_children},
                                                      {0}};

const struct pseudo_node proc_sys_children[] = {
    {.name = "kernel", .mode = DIR_MODE, .children = kernel_children},
    {.name = "vm", .mode = DIR_MODE, .children = vm_children},
    {.name = "fs", .mode = DIR_MODE, .children = fs_children},
    {.name = "net", .mode = DIR_MODE, .children = sys_net_children},
    {0},
};

/* ---- /proc/net: the tables of a stack without sockets, so their header lines ---- */

CONSTANT(net_dev,
         "Inter-|   Receive                                                |  Transmit\n"
         " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo "
         "colls carrier compressed\n"
         "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0 "
         "      0          0")
CONSTANT(net_route, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT")
CONSTANT(net_tcp, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode")

static void show_unix_line(const struct unix_info *info, void *ctx)
{
    struct text *out = ctx;

    text_printf(out, "%016x: %08X %08X %08X %04X %02X %5llu", 0u, (unsigned)info->refs, 0u,
                info->listening ? 0x10000u : 0u, (unsigned)info->type, info->joined ? 3u : 1u,
                (unsigned long long)info->ino);
    if (info->name_len) {
        text_append(out, " ", 1);
        text_append(out, info->name, info->name_len);
    }
    text_append(out, "\n", 1);
}

static int show_net_unix(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    unix_for_each(show_unix_line, out);
    return 0;
}

const struct pseudo_node proc_net_children[] = {
    {.name = "dev", .mode = FILE_MODE, .show = show_net_dev},
    {.name = "route", .mode = FILE_MODE, .show = show_net_route},
    {.name = "tcp", .mode = FILE_MODE, .show = show_net_tcp},
    {.name = "udp", .mode = FILE_MODE, .show = show_net_tcp},
    {.name = "unix", .mode = FILE_MODE, .show = show_net_unix},
    {0},
};
