/* `sbox run`: options, view and boot description; then the sandbox; then waiting for its end. */
#include "runtime/run.h"

#include "lib/log.h"
#include "runtime/cgroup.h"
#include "runtime/environment.h"
#include "runtime/error.h"
#include "runtime/limits.h"
#include "runtime/options.h"
#include "runtime/relay.h"
#include "runtime/report.h"
#include "runtime/sandbox.h"
#include "runtime/stdio.h"
#include "runtime/terminal.h"
#include "runtime/usage.h"
#include "runtime/users.h"
#include "runtime/view.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is made from the options before anything starts. */
struct plan {
    struct run_options options;
    struct user user;
    struct view view;
    char **env; /* owned */
    struct boot_config boot;
};

static void plan_free(struct plan *p)
{
    environment_free(p->env);
    view_free(&p->view);
    options_free(&p->options);
}

/* Who the program runs as: the caller, with its groups, or --user's. */
static int plan_user(struct plan *p, struct error *e)
{
    const char *root = p->options.rootfs ? p->options.rootfs : "", *home = getenv("HOME");
    struct user *u = &p->user;

    if (p->options.user)
        return user_parse(root, p->options.user, u, e);
    user_by_id(root, geteuid(), u);
    u->gid = getegid();
    int n = getgroups(ARRAY_SIZE(u->groups), u->groups);
    u->group_count = n > 0 ? (size_t)n : 0;
    if (!p->options.rootfs && home && *home == '/' &&
        snprintf(u->home, sizeof(u->home), "%s", home) >= (int)sizeof(u->home))
        return error_set(e, "HOME is too long for the name of a directory");
    return 0;
}

static void plan_boot(struct plan *p)
{
    const struct run_options *o = &p->options;
    mode_t mask = umask(0);

    umask(mask);
    p->boot = (struct boot_config){
        .platform = o->platform ? o->platform : "seccomp",
        .argv = o->argv,
        .envp = p->env,
        .path = o->argv[0],
        .cwd = p->view.cwd,
        .hostname = o->hostname ? o->hostname : "sbox",
        .uid = p->user.uid,
        .gid = p->user.gid,
        .groups = p->user.groups,
        .ngroups = p->user.group_count,
        .umask = mask,
        .terminal = terminal_stdio(),
        .own_init = true,
        .control_fd = -1,
        .log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3),
        .debug = o->debug,
        .fast_calls = o->millicpus && o->millicpus < 2000 ? PLAT_FAST_NEVER : o->fast_calls,
        .strace = o->strace,
        .strace_fd = o->strace ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : -1,
        .memory_limit = o->memory,
        .pids_limit = o->pids,
        .cpus = (o->millicpus + 999) / 1000,
        .want_report = o->report,
    };
    for (int fd = 0; fd < 3; fd++)
        p->boot.stdio[fd] = stdio_was_open(fd) ? fd : -1;
}

static int plan_make(struct plan *p, struct error *e)
{
    if (plan_user(p, e) < 0 || view_build(&p->view, &p->options, &p->user, e) < 0)
        return -1;
    if (!p->options.pids)
        p->options.pids = limits_default_pids();
    p->env = environment_make(&p->options, &p->user, p->view.cwd, e);
    if (!p->env)
        return -1;
    plan_boot(p);
    return 0;
}

/* A program that is not found may be one that is not shown. */
static void explain_not_found(const struct plan *p, struct error *e)
{
    const char *path = p->options.argv[0];
    size_t used = strlen(e->text);

    if (e->code == EXIT_NOT_FOUND && p->view.cwd_hidden && strchr(path, '/') && *path != '/')
        snprintf(e->text + used, sizeof(e->text) - used,
                 " (a home directory is not shown inside; --ro . shows the current one)");
}

/* Everything that lives while the sandbox does. */
struct running {
    struct relay relay;
    struct cgroup cgroup;
    struct sandbox sandbox;
    struct report report;
};

static int run_to_end(struct plan *p, struct running *r, struct error *e)
{
    p->boot.ignored_signals = relay_ignored_signals();
    if (limits_prepare(e) < 0 || report_open(&r->report, p->options.report, e) < 0 ||
        relay_prepare(&r->relay, p->boot.ignored_signals, e) < 0 || cgroup_make(&r->cgroup, &p->options, e) < 0)
        return -1;
    p->boot.background = terminal_in_background(&r->relay.terminal);
    if (sandbox_start(&r->sandbox, &p->view, &p->boot, &r->cgroup, e) < 0)
        return -1;
    int code = relay_run(&r->relay, &r->sandbox, e);
    sandbox_end(&r->sandbox);
    return code;
}

/* Words for ends that a code alone does not explain. */
static void comment(const struct plan *p, const struct running *r)
{
    if (r->relay.timed_out)
        log_user("the program was ended at its --timeout");
    else if (cgroup_out_of_memory(&r->cgroup))
        log_user("the program came to its --memory limit of %" PRIu64 " MiB, and processes of it were killed",
                 p->options.memory >> 20);
}

/* Why the sandbox itself failed, where more is known than who failed. */
static void explain_failure(const struct plan *p, const struct running *r, struct error *e)
{
    if (e->code == EXIT_SBOX && cgroup_out_of_memory(&r->cgroup))
        error_set(e, "the --memory limit of %" PRIu64 " MiB is too low for the program and the sandbox around it",
                  p->options.memory >> 20);
    else
        explain_not_found(p, e);
}

static int run_sandbox(struct plan *p, struct error *e)
{
    static struct running r; /* mostly names of cgroups, which mostly are not touched */

    r.relay.signal_fd = r.cgroup.janitor_fd = r.report.fd = -1;
    r.relay.timeout_ns = p->options.timeout_ns;
    int code = run_to_end(p, &r, e);
    if (code < 0)
        explain_failure(p, &r, e);
    else
        comment(p, &r);
    if (report_write(&r.report, &p->options, &r.relay, &r.sandbox, &r.cgroup, code < 0 ? e->code : code,
                     code < 0 ? e->text : NULL, e) < 0)
        code = -1;
    cgroup_remove(&r.cgroup);
    relay_close(&r.relay);
    return code;
}

int run_command(char **words, struct error *e)
{
    static struct plan p;

    int code = options_parse(&p.options, words, e);
    if (code == 0 && p.options.help)
        usage_print(stdout);
    else if (code == 0 && (code = plan_make(&p, e)) == 0)
        code = run_sandbox(&p, e);
    plan_free(&p);
    return code;
}
