/* Handlers, masks, queues, altstack, EINTR and restart, sigsuspend, sigtimedwait, faults. */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t hits, last_value;
static siginfo_t last_info;
static sigjmp_buf jump;
static char alt[65536];
static volatile int on_alt;

static void count(int sig)
{
    (void)sig;
    hits++;
}

static void note(int sig, siginfo_t *info, void *ctx)
{
    (void)sig, (void)ctx;
    last_info = *info;
    last_value = info->si_value.sival_int;
    hits++;
}

static void on_fault(int sig, siginfo_t *info, void *ctx)
{
    char here;
    (void)sig, (void)ctx;
    last_info = *info;
    on_alt = &here >= alt && &here < alt + sizeof(alt);
    siglongjmp(jump, 1);
}

static void set_handler(int sig, void (*fn)(int), int flags)
{
    struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};
    CHECK(sigaction(sig, &sa, NULL) == 0);
}

static void set_info_handler(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = {.sa_sigaction = fn, .sa_flags = flags | SA_SIGINFO};
    CHECK(sigaction(sig, &sa, NULL) == 0);
}

static void test_basic(void)
{
    set_handler(SIGUSR1, count, 0);
    double x = 1.5, y = 2.25;
    raise(SIGUSR1);
    CHECK(hits == 1 && x * y == 3.375);

    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    CHECK(hits == 1);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    CHECK(hits == 2); /* standard signals do not queue */
}

static void test_realtime_queue(void)
{
    sigset_t set;
    hits = 0;
    set_info_handler(SIGRTMIN + 1, note, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 1; i <= 3; i++) {
        union sigval v = {.sival_int = i};
        CHECK(sigqueue(getpid(), SIGRTMIN + 1, v) == 0);
    }
    struct timespec zero = {0};
    siginfo_t info;
    CHECK(sigtimedwait(&set, &info, &zero) == SIGRTMIN + 1);
    CHECK(info.si_value.sival_int == 1 && info.si_code == SI_QUEUE && info.si_pid == getpid());
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    CHECK(hits == 2 && last_value == 3);
    CHECK_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
}

static void test_faults(void)
{
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
    CHECK(sigaltstack(&ss, NULL) == 0);
    set_info_handler(SIGSEGV, on_fault, SA_ONSTACK);
    set_info_handler(SIGFPE, on_fault, SA_ONSTACK);
    if (sigsetjmp(jump, 1) == 0)
        *(volatile int *)0x10 = 1;
    CHECK(last_info.si_signo == SIGSEGV && last_info.si_addr == (void *)0x10 && last_info.si_code == SEGV_MAPERR);
    CHECK(on_alt);
    char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sigsetjmp(jump, 1) == 0)
        *(volatile char *)p = 1;
    CHECK(last_info.si_addr == p && last_info.si_code == SEGV_ACCERR);
    if (sigsetjmp(jump, 1) == 0) {
        volatile int zero = 0;
        last_value = hits / zero;
    }
    CHECK(last_info.si_signo == SIGFPE && last_info.si_code == FPE_INTDIV);
}

static void test_interrupt(void)
{
    int fds[2];
    char c;

    CHECK(pipe(fds) == 0);
    hits = 0;
    set_handler(SIGALRM, count, 0);
    check_alarms_begin();
    CHECK_ERRNO(read(fds[0], &c, 1), EINTR);
    CHECK(hits >= 1);
    check_alarms_end();

    /* With SA_RESTART the read goes on and gets what the child writes later. */
    set_handler(SIGALRM, count, SA_RESTART);
    hits = 0;
    pid_t pid = fork();
    if (pid == 0) {
        usleep(60000);
        CHECK(write(fds[1], "x", 1) == 1);
        _exit(0);
    }
    check_alarms_begin();
    CHECK(read(fds[0], &c, 1) == 1 && c == 'x');
    check_alarms_end();
    CHECK(hits >= 1);
    CHECK(waitpid(pid, NULL, 0) == pid);

    struct timespec ts = {.tv_sec = 5}, left;
    check_alarms_begin();
    CHECK_ERRNO(nanosleep(&ts, &left), EINTR);
    CHECK(left.tv_sec <= 4);

    sigset_t none;
    sigemptyset(&none);
    CHECK_ERRNO(sigsuspend(&none), EINTR);
    check_alarms_end();
}

static void test_stop(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK(kill(pid, SIGCONT) == 0);
    CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    CHECK(kill(pid, SIGTERM) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);

    /* A busy loop is interrupted too. */
    pid = fork();
    if (pid == 0)
        for (;;)
            ;
    usleep(10000);
    CHECK(kill(pid, SIGINT) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGINT);
}

int main(void)
{
    RUN(test_basic);
    RUN(test_realtime_queue);
    RUN(test_faults);
    RUN(test_interrupt);
    RUN(test_stop);
    return check_end();
}
