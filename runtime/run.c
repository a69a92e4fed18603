/* `sbox run`: options, view and boot description; then the sandbox; then waiting for its end. */
#include "runtime/run.h"

#include "runtime/error.h"
#include "runtime/options.h"
#include "runtime/relay.h"
#include "runtime/sandbox.h"
#include "runtime/view.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int prepare(struct boot_config *cfg, struct run_options *o, struct view *v)
{
    mode_t mask = umask(0);

    umask(mask);
    *cfg = (struct boot_config){
        .platform = o->platform ? o->platform : "seccomp",
        .argv = o->argv,
        .envp = environ,
        .path = o->argv[0],
        .cwd = v->cwd,
        .hostname = o->hostname ? o->hostname : "sbox",
        .uid = geteuid(),
        .gid = getegid(),
        .umask = mask,
        .stdio = {0, 1, 2},
        .terminal = isatty(STDIN_FILENO),
        .log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3),
        .debug = o->debug,
        .strace = o->strace,
        .strace_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3),
        .memory_limit = o->memory,
        .pids_limit = o->pids,
        .cpus = (o->millicpus + 999) / 1000,
        .want_report = o->report,
    };
    return 0;
}

static int run_in_sandbox(struct run_options *o, struct view *v, struct error *e)
{
    struct boot_config cfg;
    struct sandbox s;

    if (view_build(v, o, e) < 0 || prepare(&cfg, o, v) < 0 || relay_prepare(e) < 0 || sandbox_start(&s, v, &cfg, e) < 0)
        return -1;
    int code = relay_run(&s, e);
    sandbox_end(&s);
    return code;
}

int run_command(char **words, struct error *e)
{
    struct run_options o = {0};
    static struct view v;

    int code = options_parse(&o, words, e);
    if (code == 0)
        code = run_in_sandbox(&o, &v, e);
    view_free(&v);
    options_free(&o);
    return code;
}
