/*
 * rt_sigprocmask(2): errors, what a fault leaves, who inherits a mask, and the races between a thread that blocks and
 * unblocks a signal all the time and those who send it.
 */
#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define BIT(sig) (1UL << ((sig)-1))
#define SIG_RT 40
#define BATCH 200 /* signals queued at a time: below every sensible RLIMIT_SIGPENDING */

static volatile sig_atomic_t hits, closed, wrong;

static long mask_call(int how, const void *set, void *old)
{
    return syscall(SYS_rt_sigprocmask, how, set, old, 8);
}

static unsigned long mask_now(void)
{
    unsigned long mask = ~0UL;
    CHECK(mask_call(SIG_BLOCK, NULL, &mask) == 0);
    return mask;
}

static void set_mask(unsigned long mask)
{
    CHECK(mask_call(SIG_SETMASK, &mask, NULL) == 0);
}

/* Counts, and sees to it that no signal comes where it is blocked. */
static void count(int sig)
{
    (void)sig;
    hits++;
    wrong += closed;
}

static void handle(int sig, int flags, unsigned long during)
{
    struct sigaction sa = {.sa_handler = count, .sa_flags = flags};
    memcpy(&sa.sa_mask, &during, sizeof(during));
    CHECK(sigaction(sig, &sa, NULL) == 0);
}

static void test_changes(void)
{
    unsigned long set = BIT(SIGUSR1) | BIT(SIGKILL) | BIT(SIGSTOP) | BIT(64), old = ~0UL;
    set_mask(0);
    EXPECT(mask_call(SIG_BLOCK, &set, &old) == 0 && old == 0);
    EXPECT(mask_now() == (BIT(SIGUSR1) | BIT(64)));
    set = BIT(SIGUSR2);
    EXPECT(mask_call(SIG_BLOCK, &set, &old) == 0 && old == (BIT(SIGUSR1) | BIT(64)));
    set = BIT(64) | BIT(SIGTERM);
    EXPECT(mask_call(SIG_UNBLOCK, &set, &set) == 0 && set == (BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(64)));
    EXPECT(mask_now() == (BIT(SIGUSR1) | BIT(SIGUSR2)));
    set = ~0UL;
    EXPECT(mask_call(SIG_SETMASK, &set, NULL) == 0 && mask_now() == ~(BIT(SIGKILL) | BIT(SIGSTOP)));
    set_mask(0);
    for (int i = 0; i < 1000; i++) {
        set = BIT(1 + i % 64);
        EXPECT(mask_call(i % 3, &set, NULL) == 0);
    }
    EXPECT(mask_call(99, NULL, NULL) == 0); /* `how` matters only with a set */
}

static void test_errors(void)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned long set = BIT(SIGUSR2), old;
    CHECK(page != MAP_FAILED && mprotect(page + 4096, 4096, PROT_NONE) == 0);
    for (int round = 0; round < 3; round++) {
        set_mask(BIT(SIGUSR1));
        EXPECT_ERRNO(mask_call(3, &set, NULL), EINVAL);
        EXPECT_ERRNO(mask_call(-1, &set, &old), EINVAL);
        EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 4), EINVAL);
        EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 128), EINVAL);
        EXPECT_ERRNO(mask_call(SIG_BLOCK, page + 4096, &old), EFAULT);
        EXPECT_ERRNO(mask_call(SIG_BLOCK, page + 4092, &old), EFAULT);
        EXPECT_ERRNO(mask_call(SIG_BLOCK, (void *)-1L, &old), EFAULT);
        EXPECT_ERRNO(mask_call(SIG_BLOCK, NULL, page + 4096), EFAULT);
        EXPECT(mask_now() == BIT(SIGUSR1));
        /* The old mask is told after the new one is in force. */
        EXPECT_ERRNO(mask_call(SIG_BLOCK, &set, page + 4090), EFAULT);
        EXPECT(mask_now() == (BIT(SIGUSR1) | BIT(SIGUSR2)));
    }
    memcpy(page + 3, &set, sizeof(set)); /* any alignment will do */
    EXPECT(mask_call(SIG_SETMASK, page + 3, page + 5) == 0 && mask_now() == set);
}

