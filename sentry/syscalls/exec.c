/*
 * execve(2) and execveat(2).
 *
 * The new image is built in a fresh stub process while the old one is untouched: any failure up to there is an error
 * that the old program sees. Then the task's siblings go, and one commit, which cannot fail, swaps the task over.
 */
#include "sentry/syscalls/exec.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/exec_task.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/limits.h"
#include "sentry/mm/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/script.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SCRIPTS 4
#define MAX_ARG_STRLEN (32 * PAGE_SIZE)
#define ARG_LIMIT_MIN (128UL << 10)

struct exec {
    struct task *task;
    struct file *exe; /* counted */
    struct exec_strings strings;
    size_t arg_limit;        /* bytes of strings */
    char path[PATH_MAX];     /* as given: AT_EXECFN, and what a script's interpreter gets */
    const struct cred *cred; /* counted: of the new program */
    bool secure;
    bool name_closes; /* the path leads through a descriptor that will be closed: no script can be reached by it */
};

static void exec_free(struct exec *x)
{
    file_put(x->exe);
    exec_strings_free(&x->strings);
    if (x->cred)
        cred_put(x->cred);
    free(x);
}

static struct exec *exec_new(struct task *t)
{
    struct exec *x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    x->task = t;
    uint64_t stack = tg_limit(t->tg, RLIMIT_STACK);
    x->arg_limit = stack == RLIM_INFINITY ? 6UL << 20 : MAX(MIN(stack / 4, 6UL << 20), ARG_LIMIT_MIN);
    return x;
}

/* ---- arguments ---- */

/* Where vectors and their strings pass through. */
struct string_reader {
    struct user_pages pages;
    char string[MAX_ARG_STRLEN];
};

/* Copies the strings of a guest vector; NULL vectors count as empty, as on Linux. */
static int copy_vector(struct exec *x, struct string_reader *r, uint64_t vector, size_t *out_count)
{
    int ret = 0;

    for (*out_count = 0; vector && ret == 0; (*out_count)++) {
        uint64_t at = 0;
        ret = user_pages_read(&r->pages, &at, vector + *out_count * sizeof(at), sizeof(at));
        if (ret < 0 || !at)
            break;
        ssize_t len = user_pages_string(&r->pages, r->string, at, sizeof(r->string));
        if (len < 0)
            ret = len == -ENAMETOOLONG ? -E2BIG : (int)len;
        else
            ret = exec_strings_add(&x->strings, r->string, (size_t)len, x->arg_limit);
    }
    return ret;
}

static int copy_strings(struct exec *x, uint64_t argv, uint64_t envp)
{
    struct string_reader *r = malloc(sizeof(*r));

    if (!r)
        return -ENOMEM;
    user_pages_init(&r->pages, x->task);
    int ret = copy_vector(x, r, argv, &x->strings.argc);
    if (ret == 0 && !x->strings.argc) {
        ret = exec_strings_add(&x->strings, "", 0, x->arg_limit); /* a program always has an argv[0] */
        x->strings.argc = 1;
    }
    if (ret == 0)
        ret = copy_vector(x, r, envp, &x->strings.envc);
    free(r);
    return ret;
}

static int add_all(struct exec *x, char *const v[], size_t *out_count)
{
    int ret = 0;

    for (*out_count = 0; ret == 0 && v[*out_count]; (*out_count)++)
        ret = exec_strings_add(&x->strings, v[*out_count], strlen(v[*out_count]), x->arg_limit);
    return ret;
}

/* ---- scripts ---- */

/* If the file is a script, puts its interpreter in its place. 1: it was. */
static int follow_script(struct exec *x, const char *script_path)
{
    char line[SCRIPT_LINE_MAX];
    struct script s;

    ssize_t n = file_pread_kernel(x->exe, line, sizeof(line), 0);
    if (n < 0)
        return (int)n;
    if (n < 2 || memcmp(line, "#!", 2))
        return 0;
    int ret = script_parse(line, (size_t)n, &s);
    if (ret == 0 && x->name_closes)
        ret = -ENOENT;
    if (ret < 0)
        return ret;
    const char *front[3] = {s.interpreter, s.argument, script_path};
    if (!s.argument[0])
        front[1] = script_path;
    ret = exec_strings_prepend(&x->strings, front, s.argument[0] ? 3 : 2, 1, x->arg_limit);
    if (ret < 0)
        return ret;
    struct file *interpreter;
    ret = vfs_open_exec(x->task, AT_FDCWD, s.interpreter, LOOKUP_FOLLOW, &interpreter);
    if (ret < 0)
        return ret;
    file_put(x->exe);
    x->exe = interpreter;
    strcpy(x->path, s.interpreter);
    x->name_closes = false;
    return 1;
}

static int follow_scripts(struct exec *x)
{
    char script[PATH_MAX];
    int ret = 1;

    for (int depth = 0; ret == 1; depth++) {
        if (depth > MAX_SCRIPTS)
            return -ELOOP;
        strcpy(script, x->path);
        ret = follow_script(x, script);
    }
    return ret;
}

/* ---- the change ---- */

static int take_credentials(struct exec *x)
{
    const struct cred *old = x->task->cred;
    bool nosuid = (mount_flags(x->exe->mnt) & MNT_NOSUID) || x->task->no_new_privs;
    struct kstat st;

    int ret = inode_getattr(dentry_inode(x->exe->dentry), &st);
    if (ret < 0)
        return ret;
    x->cred = cred_for_exec(old, st.uid, st.gid, st.mode, nosuid);
    if (!x->cred)
        return -ENOMEM;
    x->secure = x->cred->euid != x->cred->ruid || x->cred->egid != x->cred->rgid;
    return 0;
}

