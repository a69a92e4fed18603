/* Two threads wake each other in turn with futex calls. */
#include "measure.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static int turn;

static void wait_for(int mine)
{
    int other = !mine;
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, other, NULL, NULL, 0);
}

static void pass_to(int next)
{
    __atomic_store_n(&turn, next, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *peer(void *arg)
{
    for (;;) {
        wait_for(1);
        pass_to(0);
    }
    return arg;
}

static void op(long count)
{
    while (count--) {
        pass_to(1);
        wait_for(0);
    }
}

int main(int argc, char **argv)
{
    pthread_t t;
    MUST(pthread_create(&t, NULL, peer, NULL) == 0);
    return measure(argc, argv, op);
}
