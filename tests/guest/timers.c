/* Interval timers, alarm, sleeping with the time that is left, absolute sleeps, POSIX timers, clocks, times. */
#include "check.h"

#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>

static volatile int hits, last_code, last_value;

static void count(int sig)
{
    (void)sig;
    hits++;
}

static void note(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    last_code = info->si_code;
    last_value = info->si_value.sival_int;
    hits++;
}

static void test_itimer_real(void)
{
    struct itimerval it = {.it_value = {.tv_sec = 100}}, old;
    EXPECT(setitimer(ITIMER_REAL, &it, NULL) == 0 && getitimer(ITIMER_REAL, &old) == 0);
    EXPECT(old.it_value.tv_sec >= 98 && old.it_value.tv_sec <= 100 && old.it_interval.tv_sec == 0);
    EXPECT(alarm(50) >= 98 && alarm(0) >= 48 && alarm(0) == 0);
    it.it_value.tv_usec = 1000000;
    EXPECT_ERRNO(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
    EXPECT_ERRNO(setitimer(9, &it, NULL), EINVAL);
    EXPECT_ERRNO(getitimer(9, &old), EINVAL);
    signal(SIGALRM, count);
    it = (struct itimerval){.it_value = {.tv_usec = 5000}, .it_interval = {.tv_usec = 5000}};
    EXPECT(setitimer(ITIMER_REAL, &it, NULL) == 0);
    while (hits < 5)
        pause();
    it = (struct itimerval){0};
    EXPECT(setitimer(ITIMER_REAL, &it, &old) == 0 && old.it_interval.tv_usec == 5000);
    alarm(100);
    pid_t pid = fork(); /* timers are not inherited, but survive exec */
    if (pid == 0)
        _exit((int)alarm(0));
    EXPECT(check_child(pid) == 0 && alarm(0) > 0);
}

static void test_itimer_cpu(void)
{
    struct itimerval it = {.it_value = {.tv_usec = 30000}};
    signal(SIGVTALRM, count);
    signal(SIGPROF, count);
    hits = 0;
    EXPECT(setitimer(ITIMER_VIRTUAL, &it, NULL) == 0);
    while (hits == 0)
        ;
    EXPECT(setitimer(ITIMER_PROF, &it, NULL) == 0);
    while (hits == 1)
        ;
    EXPECT(hits == 2 && getitimer(ITIMER_PROF, &it) == 0 && it.it_value.tv_sec == 0 && it.it_value.tv_usec == 0);
}

static void test_sleep(void)
{
    struct timespec ts = {.tv_sec = 50}, left = {0}, bad = {.tv_nsec = 1000000000};
    signal(SIGALRM, count);
    struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART}; /* sleeping is never restarted */
    sigaction(SIGALRM, &sa, NULL);
    check_alarms_begin();
    EXPECT_ERRNO(nanosleep(&ts, &left), EINTR);
    EXPECT(left.tv_sec > 0 && left.tv_sec < 50);
    check_alarms_end();
    EXPECT_ERRNO(nanosleep(&bad, NULL), EINVAL);
    EXPECT_ERRNO(nanosleep((void *)8, NULL), EFAULT);
    ts = (struct timespec){.tv_sec = -1};
    EXPECT_ERRNO(nanosleep(&ts, NULL), EINVAL);
    ts = (struct timespec){.tv_nsec = 2000000};
    EXPECT(nanosleep(&ts, NULL) == 0);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    ts = before;
    ts.tv_nsec += 20000000;
    ts.tv_sec += ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;
    EXPECT(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == 0 &&
           clock_gettime(CLOCK_MONOTONIC, &after) == 0);
    EXPECT(after.tv_sec > ts.tv_sec || (after.tv_sec == ts.tv_sec && after.tv_nsec >= ts.tv_nsec));
    EXPECT(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &before, NULL) == 0); /* long ago */
    EXPECT(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &before, NULL) == EINVAL);
    EXPECT(clock_nanosleep(99, 0, &before, NULL) == EINVAL);
    ts = (struct timespec){.tv_sec = 50};
    check_alarms_begin();
    EXPECT(clock_nanosleep(CLOCK_REALTIME, 0, &ts, &left) == EINTR && left.tv_sec > 0 && left.tv_sec < 50);
    check_alarms_end();
    /* A stop and a continue are no interruption. */
    pid_t pid = fork();
    if (pid == 0) {
        ts = (struct timespec){.tv_nsec = 150000000};
        _exit(nanosleep(&ts, NULL) != 0);
    }
    usleep(20000);
    int status;
    EXPECT(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid && kill(pid, SIGCONT) == 0);
    EXPECT(check_child(pid) == 0);
}

