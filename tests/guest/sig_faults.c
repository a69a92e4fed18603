/* Faults: what siginfo says of each, contexts that handlers change, FP state over handlers, faults that cannot be
 * handled. */
#include "scratch.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf jump;
static siginfo_t last;
static volatile int hits;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    last = *info;
    hits++;
    siglongjmp(jump, 1);
}

static void catch_signal(int sig, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(sig, &sa, NULL) == 0);
}

static void write_to(volatile char *p)
{
    memset(&last, 0, sizeof(last));
    if (sigsetjmp(jump, 1) == 0)
        *p = 1;
}

static void read_from(volatile char *p)
{
    memset(&last, 0, sizeof(last));
    if (sigsetjmp(jump, 1) == 0)
        (void)*p;
}

static int is(int sig, int code, const volatile void *addr)
{
    return last.si_signo == sig && last.si_code == code && last.si_addr == addr;
}

static void test_segv(void)
{
    catch_signal(SIGSEGV, on_fault);
    write_to((char *)0x1234);
    EXPECT(is(SIGSEGV, SEGV_MAPERR, (char *)0x1234));
    read_from(NULL);
    EXPECT(is(SIGSEGV, SEGV_MAPERR, NULL));
    char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mprotect(p + 4096, 4096, PROT_READ) == 0 && mprotect(p + 8192, 4096, PROT_NONE) == 0);
    write_to(p + 4096 + 77);
    EXPECT(is(SIGSEGV, SEGV_ACCERR, p + 4096 + 77));
    read_from(p + 8192 + 5);
    EXPECT(is(SIGSEGV, SEGV_ACCERR, p + 8192 + 5));
    CHECK(munmap(p + 8192, 4096) == 0);
    read_from(p + 8192 + 9);
    EXPECT(is(SIGSEGV, SEGV_MAPERR, p + 8192 + 9));
    memset(&last, 0, sizeof(last));
    if (sigsetjmp(jump, 1) == 0)
        ((void (*)(void))p)(); /* not executable */
    EXPECT(is(SIGSEGV, SEGV_ACCERR, p));
#ifdef __x86_64__
    read_from((char *)0x8000000000000000); /* not canonical: no address is reported */
    EXPECT(is(SIGSEGV, SI_KERNEL, NULL));
    memset(&last, 0, sizeof(last));
    if (sigsetjmp(jump, 1) == 0)
        __asm__ volatile("hlt");
    EXPECT(last.si_signo == SIGSEGV && last.si_code == SI_KERNEL);
#endif
}

static void test_bus(void)
{
    scratch_enter();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    catch_signal(SIGBUS, on_fault);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    write_to(p);
    EXPECT(last.si_signo == 0);
    write_to(p + 4096 + 3);
    EXPECT(is(SIGBUS, BUS_ADRERR, p + 4096 + 3));
    CHECK(ftruncate(fd, 8192) == 0);
    write_to(p + 4096 + 3);
    EXPECT(last.si_signo == 0);
    CHECK(ftruncate(fd, 100) == 0);
    read_from(p + 4096);
    EXPECT(is(SIGBUS, BUS_ADRERR, p + 4096));
    read_from(p + 200); /* the rest of the last page reads as zero */
    EXPECT(last.si_signo == 0);
}

static volatile int zero;

static void test_arithmetic(void)
{
#ifdef __x86_64__
    catch_signal(SIGFPE, on_fault);
    catch_signal(SIGILL, on_fault);
    catch_signal(SIGTRAP, on_fault);
    if (sigsetjmp(jump, 1) == 0)
        zero = 5 / zero;
    EXPECT(last.si_signo == SIGFPE && last.si_code == FPE_INTDIV && last.si_addr != NULL);
    memset(&last, 0, sizeof(last));
    if (sigsetjmp(jump, 1) == 0)
        __asm__ volatile("ud2");
    EXPECT(last.si_signo == SIGILL && last.si_code == ILL_ILLOPN && last.si_addr != NULL);
    memset(&last, 0, sizeof(last));
    if (sigsetjmp(jump, 1) == 0)
        __asm__ volatile("int3");
    EXPECT(last.si_signo == SIGTRAP && last.si_code == SI_KERNEL);
    memset(&last, 0, sizeof(last));
    unsigned mxcsr = 0x1f80 & ~0x200; /* division by zero is not masked */
    if (sigsetjmp(jump, 1) == 0) {
        volatile double a = 1, b = 0;
        __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
        a = a / b;
    }
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    EXPECT(last.si_signo == SIGFPE && last.si_code == FPE_FLTDIV);
#endif
}

#ifdef __x86_64__
static void skip(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    (void)sig, (void)info;
    hits++;
    uc->uc_mcontext.gregs[REG_RIP] += 2; /* over the ud2 */
    uc->uc_mcontext.gregs[REG_RBX] = 0x123456789abcdef0;
    sigaddset(&uc->uc_sigmask, SIGUSR2);
}

static greg_t last_trapno, last_err, last_cr2;

static void note_fault(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;

    (void)sig;
    last = *info;
    last_trapno = uc->uc_mcontext.gregs[REG_TRAPNO];
    last_err = uc->uc_mcontext.gregs[REG_ERR];
    last_cr2 = uc->uc_mcontext.gregs[REG_CR2];
    hits++;
}

static void on_fault_context(int sig, siginfo_t *info, void *context)
{
    note_fault(sig, info, context);
    siglongjmp(jump, 1);
}

#define NOT_PRESENT 4 /* error codes of page faults in user mode */
#define PROTECTED 5
#define BY_WRITE 2
#define BY_FETCH 16

