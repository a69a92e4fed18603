/*
 * Forks until it is refused, over and over, as a fork bomb does at the limit of processes: each refusal must be EAGAIN
 * (or ENOMEM), and once the children are gone there must be room again. Arguments: rounds (5), most children to try
 * (5000).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Children wait until the pipe's other end closes. */
static int storm(int most, int *out_error)
{
    int fds[2], count = 0;
    *out_error = 0;
    if (pipe(fds) < 0)
        exit(2);
    while (count < most) {
        pid_t pid = fork();
        if (pid == 0) {
            char c;
            close(fds[1]);
            _exit(read(fds[0], &c, 1) != 0);
        }
        if (pid < 0) {
            *out_error = errno;
            break;
        }
        count++;
    }
    close(fds[0]);
    close(fds[1]);
    return count;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5, most = argc > 2 ? atoi(argv[2]) : 5000, first = 0;
    for (int i = 0; i < rounds; i++) {
        int error, status, bad = 0, count = storm(most, &error), left = count;
        while (left > 0 && wait(&status) > 0) {
            left--;
            bad += status != 0;
        }
        printf("round %d: %d children, then %s; %d ended badly\n", i, count, error ? strerror(error) : "enough", bad);
        if (left || bad || (error && error != EAGAIN && error != ENOMEM))
            return 1;
        if (i == 0)
            first = count;
        if (count < first * 9 / 10) {
            printf("fewer than at first: something is not given back\n");
            return 1;
        }
    }
    return 0;
}
