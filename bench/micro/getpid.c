/* The cheapest system call. */
#include "measure.h"

#include <sys/syscall.h>
#include <unistd.h>

static void op(long count)
{
    while (count--)
        MUST(syscall(SYS_getppid) >= 0);
}

int main(int argc, char **argv)
{
    return measure(argc, argv, op);
}
