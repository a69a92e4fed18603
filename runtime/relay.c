/* See relay.h: include/control.h is the protocol, signalfd(2) the source of signals. */
#include "runtime/relay.h"

#include "include/control.h"
#include "lib/log.h"
#include "runtime/error.h"
#include "runtime/sandbox.h"
#include "runtime/stdio.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_TIMED_OUT 124
#define GRACE_NS 2000000000LL /* for the sentry to end what is past its time */
#define GO_ON (-2)

/* Not passed on: what faults and broken pipes of our own make, and what cannot be caught. */
static bool is_forwarded(int sig)
{
    static const int own[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,
                              SIGABRT, SIGTRAP, SIGSYS,  SIGPIPE, SIGTTIN, SIGTTOU};

    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (own[i] == sig)
            return false;
    return sig < 32 || sig >= SIGRTMIN;
}

uint64_t relay_ignored_signals(void)
{
    uint64_t set = 0;
    struct sigaction sa;

    for (int sig = 1; sig <= 64; sig++)
        if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
            set |= 1ULL << (sig - 1);
    return set;
}

int relay_prepare(struct relay *r, uint64_t ignored, struct error *e)
{
    sigset_t set;

    sigemptyset(&set);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    for (int sig = 1; sig <= 64; sig++)
        if (is_forwarded(sig) && (sig == SIGCHLD || !(ignored & (1ULL << (sig - 1)))))
            sigaddset(&set, sig);
    sigprocmask(SIG_SETMASK, &set, NULL);
    terminal_open(&r->terminal);
    r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return r->signal_fd < 0 ? error_set(e, "cannot receive signals: %s", strerror(errno)) : 0;
}

void relay_close(struct relay *r)
{
    terminal_close(&r->terminal);
    if (r->signal_fd >= 0)
        close(r->signal_fd);
    r->signal_fd = -1;
    json_decref(r->figures);
    r->figures = NULL;
}

