/*
 * What a hostile guest can do with the memory in which fast calls are posted: write anything there, at any time, from a
 * thread beside the one whose calls they are. Each child does that for a while; it may lose its life by it, and nothing
 * else may come of it: no call in another's name, no harm to the sandbox. Exits with 2 where there is no such memory.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 40
#define ROUND_NS 100000000L
#define WORDS 20 /* of the slot */
#define POSTED 1U
#define NO_SLOT 99

static _Atomic uint32_t *slot;
static atomic_bool over;

/* The one shared mapping that has no file. */
static void find_slot(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512], perms[8];
    unsigned long start, inode;

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "%lx-%*x %7s %*s %*s %lu", &start, perms, &inode) == 3 && !strcmp(perms, "rw-s") && !inode)
            slot = (_Atomic uint32_t *)start;
    if (f)
        fclose(f);
}

static void make_calls(int n)
{
    const pid_t pid = getpid();
    struct timespec ts;

    for (int i = 0; i < n; i++) {
        if (getppid() <= 0 || syscall(SYS_getpid) != pid)
            _exit(1);
        clock_gettime(CLOCK_MONOTONIC, &ts);
    }
}

static uint32_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005UL + 1442695040888963407UL;
    return (uint32_t)(*state >> 33);
}

/* Calls with arguments that hurt nobody but this process, and numbers that are no fast calls or none at all. */
static void *scribble(void *arg)
{
    static const uint32_t calls[] = {SYS_getpid, SYS_close, SYS_read,   SYS_exit_group,
                                     SYS_execve, SYS_fork,  SYS_munmap, 9999};
    uint64_t seed = (uintptr_t)arg + 1;

    while (!atomic_load(&over)) {
        const uint32_t what = draw(&seed);
        slot[2] = calls[what % (sizeof(calls) / sizeof(calls[0]))];
        for (int i = 8; i < WORDS; i++)
            slot[i] = what & 16 ? draw(&seed) : 0;
        slot[what & 32 ? 0 : draw(&seed) % WORDS] = what & 64 ? POSTED : draw(&seed) % 6;
        slot[1] = what & 1;
    }
    return NULL;
}

/* Whether the calls before that went the fast way decides the sandbox; we need its slot. */
static int child(uintptr_t round)
{
    pthread_t thread;

    make_calls(2000);
    find_slot();
    if (!slot)
        return NO_SLOT;
    if (round % 2) { /* alone, before the first of its own calls sees it */
        for (int i = 0; i < 1000; i++) {
            slot[0] = (uint32_t)i % 6;
            make_calls(1);
        }
        return 0;
    }
    if (pthread_create(&thread, NULL, scribble, (void *)round) != 0)
        return 1;
    const struct timespec start = {.tv_nsec = ROUND_NS};
    for (int i = 0; i < 50; i++)
        syscall(SYS_getppid);
    nanosleep(&start, NULL);
    for (int i = 0; i < 2000; i++)
        syscall(SYS_getppid);
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    return 0;
}

/* The status of a child that attacks, or -1 if it hangs; what a child made of itself must not outlive it. */
static int attack(uintptr_t round)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int status;

    pid_t pid = fork();
    if (pid == 0)
        _exit(child(round));
    for (int i = 0; pid > 0 && i < 3000; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        nanosleep(&pause, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

int main(void)
{
    int died = 0, hung = 0;

    for (uintptr_t round = 0; round < ROUNDS; round++) {
        const int status = attack(round);
        if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SLOT) {
            printf("there is no slot here\n");
            return 2;
        }
        died += status != 0;
        hung += status < 0;
        make_calls(500); /* ours must be as ever */
    }
    printf("%d attacks on slots, %d of them ended their process, %d hung\n", ROUNDS, died, hung);
    return 0;
}