/* A host's ptrace(2) does not tell what kind of access it was. */
static bool is_page_fault(greg_t err, const void *addr)
{
    const char *platform = getenv("TEST_PLATFORM");

    if (platform && !strcmp(platform, "ptrace"))
        return last_trapno == 14 && last_cr2 == (greg_t)addr && (last_err & NOT_PRESENT);
    return last_trapno == 14 && last_cr2 == (greg_t)addr && last_err == err;
}

/* The processor's words for a fault. */
static void test_error_code(void)
{
    catch_signal(SIGSEGV, on_fault_context);
    read_from((char *)0x5678);
    EXPECT(is_page_fault(NOT_PRESENT, (char *)0x5678));
    write_to((char *)0x5678);
    EXPECT(is_page_fault(NOT_PRESENT | BY_WRITE, (char *)0x5678));
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    *p = 0;
    CHECK(mprotect(p, 4096, PROT_READ) == 0);
    write_to(p + 9);
    EXPECT(is_page_fault(PROTECTED | BY_WRITE, p + 9));
    if (sigsetjmp(jump, 1) == 0)
        ((void (*)(void))(uintptr_t)p)();
    EXPECT(is_page_fault(PROTECTED | BY_FETCH, p));
    read_from((char *)0x8000000000000000);
    EXPECT(last_trapno == 13 && last_err == 0);
    catch_signal(SIGFPE, on_fault_context);
    if (sigsetjmp(jump, 1) == 0)
        zero = 5 / zero;
    EXPECT(last_trapno == 0);
    catch_signal(SIGILL, on_fault_context);
    if (sigsetjmp(jump, 1) == 0)
        __asm__ volatile("ud2");
    EXPECT(last_trapno == 6);
    catch_signal(SIGUSR1, note_fault);
    CHECK(raise(SIGUSR1) == 0);
    EXPECT(last_trapno == 6); /* frames tell of the last fault */
}
#endif

static void test_context(void)
{
#ifdef __x86_64__
    long rbx = 0;
    sigset_t now;
    catch_signal(SIGILL, skip);
    hits = 0;
    __asm__ volatile("xor %%rbx, %%rbx\n\tud2\n\tmov %%rbx, %0" : "=r"(rbx)::"rbx", "memory");
    EXPECT(hits == 1 && rbx == 0x123456789abcdef0);
    EXPECT(sigprocmask(0, NULL, &now) == 0 && sigismember(&now, SIGUSR2)); /* the mask in the frame counts */
#endif
}

static void spoil(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    hits++;
#ifdef __x86_64__
    __asm__ volatile("pxor %%xmm0, %%xmm0\n\tpxor %%xmm7, %%xmm7\n\tpcmpeqd %%xmm15, %%xmm15\n\tfninit" ::
                         : "xmm0", "xmm7", "xmm15");
    unsigned mxcsr = 0x5f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
#endif
}

static void test_fp_state(void)
{
    catch_signal(SIGUSR1, spoil);
#ifdef __x86_64__
    double in[3] = {1.5, 2.5, 3.5}, out[3];
    unsigned before, after;
    hits = 0;
    long pid = getpid(), nr = 62 /* kill */, result;
    __asm__ volatile("stmxcsr %0" : "=m"(before));
    __asm__ volatile("movsd 0(%[in]), %%xmm0\n\tmovsd 8(%[in]), %%xmm7\n\tmovsd 16(%[in]), %%xmm15\n\t"
                     "syscall\n\t"
                     "movsd %%xmm0, 0(%[out])\n\tmovsd %%xmm7, 8(%[out])\n\tmovsd %%xmm15, 16(%[out])"
                     : "=a"(result)
                     : "a"(nr), "D"(pid), "S"((long)SIGUSR1), [in] "r"(in), [out] "r"(out)
                     : "rcx", "r11", "xmm0", "xmm7", "xmm15", "memory");
    __asm__ volatile("stmxcsr %0" : "=m"(after));
    EXPECT(hits == 1 && result == 0 && !memcmp(in, out, sizeof(in)) && before == after);
#endif
    /* The same over signals that come at any time. */
    volatile double sum = 0;
    pid_t me = getpid(), child = fork();
    if (child == 0) {
        for (int i = 0; i < 200; i++)
            kill(me, SIGUSR1), usleep(100);
        _exit(0);
    }
    double want = 0;
    for (int i = 0; i < 2000000; i++) {
        sum = sum + i * 0.5;
        want += i * 0.5;
    }
    EXPECT(sum == want);
    while (waitpid(child, NULL, 0) < 0)
        ;
}

/* A fault while its signal is blocked or ignored ends the process. */
static void test_blocked(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGSEGV);
        catch_signal(SIGSEGV, on_fault);
        sigprocmask(SIG_BLOCK, &set, NULL);
        *(volatile int *)8 = 1;
        _exit(0);
    }
    EXPECT(check_child(pid) == 1000 + SIGSEGV);
    pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_IGN);
        *(volatile int *)8 = 1;
        _exit(0);
    }
    EXPECT(check_child(pid) == 1000 + SIGSEGV);
    pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_IGN);
        kill(getpid(), SIGSEGV); /* one that is sent is ignored */
        _exit(3);
    }
    EXPECT(check_child(pid) == 3);
    pid = fork();
    if (pid == 0) { /* no room for the frame */
        stack_t ss = {.ss_sp = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 65536};
        struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigaltstack(&ss, NULL);
        sigaction(SIGUSR1, &sa, NULL);
        raise(SIGUSR1);
        _exit(0);
    }
    EXPECT(check_child(pid) == 1000 + SIGSEGV);
}

int main(void)
{
    RUN(test_segv);
    RUN(test_bus);
    RUN(test_arithmetic);
    RUN(test_context);
#ifdef __x86_64__
    RUN(test_error_code);
#endif
    RUN(test_fp_state);
    RUN(test_blocked);
    return check_end();
}
