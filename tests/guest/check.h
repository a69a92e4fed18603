/*
 * Guest tests check themselves: each is a small program that must succeed natively and then inside, on every platform.
 *
 * CHECK and CHECK_ERRNO print what is wrong and end the program (or the RUN of a part). EXPECT and EXPECT_ERRNO print,
 * count and go on. A program with several parts writes RUN(test_x) for each and ends with `return check_end();`: every
 * part runs in a process and a process group of its own, so that one that crashes or hangs does not hide the others.
 */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK_HANG_SECONDS 60

static int check_failures;

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: failed: %s (errno %d: %s)\n", __FILE__, __LINE__, #cond, errno, strerror(errno));  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The call fails, and with this errno. */
#define CHECK_ERRNO(call, want)                                                                                        \
    do {                                                                                                               \
        int check_before = check_failures;                                                                             \
        EXPECT_ERRNO(call, want);                                                                                      \
        if (check_failures != check_before)                                                                            \
            exit(1);                                                                                                   \
    } while (0)

#define EXPECT(cond)                                                                                                   \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: failed: %s (errno %d: %s)\n", __FILE__, __LINE__, #cond, errno, strerror(errno));  \
            check_failures++;                                                                                          \
        }                                                                                                              \
    } while (0)

#define EXPECT_ERRNO(call, want)                                                                                       \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        long check_result = (long)(call);                                                                              \
        if (check_result != -1 || errno != (want)) {                                                                   \
            fprintf(stderr, "%s:%d: %s gave %ld, errno %d (%s); wanted errno %d (%s)\n", __FILE__, __LINE__, #call,    \
                    check_result, errno, strerror(errno), (want), strerror(want));                                     \
            check_failures++;                                                                                          \
        }                                                                                                              \
    } while (0)

#define RUN(test) check_run(#test, test)

/* What a program returns from main, and a child of a test from itself. */
static inline int check_end(void)
{
    return check_failures != 0;
}

/* Waits for a child that must end by itself; its wait status. After a hang its group is killed and -1 returned. */
static inline int check_wait(pid_t pid)
{
    int status;
    for (long slept = 0; slept < CHECK_HANG_SECONDS * 1000L; slept += 2) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

/* Whoever started us may have had signals ignored or blocked: nohup, or a shell for what it runs in the background. */
static inline void check_default_signals(void)
{
    sigset_t none;
    for (int sig = 1; sig <= SIGRTMAX; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static inline void check_run(const char *name, void (*test)(void))
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        check_default_signals();
        check_failures = 0;
        test();
        exit(check_end());
    }
    int status = check_wait(pid);
    if (status == 0)
        return;
    check_failures++;
    if (status < 0)
        fprintf(stderr, "%s: hangs\n", name);
    else if (WIFSIGNALED(status))
        fprintf(stderr, "%s: ended by signal %d\n", name, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 1)
        fprintf(stderr, "%s: ended with status 0x%x\n", name, status);
}

/* Waits for a child and returns its exit status, or 1000 plus the signal that ended it. */
static inline int check_child(pid_t pid)
{
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/*
 * SIGALRM every 20 ms, to interrupt calls: a single one could come before the call that it is meant for, which then
 * sleeps for good.
 */
static inline void check_alarms_begin(void)
{
    const struct itimerval every = {.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000};
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

static inline void check_alarms_end(void)
{
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);
}

/* Waits until pid sleeps in a call, so that what comes then meets it there. */
static inline void check_until_asleep(pid_t pid)
{
    char path[64], state = '?';

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    while (state != 'S') {
        FILE *f = fopen(path, "r");
        CHECK(f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
        fclose(f);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}
