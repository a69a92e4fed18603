/*
 * The tree of /proc: its top directory and the directory of each process and thread. Entries with a '?' on other
 * systems' configuration (sched, stack, …) are left out.
 */
#include "sentry/fs/proc/proc.h"

#include "include/boot.h"
#include "sentry/fs/fs.h"
#include "sentry/fs/proc/access.h"
#include "sentry/kernel/task.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROC_SUPER_MAGIC 0x9fa0

#define DIR_MODE (S_IFDIR | 0555)
#define FILE_MODE (S_IFREG | 0444)
#define LINK_MODE (S_IFLNK | 0777)

uint64_t proc_memory_limit;
unsigned proc_cpus;

struct task *proc_task(const struct pseudo_arg *arg)
{
    return task_find(arg->tid);
}

/* A name that is a decimal id, as /proc takes it: no sign, no leading zero. */
static int64_t parse_id(const char *name)
{
    char *end;

    if (name[0] < '1' || name[0] > '9' || strlen(name) > 9)
        return -1;
    long n = strtol(name, &end, 10);
    return *end ? -1 : n;
}

/* ---- /proc/PID/task ---- */

static int find_thread(const struct pseudo_arg *dir, const char *name, const struct pseudo_node **out,
                       struct pseudo_arg *arg);

static int64_t next_thread(const struct pseudo_arg *dir, int64_t from)
{
    int64_t best = -1;
    struct task *it;

    lock(&tasks_lock);
    struct thread_group *tg = tg_find_locked(dir->tgid);
    if (tg)
        list_for_each (it, &tg->tasks, tg_node)
            if (it->tid >= from && (best < 0 || it->tid < best))
                best = it->tid;
    unlock(&tasks_lock);
    if (tg)
        tg_put(tg);
    return best;
}

#define TASK_ENTRIES                                                                                                   \
    {.name = "stat", .mode = FILE_MODE, .show = proc_show_stat},                                                       \
        {.name = "status", .mode = FILE_MODE, .show = proc_show_status},                                               \
        {.name = "statm", .mode = FILE_MODE, .show = proc_show_statm},                                                 \
        {.name = "cmdline", .mode = FILE_MODE, .show = proc_show_cmdline},                                             \
        {.name = "comm", .mode = S_IFREG | 0644, .show = proc_show_comm, .store = proc_store_comm},                    \
        {.name = "environ", .mode = S_IFREG | 0400, .ptrace = true, .show = proc_show_environ},                        \
        {.name = "auxv", .mode = S_IFREG | 0400, .ptrace = true, .show = proc_show_auxv},                              \
        {.name = "maps", .mode = FILE_MODE, .ptrace = true, .show = proc_show_maps},                                   \
        {.name = "mem", .mode = S_IFREG | 0600, .ptrace = true, .fops = &proc_mem_ops},                                \
        {.name = "mounts", .mode = FILE_MODE, .show = proc_show_mounts},                                               \
        {.name = "mountinfo", .mode = FILE_MODE, .show = proc_show_mountinfo},                                         \
        {.name = "limits", .mode = FILE_MODE, .show = proc_show_limits},                                               \
        {.name = "cgroup", .mode = FILE_MODE, .show = proc_show_cgroup},                                               \
        {.name = "io", .mode = S_IFREG | 0400, .ptrace = true, .show = proc_show_io},                                  \
        {.name = "uid_map", .mode = FILE_MODE, .show = proc_show_id_map},                                              \
        {.name = "gid_map", .mode = FILE_MODE, .show = proc_show_id_map},                                              \
        {.name = "setgroups", .mode = FILE_MODE, .show = proc_show_setgroups},                                         \
        {.name = "oom_score", .mode = FILE_MODE, .show = proc_show_zero},                                              \
        {.name = "oom_score_adj",                                                                                      \
         .mode = S_IFREG | 0644,                                                                                       \
         .show = proc_show_oom_score_adj,                                                                              \
         .store = proc_store_oom_score_adj},                                                                           \
        {.name = "loginuid", .mode = FILE_MODE, .show = proc_show_loginuid},                                           \
        {.name = "sessionid", .mode = FILE_MODE, .show = proc_show_loginuid},                                          \
        {.name = "personality", .mode = S_IFREG | 0400, .ptrace = true, .show = proc_show_personality},                \
        {.name = "wchan", .mode = FILE_MODE, .show = proc_show_zero},                                                  \
        {.name = "exe", .mode = LINK_MODE, .readlink = proc_exe_readlink, .follow = proc_exe_follow},                  \
        {.name = "cwd", .mode = LINK_MODE, .readlink = proc_cwd_readlink, .follow = proc_cwd_follow},                  \
    {                                                                                                                  \
        .name = "root", .mode = LINK_MODE, .readlink = proc_root_readlink, .follow = proc_root_follow                  \
    }

/* Of these three the nodes live elsewhere; a directory's entry is found by find_special(). */
static const struct pseudo_node thread_children[] = {TASK_ENTRIES, {0}};

static const struct pseudo_node task_dir_node = {
    .name = "task", .mode = DIR_MODE, .find = find_thread, .next = next_thread, .next_type = DT_DIR};

