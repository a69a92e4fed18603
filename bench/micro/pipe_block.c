/* A block of 10 KiB, as tar writes it, to another process that reads such blocks. */
#include "measure.h"

#include <unistd.h>

static int to_peer;
static char block[10240];

static void op(long count)
{
    while (count--)
        MUST(write(to_peer, block, sizeof(block)) == (ssize_t)sizeof(block));
}

int main(int argc, char **argv)
{
    int fds[2];
    MUST(pipe(fds) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        close(fds[1]);
        while (read(fds[0], block, sizeof(block)) > 0)
            ;
        _exit(0);
    }
    to_peer = fds[1];
    return measure(argc, argv, op);
}
