/*
 * Calls made again and again from the same place, which a sandbox may serve in another way than single ones: results,
 * registers and flags must be a system call's, whatever comes between. Natively this is all trivial.
 */
#include "check.h"
#include "scratch.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

#define OFTEN 2000
#define SIGNALS 300

extern char **environ;

/* ---- results ---- */

static void test_results(void)
{
    scratch_enter();
    char byte = 0, two[2];
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0 && write(fd, "0123456789", 10) == 10);
    for (int i = 0; i < OFTEN; i++) {
        CHECK(pread(fd, &byte, 1, i % 10) == 1 && byte == '0' + i % 10);
        CHECK(lseek(fd, i % 9, SEEK_SET) == i % 9 && read(fd, two, 2) == 2 && two[1] == '1' + i % 9);
        CHECK_ERRNO(pread(fd, (void *)8, 1, 0), EFAULT);
        CHECK_ERRNO(read(-1, &byte, 1), EBADF);
    }
    close(fd);
}

static void test_paths(void)
{
    struct stat st;

    scratch_enter();
    CHECK(mkdir("folder", 0700) == 0);
    for (int i = 0; i < OFTEN; i++) {
        CHECK(stat("folder", &st) == 0 && S_ISDIR(st.st_mode));
        CHECK_ERRNO(stat("nothing", &st), ENOENT);
        CHECK_ERRNO(stat((char *)8, &st), EFAULT);
        int fd = open("folder", O_RDONLY | O_DIRECTORY);
        CHECK(fd >= 0 && close(fd) == 0);
    }
}

/* syscall(2) makes all calls from one place, those included that wait, end threads or change memory. */
static void test_one_place(void)
{
    for (int i = 0; i < OFTEN; i++) {
        CHECK(syscall(SYS_getppid) == getppid());
        CHECK_ERRNO(syscall(9999), ENOSYS);
        if (i % 100)
            continue;
        void *p = (void *)syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(p != MAP_FAILED && syscall(SYS_munmap, p, 4096) == 0);
        pid_t pid = (pid_t)syscall(SYS_fork);
        CHECK(pid >= 0);
        if (pid == 0)
            syscall(SYS_exit_group, syscall(SYS_getppid) > 0 ? 3 : 4);
        int status;
        CHECK(syscall(SYS_wait4, pid, &status, 0, NULL) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3);
    }
}

/* ---- registers ---- */

#if defined(__x86_64__)
struct flags_and_result {
    uint64_t flags_before, flags_after;
    int64_t result;
};

/* getppid(2) with known values everywhere. Returns 0 if all but RAX, RCX and R11, and the red zone, are as before. */
long call_and_compare(struct flags_and_result *f);
__asm__(
    ".text\n"
    "call_and_compare:\n"
    "    push %rbx\n    push %rbp\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
    "    mov %rdi, %rbx\n"
    "    movabs $0x1122334455667788, %rbp\n"
    "    mov $12, %r12d\n    mov $13, %r13d\n    mov $14, %r14d\n    mov $15, %r15d\n"
    "    push (%rbx)\n    popfq\n"
    "    mov $1, %edi\n    mov $2, %esi\n    mov $3, %edx\n    mov $4, %r10d\n    mov $5, %r8d\n    mov $6, %r9d\n"
    "    mov %rbp, -8(%rsp)\n    mov %rbp, -128(%rsp)\n"
    "    mov $110, %eax\n"
    "    syscall\n"
    "    mov -8(%rsp), %r11\n    mov -128(%rsp), %rcx\n"
    "    pushfq\n    pop 8(%rbx)\n"
    "    mov %rax, 16(%rbx)\n"
    "    sub %rbp, %r11\n    sub %rbp, %rcx\n    lea (%r11,%rcx), %rax\n"
    "    sub $1, %rdi\n    sub $2, %rsi\n    sub $3, %rdx\n    sub $4, %r10\n    sub $5, %r8\n    sub $6, %r9\n"
    "    sub $12, %r12\n    sub $13, %r13\n    sub $14, %r14\n    sub $15, %r15\n"
    "    or %rdi, %rax\n    or %rsi, %rax\n    or %rdx, %rax\n    or %r10, %rax\n    or %r8, %rax\n    or %r9, %rax\n"
    "    or %r12, %rax\n    or %r13, %rax\n    or %r14, %rax\n    or %r15, %rax\n"
    "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbp\n    pop %rbx\n"
    "    ret\n");

