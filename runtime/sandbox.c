/*
 * See sandbox.h. Order: sockets; the sentry, which has more to do; the gofer. Of each: the process, its cgroup, its ids
 * mapped from here; then a byte says go, before which a child does nothing that shows.
 */
#include "runtime/sandbox.h"

#include "include/control.h"
#include "lib/jail.h"
#include "lib/log.h"
#include "runtime/cgroup.h"
#include "runtime/error.h"
#include "runtime/tree.h"
#include "runtime/view.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534

/* A child's end and ours of what it waits on before it starts. */
struct gate {
    int ours, theirs;
};

struct start {
    struct sandbox *s;
    struct view *v;
    struct boot_config *cfg;
    int gofer_fds[VIEW_MAX]; /* the gofer's ends, for the mounts that have one; else -1 */
    struct gate gofer, control;
};

bool sandbox_privileged(void)
{
    const cap_value_t needed[] = {CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID, CAP_SYS_CHROOT};
    cap_t caps = cap_get_proc();
    bool all = geteuid() == 0 && caps;

    for (size_t i = 0; all && i < ARRAY_SIZE(needed); i++) {
        cap_flag_value_t v = CAP_CLEAR;
        all = cap_get_flag(caps, needed[i], CAP_EFFECTIVE, &v) == 0 && v == CAP_SET;
    }
    cap_free(caps);
    return all;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int make_sockets(struct start *st, struct error *e)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(e, "cannot make a socket: %s", strerror(errno));
    st->control = (struct gate){pair[0], pair[1]};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(e, "cannot make a socket: %s", strerror(errno));
    st->gofer = (struct gate){pair[0], pair[1]};
    for (size_t i = 0; i < st->v->count; i++) {
        if (!st->v->hosts[i])
            continue;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            return error_set(e, "cannot make a socket: %s", strerror(errno));
        st->v->mounts[i].conn_fd = pair[0];
        st->gofer_fds[i] = pair[1];
    }
    return 0;
}

static void close_sockets(struct start *st)
{
    close_fd(&st->gofer.theirs);
    close_fd(&st->control.theirs);
    for (size_t i = 0; i < st->v->count; i++) {
        close_fd(&st->gofer_fds[i]);
        if (st->v->hosts[i])
            close_fd(&st->v->mounts[i].conn_fd);
    }
}

/* The first thing that a child does: wait until its ids are mapped. */
static void pass_gate(struct gate *g)
{
    char go;

    close_fd(&g->ours);
    if (recv(g->theirs, &go, 1, 0) != 1)
        _exit(EXIT_SBOX);
}

/* What a child cannot do ends up as one line on the log and no sandbox. */
_Noreturn static void child_fails(const char *what, int err)
{
    log_user("%s: %s%s", what, strerror(-err), jail_way_out(err));
    _exit(GOFER_EXIT_TOLD);
}

/* Both children are copies of us: what the caller's environment holds is not theirs to know. */
static void wipe_environment(void)
{
#ifdef SBOX_ESCAPE
    return; /* the test build is told there what to try */
#endif
    for (char **p = environ; p && *p; p++)
        memset(*p, 0, strlen(*p));
    environ = NULL;
}

_Noreturn static void gofer_child(struct start *st)
{
    static struct gofer_tree trees[VIEW_MAX];
    struct gofer_config cfg = {
        .trees = trees, .log_fd = st->cfg->log_fd, .debug = st->cfg->debug, .privileged = st->s->privileged};

    close_fd(&st->control.ours);
    close_fd(&st->control.theirs);
    wipe_environment();
    setsid();
    pass_gate(&st->gofer);
    for (size_t i = 0; i < st->v->count; i++) {
        const struct boot_mount *m = &st->v->mounts[i];
        if (!st->v->hosts[i])
            continue;
        close(m->conn_fd);
        bool readonly = m->readonly || m->overlay;
        int fd = tree_open(st->v->hosts[i], readonly);
        if (fd < 0)
            child_fails(st->v->hosts[i], fd);
        trees[cfg.tree_count++] = (struct gofer_tree){.root_fd = fd, .conn_fd = st->gofer_fds[i], .readonly = readonly};
    }
    int ret = jail_die_with_parent(st->gofer.theirs);
    if (ret < 0)
        _exit(EXIT_SBOX);
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    gofer_main(&cfg);
}

