/* Threads: create, join, mutex and condition variables, thread-local storage, per-thread ids, exit of all by one. */
#include "check.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 2000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter;
static int turn;
static __thread long local;

static void *add(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        local++;
    }
    return (void *)local;
}

static void *ping(void *arg)
{
    int me = (int)(long)arg;
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != me)
            pthread_cond_wait(&cond, &mutex);
        turn = !me;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *forever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

int main(void)
{
    pthread_t t[THREADS];
    void *ret;

    for (long i = 0; i < THREADS; i++)
        CHECK(pthread_create(&t[i], NULL, add, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(t[i], &ret) == 0 && (long)ret == ROUNDS);
    CHECK(counter == THREADS * ROUNDS && local == 0);

    for (long i = 0; i < 2; i++)
        CHECK(pthread_create(&t[i], NULL, ping, (void *)i) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(t[i], NULL) == 0);

    CHECK(getpid() == syscall(SYS_gettid));
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        pthread_create(&t[0], NULL, forever, NULL);
        pthread_create(&t[1], NULL, forever, NULL);
        _exit(5);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5);
    return 0;
}