static void tell(struct relay *r, json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

    if (text && send(r->sandbox->control_fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        log_debug("the sentry does not listen: %s", strerror(errno));
    free(text);
    json_decref(message);
}

static void tell_signal(struct relay *r, int sig, bool foreground)
{
    tell(r, json_pack("{s:s, s:i, s:b}", "op", "signal", "signal", sig, "foreground", foreground));
}

static void tell_background(struct relay *r)
{
    tell(r, json_pack("{s:s, s:b}", "op", "background", "background", terminal_in_background(&r->terminal)));
}

/* Signals of the kernel's own come from the terminal's keys. */
static void forward_signals(struct relay *r)
{
    struct signalfd_siginfo info;

    while (read(r->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        int sig = (int)info.ssi_signo;
        if (sig == SIGCHLD)
            continue;
        if (sig == SIGCONT)
            tell_background(r);
        if (sig == SIGWINCH)
            tell(r, json_pack("{s:s}", "op", "winch"));
        else
            tell_signal(r, sig, info.ssi_code == SI_KERNEL);
    }
}

/* The program was stopped: so are we, and the shell takes over. */
static void stop(struct relay *r)
{
    terminal_give_back(&r->terminal);
    kill(getpid(), SIGSTOP);
    terminal_take_again(&r->terminal);
    tell_background(r);
}

static int end(struct relay *r, json_t *message, struct error *e)
{
    int status = (int)json_integer_value(json_object_get(message, "status"));

    r->ended = true;
    r->wait_status = status;
    json_decref(r->figures);
    r->figures = json_incref(message);
    if (r->timed_out)
        return EXIT_TIMED_OUT;
    /* Most programs end when their files are gone, and sooner than a killed gofer is there to be reaped. */
    if (sandbox_gofer_killed(r->sandbox))
        return sandbox_explain_gofer(r->sandbox, e);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int start_failed(struct relay *r, const json_t *message, struct error *e)
{
    /* Without its gofer it had to; that one knows why. */
    if (sandbox_gofer_told(r->sandbox))
        return sandbox_explain_gofer(r->sandbox, e);
    const char *why = json_string_value(json_object_get(message, "error"));
    json_int_t code = json_integer_value(json_object_get(message, "code"));

    error_set(e, "%s", why ? why : "the sandbox could not start");
    e->code = code > 0 && code < 256 ? (int)code : EXIT_SBOX;
    return -1;
}

/* One message of the sentry's: the exit code, -1 with e set, or GO_ON. */
static int serve(struct relay *r, const char *text, size_t len, struct error *e)
{
    json_t *message = json_loadb(text, len, 0, NULL);
    const char *event = json_string_value(json_object_get(message, "event"));
    int ret = GO_ON;

    if (event && !strcmp(event, "exit"))
        ret = end(r, message, e);
    else if (event && !strcmp(event, "failed"))
        ret = start_failed(r, message, e);
    else if (event && !strcmp(event, "stopped"))
        stop(r);
    json_decref(message);
    return ret;
}

static char received[CONTROL_MAX];

/*
 * The sandbox's processes began as copies of us, so the next write to each page of ours costs a copy. Those that the
 * end will write to are written now, while the sandbox starts beside us: by serving a message that says nothing.
 */
static void warm_up(struct relay *r, struct error *e)
{
    static const char nothing[] = "{\"event\":\"\"}";

    memcpy(received, nothing, sizeof(nothing) - 1);
    int ignored = serve(r, received, sizeof(nothing) - 1, e);
    (void)ignored;
}

/* Takes all that the sentry has sent; GO_ON also if there is nothing. */
static int receive(struct relay *r, struct error *e)
{
    int ret = GO_ON;

    while (ret == GO_ON) {
        ssize_t n = recv(r->sandbox->control_fd, received, sizeof(received), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        ret = n <= 0 ? sandbox_explain_sentry(r->sandbox, e) : serve(r, received, (size_t)n, e);
    }
    return ret;
}

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Milliseconds for poll(2) until something is due; -1: nothing. */
static int time_left(const struct relay *r)
{
    if (!r->deadline)
        return -1;
    int64_t left = (r->deadline - now() + 999999) / 1000000;
    return left < 0 ? 0 : (int)MIN(left, 1000000000);
}

/* At the deadline: first the program is killed, which the sentry reports; then we do not wait for that any more. */
static int check_time(struct relay *r)
{
    if (!r->deadline || now() < r->deadline)
        return GO_ON;
    if (r->timed_out)
        return EXIT_TIMED_OUT;
    r->timed_out = true;
    r->deadline = now() + GRACE_NS;
    tell_signal(r, SIGKILL, false);
    return GO_ON;
}

/* Left to itself jansson opens a file for it, when the sandbox's end is to be told. */
static void seed_json(void)
{
    size_t seed = 0;

    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = 0;
    json_object_seed(seed);
}

int relay_run(struct relay *r, struct sandbox *s, struct error *e)
{
    struct pollfd fds[] = {{.fd = s->control_fd, .events = POLLIN}, {.fd = r->signal_fd, .events = POLLIN}};
    int code = GO_ON;

    seed_json();
    r->sandbox = s;
    r->deadline = r->timeout_ns ? now() + (int64_t)MIN(r->timeout_ns, (uint64_t)INT64_MAX / 4) : 0;
    stdio_release();
    warm_up(r, e);
    while (code == GO_ON) {
        if (poll(fds, ARRAY_SIZE(fds), time_left(r)) < 0 && errno != EINTR)
            return error_set(e, "cannot wait for the sandbox: %s", strerror(errno));
        if (fds[1].revents)
            forward_signals(r);
        code = receive(r, e);
        /* It may have ended because the sentry did, whose last words are then there to be read. */
        if (code == GO_ON && fds[1].revents && sandbox_gofer_ended(s) && (code = receive(r, e)) == GO_ON)
            code = sandbox_explain_gofer(s, e);
        if (code == GO_ON)
            code = check_time(r);
    }
    terminal_give_back(&r->terminal);
    return code;
}
