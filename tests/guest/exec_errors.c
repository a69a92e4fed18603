/* Why execve refuses, #! lines in all forms, execveat, what survives an exec. */
#include "scratch.h"

#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define NO_EXEC 200 /* exit status: exec failed, with errno in the shared word below */

static char *no_env[] = {NULL};

/* Runs argv; its exit status, or minus errno of the exec that failed. */
static int run_at(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
    int status, error = 0, fds[2];
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        syscall(SYS_execveat, dirfd, path, argv, envp, flags);
        error = errno;
        CHECK(write(fds[1], &error, sizeof(error)) == sizeof(error));
        _exit(NO_EXEC);
    }
    close(fds[1]);
    ssize_t got = read(fds[0], &error, sizeof(error));
    close(fds[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    if (got == sizeof(error))
        return -error;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int run(const char *path)
{
    return run_at(AT_FDCWD, path, (char *[]){(char *)path, NULL}, no_env, 0);
}

static void test_errors(void)
{
    scratch_enter();
    EXPECT(run("nothing") == -ENOENT && run("") == -ENOENT);
    scratch_file("text", "echo not a program\n", 0755);
    scratch_file("empty", "", 0755);
    scratch_file("plain", "#!/bin/sh\nexit 3\n", 0644);
    scratch_file("broken", "\177ELF garbage follows here, long enough to be a header of some kind............", 0755);
    scratch_file("nointerp", "#!/no/such/interpreter\n", 0755);
    scratch_file("noname", "#!  \n", 0755);
    scratch_file("toself", "#!./toself\n", 0755);
    EXPECT(run("./text") == -ENOEXEC && run("./empty") == -ENOEXEC && run("./broken") == -ENOEXEC);
    EXPECT(run("./plain") == -EACCES && run("/tmp") == -EACCES && run("/dev/null") == -EACCES);
    EXPECT(run("./nointerp") == -ENOENT && run("./noname") == -ENOEXEC && run("./toself") == -ELOOP);
    EXPECT(run("./text/x") == -ENOTDIR);
    CHECK(symlink("loop", "loop") == 0);
    EXPECT(run("./loop") == -ELOOP);
    char name[400];
    memset(name, 'n', sizeof(name));
    name[399] = 0;
    EXPECT(run(name) == -ENAMETOOLONG);
    EXPECT_ERRNO(syscall(SYS_execve, (char *)8, NULL, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_execve, "/bin/true", (char *)8, NULL), EFAULT);
}

static void test_busy(void)
{
    scratch_enter();
    scratch_file("script", "#!/bin/sh\nexit 3\n", 0755);
    int fd = open("script", O_WRONLY);
    CHECK(fd >= 0);
    EXPECT(run("./script") == -ETXTBSY);
    close(fd);
    EXPECT(run("./script") == 3);
    /* A program that runs cannot be written. */
    CHECK(system("cp /bin/sleep running") == 0);
    pid_t pid = fork();
    if (pid == 0) {
        execl("./running", "running", "100", NULL);
        _exit(1);
    }
    char exe[64], target[256] = "";
    snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)pid);
    for (int i = 0; i < 5000 && !strstr(target, "/running"); i++) {
        usleep(1000);
        ssize_t n = readlink(exe, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = 0;
    }
    EXPECT(strstr(target, "/running"));
    EXPECT_ERRNO(open("running", O_WRONLY), ETXTBSY);
    EXPECT_ERRNO(truncate("running", 0), ETXTBSY);
    EXPECT(kill(pid, SIGKILL) == 0 && check_child(pid) == 1000 + SIGKILL);
    fd = open("running", O_WRONLY);
    EXPECT(fd >= 0);
}

static void test_too_big(void)
{
    size_t size = 200 * 1024; /* one string is limited to 32 pages */
    char *big = malloc(size + 1);
    memset(big, 'x', size);
    big[size] = 0;
    EXPECT(run_at(AT_FDCWD, "/bin/true", (char *[]){"true", big, NULL}, no_env, 0) == -E2BIG);
    big[100 * 1024] = 0;
    EXPECT(run_at(AT_FDCWD, "/bin/true", (char *[]){"true", big, NULL}, no_env, 0) == 0);
    char *many[101];
    for (int i = 0; i < 100; i++)
        many[i] = big;
    many[100] = NULL;
    EXPECT(run_at(AT_FDCWD, "/bin/true", many, no_env, 0) == -E2BIG);
    struct rlimit small = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY}; /* a quarter of it is for arguments */
    CHECK(getrlimit(RLIMIT_STACK, &(struct rlimit){0}) == 0 && setrlimit(RLIMIT_STACK, &small) == 0);
    many[2] = NULL;
    EXPECT(run_at(AT_FDCWD, "/bin/true", many, no_env, 0) == 0);
    many[2] = big;
    many[4] = NULL;
    EXPECT(run_at(AT_FDCWD, "/bin/true", many, no_env, 0) == -E2BIG);
}

/* Output of a script in a file, run with arguments a and b. */
static void expect_output(const char *path, const char *want)
{
    char got[512] = "";
    char line[128];
    snprintf(line, sizeof(line), "%s a b", path);
    FILE *p = popen(line, "r");
    CHECK(p);
    size_t n = fread(got, 1, sizeof(got) - 1, p);
    got[n] = 0;
    EXPECT(pclose(p) == 0);
    if (strcmp(got, want)) {
        fprintf(stderr, "%s printed '%s' instead of '%s'\n", path, got, want);
        check_failures++;
    }
}