static void test_pending(void)
{
    handle(SIGUSR1, 0, 0);
    for (int round = 1; round <= 5; round++) {
        unsigned long set = BIT(SIGUSR1), pending = 0;
        set_mask(set);
        set_mask(set | BIT(SIGHUP));
        CHECK(kill(getpid(), SIGUSR1) == 0 && raise(SIGUSR1) == 0);
        EXPECT(syscall(SYS_rt_sigpending, &pending, 8) == 0 && (pending & BIT(SIGUSR1)) && hits == 2 * round - 2);
        set_mask(set);
        EXPECT(hits == 2 * round - 2);
        EXPECT(mask_call(SIG_UNBLOCK, &set, NULL) == 0 && hits == 2 * round); /* the thread's and the process's */
        EXPECT(mask_now() == 0);
    }
}

/* The mask during a handler and after it, in the changes that the handler makes itself too. */
static void change_inside(int sig)
{
    unsigned long more = BIT(SIGTTIN);
    wrong += mask_now() != (BIT(sig) | BIT(SIGHUP) | BIT(SIGCHLD));
    CHECK(mask_call(SIG_BLOCK, &more, NULL) == 0);
    wrong += mask_now() != (BIT(sig) | BIT(SIGHUP) | BIT(SIGCHLD) | BIT(SIGTTIN));
    hits++;
}

static void test_handlers(void)
{
    struct sigaction sa = {.sa_handler = change_inside};
    sigaddset(&sa.sa_mask, SIGHUP);
    CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
    handle(SIGALRM, 0, 0);
    for (int round = 1; round <= 5; round++) {
        set_mask(BIT(SIGCHLD));
        raise(SIGUSR1);
        EXPECT(mask_now() == BIT(SIGCHLD) && hits == 2 * round - 1 && !wrong);
        unsigned long none = 0;
        set_mask(BIT(SIGALRM));
        kill(getpid(), SIGALRM);
        EXPECT_ERRNO(syscall(SYS_rt_sigsuspend, &none, 8), EINTR);
        EXPECT(mask_now() == BIT(SIGALRM) && hits == 2 * round);
        struct timespec zero = {0};
        EXPECT(syscall(SYS_ppoll, NULL, 0, &zero, &none, 8) == 0 && mask_now() == BIT(SIGALRM));
    }
}

static void *mask_of_thread(void *arg)
{
    (void)arg;
    unsigned long mask = mask_now();
    set_mask(BIT(SIGTTOU));
    return (void *)mask;
}

static bool inherited_by_vfork(unsigned long mask)
{
    pid_t pid = vfork();
    if (pid == 0)
        _exit(mask_now() != mask);
    return check_wait(pid) == 0;
}

static void test_inheritance(void)
{
    for (int round = 0; round < 5; round++) {
        const unsigned long mask = BIT(SIGUSR1) | (round & 1 ? BIT(SIGHUP) : 0);
        set_mask(mask);
        pid_t pid = fork();
        if (pid == 0) {
            unsigned long inherited = mask_now();
            set_mask(0);
            _exit(inherited != mask);
        }
        EXPECT(check_wait(pid) == 0 && mask_now() == mask);
        pthread_t thread;
        void *inherited;
        CHECK(pthread_create(&thread, NULL, mask_of_thread, NULL) == 0 && pthread_join(thread, &inherited) == 0);
        EXPECT((unsigned long)inherited == mask && mask_now() == mask);
        EXPECT(inherited_by_vfork(mask));
    }
}

static unsigned long status_mask(const char *path)
{
    char line[256];
    unsigned long mask = ~0UL;
    FILE *f = fopen(path, "r");
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "SigBlk: %lx", &mask) == 1)
            break;
    fclose(f);
    return mask;
}

