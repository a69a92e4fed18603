/*
 * proc(5), in parts: root.c the top directory and processes' directories, task_stat.c their numbers, task_files.c their
 * texts, task_fd.c their descriptors and links, system.c the machine's figures, sysctl.c /proc/sys.
 */
#pragma once

#include "sentry/fs/pseudo/pseudo.h"

struct boot_config;
struct task;

/* The sandbox's size, as boot gave it; constant after proc_mount(). */
extern uint64_t proc_memory_limit; /* bytes, never 0 */
extern unsigned proc_cpus;

/* The task that arg speaks of, referenced; NULL: gone. */
struct task *proc_task(const struct pseudo_arg *arg) must_check;

#define PROC_SHOW(name) int name(struct text *out, const struct pseudo_arg *arg)

PROC_SHOW(proc_show_stat);
PROC_SHOW(proc_show_status);
PROC_SHOW(proc_show_statm);

PROC_SHOW(proc_show_cmdline);
PROC_SHOW(proc_show_environ);
PROC_SHOW(proc_show_auxv);
PROC_SHOW(proc_show_comm);
ssize_t proc_store_comm(const struct pseudo_arg *arg, char *buf, size_t len);
PROC_SHOW(proc_show_maps);
PROC_SHOW(proc_show_mounts);
PROC_SHOW(proc_show_mountinfo);
PROC_SHOW(proc_show_limits);
PROC_SHOW(proc_show_cgroup);
PROC_SHOW(proc_show_io);
PROC_SHOW(proc_show_id_map);
PROC_SHOW(proc_show_setgroups);
PROC_SHOW(proc_show_zero);
PROC_SHOW(proc_show_loginuid);
PROC_SHOW(proc_show_oom_score_adj);
ssize_t proc_store_oom_score_adj(const struct pseudo_arg *arg, char *buf, size_t len);
PROC_SHOW(proc_show_personality);
extern const struct file_ops proc_mem_ops;

extern const struct pseudo_node proc_fd_node, proc_fdinfo_node, proc_ns_node;
int proc_exe_readlink(const struct pseudo_arg *arg, char *buf, size_t cap);
int proc_exe_follow(const struct pseudo_arg *arg, struct path *out);
int proc_cwd_readlink(const struct pseudo_arg *arg, char *buf, size_t cap);
int proc_cwd_follow(const struct pseudo_arg *arg, struct path *out);
int proc_root_readlink(const struct pseudo_arg *arg, char *buf, size_t cap);
int proc_root_follow(const struct pseudo_arg *arg, struct path *out);

PROC_SHOW(proc_show_meminfo);
PROC_SHOW(proc_show_cpuinfo);
PROC_SHOW(proc_show_system_stat);
PROC_SHOW(proc_show_uptime);
PROC_SHOW(proc_show_loadavg);
PROC_SHOW(proc_show_version);
PROC_SHOW(proc_show_boot_cmdline);
PROC_SHOW(proc_show_filesystems);
PROC_SHOW(proc_show_swaps);
PROC_SHOW(proc_show_devices);
PROC_SHOW(proc_show_vmstat);

extern const struct pseudo_node proc_sys_children[], proc_net_children[];
