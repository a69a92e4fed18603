/* One byte to another process through a pipe, and one back through a second. */
#include "measure.h"

#include <unistd.h>

static int to_peer, from_peer;

static void op(long count)
{
    char c = 'x';
    while (count--)
        MUST(write(to_peer, &c, 1) == 1 && read(from_peer, &c, 1) == 1);
}

static void answer(int in, int out)
{
    char c;
    while (read(in, &c, 1) == 1)
        MUST(write(out, &c, 1) == 1);
    _exit(0);
}

int main(int argc, char **argv)
{
    int there[2], back[2];
    MUST(pipe(there) == 0 && pipe(back) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        close(there[1]);
        answer(there[0], back[1]);
    }
    to_peer = there[1];
    from_peer = back[0];
    return measure(argc, argv, op);
}