/* Directories shared by processes and threads, beside the constant files. */
static int find_special(const struct pseudo_arg *dir, const char *name, const struct pseudo_node **out,
                        struct pseudo_arg *arg)
{
    static const struct pseudo_node *const dirs[] = {&proc_fd_node, &proc_fdinfo_node, &proc_ns_node};
    (void)dir, (void)arg;

    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        if (!strcmp(dirs[i]->name, name)) {
            *out = dirs[i];
            return 0;
        }
    }
    return -ENOENT;
}

static int find_in_process(const struct pseudo_arg *dir, const char *name, const struct pseudo_node **out,
                           struct pseudo_arg *arg)
{
    if (!strcmp(name, "task")) {
        *out = &task_dir_node;
        return 0;
    }
    return find_special(dir, name, out, arg);
}

static const struct pseudo_node thread_node = {.mode = DIR_MODE, .children = thread_children, .find = find_special};
static const struct pseudo_node process_node = {.mode = DIR_MODE, .children = thread_children, .find = find_in_process};

pid_t proc_dir_pid(const struct file *f)
{
    return pseudo_inode_is(f->inode, &process_node) ? pseudo_inode_arg(f->inode)->tgid : 0;
}

static int find_thread(const struct pseudo_arg *dir, const char *name, const struct pseudo_node **out,
                       struct pseudo_arg *arg)
{
    int64_t tid = parse_id(name);
    struct task *t = tid < 0 ? NULL : task_find((pid_t)tid);

    if (!t)
        return -ENOENT;
    bool ours = t->tg->tgid == dir->tgid;
    task_put(t);
    if (!ours)
        return -ENOENT;
    *out = &thread_node;
    arg->tid = (pid_t)tid;
    return 0;
}

/* ---- /proc ---- */

static int find_process(const struct pseudo_arg *dir, const char *name, const struct pseudo_node **out,
                        struct pseudo_arg *arg)
{
    int64_t tid = parse_id(name);
    struct task *t = tid < 0 ? NULL : task_find((pid_t)tid);
    (void)dir;

    if (!t)
        return -ENOENT;
    *out = &process_node;
    arg->tgid = t->tg->tgid;
    arg->tid = (pid_t)tid;
    task_put(t);
    return 0;
}

struct next_search {
    int64_t from, found;
};

static bool note_group(struct thread_group *tg, void *data)
{
    struct next_search *s = data;

    if (tg->tgid >= s->from && (s->found < 0 || tg->tgid < s->found))
        s->found = tg->tgid;
    return true;
}

static int64_t next_process(const struct pseudo_arg *dir, int64_t from)
{
    struct next_search s = {.from = from, .found = -1};
    (void)dir;

    lock(&tasks_lock);
    tg_for_each_locked(note_group, &s);
    unlock(&tasks_lock);
    return s.found;
}

static int self_readlink(const struct pseudo_arg *arg, char *buf, size_t cap)
{
    char text[32];
    (void)arg;

    int n = snprintf(text, sizeof(text), "%d", (int)current->tg->tgid);
    memcpy(buf, text, MIN((size_t)n, cap));
    return (int)MIN((size_t)n, cap);
}

static int thread_self_readlink(const struct pseudo_arg *arg, char *buf, size_t cap)
{
    char text[64];
    (void)arg;

    int n = snprintf(text, sizeof(text), "%d/task/%d", (int)current->tg->tgid, (int)current->tid);
    memcpy(buf, text, MIN((size_t)n, cap));
    return (int)MIN((size_t)n, cap);
}

static int link_text(const char *text, char *buf, size_t cap)
{
    size_t n = MIN(strlen(text), cap);

    memcpy(buf, text, n);
    return (int)n;
}

static int mounts_readlink(const struct pseudo_arg *arg, char *buf, size_t cap)
{
    (void)arg;
    return link_text("self/mounts", buf, cap);
}

static const struct pseudo_node root_children[] = {
    {.name = "self", .mode = LINK_MODE, .readlink = self_readlink},
    {.name = "thread-self", .mode = LINK_MODE, .readlink = thread_self_readlink},
    {.name = "mounts", .mode = LINK_MODE, .readlink = mounts_readlink},
    {.name = "meminfo", .mode = FILE_MODE, .show = proc_show_meminfo},
    {.name = "cpuinfo", .mode = FILE_MODE, .show = proc_show_cpuinfo},
    {.name = "stat", .mode = FILE_MODE, .show = proc_show_system_stat},
    {.name = "uptime", .mode = FILE_MODE, .show = proc_show_uptime},
    {.name = "loadavg", .mode = FILE_MODE, .show = proc_show_loadavg},
    {.name = "version", .mode = FILE_MODE, .show = proc_show_version},
    {.name = "cmdline", .mode = FILE_MODE, .show = proc_show_boot_cmdline},
    {.name = "filesystems", .mode = FILE_MODE, .show = proc_show_filesystems},
    {.name = "swaps", .mode = FILE_MODE, .show = proc_show_swaps},
    {.name = "devices", .mode = FILE_MODE, .show = proc_show_devices},
    {.name = "vmstat", .mode = FILE_MODE, .show = proc_show_vmstat},
    {.name = "sys", .mode = DIR_MODE, .children = proc_sys_children},
    {.name = "net", .mode = DIR_MODE, .children = proc_net_children},
    {0},
};

static const struct pseudo_node root_node = {
    .mode = DIR_MODE, .children = root_children, .find = find_process, .next = next_process, .next_type = DT_DIR};

int proc_mount(struct dentry **out)
{
    return pseudo_mount("proc", PROC_SUPER_MAGIC, &root_node, out);
}