#define ARITHMETIC_FLAGS 0x8d5UL

static void compare_registers(int times)
{
    const int64_t parent = getppid();

    for (int i = 0; i < times; i++) {
        struct flags_and_result f = {.flags_before = 0x202 | ((i & 1) ? 0x811UL : 0) | ((i & 2) ? 0x0c4UL : 0)};
        CHECK(call_and_compare(&f) == 0);
        CHECK(f.result == parent && ((f.flags_before ^ f.flags_after) & ARITHMETIC_FLAGS) == 0);
    }
}
#else
static void compare_registers(int times)
{
    const int parent = getppid();

    for (int i = 0; i < times; i++)
        CHECK(getppid() == parent);
}
#endif

static void test_registers(void)
{
    compare_registers(OFTEN);
}

/* ---- signals ---- */

static volatile sig_atomic_t handled;
static volatile uintptr_t strange_ip;
static uintptr_t text_start, text_end;

extern char __executable_start[], etext[];

/* The interrupted place must be the program's (a static one), and calls in the handler must not hurt the one around it.
 */
static void on_alarm(int sig, siginfo_t *info, void *context)
{
    struct stat st;

    (void)sig;
    (void)info;
#if defined(__x86_64__)
    const uintptr_t ip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (text_start && (ip < text_start || ip >= text_end))
        strange_ip = ip;
#else
    (void)context;
#endif
    CHECK(stat("/", &st) == 0 && S_ISDIR(st.st_mode));
    handled++;
}

static void start_alarms(void)
{
    struct sigaction sa = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};

    handled = 0;
    CHECK(sigaction(SIGALRM, &sa, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){{0, 700}, {0, 700}}, NULL) == 0);
}

static void stop_alarms(void)
{
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);
}

static void test_signals_between(void)
{
    char buf[64];
    int fds[2];

    CHECK(pipe(fds) == 0);
    start_alarms();
    while (handled < SIGNALS) {
        compare_registers(20);
        for (int i = 0; i < 20; i++) {
            CHECK(write(fds[1], "twenty bytes of text", 20) == 20);
            CHECK(read(fds[0], buf, sizeof(buf)) == 20 && !memcmp(buf, "twenty bytes of text", 20));
            CHECK(syscall(SYS_getppid) > 0);
        }
    }
    stop_alarms();
}

/* Where a signal finds a thread is the program's own text: unwinders look it up. */
static void test_interrupted_place(void)
{
    text_start = (uintptr_t)__executable_start;
    text_end = (uintptr_t)etext;
    start_alarms();
    while (handled < SIGNALS)
        for (int i = 0; i < 100; i++)
            CHECK(syscall(SYS_getppid) > 0 && getppid() > 0);
    stop_alarms();
    if (strange_ip)
        fprintf(stderr, "interrupted at %#lx\n", (unsigned long)strange_ip);
    CHECK(!strange_ip);
}

static void test_mask(void)
{
    sigset_t alarm, before;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    start_alarms();
    while (handled < SIGNALS) {
        CHECK(sigprocmask(SIG_BLOCK, &alarm, &before) == 0 && !sigismember(&before, SIGALRM));
        const int now = handled;
        for (int i = 0; i < 50; i++)
            CHECK(getppid() > 0);
        CHECK(handled == now);
        CHECK(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
    }
    stop_alarms();
}

/* A call that waits, from a place whose calls have not waited before. */
static void test_waiting(void)
{
    struct sigaction once = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO};
    char byte;
    int fds[2];

    CHECK(pipe(fds) == 0);
    for (int i = 0; i < OFTEN; i++)
        CHECK(write(fds[1], "x", 1) == 1 && read(fds[0], &byte, 1) == 1);
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            check_until_asleep(getppid());
            _exit(write(fds[1], "y", 1) != 1);
        }
        CHECK(read(fds[0], &byte, 1) == 1 && byte == 'y');
        CHECK(check_wait(pid) == 0);
    }
    CHECK(sigaction(SIGALRM, &once, NULL) == 0);
    check_alarms_begin();
    for (int i = 0; i < 20; i++)
        CHECK_ERRNO(read(fds[0], &byte, 1), EINTR);
    check_alarms_end();
}

