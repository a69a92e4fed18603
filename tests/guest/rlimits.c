/* Resource limits: how they are set, and what happens at NOFILE, FSIZE, NPROC, STACK, CPU and AS. */
#include "scratch.h"

#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void limit(int what, rlim_t soft)
{
    struct rlimit r;
    CHECK(getrlimit(what, &r) == 0);
    r.rlim_cur = soft;
    CHECK(setrlimit(what, &r) == 0);
}

static void test_set(void)
{
    struct rlimit r, old, new = {.rlim_cur = 10, .rlim_max = 5};
    EXPECT_ERRNO(getrlimit(99, &r), EINVAL);
    EXPECT_ERRNO(setrlimit(RLIMIT_CORE, &new), EINVAL);
    EXPECT(getrlimit(RLIMIT_NOFILE, &r) == 0);
    new = (struct rlimit){.rlim_cur = 50, .rlim_max = r.rlim_max};
    EXPECT(prlimit(0, RLIMIT_NOFILE, &new, &old) == 0 && old.rlim_cur == r.rlim_cur);
    EXPECT(prlimit(getpid(), RLIMIT_NOFILE, NULL, &old) == 0 && old.rlim_cur == 50);
    EXPECT_ERRNO(prlimit(0x3fffff, RLIMIT_NOFILE, NULL, &old), ESRCH);
    EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, (struct rlimit *)8), EFAULT);
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT(getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur == 50);
        if (geteuid() == 0)
            CHECK(setresuid(1234, 1234, 1234) == 0);
        new.rlim_cur = new.rlim_max = 40;
        EXPECT(setrlimit(RLIMIT_NOFILE, &new) == 0);
        new.rlim_max = 41;
        EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &new), EPERM);
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0);
}

static void test_nofile(void)
{
    int fds[2];
    limit(RLIMIT_NOFILE, 20);
    EXPECT_ERRNO(dup2(0, 20), EBADF);
    EXPECT_ERRNO(fcntl(0, F_DUPFD, 20), EINVAL);
    EXPECT(dup2(0, 19) == 19);
    int fd;
    while ((fd = dup(0)) >= 0)
        EXPECT(fd < 19);
    EXPECT(errno == EMFILE);
    EXPECT_ERRNO(open("/dev/null", O_RDONLY), EMFILE);
    EXPECT_ERRNO(pipe(fds), EMFILE);
    struct pollfd many[21] = {0};
    EXPECT_ERRNO(poll(many, 21, 0), EINVAL);
    limit(RLIMIT_NOFILE, 5);
    EXPECT(write(19, "", 0) == 0 || errno == EBADF); /* those above the limit stay open */
    EXPECT(fcntl(19, F_GETFD) == 0);
    /* A file must not be made when there is no number for it. */
    scratch_enter();
    EXPECT_ERRNO(open("new", O_CREAT | O_WRONLY, 0600), EMFILE);
    EXPECT_ERRNO(access("new", F_OK), ENOENT);
}

static volatile int hits;

static void count(int sig)
{
    (void)sig;
    hits++;
}

static void test_fsize(void)
{
    char buf[3000] = "";
    scratch_enter();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    signal(SIGXFSZ, count);
    limit(RLIMIT_FSIZE, 5000);
    EXPECT(write(fd, buf, 3000) == 3000 && write(fd, buf, 3000) == 2000 && hits == 0);
    EXPECT_ERRNO(write(fd, buf, 1), EFBIG);
    EXPECT(hits == 1);
    EXPECT_ERRNO(pwrite(fd, buf, 1, 5000), EFBIG);
    EXPECT(hits == 2 && pwrite(fd, buf, 10, 4995) == 5);
    EXPECT_ERRNO(ftruncate(fd, 5001), EFBIG);
    EXPECT(hits == 3 && ftruncate(fd, 5000) == 0);
    EXPECT_ERRNO(truncate("f", 6000), EFBIG);
    int p[2];
    CHECK(pipe(p) == 0);
    EXPECT(write(p[1], buf, 1) == 1); /* only files */
    signal(SIGXFSZ, SIG_DFL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!pwrite(fd, buf, 1, 6000);
        _exit(0);
    }
    EXPECT(check_child(pid) == 1000 + SIGXFSZ);
}

static void test_nproc(void)
{
    if (geteuid() == 0)
        CHECK(setresuid(54321, 54321, 54321) == 0); /* a user of whom nothing else runs */
    limit(RLIMIT_NPROC, 3);
    pid_t pids[2];
    for (int i = 0; i < 2; i++)
        if ((pids[i] = fork()) == 0)
            for (;;)
                pause();
    EXPECT_ERRNO(fork(), EAGAIN);
    for (int i = 0; i < 2; i++)
        EXPECT(pids[i] > 0 && kill(pids[i], SIGKILL) == 0 && waitpid(pids[i], NULL, 0) == pids[i]);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    EXPECT(check_child(pid) == 0);
}

/* Uses so many KiB of stack. */
static __attribute__((noinline)) int deep(int kib)
{
    volatile char block[1024];
    block[0] = (char)kib;
    return kib <= 0 ? block[0] : deep(kib - 1) + block[0];
}

static char alt[32768];

static void test_stack(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        deep(4 * 1024); /* within the usual 8 MiB */
        _exit(0);
    }
    EXPECT(check_child(pid) == 0);
    pid = fork();
    if (pid == 0) {
        limit(RLIMIT_STACK, 1 << 20);
        deep(4 * 1024);
        _exit(0);
    }
    EXPECT(check_child(pid) == 1000 + SIGSEGV);
    pid = fork();
    if (pid == 0) { /* the handler runs on its own stack */
        stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
        struct sigaction sa = {.sa_handler = _exit, .sa_flags = SA_ONSTACK};
        limit(RLIMIT_STACK, 1 << 20);
        sigaltstack(&ss, NULL);
        sigaction(SIGSEGV, &sa, NULL);
        deep(4 * 1024);
        _exit(0);
    }
    EXPECT(check_child(pid) == SIGSEGV);
}

static void test_cpu(void)
{
    signal(SIGXCPU, count);
    struct rlimit r = {.rlim_cur = 1, .rlim_max = 2};
    pid_t pid = fork();
    if (pid == 0) {
        hits = 0;
        CHECK(setrlimit(RLIMIT_CPU, &r) == 0);
        while (hits == 0)
            ;
        for (;;)
            ; /* the hard limit kills */
    }
    EXPECT(check_child(pid) == 1000 + SIGKILL);
}

static void test_memory(void)
{
    limit(RLIMIT_AS, 64 << 20);
    EXPECT(mmap(NULL, 128 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
    EXPECT(mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    limit(RLIMIT_DATA, 1 << 20);
    void *end = sbrk(0);
    EXPECT(sbrk(8 << 20) == (void *)-1 && errno == ENOMEM && sbrk(0) == end);
}

int main(void)
{
    RUN(test_set);
    RUN(test_nofile);
    RUN(test_fsize);
    RUN(test_nproc);
    RUN(test_stack);
    RUN(test_cpu);
    RUN(test_memory);
    return check_end();
}
