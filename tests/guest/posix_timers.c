/* timer_create(2) on several clocks: signals, threads, overruns; clock_nanosleep(2) on CPU clocks. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000L

static volatile sig_atomic_t hits, value, code, id_seen;
static volatile pid_t hit_tid;

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    hits++;
    value = info->si_value.sival_int;
    code = info->si_code;
    id_seen = info->si_timerid;
    hit_tid = (pid_t)syscall(SYS_gettid);
}

static void wait_hits(int n)
{
    for (int i = 0; i < 500 && hits < n; i++)
        usleep(10000);
    CHECK(hits >= n);
}

/* The raw call: the kernel's own ids, and no help of the C library. */
static int create(clockid_t clock, int notify, int sig, int val, pid_t tid)
{
    struct sigevent e = {.sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_int = val};
    int id = -1;

    if (notify == SIGEV_THREAD_ID)
        e._sigev_un._tid = tid;
    return syscall(SYS_timer_create, clock, &e, &id) < 0 ? -1 : id;
}

static int set(int id, int flags, long first, long period, struct itimerspec *old)
{
    struct itimerspec its = {{period / 1000000000, period % 1000000000}, {first / 1000000000, first % 1000000000}};

    return (int)syscall(SYS_timer_settime, id, flags, &its, old);
}

static long now_ns(void)
{
    struct timespec ts;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void test_once(void)
{
    struct itimerspec left;

    int id = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 42, 0);
    CHECK(id >= 0 && set(id, 0, 100000 * MS, 0, NULL) == 0);
    CHECK(syscall(SYS_timer_gettime, id, &left) == 0 && left.it_value.tv_sec > 0 && left.it_value.tv_sec <= 100);
    CHECK(set(id, 0, 20 * MS, 0, NULL) == 0);
    wait_hits(1);
    CHECK(hits == 1 && value == 42 && code == SI_TIMER && id_seen == id);
    CHECK(syscall(SYS_timer_gettime, id, &left) == 0 && !left.it_value.tv_sec && !left.it_value.tv_nsec);
    CHECK(syscall(SYS_timer_delete, id) == 0);
    CHECK_ERRNO(syscall(SYS_timer_delete, id), EINVAL);
    CHECK_ERRNO(syscall(SYS_timer_getoverrun, id), EINVAL);
}

static void test_periodic(void)
{
    struct timespec now;
    struct itimerspec old;
    sigset_t block;
    siginfo_t info;

    hits = 0;
    int id = create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 1, 1, 0);
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    CHECK(set(id, TIMER_ABSTIME, now.tv_sec * 1000000000 + now.tv_nsec, 5 * MS, NULL) == 0);
    wait_hits(5);
    sigemptyset(&block);
    sigaddset(&block, SIGRTMIN + 1);
    CHECK(sigprocmask(SIG_BLOCK, &block, NULL) == 0);
    usleep(100000);
    for (int expired = 0; expired < 10; expired += info.si_overrun + 1) /* a busy host may spread them over several */
        CHECK(sigwaitinfo(&block, &info) == SIGRTMIN + 1 && info.si_code == SI_TIMER);
    CHECK(syscall(SYS_timer_getoverrun, id) == info.si_overrun);
    CHECK(set(id, 0, 0, 0, &old) == 0 && old.it_interval.tv_nsec == 5 * MS);
    struct timespec zero = {0, 0};
    while (sigtimedwait(&block, &info, &zero) > 0)
        ;
    CHECK(sigprocmask(SIG_UNBLOCK, &block, NULL) == 0);
    CHECK(syscall(SYS_timer_delete, id) == 0);
}

/* A signal stands for all expirations up to the moment at which it is taken. */
static void test_overrun(void)
{
    const long period = 1000; /* ns: so short that nobody is woken for each */
    const int sig = SIGRTMIN + 1;
    sigset_t block;
    siginfo_t info;

    sigemptyset(&block);
    sigaddset(&block, sig);
    CHECK(sigprocmask(SIG_BLOCK, &block, NULL) == 0);
    int id = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, sig, 0, 0);
    long earliest = now_ns();
    CHECK(set(id, 0, period, period, NULL) == 0);
    long latest = now_ns(), expired = 0;
    for (int i = 0; i < 20; i++) {
        usleep(1000); /* by when the signal is queued */
        long before = now_ns();
        CHECK(sigwaitinfo(&block, &info) == sig && syscall(SYS_timer_getoverrun, id) == info.si_overrun);
        expired += info.si_overrun + 1;
        CHECK(expired >= (before - latest) / period && expired <= (now_ns() - earliest) / period);
    }
    CHECK(syscall(SYS_timer_delete, id) == 0);
    const struct timespec none = {0, 0};
    while (sigtimedwait(&block, &info, &none) > 0)
        ;
    CHECK(sigprocmask(SIG_UNBLOCK, &block, NULL) == 0);
}