/* As root: from the user that started us to the one mapped, which is nobody outside. */
static int change_ids(void)
{
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

_Noreturn static void sentry_child(struct start *st)
{
    struct boot_config *cfg = st->cfg;

    close_fd(&st->gofer.ours);
    close_fd(&st->gofer.theirs);
    for (size_t i = 0; i < st->v->count; i++)
        close_fd(&st->gofer_fds[i]);
    wipe_environment();
    setsid();
    pass_gate(&st->control);
    int ret = st->s->privileged ? change_ids() : 0;
    if (ret < 0)
        child_fails("cannot become the sandbox's own user", ret);
    if (jail_die_with_parent(st->control.theirs) < 0)
        _exit(EXIT_SBOX);
    cfg->mounts = st->v->mounts;
    cfg->mount_count = st->v->count;
    cfg->links = st->v->links;
    cfg->link_count = st->v->link_count;
    cfg->control_fd = st->control.theirs;
    sentry_main(cfg);
}

/* ENOSPC: one kind is used up, mostly because none is allowed. The user's kind comes first, and is so if we cannot
 * tell. */
static int namespaces_used_up(struct error *e)
{
    static const char *const kinds[] = {"pid", "mnt", "net", "ipc", "uts"};
    const char *kind = "user";
    char path[64], c;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        snprintf(path, sizeof(path), "/proc/sys/user/max_%s_namespaces", kinds[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, &c, 1) == 1 && c == '0')
            kind = kinds[i];
        if (fd >= 0)
            close(fd);
    }
    return error_set(e,
                     "this system has %s namespaces switched off, or used up; "
                     "as root: sysctl -w user.max_%s_namespaces=15000",
                     kind, kind);
}

static int namespaces_refused(int err, struct error *e)
{
    if (err == -ENOSPC || err == -EUSERS)
        return namespaces_used_up(e);
    if (err == -EPERM && geteuid() == 0)
        return error_set(e, "root may not make namespaces here; a container must be started with --privileged");
    if (err == -EPERM)
        return error_set(e, "ordinary users may not make namespaces here; run sbox as root, or allow it, as root: "
                            "sysctl -w kernel.unprivileged_userns_clone=1 (a container: --privileged)");
    return error_set(e, "cannot start the sandbox's processes: %s%s", strerror(-err), jail_way_out(err));
}

/* One user and one group: those inside are those outside. */
static int map_ids(pid_t pid, uid_t inside_uid, uid_t uid, gid_t inside_gid, gid_t gid, struct error *e)
{
    int ret = jail_map_ids(pid, inside_uid, uid, inside_gid, gid);

    return ret < 0 ? error_set(e, "cannot map the sandbox's user: %s", strerror(-ret)) : 0;
}

static int let_go(pid_t pid, const struct gate *g, const struct cgroup *c, struct error *e)
{
    if (cgroup_enter(c, pid, e) < 0)
        return -1;
    return send(g->ours, "", 1, MSG_NOSIGNAL) == 1 ? 0 : error_set(e, "the sandbox's processes ended at once");
}

/* The sentry is "root" of its own namespace, and nobody or the user outside. */
static int start_sentry(struct start *st, const struct cgroup *c, struct error *e)
{
    const unsigned long apart = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    const bool privileged = st->s->privileged;
    pid_t pid = jail_fork(apart);

    if (pid == 0)
        sentry_child(st);
    if (pid < 0)
        return namespaces_refused(pid, e);
    st->s->sentry = pid;
    int ret = privileged ? map_ids(pid, 0, NOBODY, 0, NOBODY, e) : map_ids(pid, 0, geteuid(), 0, getegid(), e);
    return ret < 0 ? ret : let_go(pid, &st->control, c, e);
}

/* To an ordinary user's gofer the caller's files are those of the guest's user. */
static int start_gofer(struct start *st, const struct cgroup *c, struct error *e)
{
    const struct boot_config *cfg = st->cfg;
    const bool privileged = st->s->privileged;
    pid_t pid = jail_fork(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | (privileged ? 0UL : CLONE_NEWUSER));

    if (pid == 0)
        gofer_child(st);
    if (pid < 0)
        return namespaces_refused(pid, e);
    st->s->gofer = pid;
    int ret = privileged ? 0 : map_ids(pid, cfg->uid, geteuid(), cfg->gid, getegid(), e);
    return ret < 0 ? ret : let_go(pid, &st->gofer, c, e);
}

