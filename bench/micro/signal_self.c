/* Sends a signal to itself and handles it. */
#include "measure.h"

#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t seen;

static void on_signal(int sig)
{
    (void)sig;
    seen = 1;
}

static void op(long count)
{
    pid_t me = getpid();
    while (count--) {
        seen = 0;
        MUST(kill(me, SIGUSR1) == 0 && seen);
    }
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_signal};
    MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
    return measure(argc, argv, op);
}
