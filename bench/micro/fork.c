/* fork, exit of the child, wait. */
#include "measure.h"

#include <sys/wait.h>
#include <unistd.h>

static void op(long count)
{
    while (count--) {
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid == 0)
            _exit(0);
        MUST(waitpid(pid, NULL, 0) == pid);
    }
}

int main(int argc, char **argv)
{
    return measure(argc, argv, op);
}
