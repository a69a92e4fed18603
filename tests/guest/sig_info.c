/* Queues and their order, sigqueue, sigtimedwait, signalfd, the siginfo that each kind of sender gives. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

static siginfo_t seen[64];
static volatile int count;

static void note(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    seen[count++ & 63] = *info;
}

static void catch_signal(int sig)
{
    struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigfillset(&sa.sa_mask);
    CHECK(sigaction(sig, &sa, NULL) == 0);
}

static sigset_t all_blocked(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return all;
}

static void release(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void queue(int sig, int value)
{
    EXPECT(sigqueue(getpid(), sig, (union sigval){.sival_int = value}) == 0);
}

/* Lower numbers first, and within one number first in, first out; standard signals before real-time ones. */
static void test_order(void)
{
    static const int want[][2] = {{0, 1}, {0, 2}, {1, 3}, {1, 4}, {2, 5}, {2, 6}};
    for (int i = 0; i < 3; i++)
        catch_signal(SIGRTMIN + i);
    catch_signal(SIGUSR1);
    catch_signal(SIGTERM);
    all_blocked();
    queue(SIGRTMIN + 2, 5), queue(SIGRTMIN + 0, 1), queue(SIGRTMIN + 1, 3);
    queue(SIGRTMIN + 2, 6), queue(SIGRTMIN + 1, 4), queue(SIGRTMIN + 0, 2);
    queue(SIGUSR1, 8), queue(SIGUSR1, 9); /* the second is lost */
    kill(getpid(), SIGTERM);
    sigset_t one;
    for (int i = 0; i < 2; i++) {
        siginfo_t info;
        sigemptyset(&one);
        sigaddset(&one, SIGUSR1);
        sigaddset(&one, SIGTERM);
        sigaddset(&one, SIGRTMIN);
        EXPECT(sigwaitinfo(&one, &info) == (i ? SIGTERM : SIGUSR1) && (i || info.si_value.sival_int == 8));
    }
    for (int i = 0; i < 6; i++) {
        siginfo_t info;
        sigset_t all;
        sigfillset(&all);
        EXPECT(sigwaitinfo(&all, &info) == SIGRTMIN + want[i][0] && info.si_value.sival_int == want[i][1]);
    }
    sigset_t pending;
    EXPECT(sigpending(&pending) == 0 && sigisemptyset(&pending));
}

/* Handlers of several pending signals are stacked: the one of the highest number runs first to its end. */
static void test_delivery_order(void)
{
    catch_signal(SIGRTMIN), catch_signal(SIGRTMIN + 1);
    all_blocked();
    queue(SIGRTMIN, 1), queue(SIGRTMIN, 2), queue(SIGRTMIN + 1, 3);
    count = 0;
    release();
    EXPECT(count == 3 && seen[0].si_value.sival_int == 1 && seen[1].si_value.sival_int == 2);
    EXPECT(seen[2].si_value.sival_int == 3);
}

static void test_fields(void)
{
    catch_signal(SIGUSR1), catch_signal(SIGCHLD), catch_signal(SIGALRM), catch_signal(SIGPIPE);
    count = 0;
    kill(getpid(), SIGUSR1);
    EXPECT(count == 1 && seen[0].si_code == SI_USER && seen[0].si_pid == getpid() && seen[0].si_uid == getuid());
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
    EXPECT(count == 2 && seen[1].si_code == SI_TKILL && seen[1].si_pid == getpid());
    queue(SIGUSR1, 42);
    EXPECT(count == 3 && seen[2].si_code == SI_QUEUE && seen[2].si_value.sival_int == 42 && seen[2].si_pid == getpid());
    pid_t pid = fork();
    if (pid == 0)
        _exit(12);
    while (count < 4)
        pause();
    EXPECT(seen[3].si_signo == SIGCHLD && seen[3].si_code == CLD_EXITED && seen[3].si_pid == pid);
    EXPECT(seen[3].si_status == 12 && seen[3].si_uid == getuid() && wait(NULL) == pid);
    int p[2];
    CHECK(pipe(p) == 0 && close(p[0]) == 0);
    EXPECT_ERRNO(write(p[1], "x", 1), EPIPE);
    EXPECT(count == 5 && seen[4].si_signo == SIGPIPE);
    ualarm(5000, 0);
    while (count < 6)
        usleep(1000);
    EXPECT(seen[5].si_signo == SIGALRM && seen[5].si_code == SI_KERNEL);
}

