/* fork, exit and wait4: status words, WNOHANG, ECHILD, order-independent reaping, memory is copied. */
#include "check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int private_value = 1;

int main(void)
{
    int status;

    CHECK_ERRNO(waitpid(-1, &status, 0), ECHILD);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        private_value = 2;
        _exit(7);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK(private_value == 1);
    CHECK_ERRNO(waitpid(pid, &status, 0), ECHILD);

    /* Killed by a signal. */
    pid = fork();
    if (pid == 0) {
        raise(SIGKILL);
        _exit(1);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    /* Nothing has ended yet. */
    int fds[2];
    CHECK(pipe(fds) == 0);
    pid = fork();
    if (pid == 0) {
        char c;
        close(fds[1]);
        _exit(read(fds[0], &c, 1) == 0 ? 3 : 4);
    }
    CHECK(waitpid(pid, &status, WNOHANG) == 0);
    close(fds[1]);
    siginfo_t info = {0};
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    CHECK(info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == 3);
    struct rusage ru;
    CHECK(wait4(pid, &status, 0, &ru) == pid && WEXITSTATUS(status) == 3);

    /* Shared memory stays shared. */
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    for (int i = 0; i < 20; i++) {
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            __atomic_add_fetch(shared, 1, __ATOMIC_SEQ_CST);
            _exit(0);
        }
    }
    for (int i = 0; i < 20; i++)
        CHECK(wait(&status) > 0 && status == 0);
    CHECK(*shared == 20);
    CHECK_ERRNO(wait(&status), ECHILD);
    return 0;
}
