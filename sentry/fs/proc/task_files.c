/* The text files of /proc/PID that are not plain numbers: command line, environment, maps, mounts, limits … */
#include "sentry/fs/proc/proc.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fs_context.h"

#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#define AREA_MAX (2u << 20) /* argument and environment strings shown at most */

/* Appends the guest bytes [start, end) of t as far as they can be read. */
static int show_area(struct text *out, struct task *t, uint64_t start, uint64_t end)
{
    char buf[4096];

    if (end < start || end - start > AREA_MAX)
        return 0;
    while (start < end) {
        ssize_t n = task_mem_read(t, buf, start, MIN(sizeof(buf), end - start));
        if (n <= 0)
            break;
        text_append(out, buf, (size_t)n);
        start += (uint64_t)n;
    }
    return 0;
}

static int show_mm_area(struct text *out, const struct pseudo_arg *arg, bool env)
{
    struct task *t = proc_task(arg);
    if (!t)
        return -ESRCH;
    struct mm *mm = task_mm_get(t);
    if (mm) {
        mm_lock(mm);
        uint64_t start = env ? mm->env_start : mm->arg_start, end = env ? mm->env_end : mm->arg_end;
        mm_unlock(mm);
        show_area(out, t, start, end);
        mm_put(mm);
    }
    task_put(t);
    return 0;
}

int proc_show_cmdline(struct text *out, const struct pseudo_arg *arg)
{
    return show_mm_area(out, arg, false);
}

int proc_show_environ(struct text *out, const struct pseudo_arg *arg)
{
    return show_mm_area(out, arg, true);
}

int proc_show_auxv(struct text *out, const struct pseudo_arg *arg)
{
    struct task *t = proc_task(arg);
    if (!t)
        return -ESRCH;
    struct mm *mm = task_mm_get(t);
    if (mm) {
        size_t n = 0;
        mm_lock(mm);
        while (n + 2 < ARRAY_SIZE(mm->auxv) && mm->auxv[n])
            n += 2;
        text_append(out, mm->auxv, (n + 2) * sizeof(mm->auxv[0]));
        mm_unlock(mm);
        mm_put(mm);
    }
    task_put(t);
    return 0;
}

int proc_show_comm(struct text *out, const struct pseudo_arg *arg)
{
    struct task *t = proc_task(arg);
    if (!t)
        return -ESRCH;
    lock(&tasks_lock);
    text_printf(out, "%.*s\n", TASK_COMM_LEN, t->comm);
    unlock(&tasks_lock);
    task_put(t);
    return 0;
}

ssize_t proc_store_comm(const struct pseudo_arg *arg, char *buf, size_t len)
{
    struct task *t = proc_task(arg);
    if (!t)
        return -ESRCH;
    ssize_t ret = (ssize_t)len;
    if (t->tg != current->tg)
        ret = -EINVAL;
    if (len && buf[len - 1] == '\n')
        buf[len - 1] = '\0';
    if (ret >= 0) {
        lock(&tasks_lock);
        memset(t->comm, 0, sizeof(t->comm));
        strncpy(t->comm, buf, sizeof(t->comm) - 1);
        unlock(&tasks_lock);
    }
    task_put(t);
    return ret;
}

int proc_show_maps(struct text *out, const struct pseudo_arg *arg)
{
    char *maps = NULL;
    size_t len = 0;

    struct task *t = proc_task(arg);
    if (!t)
        return -ESRCH;
    int ret = mm_format_maps(t, &maps, &len);
    task_put(t);
    if (ret < 0)
        return ret == -ESRCH ? 0 : ret;
    text_append(out, maps, len);
    free(maps);
    return 0;
}

static int show_mount_table(struct text *out, const struct pseudo_arg *arg, bool info)
{
    char *table = NULL;
    size_t len = 0;
    struct path root;

    struct task *t = proc_task(arg);
    if (!t)
        return -ESRCH;
    lock(&tasks_lock);
    struct fs_context *fs = t->fs ? fs_context_get(t->fs) : NULL;
    unlock(&tasks_lock);
    task_put(t);
    if (!fs)
        return -EINVAL;
    fs_context_root(fs, &root);
    fs_context_put(fs);
    int ret = mount_format(&root, info, &table, &len);
    path_put(&root);
    if (ret < 0)
        return ret;
    text_append(out, table, len);
    free(table);
    return 0;
}

int proc_show_mounts(struct text *out, const struct pseudo_arg *arg)
{
    return show_mount_table(out, arg, false);
}

int proc_show_mountinfo(struct text *out, const struct pseudo_arg *arg)
{
    return show_mount_table(out, arg, true);
}

static void limit_value(struct text *out, uint64_t v)
{
    if (v == RLIM_INFINITY)
        text_printf(out, "%-20s ", "unlimited");
    else
        text_printf(out, "%-20lu ", v);
}