/* The last part of the program's path: what ps shows. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Gives up a process that was not used: its end, when it is reported, is not the group's. */
static void drop_process(struct task *t, struct plat_thread *pt)
{
    lock(&tasks_lock);
    t->tg->retired++;
    tg_get(t->tg); /* until process_died() */
    unlock(&tasks_lock);
    plat_kill(pt);
    plat_thread_put(pt);
}

/* The process behind pt is a fresh one: limits that the host keeps are not with it yet. */
static void apply_limits(struct thread_group *tg, struct plat_thread *pt)
{
    struct rlimit64 limits[RLIM_NLIMITS];

    lock(&tg->siglock); /* prlimit(2) by others */
    memcpy(limits, tg->rlimits, sizeof(limits));
    unlock(&tg->siglock);
    if (limits_special(limits))
        limits_apply(pt, limits, NULL);
}

/* Builds the new image; on success *out_pt and out are the caller's to commit. */
static int build(struct exec *x, struct plat_thread **out_pt, struct loaded *out)
{
    const struct load_request req = {.exe = x->exe,
                                     .strings = &x->strings,
                                     .execfn = x->path,
                                     .cred = x->cred,
                                     .secure = x->secure,
                                     .stack_size = tg_limit(x->task->tg, RLIMIT_STACK)};
    struct plat_thread *pt;

    int ret = plat_new(x->task, x->task->tg, &pt);
    if (ret < 0)
        return ret;
    apply_limits(x->task->tg, pt);
    ret = load_program(x->task, pt, &req, out);
    if (ret < 0) {
        drop_process(x->task, pt);
        return ret;
    }
    *out_pt = pt;
    return 0;
}

/* A table shared with other processes (CLONE_FILES) stays theirs; the new program gets its own. */
static int unshare_files(struct task *t)
{
    if (files_refs(t->files) == 1)
        return 0;
    struct files *own = files_clone(t->files);
    if (!own)
        return -ENOMEM;
    lock(&tasks_lock);
    struct files *shared = t->files;
    t->files = own;
    unlock(&tasks_lock);
    files_put(shared, t);
    return 0;
}

/* x: opened and with strings. Returns -errno with the old program whole, or 0 with the new one running. */
static int exec_commit(struct exec *x)
{
    struct task *t = x->task;
    struct plat_thread *pt;
    struct loaded loaded;

    int ret = follow_scripts(x);
    if (ret == 0)
        ret = take_credentials(x);
    if (ret == 0)
        ret = build(x, &pt, &loaded);
    if (ret < 0)
        return ret;
    ret = unshare_files(t);
    if (ret == 0)
        ret = task_exec_begin(t);
    if (ret < 0) {
        drop_process(t, pt);
        mm_put(loaded.mm);
        return ret;
    }
    task_exec_commit(t, pt, loaded.mm, x->cred, base_name(x->path)); /* closes what is close-on-exec */
    x->cred = NULL;
    /* A signal from before the task counted as running again found nobody to kick. */
    if (atomic_load(&t->signal_wake))
        plat_kick(pt);
    plat_start(pt, &loaded.regs);
    return 0;
}

/* ---- the calls ---- */

/* The name that a descriptor-relative program has: "/dev/fd/N" or "/dev/fd/N/path". */
static int exec_name(struct exec *x, int dirfd, const char *path)
{
    int n;

    if (path[0] == '/' || dirfd == AT_FDCWD) {
        n = snprintf(x->path, sizeof(x->path), "%s", path);
    } else {
        x->name_closes = fd_get_cloexec(x->task, dirfd) == 1;
        n = snprintf(x->path, sizeof(x->path), "/dev/fd/%d%s%s", dirfd, *path ? "/" : "", path);
    }
    return (size_t)n < sizeof(x->path) ? 0 : -ENAMETOOLONG;
}

static long do_execve(struct task *t, int dirfd, uint64_t path_addr, uint64_t argv, uint64_t envp, int flags)
{
    char path[PATH_MAX];

    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    ssize_t len = user_string(t, path, path_addr, sizeof(path));
    if (len < 0)
        return len;
    struct exec *x = exec_new(t);
    if (!x)
        return -ENOMEM;
    const unsigned lookup =
        (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0) | (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW);
    int ret = vfs_open_exec(t, dirfd, path, lookup, &x->exe);
    if (ret == 0)
        ret = exec_name(x, dirfd, path);
    if (ret == 0)
        ret = copy_strings(x, argv, envp);
    if (ret == 0)
        ret = exec_commit(x);
    exec_free(x);
    return ret < 0 ? ret : SYS_GONE;
}

long sys_execve(struct task *t, const struct sysargs *a)
{
    return do_execve(t, AT_FDCWD, a->a[0], a->a[1], a->a[2], 0);
}

long sys_execveat(struct task *t, const struct sysargs *a)
{
    return do_execve(t, (int)a->a[0], a->a[1], a->a[2], a->a[3], (int)a->a[4]);
}

int exec_init(struct task *t, const char *path, char *const argv[], char *const envp[])
{
    struct exec *x = exec_new(t);

    if (!x)
        return -ENOMEM;
    int ret = vfs_open_exec(t, AT_FDCWD, path, LOOKUP_FOLLOW, &x->exe);
    if (ret == 0)
        ret = exec_name(x, AT_FDCWD, path);
    if (ret == 0)
        ret = add_all(x, argv, &x->strings.argc);
    if (ret == 0)
        ret = add_all(x, envp, &x->strings.envc);
    if (ret == 0)
        ret = exec_commit(x);
    exec_free(x);
    return ret;
}
