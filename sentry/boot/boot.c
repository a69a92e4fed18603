/*
 * The sentry process from its first instruction to its last: the platform's zygote and the mounts are made first, then
 * the process locks itself in, and only then does anything of the guest's (its program file) get looked at.
 */
#include "include/boot.h"
#include "include/platform.h"
#include "lib/jail.h"
#include "lib/log.h"
#include "sentry/boot/boot_internal.h"
#include "sentry/control/control.h"
#include "sentry/fs/fs.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/dispatch.h"
#include "sentry/syscalls/exec.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOFER_TIMEOUT_SECONDS 60

/* A procfs that shows only this PID namespace; without one (a host that masks /proc) memory figures are missing. */
static int open_host_proc(void)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return -1;
    int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        mm_set_host_proc(fd);
    return fd;
}

/* f becomes the controlling terminal of the session that init leads, with t's group in the foreground. */
static void control_terminal(struct task *t, struct file *f)
{
    struct task *leader = task_find(t->tg->pgrp->session->sid);
    int ret = leader ? tty_set_controlling(leader, f, t->tg->pgrp->pgid) : -ESRCH;

    if (ret < 0)
        log_debug("no controlling terminal: %s", strerror(-ret));
    if (leader)
        task_put(leader);
}

static int add_stdio(struct task *t, const struct boot_config *cfg)
{
    for (int i = 0; i < 3; i++) {
        struct file *f;
        if (cfg->stdio[i] < 0)
            continue;
        int flags = fcntl(cfg->stdio[i], F_GETFL);
        int ret = hostfd_new_file(cfg->stdio[i], flags < 0 ? O_RDWR : (unsigned)flags, &f);
        if (ret < 0)
            return ret;
        if (i == cfg->terminal)
            control_terminal(t, f);
        ret = fd_reserve(t, i);
        if (ret != i) {
            file_put(f);
            return ret < 0 ? ret : -EBADF;
        }
        fd_install(t, i, f, false);
    }
    return 0;
}

static struct task *make_init(const struct boot_config *cfg, const struct path *root)
{
    struct cred *cred = cred_new(0, 0, NULL, 0);
    struct files *files = files_new();
    struct fs_context *fs = fs_context_new(root, root, cfg->umask);

    return cred && files && fs ? task_create_init(cred, files, fs) : NULL;
}

/* Until here it was root, for whom the file tree is built. */
static int become_user(const struct boot_config *cfg, struct task *t)
{
    const struct cred *cred = cred_new(cfg->uid, cfg->gid, cfg->groups, cfg->ngroups), *old = t->cred;

    if (!cred)
        return -ENOMEM;
    lock(&tasks_lock);
    t->cred = cred;
    unlock(&tasks_lock);
    cred_put(old);
    return 0;
}

/* The task that runs the program: process 1, or below an init of our own. */
static struct task *make_main(const struct boot_config *cfg, struct task *init)
{
    struct task *t = cfg->own_init ? task_create_main(init) : init;

    if (!t)
        return NULL;
    lock(&t->tg->siglock);
    for (int sig = 1; sig <= NSIG_MAX; sig++)
        if ((cfg->ignored_signals & sigbit(sig)) && !(sigbit(sig) & SIGSET_UNBLOCKABLE))
            t->tg->sighand->action[sig - 1].handler = (uint64_t)(uintptr_t)SIG_IGN;
    unlock(&t->tg->siglock);
    return t;
}

static int enter_cwd(struct task *t, const char *cwd)
{
    struct path p;

    int ret = path_lookup(t, AT_FDCWD, cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);
    if (ret < 0)
        return ret;
    fs_context_set_cwd(t->fs, &p);
    path_put(&p);
    return 0;
}

