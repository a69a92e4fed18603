/*
 * /proc/PID/fd, fdinfo, ns and the magic links exe, cwd and root. A magic link leads to the very object, whatever its
 * name is by now; its text is only for people.
 */
#include "sentry/fs/proc/proc.h"

#include "sentry/fs/proc/access.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The task's descriptor table, referenced; NULL: gone, or not to be seen by the reader. */
static struct files *visible_files(const struct pseudo_arg *arg)
{
    struct files *files = NULL;

    struct task *t = proc_task(arg);
    if (!t)
        return NULL;
    if (current && proc_may_trace(current, arg->tid) == 0) {
        lock(&tasks_lock);
        files = t->files ? files_get(t->files) : NULL;
        unlock(&tasks_lock);
    }
    task_put(t);
    return files;
}

static struct file *fd_file(const struct pseudo_arg *arg)
{
    struct files *files = visible_files(arg);
    if (!files)
        return NULL;
    struct file *f = files_get_file(files, arg->num);
    files_put(files, current);
    return f;
}

static int64_t next_fd(const struct pseudo_arg *dir, int64_t from)
{
    if (from > INT_MAX)
        return -1;
    struct files *files = visible_files(dir);
    if (!files)
        return -1;
    int fd = files_next(files, (int)from);
    files_put(files, current);
    return fd;
}

static int find_fd_as(const struct pseudo_arg *dir, const char *name, const struct pseudo_node *node,
                      const struct pseudo_node **out, struct pseudo_arg *arg)
{
    char *end;

    long n = strtol(name, &end, 10);
    if (*end || end == name || n < 0 || n > INT_MAX || (name[0] == '0' && name[1]) || name[0] == '-' || name[0] == '+')
        return -ENOENT;
    struct pseudo_arg wanted = *dir;
    wanted.num = (int)n;
    struct file *f = fd_file(&wanted);
    if (!f)
        return -ENOENT;
    file_put(f);
    *out = node;
    *arg = wanted;
    return 0;
}

static int path_text(const struct path *p, char *buf, size_t cap)
{
    char text[PATH_MAX];

    ssize_t n = path_to_string(current, p, text, sizeof(text));
    if (n < 0)
        return (int)n;
    size_t len = MIN((size_t)n, cap);
    memcpy(buf, text, len);
    return (int)len;
}

static int fd_readlink(const struct pseudo_arg *arg, char *buf, size_t cap)
{
    struct file *f = fd_file(arg);
    if (!f)
        return -ENOENT;
    const struct path p = {f->mnt, f->dentry};
    int n = path_text(&p, buf, cap);
    file_put(f);
    return n;
}

static int fd_follow(const struct pseudo_arg *arg, struct path *out)
{
    struct file *f = fd_file(arg);
    if (!f)
        return -ENOENT;
    *out = (struct path){f->mnt, f->dentry};
    path_get(out);
    file_put(f);
    return 0;
}

static const struct pseudo_node fd_link_node = {.mode = S_IFLNK | 0700, .readlink = fd_readlink, .follow = fd_follow};

static int find_fd(const struct pseudo_arg *dir, const char *name, const struct pseudo_node **out,
                   struct pseudo_arg *arg)
{
    return find_fd_as(dir, name, &fd_link_node, out, arg);
}

const struct pseudo_node proc_fd_node = {
    .name = "fd", .mode = S_IFDIR | 0500, .find = find_fd, .next = next_fd, .next_type = DT_LNK};

static int show_fdinfo(struct text *out, const struct pseudo_arg *arg)
{
    struct file *f = fd_file(arg);
    if (!f)
        return -ENOENT;
    text_printf(out, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%d\nino:\t%lu\n", (long long)f->pos, f->flags, mount_id(f->mnt),
                f->inode->ino);
    file_put(f);
    return 0;
}

static const struct pseudo_node fdinfo_file_node = {.mode = S_IFREG | 0444, .show = show_fdinfo};

static int find_fdinfo(const struct pseudo_arg *dir, const char *name, const struct pseudo_node **out,
                       struct pseudo_arg *arg)
{
    return find_fd_as(dir, name, &fdinfo_file_node, out, arg);
}

const struct pseudo_node proc_fdinfo_node = {
    .name = "fdinfo", .mode = S_IFDIR | 0555, .find = find_fdinfo, .next = next_fd, .next_type = DT_REG};