static void test_clocks(void)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME,          CLOCK_MONOTONIC,     CLOCK_PROCESS_CPUTIME_ID,
                                       CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                                       CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME};
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        struct timespec res, a, b, c;
        int before = check_failures;
        EXPECT(clock_getres(clocks[i], &res) == 0 && res.tv_sec == 0 && res.tv_nsec > 0);
        EXPECT(clock_gettime(clocks[i], &a) == 0 && syscall(SYS_clock_gettime, clocks[i], &b) == 0);
        EXPECT(clock_gettime(clocks[i], &c) == 0);
        if (check_failures != before)
            fprintf(stderr, "with clock %d\n", clocks[i]);
        if (clocks[i] == CLOCK_REALTIME || clocks[i] == CLOCK_REALTIME_COARSE)
            continue;
        EXPECT(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
        EXPECT(c.tv_sec > b.tv_sec || (c.tv_sec == b.tv_sec && c.tv_nsec >= b.tv_nsec));
    }
    struct timespec ts, coarse;
    struct timeval tv;
    EXPECT_ERRNO(syscall(SYS_clock_gettime, 99, &ts), EINVAL);
    EXPECT_ERRNO(clock_getres(99, &ts), EINVAL);
    EXPECT(clock_getres(CLOCK_MONOTONIC, NULL) == 0);
    EXPECT(gettimeofday(&tv, NULL) == 0 && clock_gettime(CLOCK_REALTIME, &ts) == 0 && ts.tv_sec - tv.tv_sec <= 1);
    EXPECT(clock_gettime(CLOCK_REALTIME_COARSE, &coarse) == 0 && coarse.tv_sec >= tv.tv_sec - 1);
    EXPECT(time(NULL) - ts.tv_sec <= 1);
    clockid_t id;
    EXPECT(clock_getcpuclockid(0, &id) == 0 && clock_gettime(id, &ts) == 0);
    /* A clock of the host cannot be set without privilege. */
    pid_t pid = fork();
    if (pid == 0) {
        check_failures = 0;
        if (geteuid() == 0)
            CHECK(setresuid(1234, 1234, 1234) == 0);
        EXPECT_ERRNO(clock_settime(CLOCK_REALTIME, &ts), EPERM);
        EXPECT_ERRNO(settimeofday(&tv, NULL), EPERM);
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0);
    EXPECT_ERRNO(clock_settime(CLOCK_MONOTONIC, &ts), EINVAL);
}

static void test_times(void)
{
    struct tms t;
    clock_t start = times(&t);
    EXPECT(start != (clock_t)-1);
    struct rusage ru;
    do
        getrusage(RUSAGE_SELF, &ru);
    while (ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_usec < 50000);
    EXPECT(times(&t) >= start && t.tms_utime + t.tms_stime >= 3 && t.tms_cutime == 0);
    EXPECT(clock() >= 40000);
}

static void test_posix_timer(void)
{
    timer_t t;
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
    struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    struct itimerspec it = {.it_value = {.tv_nsec = 5000000}}, old;
    CHECK(sigaction(SIGRTMIN, &sa, NULL) == 0);
    hits = 0;
    CHECK(timer_create(CLOCK_MONOTONIC, &ev, &t) == 0);
    EXPECT(timer_settime(t, 0, &it, NULL) == 0);
    while (hits == 0)
        pause();
    EXPECT(last_code == SI_TIMER && last_value == 77);
    EXPECT(timer_gettime(t, &old) == 0 && old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0);
    /* Expirations while the signal is blocked are counted, not queued. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    it.it_interval.tv_nsec = it.it_value.tv_nsec = 1000000;
    EXPECT(timer_settime(t, 0, &it, NULL) == 0);
    usleep(50000);
    siginfo_t info;
    EXPECT(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_code == SI_TIMER && info.si_overrun > 0);
    EXPECT(timer_getoverrun(t) == info.si_overrun);
    EXPECT(timer_delete(t) == 0);
    EXPECT_ERRNO(syscall(SYS_timer_delete, 12345), EINVAL);
    ev.sigev_signo = 99;
    EXPECT_ERRNO(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
    EXPECT_ERRNO(timer_create(99, NULL, &t), EINVAL);
    EXPECT(timer_create(CLOCK_PROCESS_CPUTIME_ID, NULL, &t) == 0 && timer_delete(t) == 0);
}

static void test_timerfd(void)
{
    uint64_t n = 0;
    struct itimerspec it = {.it_value = {.tv_nsec = 2000000}, .it_interval = {.tv_nsec = 2000000}}, old;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK(fd >= 0);
    EXPECT_ERRNO(read(fd, &n, 8), EAGAIN);
    EXPECT(timerfd_settime(fd, 0, &it, NULL) == 0);
    usleep(20000);
    EXPECT(read(fd, &n, 8) == 8 && n >= 2);
    EXPECT_ERRNO(read(fd, &n, 4), EINVAL);
    EXPECT(timerfd_gettime(fd, &old) == 0 && old.it_interval.tv_nsec == 2000000);
    it = (struct itimerspec){0};
    EXPECT(timerfd_settime(fd, 0, &it, NULL) == 0);
    EXPECT_ERRNO(read(fd, &n, 8), EAGAIN);
    EXPECT_ERRNO(timerfd_create(99, 0), EINVAL);
    EXPECT_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1 << 20), EINVAL);
    EXPECT_ERRNO(timerfd_settime(0, 0, &it, NULL), EINVAL);
}

int main(void)
{
    RUN(test_itimer_real);
    RUN(test_itimer_cpu);
    RUN(test_sleep);
    RUN(test_clocks);
    RUN(test_times);
    RUN(test_posix_timer);
    RUN(test_timerfd);
    return check_end();
}
