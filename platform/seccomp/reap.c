/*
 * The reaper: one thread that waits for stub processes, all of which are our children, to end. It looks before it
 * reaps, so that the pid stays taken until nobody of ours uses it any more.
 */
#include "platform/seccomp/internal.h"

#include "lib/thread.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define REAPER_STACK (128u << 10)

static void bury(pid_t pid)
{
    struct process *p = sc_process_find(pid);
    struct rusage ru;
    int status;

    if (p) {
        sc_process_seal(p);
        sc_threads_of_dead(p);
        clone_process_died(p);
    }
    if (wait4(pid, &status, __WALL, &ru) != pid)
        return;
    if (!p) {
        clone_unknown_death(pid);
        return;
    }
    void *cookie = atomic_exchange(&p->cookie, NULL);
    if (cookie)
        sc_client->process_died(cookie, status, &ru);
    sc_process_put(p);
}

static void *reaper_main(void *arg unused_arg)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    siginfo_t info;

    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL) == 0 && info.si_pid > 0)
            bury(info.si_pid);
        else if (errno == ECHILD) /* even the zygote is gone: the sandbox is ending */
            nanosleep(&pause, NULL);
    }
    return NULL;
}

int reaper_start(void)
{
    return thread_start_detached(reaper_main, NULL, REAPER_STACK);
}
