/*
 * Drives a platform without a sentry: hand-made guest code in a page, and a client that answers its system calls from a
 * script. Each case runs in a process of its own (Check forks), as a platform is made once per process.
 */
#include "include/platform.h"
#include "tests/unit/guest_code.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__

#define STACK_TOP (DATA + 0x4000)

/* Guest code, one routine a case; each ends with call 500 (the client's "done"). */
extern const unsigned char guest_calls[], guest_fault[], guest_spin[], guest_fork[], guest_thread[], guest_end[];
__asm__(".pushsection .rodata\n"
        "guest_calls:\n" GUEST_THOUSAND_CALLS /* 400 doubles */
        "guest_fault:\n"
        "    mov $0x1234, %edi\n"
        "    mov %rax, (%rdi)\n"
        "    mov $500, %eax\n"
        "    syscall\n"
        "guest_spin:\n"
        "    jmp guest_spin\n"
        "guest_fork:\n" /* 401 clones; each side reports its result with 402 */
        "    mov $401, %eax\n"
        "    syscall\n"
        "    mov %rax, %rdi\n"
        "    mov $402, %eax\n"
        "    syscall\n"
        "guest_thread:\n"
        "    jmp guest_fork\n"
        "guest_end:\n"
        ".popsection\n");

static const char *const platforms[] = {"seccomp", "ptrace"};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int finished, deaths, kicks;
static uint64_t result;
static struct plat_event last_fault;
static enum plat_clone_kind clone_kind;
static struct plat_thread *cloned; /* by do_clone(), referenced */

static void note(int *counter)
{
    pthread_mutex_lock(&mutex);
    (*counter)++;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}

static void wait_for(const int *counter, int want)
{
    pthread_mutex_lock(&mutex);
    while (*counter < want)
        pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
}

static int cookies[4];

static struct plat_resume do_clone(struct plat_thread *t)
{
    struct regs regs;

    ck_assert_int_eq(plat_get_regs(t, &regs), 0);
    *regs_result(&regs) = 0;
    *regs_sp(&regs) -= 0x1000;
    int ret = plat_clone(t, clone_kind, &regs, NULL, 0, &cookies[1], &cookies[2], &cloned);
    ck_assert_int_eq(ret, 0);
    return (struct plat_resume){PLAT_RETURN, 77};
}

/* The calls of the guest routines. */
static struct plat_resume on_syscall(void *cookie, struct plat_thread *t, const struct plat_event *ev)
{
    switch (ev->nr) {
    case 400:
        return (struct plat_resume){PLAT_RETURN, (int64_t)ev->args[0] * 2};
    case 401:
        return do_clone(t);
    case 402:
        ck_assert_uint_eq(ev->args[0], cookie == &cookies[1] ? 0 : 77);
        break;
    case 500:
        result = ev->args[0];
        break;
    default:
        ck_abort_msg("unexpected call %lu", ev->nr);
    }
    if (cookie == &cookies[1] && clone_kind == PLAT_CLONE_THREAD)
        plat_exit_thread(t);
    else if (clone_kind == PLAT_CLONE_THREAD && ev->nr == 402)
        wait_for(&finished, 1); /* the thread first, or its process would die under it */
    note(&finished);
    if (!(cookie == &cookies[1] && clone_kind == PLAT_CLONE_THREAD))
        plat_kill(t);
    return (struct plat_resume){PLAT_GONE, 0};
}

static struct plat_resume on_event(void *cookie, struct plat_thread *t, const struct plat_event *ev)
{
    switch (ev->kind) {
    case PLAT_EV_SYSCALL:
        return on_syscall(cookie, t, ev);
    case PLAT_EV_SIGNAL:
        last_fault = *ev;
        note(&finished);
        plat_kill(t);
        return (struct plat_resume){PLAT_GONE, 0};
    case PLAT_EV_WAIT:
    case PLAT_EV_KICK:
        note(&kicks);
        return (struct plat_resume){PLAT_RESUME, 0};
    case PLAT_EV_START:
        ck_assert_ptr_eq(cookie, &cookies[1]);
        return (struct plat_resume){PLAT_RESUME, 0};
    case PLAT_EV_STILLBORN:
        break;
    }
    abort();
}

static void on_death(void *process_cookie, int status, const struct rusage *ru)
{
    (void)process_cookie, (void)status, (void)ru;
    note(&deaths);
}

