/* execve: arguments, environment, close-on-exec, signals reset, errors, #!, vfork. */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(char *const argv[], char *const envp[])
{
    int status;
    pid_t pid = vfork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execve(argv[0], argv, envp);
        _exit(100 + (errno & 63));
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int child(char **argv, char **envp)
{
    struct sigaction sa;
    if (!strcmp(argv[2], "args"))
        return strcmp(argv[3], "two words") || argv[4] || strcmp(envp[0], "A=b") || envp[1];
    if (!strcmp(argv[2], "fds"))
        return !(fcntl(50, F_GETFD) < 0 && fcntl(51, F_GETFD) == 0);
    if (!strcmp(argv[2], "signals")) {
        sigaction(SIGUSR1, NULL, &sa);
        if (sa.sa_handler != SIG_DFL)
            return 1;
        sigaction(SIGUSR2, NULL, &sa);
        return sa.sa_handler != SIG_IGN;
    }
    return 9;
}

static void handler(int sig)
{
    (void)sig;
}

static void make(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0700);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0 && close(fd) == 0);
}

int main(int argc, char **argv, char **envp)
{
    if (argc > 1 && !strcmp(argv[1], "child"))
        return child(argv, envp);

    char *env[] = {"A=b", NULL};
    CHECK(run((char *[]){"/proc/self/exe", "child", "args", "two words", NULL}, env) == 0);
    int fd = open("/dev/null", O_RDONLY);
    CHECK(dup3(fd, 50, O_CLOEXEC) == 50 && dup2(fd, 51) == 51);
    CHECK(run((char *[]){"/proc/self/exe", "child", "fds", NULL}, env) == 0);
    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    CHECK(run((char *[]){"/proc/self/exe", "child", "signals", NULL}, env) == 0);

    char dir[] = "/tmp/execXXXXXX";
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    make("script", "#!/bin/sh\nexit $1\n", 0755);
    CHECK(run((char *[]){"./script", "42", NULL}, env) == 42);
    make("self", "#!./self\n", 0755);
    CHECK(run((char *[]){"./self", NULL}, env) == 100 + ELOOP);
    make("noexec", "#!/bin/sh\n", 0644);
    CHECK(run((char *[]){"./noexec", NULL}, env) == 100 + EACCES);
    make("text", "no program", 0755);
    CHECK(run((char *[]){"./text", NULL}, env) == 100 + ENOEXEC);
    make("elf", "\177ELF\2\1\1", 0755);
    CHECK(run((char *[]){"./elf", NULL}, env) == 100 + ENOEXEC);
    CHECK(run((char *[]){"./nothing", NULL}, env) == 100 + ENOENT);
    CHECK(run((char *[]){dir, NULL}, env) == 100 + EACCES);
    CHECK(run((char *[]){"./script/x", NULL}, env) == 100 + ENOTDIR);
    CHECK(unlink("script") == 0 && unlink("self") == 0 && unlink("noexec") == 0 && unlink("text") == 0);
    CHECK(unlink("elf") == 0 && chdir("/") == 0 && rmdir(dir) == 0);
    return 0;
}
