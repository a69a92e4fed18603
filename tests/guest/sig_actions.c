/* What sigaction's flags do, masks during handlers, alternate stacks, which calls restart, sigsuspend, pause. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>

static volatile int hits, depth, deepest, blocked;
static volatile void *where;

static void set(int sig, void (*handler)(int), int flags)
{
    struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(sig, &sa, NULL) == 0);
}

static void count(int sig)
{
    (void)sig;
    hits++;
}

static void test_errors(void)
{
    struct sigaction sa = {.sa_handler = count};
    EXPECT_ERRNO(sigaction(SIGKILL, &sa, NULL), EINVAL);
    EXPECT_ERRNO(sigaction(SIGSTOP, &sa, NULL), EINVAL);
    EXPECT(sigaction(SIGKILL, NULL, &sa) == 0);
    EXPECT_ERRNO(syscall(SYS_rt_sigaction, 0, NULL, &sa, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigaction, 65, NULL, &sa, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &sa, 4), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, NULL, 8), EFAULT);
    EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, 9, &sa.sa_mask, NULL, 8), EINVAL);
    EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &sa.sa_mask, NULL, 16), EINVAL);
    EXPECT_ERRNO(kill(getpid(), 65), EINVAL);
    EXPECT_ERRNO(kill(0x3fffff, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_tgkill, getpid(), 0x3fffff, 0), ESRCH);
    EXPECT_ERRNO(syscall(SYS_tgkill, -1, 1, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_tgkill, getppid(), getpid(), 0), ESRCH);
    sigset_t all;
    sigfillset(&all);
    EXPECT(sigprocmask(SIG_SETMASK, &all, NULL) == 0 && sigprocmask(0, NULL, &all) == 0);
    EXPECT(!sigismember(&all, SIGKILL) && !sigismember(&all, SIGSTOP) && sigismember(&all, SIGTERM));
}

static void nest(int sig)
{
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (depth < 3)
        raise(sig);
    depth--;
    hits++;
}

static void raise_once(int sig)
{
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (hits++ == 0)
        raise(sig);
    depth--;
}

static void note_mask(int sig)
{
    sigset_t now;
    sigprocmask(0, NULL, &now);
    blocked = sigismember(&now, SIGUSR2) | sigismember(&now, sig) << 1;
    hits++;
}

static void test_flags(void)
{
    struct sigaction sa;
    set(SIGUSR1, count, SA_RESETHAND);
    raise(SIGUSR1);
    EXPECT(hits == 1 && sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
    set(SIGUSR1, nest, SA_NODEFER);
    hits = 0;
    raise(SIGUSR1);
    EXPECT(deepest == 3 && hits == 3);
    set(SIGUSR1, raise_once, 0);
    deepest = hits = 0;
    raise(SIGUSR1); /* the one raised inside comes after the handler's end */
    EXPECT(deepest == 1 && hits == 2);
    sa = (struct sigaction){.sa_handler = note_mask};
    sigaddset(&sa.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    EXPECT(blocked == 3);
    sigset_t now;
    EXPECT(sigprocmask(0, NULL, &now) == 0 && !sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
    sa.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    EXPECT(blocked == 1);
}

static char alt[65536];

static void note_stack(int sig)
{
    char here;
    stack_t ss;
    (void)sig;
    where = &here;
    sigaltstack(NULL, &ss);
    blocked = ss.ss_flags;
    errno = 0;
    hits = sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) == -1 && errno == EPERM;
}

static int on_alt(void)
{
    return (char *)where >= alt && (char *)where < alt + sizeof(alt);
}

static void test_altstack(void)
{
    stack_t ss = {.ss_sp = alt, .ss_size = 100}, old;
    EXPECT_ERRNO(sigaltstack(&ss, NULL), ENOMEM);
    ss.ss_size = sizeof(alt);
    ss.ss_flags = 0x1234;
    EXPECT_ERRNO(sigaltstack(&ss, NULL), EINVAL);
    ss.ss_flags = 0;
    EXPECT(sigaltstack(&ss, NULL) == 0 && sigaltstack(NULL, &old) == 0);
    EXPECT(old.ss_sp == alt && old.ss_size == sizeof(alt) && old.ss_flags == 0);
    set(SIGUSR1, note_stack, SA_ONSTACK);
    raise(SIGUSR1);
    EXPECT(on_alt() && blocked == SS_ONSTACK && hits == 1);
    set(SIGUSR1, note_stack, 0);
    raise(SIGUSR1);
    EXPECT(!on_alt() && blocked == 0 && hits == 0); /* and there it may be changed */
}