static void *aim_at_self(void *arg)
{
    (void)arg;
    pid_t self = (pid_t)syscall(SYS_gettid);
    hits = 0;
    int id = create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 1, 7, self);
    CHECK(id >= 0 && set(id, 0, 10 * MS, 0, NULL) == 0);
    wait_hits(1);
    CHECK(hit_tid == self);
    return NULL;
}

static void burn(long ms)
{
    struct timespec ts;

    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    while (ts.tv_sec * 1000 + ts.tv_nsec / MS < ms);
}

static long cpu_ms(void)
{
    struct timespec ts;

    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == 0);
    return ts.tv_sec * 1000 + ts.tv_nsec / MS;
}

static void test_cpu(void)
{
    hits = 0;
    int id = create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 1, 9, 0);
    CHECK(id >= 0 && set(id, 0, 30 * MS, 0, NULL) == 0);
    usleep(50000);
    long start = cpu_ms();
    CHECK(hits == 0 || start >= 30);
    burn(start + 200);
    wait_hits(1);
    CHECK(value == 9 && syscall(SYS_timer_delete, id) == 0);
    id = create(CLOCK_THREAD_CPUTIME_ID, SIGEV_NONE, 0, 0, 0);
    CHECK(id >= 0 && syscall(SYS_timer_delete, id) == 0);
}

static void *burner(void *stop)
{
    while (!*(volatile int *)stop)
        ;
    return NULL;
}

static void test_cpu_sleep(void)
{
    struct timespec ts = {0, 20 * MS};
    static int stop;
    pthread_t other;

    long before = cpu_ms();
    CHECK(pthread_create(&other, NULL, burner, &stop) == 0);
    CHECK(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &ts, NULL) == 0);
    stop = 1;
    CHECK(cpu_ms() - before >= 19);
    CHECK(pthread_join(other, NULL) == 0);
    CHECK(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL) == EINVAL);
}

static void test_errors(void)
{
    CHECK_ERRNO(create(77, SIGEV_SIGNAL, SIGUSR1, 0, 0), EINVAL);
    CHECK_ERRNO(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 65, 0, 0), EINVAL);
    CHECK_ERRNO(create(CLOCK_MONOTONIC, 77, SIGUSR1, 0, 0), EINVAL);
    CHECK_ERRNO(create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, 0, getppid()), EINVAL);
    CHECK_ERRNO(create(CLOCK_MONOTONIC_RAW, SIGEV_SIGNAL, SIGUSR1, 0, 0), EOPNOTSUPP);
    CHECK_ERRNO(set(12345, 0, 1, 0, NULL), EINVAL);
    int id = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0, 0);
    CHECK_ERRNO(syscall(SYS_timer_settime, id, 0, NULL, NULL), EINVAL);
    pid_t pid = fork();
    if (pid == 0) /* timers are not inherited */
        _exit(syscall(SYS_timer_delete, id) == -1 && errno == EINVAL ? 0 : 1);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0 && syscall(SYS_timer_delete, id) == 0);
}

/* A period of a nanosecond must not fill anything. */
static void test_storm(void)
{
    hits = 0;
    int id = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 0, 0);
    CHECK(set(id, 0, 1, 1, NULL) == 0);
    wait_hits(3);
    CHECK(syscall(SYS_timer_delete, id) == 0);
}

int main(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    pthread_t thread;

    CHECK(sigaction(SIGRTMIN + 1, &sa, NULL) == 0);
    test_once();
    test_periodic();
    test_overrun();
    CHECK(pthread_create(&thread, NULL, aim_at_self, NULL) == 0 && pthread_join(thread, NULL) == 0);
    test_cpu();
    test_cpu_sleep();
    test_errors();
    test_storm();
    return 0;
}
