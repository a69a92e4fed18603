/* Stop and continue: all threads stop, SIGCONT wakes and drops pending stops, SIGKILL ends the stopped, SIGCHLD
 * options. */
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>

static volatile int *shared, chld, conts;

static void count(int sig)
{
    if (sig == SIGCHLD)
        chld++;
    else
        conts++;
}

static void *spin(void *arg)
{
    for (;;)
        __atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void setup(void)
{
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
}

static void wait_until_changed(volatile int *word)
{
    int before = *word;
    while (*word == before)
        usleep(1000);
}

static void test_threads_stop(void)
{
    int status, before[3];
    setup();
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t t;
        for (int i = 0; i < 2; i++)
            pthread_create(&t, NULL, spin, (void *)&shared[i]);
        spin((void *)&shared[2]);
    }
    for (int i = 0; i < 3; i++)
        wait_until_changed(&shared[i]);
    EXPECT(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    usleep(20000);
    for (int i = 0; i < 3; i++)
        before[i] = shared[i];
    usleep(30000);
    for (int i = 0; i < 3; i++)
        EXPECT(shared[i] == before[i]);
    EXPECT(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    for (int i = 0; i < 3; i++)
        wait_until_changed(&shared[i]);
    EXPECT(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid);
    EXPECT(kill(pid, SIGTERM) == 0); /* waits until it continues */
    usleep(20000);
    EXPECT(waitpid(pid, &status, WNOHANG) == 0);
    EXPECT(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
}

static void test_pending(void)
{
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGTSTP);
    EXPECT(sigpending(&pending) == 0 && sigismember(&pending, SIGTSTP));
    raise(SIGCONT); /* drops the stop */
    EXPECT(sigpending(&pending) == 0 && !sigismember(&pending, SIGTSTP));
    raise(SIGTSTP); /* and the other way round */
    EXPECT(sigpending(&pending) == 0 && !sigismember(&pending, SIGCONT) && sigismember(&pending, SIGTSTP));
    raise(SIGCONT);
}

/* SIGCONT continues a process even while it is blocked or ignored; its handler runs after that. */
static void test_cont(void)
{
    int status;
    for (int kind = 0; kind < 3; kind++) {
        pid_t pid = fork();
        if (pid == 0) {
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGCONT);
            if (kind == 0)
                signal(SIGCONT, SIG_IGN);
            if (kind == 1)
                sigprocmask(SIG_BLOCK, &set, NULL);
            if (kind == 2)
                signal(SIGCONT, count);
            raise(SIGSTOP);
            _exit(conts);
        }
        EXPECT(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
        EXPECT(kill(pid, SIGCONT) == 0 && check_child(pid) == (kind == 2));
    }
}

static void stop_and_go(pid_t pid)
{
    int status;
    EXPECT(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid);
    EXPECT(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, WCONTINUED) == pid);
}

/* waitpid(2) may tell of a change before the signal comes. */
static void wait_for_chld(int wanted)
{
    while (chld < wanted)
        usleep(1000);
    EXPECT(chld == wanted);
}

static void test_chld(void)
{
    struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGCHLD, &sa, NULL) == 0);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    stop_and_go(pid);
    wait_for_chld(2);
    sa.sa_flags = SA_RESTART | SA_NOCLDSTOP;
    CHECK(sigaction(SIGCHLD, &sa, NULL) == 0);
    stop_and_go(pid);
    EXPECT(chld == 2);
    EXPECT(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    wait_for_chld(3);
}

/* The default of the four stop signals, and of those that do nothing. */
static void test_defaults(void)
{
    static const int stops[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU}, ignored[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};
    int status;
    for (int i = 0; i < 4; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            raise(ignored[i]);
            raise(stops[i]);
            _exit(5);
        }
        EXPECT(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == stops[i]);
        EXPECT(kill(pid, SIGCONT) == 0 && check_child(pid) == 5);
    }
    for (int sig = 1; sig < 32; sig++) {
        if (sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || (sig >= SIGCONT && sig <= SIGTTOU))
            continue;
        pid_t pid = fork();
        if (pid == 0) {
            raise(sig);
            _exit(5);
        }
        EXPECT(check_child(pid) == 1000 + sig);
    }
}

int main(void)
{
    RUN(test_threads_stop);
    RUN(test_pending);
    RUN(test_cont);
    RUN(test_chld);
    RUN(test_defaults);
    return check_end();
}
