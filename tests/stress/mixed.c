/*
 * Everything at once: many processes with several threads each, which make and remove files, push bytes through pipes,
 * map and unmap memory, signal each other, wait on futexes, fork and execute, for so many seconds. Each thread checks
 * what it does, so that a mix-up between tasks shows. Arguments: seconds (10), processes (100), threads of each (10).
 * Ends with 0 and a line of counts when all went well.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum work { FILES, PIPES, MEMORY, SIGNALS, FUTEXES, PROCESSES, WORKS };

static const char *const names[WORKS] = {"files", "pipes", "memory", "signals", "futexes", "processes"};

static struct {
    _Atomic long done[WORKS];
    _Atomic int failed;
} * shared;

static time_t end;
static __thread uint32_t seed;

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "mixed.c:%d: failed: %s (errno %d: %s)\n", __LINE__, #cond, errno, strerror(errno));       \
            shared->failed = 1;                                                                                        \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static uint32_t rnd(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* EAGAIN and ENOMEM are what a sandbox at its limits says; they are no failures here. */
static int is_limit(void)
{
    return errno == EAGAIN || errno == ENOMEM || errno == EMFILE || errno == ENFILE;
}

static void do_files(void)
{
    char name[64], other[80], text[200], got[200];
    struct stat st;
    snprintf(name, sizeof(name), "/tmp/mixed-%d-%lx", (int)getpid(), (long)pthread_self());
    snprintf(other, sizeof(other), "%s.renamed", name);
    size_t n = (size_t)snprintf(text, sizeof(text), "%u in %s", rnd(1000000), name);
    int fd = open(name, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 && is_limit())
        return;
    MUST(fd >= 0 && write(fd, text, n) == (ssize_t)n && rename(name, other) == 0 && stat(other, &st) == 0);
    MUST(st.st_size == (off_t)n && pread(fd, got, sizeof(got), 0) == (ssize_t)n && !memcmp(got, text, n));
    char *map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED ? !memcmp(map, text, n) && munmap(map, n) == 0 : is_limit());
    MUST(unlink(other) == 0 && close(fd) == 0 && access(other, F_OK) == -1);
}

static void do_pipes(void)
{
    int fds[2];
    uint32_t out[64], in[64];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        MUST(is_limit());
        return;
    }
    for (int i = 0; i < 64; i++)
        out[i] = rnd(1u << 24);
    MUST(write(fds[1], out, sizeof(out)) == (ssize_t)sizeof(out));
    MUST(read(fds[0], in, sizeof(in)) == (ssize_t)sizeof(in) && !memcmp(in, out, sizeof(in)));
    MUST(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static void do_memory(void)
{
    size_t size = (1 + rnd(64)) * 4096;
    unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        MUST(is_limit());
        return;
    }
    unsigned char mark = (unsigned char)(1 + rnd(255));
    memset(p, mark, size);
    MUST(mprotect(p, 4096, PROT_READ) == 0 && p[0] == mark && p[size - 1] == mark);
    unsigned char *q = mremap(p, size, size + 4096, MREMAP_MAYMOVE);
    MUST(q == MAP_FAILED ? munmap(p, size) == 0 : q[0] == mark && q[size] == 0 && munmap(q, size + 4096) == 0);
}

static __thread volatile int seen;

static void on_signal(int sig)
{
    (void)sig;
    seen++;
}

static void do_signals(void)
{
    int before = seen;
    MUST(pthread_kill(pthread_self(), SIGUSR1) == 0 && seen > before);
    kill(getppid(), 0);
    kill(0, SIGUSR2); /* the whole group */
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int inside;

static void do_futexes(void)
{
    struct timespec ts;
    pthread_mutex_lock(&mutex);
    MUST(inside++ == 0);
    sched_yield();
    MUST(--inside == 0);
    pthread_cond_broadcast(&cond);
    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_nsec += 1000000;
    ts.tv_sec += ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;
    int ret = pthread_cond_timedwait(&cond, &mutex, &ts);
    MUST(ret == 0 || ret == ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
}

static void do_processes(void)
{
    int status, executes = rnd(2) == 0, want = (int)rnd(200);
    char code[16];
    sigset_t group;
    snprintf(code, sizeof(code), "exit %d", want);
    sigemptyset(&group); /* a shell would die of the group's signals */
    sigaddset(&group, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &group, NULL);
    pid_t pid = executes ? vfork() : fork();
    if (pid == 0) {
        if (executes)
            execl("/bin/sh", "sh", "-c", code, NULL);
        _exit(want);
    }
    MUST(pid > 0 || is_limit());
    pthread_sigmask(SIG_UNBLOCK, &group, NULL);
    if (pid < 0)
        return;
    while (waitpid(pid, &status, 0) < 0)
        MUST(errno == EINTR);
    MUST(WIFEXITED(status) && (WEXITSTATUS(status) == want || (executes && WEXITSTATUS(status) >= 125)));
}

static void *work(void *arg)
{
    static void (*const works[WORKS])(void) = {do_files, do_pipes, do_memory, do_signals, do_futexes, do_processes};
    seed = (uint32_t)(uintptr_t)arg;
    while (time(NULL) < end && !shared->failed) {
        uint32_t what = rnd(40) == 0 ? PROCESSES : rnd(WORKS - 1);
        works[what]();
        shared->done[what]++;
    }
    return NULL;
}

static void process(uint32_t number, int threads)
{
    pthread_t t[64];
    int started = 0;
    while (started < threads && started < 64) {
        if (pthread_create(&t[started], NULL, work, (void *)(uintptr_t)(number * 64 + (uint32_t)started + 1)) != 0)
            break;
        started++;
    }
    if (!started)
        work((void *)(uintptr_t)(number * 64));
    for (int i = 0; i < started; i++)
        pthread_join(t[i], NULL);
    exit(shared->failed);
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 10, processes = argc > 2 ? atoi(argv[2]) : 100;
    int threads = argc > 3 ? atoi(argv[3]) : 10, status, bad = 0, started = 0;
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(shared != MAP_FAILED);
    setpgid(0, 0);
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGUSR2, &sa, NULL);
    end = time(NULL) + seconds;
    for (int i = 0; i < processes; i++) {
        pid_t pid = fork();
        if (pid == 0)
            process((uint32_t)i + 1, threads);
        started += pid > 0;
    }
    for (int left = started; left > 0;)
        if (wait(&status) > 0) {
            left--;
            if (status != 0 && ++bad <= 5)
                fprintf(stderr, "a process ended with status 0x%x\n", status);
        } else {
            MUST(errno == EINTR);
        }
    printf("processes %d", started);
    for (int i = 0; i < WORKS; i++)
        printf(" %s %ld", names[i], (long)shared->done[i]);
    printf("\n");
    return bad || !started || shared->failed;
}
