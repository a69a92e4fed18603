/* See control.h. Events may be told from any thread: each is one packet. */
#include "sentry/control/control.h"

#include "include/control.h"
#include "include/platform.h"
#include "lib/jail.h"
#include "lib/log.h"
#include "sentry/control/report.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/dispatch.h"
#include "sentry/vfs/tty.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int control_fd = -1;
static bool want_report;

void control_open(int fd, bool report)
{
    control_fd = fd;
    want_report = report;
}

/* message is consumed; NULL: there was no memory for it. */
static void tell(json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

    if (text && send(control_fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        log_debug("the runtime does not listen: %s", strerror(errno));
    free(text);
    json_decref(message);
}

_Noreturn static void fail(int code, const char *what, int err, const char *way_out)
{
    char why[PATH_MAX + 256];

    snprintf(why, sizeof(why), "%s: %s%s", what, strerror(-err), way_out);
    tell(json_pack("{s:s, s:s, s:i}", "event", "failed", "error", why, "code", code));
    plat_shutdown();
    _exit(code);
}

void control_fail(int code, const char *what, int err)
{
    fail(code, what, err, "");
}

void control_fail_start(const char *what, int err)
{
    fail(125, what, err, jail_way_out(err));
}

void sentry_stopped(int sig)
{
    if (sig)
        tell(json_pack("{s:s, s:i}", "event", "stopped", "signal", sig));
    else
        tell(json_pack("{s:s}", "event", "continued"));
}

/* As init of our PID namespace we reach with this every stub, and nobody else; what ends them then runs beside us. */
static void kill_stubs(void)
{
    if (getpid() == 1)
        kill(-1, SIGKILL);
    plat_shutdown();
}

void sentry_exit(int wait_status)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    json_t *message;

    if (atomic_flag_test_and_set(&told))
        return;
    kill_stubs();
    message = json_pack("{s:s, s:i}", "event", "exit", "status", wait_status);
    if (want_report)
        json_object_set_new(message, "syscalls", report_syscalls());
    tell(message);
    _exit(WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
}

/* To the first program, as the shell would send it to its job: to the group it was started in. */
static void signal_main(int sig, bool group)
{
    struct thread_group *tg = tg_find(main_tgid);

    if (!tg)
        return;
    if (!group) {
        signal_send_from_outside(tg, sig, NULL);
    } else {
        lock(&tasks_lock);
        if (tg->pgrp)
            signal_send_pgrp_locked(tg->pgrp, sig, NULL);
        unlock(&tasks_lock);
    }
    tg_put(tg);
}

/* foreground: the host terminal made it, so it is for the guest's foreground group. */
static void forward_signal(int sig, bool foreground)
{
    if (sig <= 0 || sig > NSIG_MAX)
        return;
    if (sig == SIGCONT) {
        signal_main(sig, true);
        tty_host_signal(sig);
    } else if (!foreground || !tty_host_signal(sig)) {
        signal_main(sig, foreground);
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
        tty_host_signal(SIGWINCH);
    else if (op && !strcmp(op, "background"))
        tty_host_background(json_is_true(json_object_get(message, "background")));
    json_decref(message);
}

void control_loop(void)
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