/* exec(2) keeps the mask; /proc tells it, also another's who changes it now and then. */
static void test_exec_and_proc(void)
{
    char path[64];
    set_mask(BIT(SIGTTIN) | BIT(50));
    EXPECT(status_mask("/proc/self/status") == (BIT(SIGTTIN) | BIT(50)));
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "sig_masks", "exec", NULL);
        _exit(127);
    }
    EXPECT(check_wait(pid) == 0);
    set_mask(0);
    pid = fork();
    if (pid == 0) {
        for (unsigned long i = 0;; i++) {
            set_mask(BIT(SIGUSR1) | (i & 1 ? BIT(SIGUSR2) : 0));
            set_mask(BIT(SIGUSR1));
        }
    }
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    while (!(status_mask(path) & BIT(SIGUSR1)))
        ;
    for (int i = 0; i < 200; i++) {
        unsigned long mask = status_mask(path);
        EXPECT((mask & ~BIT(SIGUSR2)) == BIT(SIGUSR1));
    }
    kill(pid, SIGKILL);
    EXPECT(check_wait(pid) == SIGKILL);
}

/* The child sends its parent, which opens and closes the mask all the time, real-time signals: all must come. */
static void test_sent_by_process(void)
{
    handle(SIG_RT, SA_RESTART, 0);
    for (int round = 0; round < 10; round++) {
        hits = 0;
        pid_t pid = fork();
        if (pid == 0) {
            for (int i = 0; i < BATCH; i++)
                CHECK(kill(getppid(), SIG_RT) == 0);
            _exit(0);
        }
        unsigned long set = BIT(SIG_RT), old;
        while (hits < BATCH) {
            CHECK(mask_call(SIG_BLOCK, &set, &old) == 0);
            closed = 1;
            wrong += old != 0;
            closed = 0;
            CHECK(mask_call(SIG_UNBLOCK, &set, &old) == 0);
            wrong += old != set;
        }
        EXPECT(check_wait(pid) == 0 && hits == BATCH && !wrong);
    }
}

static atomic_int taken, bad, stop;
static _Thread_local volatile sig_atomic_t is_closed;

static void take(int sig)
{
    (void)sig;
    atomic_fetch_add(&taken, 1);
    if (is_closed)
        atomic_fetch_add(&bad, 1);
}

static void *open_and_close(void *arg)
{
    unsigned long set = BIT(SIG_RT), old;
    while (!atomic_load(&stop)) {
        CHECK(mask_call(SIG_BLOCK, &set, NULL) == 0);
        is_closed = 1;
        if (arg)
            sched_yield();
        is_closed = 0;
        CHECK(mask_call(SIG_UNBLOCK, &set, &old) == 0);
        if (!(old & set))
            atomic_fetch_add(&bad, 1);
    }
    return NULL;
}

/* Signals to a process of which each thread blocks them most of the time, and to its threads. */
static void test_sent_to_threads(void)
{
    pthread_t threads[3];
    struct sigaction sa = {.sa_handler = take, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIG_RT, &sa, NULL) == 0);
    for (long i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, open_and_close, (void *)i) == 0);
    set_mask(BIT(SIG_RT));
    for (int i = 1; i <= 1000; i++) {
        CHECK(i % 2 ? kill(getpid(), SIG_RT) == 0 : pthread_kill(threads[i % 3], SIG_RT) == 0);
        if (i % 50 == 0)
            while (atomic_load(&taken) < i)
                sched_yield();
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    EXPECT(atomic_load(&taken) == 1000 && atomic_load(&bad) == 0);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return mask_now() != (BIT(SIGTTIN) | BIT(50));
    RUN(test_changes);
    RUN(test_errors);
    RUN(test_pending);
    RUN(test_handlers);
    RUN(test_inheritance);
    RUN(test_exec_and_proc);
    RUN(test_sent_by_process);
    RUN(test_sent_to_threads);
    return check_end();
}