static const char *path_of(char **envp)
{
    for (; envp && *envp; envp++)
        if (!strncmp(*envp, "PATH=", 5))
            return *envp + 5;
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* No program has zeros in its first lines unless it is meant for a machine. */
static bool is_text(struct task *t, const char *name)
{
    char start[128];
    struct file *f;

    if (vfs_open_exec(t, AT_FDCWD, name, LOOKUP_FOLLOW, &f) < 0)
        return false;
    ssize_t n = file_pread_kernel(f, start, sizeof(start), 0);
    file_put(f);
    return n >= 0 && !memchr(start, '\0', (size_t)n);
}

/* A file that is no program is taken for a shell script. */
static int run_file(struct task *t, const struct boot_config *cfg, const char *name)
{
    int ret = exec_init(t, name, cfg->argv, cfg->envp);
    size_t argc = 0;

    if (ret != -ENOEXEC || !is_text(t, name))
        return ret;
    while (cfg->argv[argc])
        argc++;
    const char **argv = calloc(argc + 2, sizeof(*argv));
    if (!argv)
        return -ENOMEM;
    argv[0] = "sh";
    argv[1] = name;
    memcpy(argv + 2, cfg->argv + 1, argc * sizeof(*argv));
    ret = exec_init(t, "/bin/sh", (char *const *)argv, cfg->envp);
    free(argv);
    return ret;
}

/* execvp(3): the first directory of PATH whose file can be run; -EACCES if one was there but none could. */
static int start_program(struct task *t, const struct boot_config *cfg)
{
    bool denied = false;

    if (strchr(cfg->path, '/'))
        return run_file(t, cfg, cfg->path);
    for (const char *dir = path_of(cfg->envp); *cfg->path;) {
        char name[PATH_MAX];
        int len = (int)strcspn(dir, ":");
        if (snprintf(name, sizeof(name), "%.*s/%s", len ? len : 1, len ? dir : ".", cfg->path) < (int)sizeof(name)) {
            int ret = run_file(t, cfg, name);
            if (ret != -ENOENT && ret != -ENOTDIR && ret != -EACCES)
                return ret;
            denied |= ret == -EACCES;
        }
        if (!dir[len])
            break;
        dir += len + 1;
    }
    return denied ? -EACCES : -ENOENT;
}

static bool is_there(struct task *t, const char *name, unsigned flags)
{
    struct path p;

    if (!strchr(name, '/') || path_lookup(t, AT_FDCWD, name, LOOKUP_FOLLOW | flags, &p) < 0)
        return false;
    path_put(&p);
    return true;
}

/* Says why the program did not start, also where execve(2) has no word of its own for it. */
_Noreturn static void program_fails(struct task *t, const struct boot_config *cfg, int err)
{
    char text[PATH_MAX + 64];
    const bool interpreter = err == -ENOENT && is_there(t, cfg->path, 0);

    if (err == -EACCES && is_there(t, cfg->path, LOOKUP_DIRECTORY))
        err = -EISDIR;
    snprintf(text, sizeof(text), "%s%s", cfg->path, interpreter ? ": the interpreter that it needs" : "");
    control_fail(err == -ENOENT ? 127 : 126, text, err);
}

/*
 * A gofer that does not answer is given up. Set before the lock-in, whose filter does not let sockets be changed. The
 * first request goes out too: the gofers are not up yet, but their answers will be there when they are wanted.
 */
static void prepare_gofers(const struct boot_config *cfg)
{
    const struct timeval limit = {.tv_sec = GOFER_TIMEOUT_SECONDS};

    for (size_t i = 0; i < cfg->mount_count; i++) {
        const struct boot_mount *m = &cfg->mounts[i];
        if (m->kind != MOUNT_GOFER)
            continue;
        if (setsockopt(m->conn_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
            setsockopt(m->conn_fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
            control_fail_start("cannot limit the wait for a gofer", -errno);
        gofer_greet(m->conn_fd);
    }
}

/* Left to itself jansson opens a file for it, and later. */
static void seed_json(void)
{
    size_t seed = 0;

    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = 0;
    json_object_seed(seed);
}

static void prepare(const struct boot_config *cfg)
{
    const struct platform_config platform = {
        .name = cfg->platform, .see_all = cfg->strace, .fast_calls = cfg->fast_calls};
    const char *why = "";

    control_open(cfg->control_fd, cfg->want_report);
    log_init(cfg->log_fd, "sentry", cfg->debug);
    seed_json();
    prepare_gofers(cfg);
    int ret = plat_init(&platform, &sentry_client, &why);
    if (ret < 0)
        control_fail_start(why, ret);
    /* While the platform's first process comes up: */
    int proc_fd = open_host_proc();
    tmpfs_set_memory(proc_read_host(cfg));
    ret = dev_open_host();
    if (ret < 0)
        control_fail_start("cannot open the host's /dev/zero", ret);
    ret = jail_empty_root();
    if (ret < 0)
        control_fail_start("cannot enter an empty root", ret);
    ret = plat_greet(&why);
    if (ret < 0)
        control_fail_start(why, ret);
    ret = boot_lock_in(proc_fd, !strcmp(cfg->platform, "ptrace"), cfg->debug, &why);
    if (ret < 0)
        control_fail_start(why, ret);
    escape_attempt("sentry");
}

/* What the user asked for cannot be done at this place. */
_Noreturn static void fail_at(const char *what, const char *where, int err)
{
    char text[PATH_MAX + 64];

    snprintf(text, sizeof(text), "%s %s", what, where);
    control_fail(125, text, err);
}

/* Everything that the program starts with: its task, mounts, terminal and directory. */
static struct task *build(const struct boot_config *cfg)
{
    struct path root;
    const char *where;

    int ret = uts_set(UTS_HOSTNAME, cfg->hostname, strlen(cfg->hostname));
    if (ret < 0)
        control_fail_start("the host name", ret);
    ret = boot_root(cfg, &root);
    if (ret < 0)
        control_fail_start("cannot mount the sandbox's root", ret);
    task_limit_affinity(cfg->cpus);
    struct task *init = make_init(cfg, &root);
    struct task *t = init ? make_main(cfg, init) : NULL;
    if (!t)
        control_fail_start("cannot make the first process", -ENOMEM);
    current = t;
    ret = boot_mounts(cfg, t, &root, &where);
    if (ret < 0)
        fail_at("cannot mount at", where, ret);
    if (become_user(cfg, t) < 0)
        control_fail_start("cannot take the program's user", -ENOMEM);
    path_put(&root);
    ret = add_stdio(t, cfg);
    if (ret < 0)
        control_fail_start("cannot pass on standard input and output", ret);
    ret = enter_cwd(t, cfg->cwd);
    if (ret < 0)
        fail_at("cannot start in the directory", cfg->cwd, ret);
    return t;
}

void sentry_main(const struct boot_config *cfg)
{
    prepare(cfg);
    task_set_limit(cfg->pids_limit && cfg->own_init ? cfg->pids_limit + 1 : cfg->pids_limit);
    tty_host_background(cfg->background);
    if (cfg->strace)
        strace_set_fd(cfg->strace_fd);
    if (cfg->want_report)
        syscall_count_enable();
    int ret = plat_run();
    if (ret < 0)
        control_fail_start("cannot start the platform", ret);
    struct task *t = build(cfg);
    ret = start_program(t, cfg);
    if (ret < 0)
        program_fails(t, cfg, ret);
    current = NULL;
    control_loop();
}
