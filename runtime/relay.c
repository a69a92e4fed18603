/* See relay.h: include/control.h is the protocol, signalfd(2) the source of signals. */
#include "runtime/relay.h"

#include "include/control.h"
#include "lib/log.h"
#include "runtime/error.h"
#include "runtime/sandbox.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const int forwarded[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,  SIGUSR1, SIGUSR2,
                                SIGALRM, SIGCONT, SIGTSTP, SIGWINCH, SIGCHLD};

static int signal_fd = -1;

static bool ignored(int sig)
{
    struct sigaction sa;

    return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

int relay_prepare(struct error *e)
{
    sigset_t set;

    sigemptyset(&set);
    signal(SIGCHLD, SIG_DFL);
    for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
        if (!ignored(forwarded[i]))
            sigaddset(&set, forwarded[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return signal_fd < 0 ? error_set(e, "cannot receive signals: %s", strerror(errno)) : 0;
}

static void tell(struct sandbox *s, json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

    if (text && send(s->control_fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        log_debug("the sentry does not listen: %s", strerror(errno));
    free(text);
    json_decref(message);
}

static void forward_signals(struct sandbox *s)
{
    struct signalfd_siginfo info;

    while (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
        int sig = (int)info.ssi_signo;
        if (sig == SIGCHLD)
            continue;
        if (sig == SIGWINCH)
            tell(s, json_pack("{s:s}", "op", "winch"));
        else
            tell(s,
                 json_pack("{s:s, s:i, s:b}", "op", "signal", "signal", sig, "foreground", info.ssi_code == SI_KERNEL));
    }
}

static int code_of(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* One message of the sentry's: -1 with e set, the exit code, or -2: go on. */
static int serve(const char *text, size_t len, struct error *e)
{
    json_t *message = json_loadb(text, len, 0, NULL);
    const char *event = json_string_value(json_object_get(message, "event"));
    int ret = -2;

    if (event && !strcmp(event, "exit")) {
        ret = code_of((int)json_integer_value(json_object_get(message, "status")));
    } else if (event && !strcmp(event, "failed")) {
        const char *why = json_string_value(json_object_get(message, "error"));
        ret = error_set(e, "%s", why ? why : "the sandbox could not start");
        e->code = (int)json_integer_value(json_object_get(message, "code"));
    }
    json_decref(message);
    return ret;
}

int relay_run(struct sandbox *s, struct error *e)
{
    static char text[CONTROL_MAX];
    struct pollfd fds[] = {{.fd = s->control_fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};

    for (;;) {
        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
            return error_set(e, "cannot wait for the sandbox: %s", strerror(errno));
        if (fds[1].revents)
            forward_signals(s);
        if (!fds[0].revents)
            continue;
        ssize_t n = recv(s->control_fd, text, sizeof(text), 0);
        if (n <= 0)
            return error_set(e, "the sandbox ended before its program did; try --debug");
        int code = serve(text, (size_t)n, e);
        if (code != -2)
            return code;
    }
}