static void test_suspend(void)
{
    sigset_t block, none, now;
    set(SIGUSR1, count, SA_RESTART);
    hits = 0;
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    EXPECT_ERRNO(sigsuspend(&none), EINTR);
    EXPECT(hits == 1 && sigprocmask(0, NULL, &now) == 0 && sigismember(&now, SIGUSR1));
    EXPECT_ERRNO(syscall(SYS_rt_sigsuspend, &none, 4), EINVAL);
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    signal(SIGCHLD, SIG_DFL);
    set(SIGALRM, count, SA_RESTART);
    check_alarms_begin();
    EXPECT_ERRNO(pause(), EINTR); /* never restarts */
    check_alarms_end();
    /* An ignored signal does not end a pause. */
    signal(SIGUSR2, SIG_IGN);
    pid_t me = getpid(), pid = fork();
    if (pid == 0) {
        check_until_asleep(me);
        kill(me, SIGUSR2);
        usleep(30000);
        check_until_asleep(me);
        kill(me, SIGUSR1);
        _exit(0);
    }
    hits = 0;
    EXPECT_ERRNO(pause(), EINTR);
    EXPECT(hits == 1 && check_child(pid) == 0);
}

/* Sends SIGUSR1 to its parent after a while, and later writes a byte. */
static pid_t disturb(int fd)
{
    pid_t pid = fork();
    if (pid == 0) {
        check_until_asleep(getppid());
        kill(getppid(), SIGUSR1);
        usleep(60000);
        if (fd >= 0)
            CHECK(write(fd, "x", 1) == 1);
        _exit(0);
    }
    return pid;
}

static void test_restart(void)
{
    int p[2];
    char c;
    CHECK(pipe(p) == 0);
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        set(SIGUSR1, count, flags);
        pid_t pid = disturb(p[1]);
        hits = 0;
        if (flags) {
            EXPECT(read(p[0], &c, 1) == 1);
        } else {
            EXPECT_ERRNO(read(p[0], &c, 1), EINTR);
            EXPECT(read(p[0], &c, 1) == 1);
        }
        EXPECT(hits == 1 && check_child(pid) == 0);
        pid = disturb(-1);
        if (flags) {
            EXPECT(waitpid(pid, NULL, 0) == pid);
        } else {
            EXPECT_ERRNO(waitpid(pid, NULL, 0), EINTR);
            EXPECT(waitpid(pid, NULL, 0) == pid);
        }
        /* A lock that a child holds. */
        int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600), q[2];
        CHECK(fd >= 0 && pipe(q) == 0);
        pid = fork();
        if (pid == 0) {
            struct flock l = {.l_type = F_WRLCK};
            CHECK(fcntl(fd, F_SETLK, &l) == 0 && write(q[1], "x", 1) == 1);
            check_until_asleep(getppid());
            kill(getppid(), SIGUSR1);
            usleep(60000);
            _exit(0);
        }
        CHECK(read(q[0], &c, 1) == 1);
        struct flock l = {.l_type = F_WRLCK};
        if (flags) {
            EXPECT(fcntl(fd, F_SETLKW, &l) == 0);
        } else {
            EXPECT_ERRNO(fcntl(fd, F_SETLKW, &l), EINTR);
        }
        EXPECT(check_child(pid) == 0 || errno == EINTR);
        close(fd);
    }
}

/* These never restart, whatever the flags. */
static void test_never_restart(void)
{
    struct epoll_event ev;
    struct pollfd none = {.fd = -1};
    int ep = epoll_create1(0), p[2];
    fd_set set_;
    CHECK(ep >= 0 && pipe(p) == 0);
    set(SIGALRM, count, SA_RESTART);
    check_alarms_begin();
    EXPECT_ERRNO(poll(&none, 1, -1), EINTR);
    EXPECT_ERRNO(epoll_wait(ep, &ev, 1, -1), EINTR);
    FD_ZERO(&set_);
    FD_SET(p[0], &set_);
    EXPECT_ERRNO(select(p[0] + 1, &set_, NULL, NULL, NULL), EINTR);
    EXPECT_ERRNO(usleep(900000), EINTR);
    sigset_t usr2;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    EXPECT_ERRNO(sigwaitinfo(&usr2, NULL), EINTR);
    check_alarms_end();
}

static void *send_to_main(void *arg)
{
    usleep(20000);
    pthread_kill(*(pthread_t *)arg, SIGUSR1);
    return NULL;
}

static void *wait_for_hit(void *arg)
{
    while (hits == 0)
        usleep(1000);
    return arg;
}

static pthread_t hit_thread;

static void note_thread(int sig)
{
    (void)sig;
    hit_thread = pthread_self();
    hits++;
}

/* A signal for a thread is handled by it; one for the process by any that does not block it. */
static void test_threads(void)
{
    pthread_t t, self = pthread_self();
    sigset_t usr1;
    set(SIGUSR1, note_thread, 0);
    hits = 0;
    CHECK(pthread_create(&t, NULL, send_to_main, &self) == 0);
    while (hits == 0)
        usleep(1000);
    EXPECT(pthread_equal(hit_thread, self) && pthread_join(t, NULL) == 0);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    hits = 0;
    CHECK(pthread_create(&t, NULL, wait_for_hit, NULL) == 0);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    pthread_join(t, NULL);
    EXPECT(hits == 1 && pthread_equal(hit_thread, t));
}

int main(void)
{
    RUN(test_errors);
    RUN(test_flags);
    RUN(test_altstack);
    RUN(test_suspend);
    RUN(test_restart);
    RUN(test_never_restart);
    RUN(test_threads);
    return check_end();
}