/* One that is interrupted and goes on, again and again, and ends by what it has waited for. */
static void test_restarted(void)
{
    char byte = 0;
    int fds[2];

    CHECK(pipe(fds) == 0);
    for (int i = 0; i < OFTEN; i++)
        CHECK(write(fds[1], "x", 1) == 1 && read(fds[0], &byte, 1) == 1);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
        _exit(write(fds[1], "z", 1) != 1);
    }
    start_alarms();
    CHECK(read(fds[0], &byte, 1) == 1 && byte == 'z');
    stop_alarms();
    CHECK(handled > 0 && check_wait(pid) == 0);
}

/* ---- children and threads ---- */

static void busy(void)
{
    for (int i = 0; i < OFTEN; i++)
        CHECK(getppid() > 0 && lseek(0, 0, SEEK_CUR) + 1 >= 0);
}

static void test_children(void)
{
    busy();
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            CHECK(getppid() != getpid());
            compare_registers(i % 2 ? 3 : OFTEN);
            _exit(0);
        }
        compare_registers(100);
        CHECK(check_wait(pid) == 0);
    }
}

static void test_spawn(void)
{
    char *argv[] = {"/proc/self/exe", "exit", NULL};
    pid_t pid;

    for (int i = 0; i < 20; i++) {
        compare_registers(300);
        CHECK(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0);
        compare_registers(300);
        CHECK(check_wait(pid) == 0);
    }
}

static void *thread_main(void *arg)
{
    const pid_t self = (pid_t)syscall(SYS_gettid);

    for (int i = 0; i < OFTEN; i++)
        CHECK(syscall(SYS_gettid) == self);
    return arg;
}

static void test_threads(void)
{
    pthread_t threads[4];
    const pid_t self = (pid_t)syscall(SYS_gettid);

    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < OFTEN; i++)
            CHECK(syscall(SYS_gettid) == self);
        for (size_t i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], NULL, thread_main, NULL) == 0);
        CHECK(syscall(SYS_gettid) == self);
        for (size_t i = 0; i < 4; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

/* ---- what may be missing ---- */

/* No page more can be made writable. */
static void test_little_memory(void)
{
    struct rlimit data;

    CHECK(getrlimit(RLIMIT_DATA, &data) == 0);
    data.rlim_cur = 4096;
    CHECK(setrlimit(RLIMIT_DATA, &data) == 0);
    compare_registers(OFTEN);
    busy();
}

/* ---- the segment base that nobody else uses ---- */

#if defined(__x86_64__)
#include <asm/prctl.h>

static void test_gs(void)
{
    uint64_t word = 42, got;

    busy();
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &got) == 0 && got == 0);
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, &word) == 0);
    busy();
    __asm__("mov %%gs:0, %0" : "=r"(got));
    CHECK(got == 42);
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &got) == 0 && got == (uint64_t)&word);
}
#endif

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return 0;
    RUN(test_results);
    RUN(test_paths);
    RUN(test_one_place);
    RUN(test_registers);
    RUN(test_signals_between);
    RUN(test_interrupted_place);
    RUN(test_mask);
    RUN(test_waiting);
    RUN(test_restarted);
    RUN(test_children);
    RUN(test_spawn);
    RUN(test_threads);
    RUN(test_little_memory);
#if defined(__x86_64__)
    RUN(test_gs);
#endif
    return check_end();
}