static const struct platform_client test_client = {.event = on_event, .process_died = on_death};

/* A process with the guest code and a data page, ready to start at `entry`. */
static struct plat_thread *make_guest(int platform, const unsigned char *entry, struct regs *regs)
{
    const struct platform_config cfg = {.name = platforms[platform]};
    const char *why = "?";
    struct plat_thread *t;

    int ret = plat_init(&cfg, &test_client, &why);
    if (ret == 0)
        ret = plat_greet(&why);
    ck_assert_msg(ret == 0, "%s: %s (%d)", cfg.name, why, ret);
    ck_assert_int_eq(plat_run(), 0);
    ck_assert_int_eq(plat_new(&cookies[0], &cookies[3], &t), 0);
    int fd = memfd_create("guest", MFD_CLOEXEC);
    size_t len = (size_t)(guest_end - guest_calls);
    ck_assert_int_eq(write(fd, guest_calls, len), (ssize_t)len);
    ck_assert_int_eq(plat_mmap(t, CODE, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0), CODE);
    ck_assert_int_eq(plat_mmap(t, DATA, 0x4000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0),
                     DATA);
    close(fd);
    *regs = (struct regs){.orig_nr = (uint64_t)-1};
    *regs_ip(regs) = CODE + (uint64_t)(entry - guest_calls);
    *regs_sp(regs) = STACK_TOP;
    regs->eflags = 0x202;
    return t;
}

START_TEST(system_calls)
{
    struct regs regs;
    struct plat_thread *t = make_guest(_i, guest_calls, &regs);

    plat_start(t, &regs);
    wait_for(&finished, 1);
    ck_assert_uint_eq(result, 1000 * 1001);
    wait_for(&deaths, 1);
    plat_thread_put(t);
}
END_TEST

static struct iovec at_guest(uint64_t addr, size_t len)
{
    return (struct iovec){(void *)(uintptr_t)addr, len};
}

/* Several ranges on both sides: the shorter side is the length, and a hole ends the copy. */
static void copies_of_ranges(struct plat_thread *t)
{
    char a[] = "abc", b[] = "defgh", x[3] = "", y[6] = "";
    const struct iovec from[] = {{a, 3}, {b, 5}}, to[] = {{x, 2}, {y, 5}};
    const struct iovec guest[] = {at_guest(DATA + 0xffe, 4), at_guest(DATA + 64, 0), at_guest(DATA + 32, 9)};
    const struct iovec broken[] = {at_guest(DATA + 0x4000 - 3, 6), at_guest(DATA, 9)};

    ck_assert_int_eq(plat_copy_out_v(t, guest, 3, from, 2), 8);
    ck_assert_int_eq(plat_copy_in_v(t, to, 2, guest, 3), 7);
    ck_assert_str_eq(x, "ab");
    ck_assert_str_eq(y, "cdefg");
    ck_assert_int_eq(plat_copy_out_v(t, broken, 2, from, 2), 3);
    ck_assert_int_eq(plat_copy_in_v(t, to, 2, broken, 2), 3);
    ck_assert_str_eq(x, "ab");
    ck_assert_str_eq(y, "cdefg");
    ck_assert_int_eq(plat_copy_in_v(t, to, 2, &broken[1], 1), 7);
    ck_assert_int_eq(y[0], 0);
}

START_TEST(memory)
{
    struct regs regs;
    char buf[16] = "";
    uint32_t seen;
    uint64_t start, end;
    struct plat_thread *t = make_guest(_i, guest_calls, &regs);

    ck_assert_int_eq(plat_copy_out(t, DATA + 8, "hello", 6), 6);
    ck_assert_int_eq(plat_copy_in(t, buf, DATA + 8, 6), 6);
    ck_assert_str_eq(buf, "hello");
    ck_assert_int_eq(plat_copy_in(t, buf, 0x1000, 4), -EFAULT);
    ck_assert_int_eq(plat_copy_in(t, buf, DATA + 0x4000 - 4, 8), 4);
    copies_of_ranges(t);
    ck_assert_int_eq(plat_cmpxchg32(t, DATA, 0, 5, &seen), 0);
    ck_assert_uint_eq(seen, 0);
    ck_assert_int_eq(plat_cmpxchg32(t, DATA, 0, 6, &seen), 0);
    ck_assert_uint_eq(seen, 5);
    ck_assert_int_eq(plat_cmpxchg32(t, 0x1000, 0, 6, &seen), -EFAULT);
    plat_stub_range(t, &start, &end);
    ck_assert_uint_gt(end, start);
    const uint64_t unmap_stub[6] = {start, end - start};
    ck_assert_int_eq(plat_host_call(t, SYS_munmap, unmap_stub), -EINVAL);
    const uint64_t open_args[6] = {0};
    ck_assert_int_eq(plat_host_call(t, SYS_openat, open_args), -EINVAL);
    const uint64_t unmap[6] = {DATA + 0x1000, 0x1000};
    ck_assert_int_eq(plat_host_call(t, SYS_munmap, unmap), 0);
    ck_assert_int_eq(plat_copy_in(t, buf, DATA + 0x1000, 4), -EFAULT);
    plat_kill(t);
    wait_for(&deaths, 1);
    ck_assert_int_eq(plat_copy_in(t, buf, DATA, 4), -ESRCH);
    plat_thread_put(t);
}
END_TEST

