/* clock_gettime through the C library, as every program does it: without a system call where the vDSO works. */
#include "measure.h"

static void op(long count)
{
    struct timespec ts;
    while (count--)
        MUST(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
}

int main(int argc, char **argv)
{
    return measure(argc, argv, op);
}
