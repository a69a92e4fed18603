#include "lib/thread.h"

#include <pthread.h>

int thread_start_detached(void *(*fn)(void *arg), void *arg, size_t stack)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    if (stack) /* a size that is too small for the host's vector registers leaves the C library's */
        pthread_attr_setstacksize(&attr, stack);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int ret = pthread_create(&thread, &attr, fn, arg);
    pthread_attr_destroy(&attr);
    return -ret;
}