static void test_scripts(void)
{
    scratch_enter();
    scratch_file("plain", "#!/bin/echo\n", 0755);
    expect_output("./plain", "./plain a b\n");
    scratch_file("arg", "#!/bin/echo one two  \n", 0755);
    expect_output("./arg", "one two ./arg a b\n");
    scratch_file("spaces", "#! \t /bin/echo \t x\n", 0755);
    expect_output("./spaces", "x ./spaces a b\n");
    scratch_file("noline", "#!/bin/echo", 0755);
    expect_output("./noline", "./noline a b\n");
    scratch_file("nested1", "#!./plain\n", 0755);
    expect_output("./nested1", "./plain ./nested1 a b\n");
    scratch_file("nested2", "#!./nested1 n2\n", 0755);
    expect_output("./nested2", "./plain ./nested1 n2 ./nested2 a b\n");
    /* Five scripts in a row are too many. */
    char name[16] = "./plain", line[32];
    for (int i = 0; i < 5; i++) {
        snprintf(line, sizeof(line), "#!%s\n", name);
        snprintf(name, sizeof(name), "./deep%d", i);
        scratch_file(name, line, 0755);
    }
    EXPECT(run("./deep2") == 0 && run("./deep4") == -ELOOP);
    char text[600];
    snprintf(text, sizeof(text), "#!/bin/echo %0500d\n", 1); /* a long argument is cut, not refused */
    scratch_file("long", text, 0755);
    EXPECT(run("./long") == 0);
    snprintf(text, sizeof(text), "#!/bin/%0500d\n", 1); /* a long interpreter name is refused */
    scratch_file("longname", text, 0755);
    EXPECT(run("./longname") == -ENOEXEC);
}

static void test_execveat(void)
{
    scratch_enter();
    scratch_file("script", "#!/bin/sh\nexit 4\n", 0755);
    int dir = open(".", O_RDONLY | O_DIRECTORY), file = open("/bin/true", O_PATH | O_CLOEXEC);
    char *argv[] = {"x", NULL};
    CHECK(dir >= 0 && file >= 0);
    EXPECT(run_at(dir, "script", argv, no_env, 0) == 4);
    EXPECT(run_at(file, "", argv, no_env, AT_EMPTY_PATH) == 0);
    EXPECT(run_at(file, "", argv, no_env, 0) == -ENOENT);
    EXPECT(run_at(file, "x", argv, no_env, 0) == -ENOTDIR);
    EXPECT(run_at(99, "script", argv, no_env, 0) == -EBADF);
    EXPECT(run_at(99, "/bin/true", argv, no_env, 0) == 0);
    EXPECT(run_at(dir, "script", argv, no_env, 0x40000) == -EINVAL);
    CHECK(symlink("script", "link") == 0);
    EXPECT(run_at(dir, "link", argv, no_env, 0) == 4 &&
           run_at(dir, "link", argv, no_env, AT_SYMLINK_NOFOLLOW) == -ELOOP);
    int script = open("script", O_RDONLY);
    EXPECT(run_at(script, "", argv, no_env, AT_EMPTY_PATH) == 4);
    /* A script whose descriptor is closed by exec cannot be opened by its interpreter. */
    CHECK(fcntl(script, F_SETFD, FD_CLOEXEC) == 0);
    EXPECT(run_at(script, "", argv, no_env, AT_EMPTY_PATH) == -ENOENT);
}

/* Started again by test_kept: 0 when all is as it should be. */
static int look(void)
{
    sigset_t mask, pending;
    stack_t ss;
    char name[17] = "";
    int wrong = 0;
    sigprocmask(0, NULL, &mask);
    sigpending(&pending);
    wrong |= !sigismember(&mask, SIGUSR1);
    wrong |= !sigismember(&pending, SIGUSR1) << 1;
    sigaltstack(NULL, &ss);
    wrong |= (ss.ss_flags != SS_DISABLE) << 2;
    wrong |= (umask(0) != 0171) << 3;
    FILE *f = fopen("/proc/self/comm", "r");
    wrong |= (!f || !fgets(name, sizeof(name), f)) << 4;
    wrong |= (getauxval(AT_PAGESZ) != (unsigned long)getpagesize() || !getauxval(AT_RANDOM) || getauxval(AT_SECURE))
             << 5;
    wrong |= (getauxval(AT_UID) != getuid() || getauxval(AT_EGID) != getegid()) << 6;
    return wrong;
}

static char alt[16384];

static void test_kept(void)
{
    sigset_t set;
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
    pid_t pid = fork();
    if (pid == 0) {
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGUSR1);
        sigaltstack(&ss, NULL);
        umask(0171);
        execl("/proc/self/exe", "look", "look", NULL);
        _exit(255);
    }
    EXPECT(check_child(pid) == 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "look"))
        return look();
    RUN(test_errors);
    RUN(test_busy);
    RUN(test_too_big);
    RUN(test_scripts);
    RUN(test_execveat);
    RUN(test_kept);
    return check_end();
}
