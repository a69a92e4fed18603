/* Writes 64 bytes to a pipe; every thousandth time it is emptied again by one large read. */
#include "measure.h"

#include <unistd.h>

static int fds[2];
static char small[64], large[64 * 1000];

static void op(long count)
{
    for (long i = 1; i <= count; i++) {
        MUST(write(fds[1], small, sizeof(small)) == (ssize_t)sizeof(small));
        if (i % 1000 == 0 || i == count)
            MUST(read(fds[0], large, sizeof(large)) > 0);
    }
}

int main(int argc, char **argv)
{
    MUST(pipe(fds) == 0);
    return measure(argc, argv, op);
}