/* ---- /proc/PID/ns: one namespace of each kind, shared by all ---- */

static int ns_text(const char *kind, unsigned number, char *buf, size_t cap)
{
    char text[48];

    int n = snprintf(text, sizeof(text), "%s:[%u]", kind, number);
    size_t len = MIN((size_t)n, cap);
    memcpy(buf, text, len);
    return (int)len;
}

#define NS_LINK(kind, number)                                                                                          \
    static int ns_##kind(const struct pseudo_arg *arg, char *buf, size_t cap)                                          \
    {                                                                                                                  \
        (void)arg;                                                                                                     \
        return ns_text(#kind, number, buf, cap);                                                                       \
    }
NS_LINK(cgroup, 4026531835u)
NS_LINK(pid, 4026531836u)
NS_LINK(user, 4026531837u)
NS_LINK(uts, 4026531838u)
NS_LINK(ipc, 4026531839u)
NS_LINK(net, 4026531840u)
NS_LINK(mnt, 4026531841u)

static const struct pseudo_node ns_children[] = {
    {.name = "cgroup", .mode = S_IFLNK | 0777, .readlink = ns_cgroup},
    {.name = "ipc", .mode = S_IFLNK | 0777, .readlink = ns_ipc},
    {.name = "mnt", .mode = S_IFLNK | 0777, .readlink = ns_mnt},
    {.name = "net", .mode = S_IFLNK | 0777, .readlink = ns_net},
    {.name = "pid", .mode = S_IFLNK | 0777, .readlink = ns_pid},
    {.name = "user", .mode = S_IFLNK | 0777, .readlink = ns_user},
    {.name = "uts", .mode = S_IFLNK | 0777, .readlink = ns_uts},
    {0},
};

const struct pseudo_node proc_ns_node = {.name = "ns", .mode = S_IFDIR | 0511, .children = ns_children};

/* ---- exe, cwd, root ---- */

static int task_exe(const struct pseudo_arg *arg, struct path *out)
{
    struct task *t = proc_task(arg);
    if (!t)
        return -ENOENT;
    int ret = current ? proc_may_trace(current, arg->tid) : 0;
    struct mm *mm = ret == 0 ? task_mm_get(t) : NULL;
    task_put(t);
    if (!mm)
        return ret < 0 ? ret : -ENOENT;
    *out = (struct path){mm->exe->mnt, mm->exe->dentry};
    path_get(out);
    mm_put(mm);
    return 0;
}

static int task_fs_path(const struct pseudo_arg *arg, bool root, struct path *out)
{
    struct task *t = proc_task(arg);
    if (!t)
        return -ENOENT;
    int ret = current ? proc_may_trace(current, arg->tid) : 0;
    struct fs_context *fs = NULL;
    if (ret == 0) {
        lock(&tasks_lock);
        fs = t->fs ? fs_context_get(t->fs) : NULL;
        unlock(&tasks_lock);
        ret = fs ? 0 : -ENOENT;
    }
    task_put(t);
    if (!fs)
        return ret;
    if (root)
        fs_context_root(fs, out);
    else
        fs_context_cwd(fs, out);
    fs_context_put(fs);
    return 0;
}

static int put_path_text(int ret, struct path *p, char *buf, size_t cap)
{
    if (ret < 0)
        return ret;
    ret = path_text(p, buf, cap);
    path_put(p);
    return ret;
}

int proc_exe_readlink(const struct pseudo_arg *arg, char *buf, size_t cap)
{
    struct path p;
    return put_path_text(task_exe(arg, &p), &p, buf, cap);
}

int proc_exe_follow(const struct pseudo_arg *arg, struct path *out)
{
    return task_exe(arg, out);
}

int proc_cwd_readlink(const struct pseudo_arg *arg, char *buf, size_t cap)
{
    struct path p;
    return put_path_text(task_fs_path(arg, false, &p), &p, buf, cap);
}

int proc_cwd_follow(const struct pseudo_arg *arg, struct path *out)
{
    return task_fs_path(arg, false, out);
}

int proc_root_readlink(const struct pseudo_arg *arg, char *buf, size_t cap)
{
    struct path p;
    return put_path_text(task_fs_path(arg, true, &p), &p, buf, cap);
}

int proc_root_follow(const struct pseudo_arg *arg, struct path *out)
{
    return task_fs_path(arg, true, out);
}