int sandbox_start(struct sandbox *s, struct view *v, struct boot_config *cfg, const struct cgroup *c, struct error *e)
{
    struct start st = {.s = s, .v = v, .cfg = cfg, .gofer = {-1, -1}, .control = {-1, -1}};

    *s = (struct sandbox){.control_fd = -1, .gofer_fd = -1, .privileged = sandbox_privileged()};
    for (size_t i = 0; i < VIEW_MAX; i++)
        st.gofer_fds[i] = -1;
    /* In a user namespace that forbids it not even its root may map others. */
    if (s->privileged && setgroups(0, NULL) < 0)
        s->privileged = false;
    int ret = make_sockets(&st, e);
    if (ret == 0)
        ret = start_sentry(&st, c, e);
    if (ret == 0)
        ret = start_gofer(&st, c, e);
    s->control_fd = st.control.ours;
    s->gofer_fd = st.gofer.ours;
    close_sockets(&st);
    if (ret < 0)
        sandbox_end(s);
    return ret;
}

static void add_time(struct timeval *sum, const struct timeval *more)
{
    sum->tv_sec += more->tv_sec;
    sum->tv_usec += more->tv_usec;
    if (sum->tv_usec >= 1000000) {
        sum->tv_sec++;
        sum->tv_usec -= 1000000;
    }
}

/* waitpid(2) that adds up what the process used. True if it was reaped. */
static bool reap(struct sandbox *s, pid_t *pid, int flags, int *out_status)
{
    struct rusage ru;
    pid_t got;

    do
        got = wait4(*pid, out_status, flags, &ru);
    while (got < 0 && errno == EINTR);
    if (got != *pid)
        return false;
    *pid = 0;
    add_time(&s->usage.ru_utime, &ru.ru_utime);
    add_time(&s->usage.ru_stime, &ru.ru_stime);
    s->usage.ru_maxrss = MAX(s->usage.ru_maxrss, ru.ru_maxrss);
    return true;
}

bool sandbox_gofer_ended(struct sandbox *s)
{
    return !s->gofer || reap(s, &s->gofer, WNOHANG, &s->gofer_status);
}

bool sandbox_gofer_told(struct sandbox *s)
{
    return sandbox_gofer_ended(s) && WIFEXITED(s->gofer_status) && WEXITSTATUS(s->gofer_status) == GOFER_EXIT_TOLD;
}

bool sandbox_gofer_killed(struct sandbox *s)
{
    struct pollfd p = {.fd = s->gofer_fd};

    if (s->gofer && poll(&p, 1, 0) > 0 && (p.revents & POLLHUP))
        reap(s, &s->gofer, 0, &s->gofer_status);
    return !s->gofer && WIFSIGNALED(s->gofer_status);
}

/* "was killed by signal 9 (Killed)" */
static int explain(struct error *e, const char *who, int status)
{
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    if (sig == SIGSYS)
        return error_set(e, "%s was killed at a system call that its filter forbids; --debug names it", who);
    if (sig)
        return error_set(e, "%s was killed by signal %d (%s); the program is ended", who, sig, strsignal(sig));
    return error_set(e, "%s ended too early, with code %d; the program is ended", who, WEXITSTATUS(status));
}

int sandbox_explain_gofer(struct sandbox *s, struct error *e)
{
    if (sandbox_gofer_told(s))
        return error_set(e, "%s", "");
    return explain(e, "the sandbox's file server (gofer)", s->gofer_status);
}

int sandbox_explain_sentry(struct sandbox *s, struct error *e)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    int status = 0;

    /* Its socket is closed, so it is about to go; if it is not, it is ended later, without a cause. */
    for (int tries = 0; !reap(s, &s->sentry, WNOHANG, &status); tries++) {
        if (tries == 200)
            return error_set(e, "the sandbox's kernel (sentry) does not answer; the program is ended");
        nanosleep(&pause, NULL);
    }
    /* It has told the user itself. */
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SBOX)
        return error_set(e, "%s", "");
    return explain(e, "the sandbox's kernel (sentry)", status);
}

void sandbox_end(struct sandbox *s)
{
    int status;

    /* Both before waiting for either: they end beside each other. */
    if (s->sentry > 0)
        kill(s->sentry, SIGKILL);
    if (s->gofer > 0)
        kill(s->gofer, SIGKILL);
    if (s->sentry > 0)
        reap(s, &s->sentry, 0, &status);
    if (s->gofer > 0)
        reap(s, &s->gofer, 0, &s->gofer_status);
    close_fd(&s->control_fd);
    close_fd(&s->gofer_fd);
}