static void test_sigqueueinfo(void)
{
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = -60};
    catch_signal(SIGUSR1);
    info.si_value.sival_int = 7;
    count = 0;
    EXPECT(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info) == 0);
    EXPECT(count == 1 && seen[0].si_code == -60 && seen[0].si_value.sival_int == 7);
    EXPECT(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info) == 0 && count == 2);
    info.si_code = SI_USER; /* only to oneself */
    EXPECT(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info) == 0 && count == 3);
    EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info), EPERM);
    info.si_code = SI_TKILL;
    EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info), EPERM);
    EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, 0x3fffff, 0, &(siginfo_t){.si_code = SI_QUEUE}), ESRCH);
}

static void test_timedwait(void)
{
    struct timespec zero = {0}, soon = {.tv_nsec = 10000000}, bad = {.tv_nsec = -1};
    siginfo_t info;
    sigset_t usr1;
    all_blocked();
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    EXPECT_ERRNO(sigtimedwait(&usr1, &info, &zero), EAGAIN);
    EXPECT_ERRNO(sigtimedwait(&usr1, &info, &soon), EAGAIN);
    EXPECT_ERRNO(sigtimedwait(&usr1, &info, &bad), EINVAL);
    kill(getpid(), SIGUSR2); /* blocked and not waited for */
    kill(getpid(), SIGUSR1);
    EXPECT(sigtimedwait(&usr1, &info, &zero) == SIGUSR1 && info.si_code == SI_USER);
    pid_t me = getpid(), pid = fork();
    if (pid == 0) {
        usleep(20000);
        _exit(kill(me, SIGUSR1) != 0);
    }
    EXPECT(sigwaitinfo(&usr1, NULL) == SIGUSR1 && check_child(pid) == 0);
    /* An ignored signal that is blocked is dropped by the sender; a default-ignored one too. */
    signal(SIGUSR1, SIG_IGN);
    kill(me, SIGUSR1);
    sigset_t pending;
    EXPECT(sigpending(&pending) == 0 && (sigismember(&pending, SIGUSR1) == 1));
    signal(SIGUSR1, SIG_IGN); /* setting it drops what is pending */
    EXPECT(sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGUSR2));
}

static void test_signalfd(void)
{
    struct signalfd_siginfo info[4];
    sigset_t set = all_blocked();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0);
    EXPECT_ERRNO(read(fd, info, sizeof(info)), EAGAIN);
    queue(SIGRTMIN, 5), queue(SIGRTMIN, 6), kill(getpid(), SIGUSR1);
    EXPECT(read(fd, info, sizeof(info)) == 3 * (ssize_t)sizeof(info[0]));
    EXPECT(info[0].ssi_signo == SIGUSR1 && info[0].ssi_pid == (uint32_t)getpid() && info[0].ssi_code == SI_USER);
    EXPECT(info[1].ssi_int == 5 && info[2].ssi_int == 6 && info[2].ssi_code == SI_QUEUE);
    EXPECT_ERRNO(read(fd, info, 4), EINVAL);
    sigdelset(&set, SIGUSR1);
    EXPECT(signalfd(fd, &set, 0) == fd);
    kill(getpid(), SIGUSR1);
    EXPECT_ERRNO(read(fd, info, sizeof(info)), EAGAIN);
    EXPECT_ERRNO(signalfd(0, &set, 0), EINVAL);
}

/* The number of queued signals is limited for each user. */
static void test_limit(void)
{
    struct rlimit r = {.rlim_cur = 5, .rlim_max = 5};
    if (geteuid() == 0)
        CHECK(setresuid(54322, 54322, 54322) == 0);
    all_blocked();
    CHECK(setrlimit(RLIMIT_SIGPENDING, &r) == 0);
    int sent = 0;
    while (sent < 20 && sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0)
        sent++;
    EXPECT(sent == 5 && errno == EAGAIN);
    EXPECT(kill(getpid(), SIGUSR1) == 0); /* kill always works */
}

int main(void)
{
    RUN(test_order);
    RUN(test_delivery_order);
    RUN(test_fields);
    RUN(test_sigqueueinfo);
    RUN(test_timedwait);
    RUN(test_signalfd);
    RUN(test_limit);
    return check_end();
}
