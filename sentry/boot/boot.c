/*
 * The sentry process from its first instruction to its last: the platform's zygote and the mounts are made first, then
 * the process locks itself in, and only then does anything of the guest's (its program file) get looked at.
 */
#include "include/boot.h"
#include "include/control.h"
#include "include/platform.h"
#include "lib/jail.h"
#include "lib/log.h"
#include "sentry/boot/boot_internal.h"
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
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOFER_TIMEOUT_SECONDS 60

static int control_fd = -1;

static void tell(json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

    if (text && send(control_fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        log_debug("the runtime does not listen: %s", strerror(errno));
    free(text);
    json_decref(message);
}

_Noreturn static void fail(int code, const char *what, int err)
{
    char why[PATH_MAX + 128];

    snprintf(why, sizeof(why), "%s: %s", what, strerror(-err));
    tell(json_pack("{s:s, s:s, s:i}", "event", "failed", "error", why, "code", code));
    plat_shutdown();
    _exit(code);
}

void sentry_exit(int wait_status)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;

    if (atomic_flag_test_and_set(&told))
        return;
    tell(json_pack("{s:s, s:i}", "event", "exit", "status", wait_status));
    plat_shutdown();
    _exit(WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
}

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
        if (i == 0 && cfg->terminal) {
            ret = tty_set_controlling(t, f);
            if (ret < 0)
                log_debug("no controlling terminal: %s", strerror(-ret));
        }
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
    struct cred *cred = cred_new(cfg->uid, cfg->gid, cfg->groups, cfg->ngroups);
    struct files *files = files_new();
    struct fs_context *fs = fs_context_new(root, root, cfg->umask);

    return cred && files && fs ? task_create_init(cred, files, fs) : NULL;
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

/* execvp(3): the first directory of PATH whose file can be run; -EACCES if one was there but none could. */
static int start_program(struct task *t, const struct boot_config *cfg)
{
    bool denied = false;

    if (strchr(cfg->path, '/'))
        return exec_init(t, cfg->path, cfg->argv, cfg->envp);
    for (const char *dir = path_of(cfg->envp); *cfg->path;) {
        char name[PATH_MAX];
        int len = (int)strcspn(dir, ":");
        if (snprintf(name, sizeof(name), "%.*s/%s", len ? len : 1, len ? dir : ".", cfg->path) < (int)sizeof(name)) {
            int ret = exec_init(t, name, cfg->argv, cfg->envp);
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

static void forward_signal(int sig, bool foreground)
{
    if (sig <= 0 || sig > 64)
        return;
    if (foreground) {
        tty_host_signal(sig);
        return;
    }
    struct thread_group *init = tg_find(1);
    if (init) {
        signal_send_tg(init, sig, NULL);
        tg_put(init);
    }
}

static void serve(const char *text, size_t len)
{
    json_t *message = json_loadb(text, len, 0, NULL);
    const char *op = json_string_value(json_object_get(message, "op"));

    if (op && !strcmp(op, "signal"))
        forward_signal((int)json_integer_value(json_object_get(message, "signal")),
                       json_is_true(json_object_get(message, "foreground")));
    else if (op && !strcmp(op, "winch"))
        tty_winch();
    json_decref(message);
}

/* The main thread's work until the end. A runtime that is gone ends the sandbox. */
_Noreturn static void control_loop(void)
{
    static char text[CONTROL_MAX];

    for (;;) {
        ssize_t n = recv(control_fd, text, sizeof(text), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            sentry_exit(SIGKILL);
        else
            serve(text, (size_t)n);
    }
}

/* A gofer that does not answer is given up. Set before the lock-in, whose filter does not let sockets be changed. */
static void limit_gofers(const struct boot_config *cfg)
{
    const struct timeval limit = {.tv_sec = GOFER_TIMEOUT_SECONDS};

    for (size_t i = 0; i < cfg->mount_count; i++) {
        const struct boot_mount *m = &cfg->mounts[i];
        if (m->kind == MOUNT_GOFER && (setsockopt(m->conn_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
                                       setsockopt(m->conn_fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0))
            fail(125, "cannot limit the wait for a gofer", -errno);
    }
}

static void prepare(const struct boot_config *cfg)
{
    const struct platform_config platform = {.name = cfg->platform};
    const char *why = "";

    control_fd = cfg->control_fd;
    log_init(cfg->log_fd, "sentry", cfg->debug);
    json_object_seed(0); /* would open a file later */
    limit_gofers(cfg);
    int proc_fd = open_host_proc();
    proc_read_host(cfg);
    int ret = dev_open_host();
    if (ret < 0)
        fail(125, "cannot open the host's /dev/zero", ret);
    ret = plat_init(&platform, &sentry_client, &why);
    if (ret < 0)
        fail(125, why, ret);
    ret = boot_lock_in(proc_fd, !strcmp(cfg->platform, "ptrace"), cfg->debug, &why);
    if (ret < 0)
        fail(125, why, ret);
    escape_attempt("sentry");
}

void sentry_main(const struct boot_config *cfg)
{
    struct path root;

    prepare(cfg);
    task_set_limit(cfg->pids_limit);
    if (cfg->strace)
        strace_set_fd(cfg->strace_fd);
    if (cfg->want_report)
        syscall_count_enable();
    int ret = plat_run();
    if (ret < 0)
        fail(125, "cannot start the platform", ret);
    ret = uts_set(UTS_HOSTNAME, cfg->hostname, strlen(cfg->hostname));
    if (ret < 0)
        fail(125, "the host name", ret);
    ret = boot_root(cfg, &root);
    if (ret < 0)
        fail(125, "cannot mount the sandbox's root", ret);
    struct task *init = make_init(cfg, &root);
    if (!init)
        fail(125, "cannot make the first process", -ENOMEM);
    current = init;
    ret = boot_mounts(cfg, init, &root);
    if (ret < 0)
        fail(125, "cannot build the sandbox's file tree", ret);
    path_put(&root);
    ret = add_stdio(init, cfg);
    if (ret < 0)
        fail(125, "cannot pass on standard input and output", ret);
    ret = enter_cwd(init, cfg->cwd);
    if (ret < 0)
        fail(125, cfg->cwd, ret);
    tell(json_pack("{s:s}", "event", "started"));
    ret = start_program(init, cfg);
    if (ret < 0)
        fail(ret == -ENOENT ? 127 : 126, cfg->path, ret);
    current = NULL;
    control_loop();
}
