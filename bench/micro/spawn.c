/*
 * vfork, exec and wait. Arguments after the two numbers name the program to start; without any it is this one, which
 * then ends at once. Also used from outside, to time how long a whole sandbox takes from start to end.
 */
#include "measure.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char *self[] = {"/proc/self/exe", "leave", NULL};
static char **command = self;

static void op(long count)
{
    while (count--) {
        int status;
        pid_t pid = vfork();
        MUST(pid >= 0);
        if (pid == 0) {
            execvpe(command[0], command, environ);
            _exit(127);
        }
        MUST(waitpid(pid, &status, 0) == pid);
        if (status != 0) {
            fprintf(stderr, "spawn: %s ended with status 0x%x\n", command[0], status);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "leave"))
        return 0;
    if (argc > 3)
        command = argv + 3;
    return measure(argc, argv, op);
}