int proc_show_limits(struct text *out, const struct pseudo_arg *arg)
{
    static const struct {
        int resource;
        const char *name, *unit;
    } rows[] = {
        {RLIMIT_CPU, "Max cpu time", "seconds"},         {RLIMIT_FSIZE, "Max file size", "bytes"},
        {RLIMIT_DATA, "Max data size", "bytes"},         {RLIMIT_STACK, "Max stack size", "bytes"},
        {RLIMIT_CORE, "Max core file size", "bytes"},    {RLIMIT_RSS, "Max resident set", "bytes"},
        {RLIMIT_NPROC, "Max processes", "processes"},    {RLIMIT_NOFILE, "Max open files", "files"},
        {RLIMIT_MEMLOCK, "Max locked memory", "bytes"},  {RLIMIT_AS, "Max address space", "bytes"},
        {RLIMIT_LOCKS, "Max file locks", "locks"},       {RLIMIT_SIGPENDING, "Max pending signals", "signals"},
        {RLIMIT_MSGQUEUE, "Max msgqueue size", "bytes"}, {RLIMIT_NICE, "Max nice priority", ""},
        {RLIMIT_RTPRIO, "Max realtime priority", ""},    {RLIMIT_RTTIME, "Max realtime timeout", "us"},
    };
    struct rlimit64 limits[RLIM_NLIMITS];

    struct task *t = proc_task(arg);
    if (!t)
        return -ESRCH;
    lock(&t->tg->siglock);
    memcpy(limits, t->tg->rlimits, sizeof(limits));
    unlock(&t->tg->siglock);
    task_put(t);

    text_printf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        text_printf(out, "%-25s ", rows[i].name);
        limit_value(out, limits[rows[i].resource].rlim_cur);
        limit_value(out, limits[rows[i].resource].rlim_max);
        text_printf(out, "%-10s\n", rows[i].unit);
    }
    return 0;
}

int proc_show_cgroup(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "0::/\n");
    return 0;
}

int proc_show_io(struct text *out, const struct pseudo_arg *arg)
{
    struct task *t = proc_task(arg), *other;

    if (!t)
        return -ESRCH;
    struct io_counts sum = {0};
    io_counts_add(&sum, &t->io);
    if (arg->tid == arg->tgid) {
        lock(&tasks_lock);
        sum = (struct io_counts){0};
        io_counts_add(&sum, &t->tg->io_dead);
        list_for_each (other, &t->tg->tasks, tg_node)
            io_counts_add(&sum, &other->io);
        unlock(&tasks_lock);
    }
    task_put(t);
    text_printf(out,
                "rchar: %lu\nwchar: %lu\nsyscr: %lu\nsyscw: %lu\nread_bytes: 0\nwrite_bytes: 0\n"
                "cancelled_write_bytes: 0\n",
                sum.read_bytes, sum.written_bytes, sum.reads, sum.writes);
    return 0;
}

int proc_show_id_map(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "         0          0 4294967295\n");
    return 0;
}

int proc_show_setgroups(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "allow\n");
    return 0;
}

int proc_show_zero(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "0");
    return 0;
}

int proc_show_loginuid(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "4294967295");
    return 0;
}

/* The one score of the sandbox: processes may set it, and the host's out-of-memory killer ends the sandbox as a whole.
 */
int proc_show_oom_score_adj(struct text *out, const struct pseudo_arg *arg)
{
    struct task *t = proc_task(arg);

    if (!t)
        return -ESRCH;
    text_printf(out, "%d\n", atomic_load(&t->tg->oom_adj));
    task_put(t);
    return 0;
}

/* The sandbox ends as one when its memory runs out, so nobody asks for it: it is kept and shown. */
ssize_t proc_store_oom_score_adj(const struct pseudo_arg *arg, char *buf, size_t len)
{
    char *end;

    long v = strtol(buf, &end, 10);
    while (isspace((unsigned char)*end))
        end++;
    if (end == buf || *end || v < -1000 || v > 1000)
        return -EINVAL;
    struct task *t = proc_task(arg);
    if (!t)
        return -ESRCH;
    const bool privileged = current && cred_capable(current->cred, CAP_SYS_RESOURCE);
    ssize_t ret = (ssize_t)len;
    if (v < atomic_load(&t->tg->oom_least) && !privileged)
        ret = -EACCES;
    else
        atomic_store(&t->tg->oom_adj, (int)v);
    if (ret > 0 && privileged)
        atomic_store(&t->tg->oom_least, (int)v);
    task_put(t);
    return ret;
}

int proc_show_personality(struct text *out, const struct pseudo_arg *arg)
{
    (void)arg;
    text_printf(out, "00000000\n");
    return 0;
}

/* ---- /proc/PID/mem: the file position is an address ---- */

static ssize_t mem_move(struct file *f, struct uio *u, int64_t *pos, bool writing)
{
    char buf[16384];
    ssize_t done = 0;

    struct task *t = proc_task(pseudo_inode_arg(f->inode));
    if (!t)
        return 0;
    while (u->left) {
        size_t want = MIN(sizeof(buf), u->left);
        ssize_t n = writing ? uio_copy_in(u, buf, want) : task_mem_read(t, buf, (uint64_t)*pos, want);
        if (n > 0)
            n = writing ? task_mem_write(t, (uint64_t)*pos, buf, (size_t)n) : uio_copy_out(u, buf, (size_t)n);
        if (n <= 0) {
            done = done ? done : n < 0 ? -EIO : 0;
            break;
        }
        done += n;
        *pos += n;
    }
    task_put(t);
    return done;
}

static ssize_t mem_read(struct file *f, struct uio *u, int64_t *pos)
{
    return mem_move(f, u, pos, false);
}

static ssize_t mem_write(struct file *f, struct uio *u, int64_t *pos)
{
    return mem_move(f, u, pos, true);
}

static int64_t mem_llseek(struct file *f, int64_t off, int whence)
{
    if (whence != SEEK_SET && whence != SEEK_CUR)
        return -EINVAL;
    return f->pos = whence == SEEK_CUR ? f->pos + off : off;
}

const struct file_ops proc_mem_ops = {.read = mem_read, .write = mem_write, .llseek = mem_llseek};