START_TEST(fault)
{
    struct regs regs;
    struct plat_thread *t = make_guest(_i, guest_fault, &regs);

    plat_start(t, &regs);
    wait_for(&deaths, 1);
    ck_assert_int_eq(last_fault.info.si_signo, SIGSEGV);
    ck_assert_int_eq(last_fault.info.si_code, SEGV_MAPERR);
    ck_assert_ptr_eq(last_fault.info.si_addr, (void *)0x1234);
    plat_thread_put(t);
}
END_TEST

START_TEST(kick)
{
    struct regs regs;
    struct plat_thread *t = make_guest(_i, guest_spin, &regs);

    plat_start(t, &regs);
    for (int i = 1; i <= 3; i++) {
        plat_kick(t);
        wait_for(&kicks, i);
    }
    plat_kill(t);
    wait_for(&deaths, 1);
    plat_thread_put(t);
}
END_TEST

START_TEST(clone_fork)
{
    struct regs regs;
    struct plat_thread *t = make_guest(_i, guest_fork, &regs);

    clone_kind = PLAT_CLONE_FORK;
    plat_start(t, &regs);
    wait_for(&finished, 2);
    wait_for(&deaths, 2);
    plat_thread_put(cloned);
    plat_thread_put(t);
}
END_TEST

START_TEST(clone_vm)
{
    struct regs regs;
    struct plat_thread *t = make_guest(_i, guest_fork, &regs);

    clone_kind = PLAT_CLONE_VM;
    plat_start(t, &regs);
    wait_for(&finished, 2);
    wait_for(&deaths, 2);
    plat_thread_put(cloned);
    plat_thread_put(t);
}
END_TEST

START_TEST(clone_thread)
{
    struct regs regs;
    struct plat_thread *t = make_guest(_i, guest_thread, &regs);

    clone_kind = PLAT_CLONE_THREAD;
    plat_start(t, &regs);
    wait_for(&finished, 2);
    wait_for(&deaths, 1);
    plat_thread_put(cloned);
    plat_thread_put(t);
}
END_TEST

START_TEST(fpstate)
{
    struct regs regs;
    unsigned char state[16384];
    struct plat_thread *t = make_guest(_i, guest_calls, &regs);

    ssize_t n = plat_get_fpstate(t, state, sizeof(state));
    ck_assert_int_ge(n, 576);
    memset(state + 160, 0x5a, 16); /* XMM0 */
    state[512] |= 3;               /* XSTATE_BV: x87 and SSE */
    ck_assert_int_eq(plat_set_fpstate(t, state, (size_t)n), 0);
    unsigned char again[16384];
    ck_assert_int_eq(plat_get_fpstate(t, again, sizeof(again)), n);
    ck_assert_int_eq(memcmp(again + 160, state + 160, 16), 0);
    plat_kill(t);
    wait_for(&deaths, 1);
    plat_thread_put(t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("platform");
    TCase *c = tcase_create("both");
    const struct {
        const TTest *test;
    } tests[] = {{system_calls}, {memory}, {fault}, {kick}, {clone_fork}, {clone_vm}, {clone_thread}, {fpstate}};

    tcase_set_timeout(c, 30);
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_loop_test(c, tests[i].test, 0, ARRAY_SIZE(platforms));
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#else

int main(void)
{
    return 0; /* the guest code above is x86-64's */
}

#endif
