/* Creates a thread that ends at once, and joins it. */
#include "measure.h"

#include <pthread.h>

static void *nothing(void *arg)
{
    return arg;
}

static void op(long count)
{
    while (count--) {
        pthread_t t;
        MUST(pthread_create(&t, NULL, nothing, NULL) == 0);
        MUST(pthread_join(t, NULL) == 0);
    }
}

int main(int argc, char **argv)
{
    return measure(argc, argv, op);
}
