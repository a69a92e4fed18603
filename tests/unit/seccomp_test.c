/*
 * Guests that attack their own stub (hostile_guest.h). Whatever they do, the sentry must live, other guests must run
 * on, and each process must be reported dead exactly once; a guest may at most lose its own process.
 */
#include "include/platform.h"
#include "platform/seccomp/internal.h"
#include "tests/unit/hostile_guest.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __x86_64__

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int finished, faults, deaths, births, kicks, stillborn; /* mutex */
static int prepared;                                           /* threads made so */
static int kicks_wanted;                                       /* before the guest may end */
static uint64_t result;
#define CHILDREN_MAX 64
static struct plat_thread *children[CHILDREN_MAX]; /* mutex; referenced */
static int child_count;                            /* mutex */
static int code_fd;

static void note(int *counter)
{
    pthread_mutex_lock(&mutex);
    (*counter)++;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}

/* Sleeps for 100 ms or until something was noted. With mutex. */
static void wait_a_little(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&cond, &mutex, &until);
}

/* False: it did not come within the time, of which what all of us spent stopped or frozen is no part. */
static bool wait_for(const int *counter, const int *want, int ms)
{
    pthread_mutex_lock(&mutex);
    for (int waited = 0; *counter < *want && waited < ms; waited += 100)
        wait_a_little();
    bool there = *counter >= *want;
    pthread_mutex_unlock(&mutex);
    return there;
}

static bool all_dead(void)
{
    pthread_mutex_lock(&mutex);
    bool yes = deaths == births;
    pthread_mutex_unlock(&mutex);
    return yes;
}

static struct plat_resume answer_with(int64_t value)
{
    return (struct plat_resume){PLAT_RETURN, value};
}

/* Counts a process to be made, up to a limit. */
static bool may_have_child(void)
{
    pthread_mutex_lock(&mutex);
    bool yes = child_count < CHILDREN_MAX;
    if (yes) {
        child_count++;
        births++;
    }
    pthread_mutex_unlock(&mutex);
    return yes;
}

static void keep_child(struct plat_thread *child)
{
    pthread_mutex_lock(&mutex);
    if (!child)
        births--; /* it was never there */
    for (int i = 0; child && i < CHILDREN_MAX; i++)
        if (!children[i]) {
            children[i] = child;
            child = NULL;
        }
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}

static void kill_children(void)
{
    for (int i = 0; i < CHILDREN_MAX; i++) {
        pthread_mutex_lock(&mutex);
        struct plat_thread *child = children[i];
        pthread_mutex_unlock(&mutex);
        if (child)
            plat_kill(child);
    }
}

static struct plat_resume make_child(struct plat_thread *t, enum plat_clone_kind kind, const uint64_t *args)
{
    struct plat_thread *child;
    struct regs regs;

    if (plat_get_regs(t, &regs) < 0)
        return answer_with(-EAGAIN);
    *regs_result(&regs) = 0;
    if (kind == PLAT_CLONE_THREAD) {
        *regs_ip(&regs) = args[0];
        *regs_sp(&regs) = args[1];
    } else if (!may_have_child()) {
        return answer_with(-EAGAIN);
    }
    static int process_cookie;
    int ret = plat_clone(t, kind, &regs, NULL, 0, &regs, &process_cookie, &child);
    if (kind == PLAT_CLONE_FORK)
        keep_child(ret == 0 ? child : NULL);
    else if (ret == 0)
        plat_thread_put(child);
    return answer_with(ret);
}

/* A clone(2) of which the platform says that it needs no registers. Each second child is kicked at once. */
static struct plat_resume make_prepared(struct plat_thread *t)
{
    struct plat_thread *child;
    static int cookie;

    if (!plat_child_prepared(t))
        return answer_with(-ENOSYS);
    int ret = plat_clone(t, PLAT_CLONE_THREAD, NULL, NULL, 0, &cookie, NULL, &child);
    if (ret < 0)
        return answer_with(ret);
    if (prepared++ % 2)
        plat_kick(child);
    plat_thread_put(child);
    return answer_with(77);
}

static struct plat_resume offer(struct plat_thread *t)
{
    struct regs regs;

    return answer_with(plat_get_regs(t, &regs) == 0 && plat_lend_mask(t, 0) ? 0 : -EAGAIN);
}

static struct plat_resume look_at_registers(struct plat_thread *t)
{
    struct regs regs;

    ck_assert_int_eq(plat_get_regs(t, &regs), 0);
    ck_assert_uint_eq(regs.rbx, 7);
    ck_assert_uint_eq(regs.rax, 404);
    ck_assert_uint_eq(regs.orig_nr, 404);
    regs.rbx = 8;
    ck_assert_int_eq(plat_set_regs(t, &regs), 0);
    return (struct plat_resume){PLAT_RESUME, 0};
}

static struct plat_resume on_call(struct plat_thread *t, const struct plat_event *ev)
{
    switch (ev->nr) {
    case 400:
        return answer_with((int64_t)ev->args[0] * 2);
    case 401:
        return make_child(t, PLAT_CLONE_THREAD, ev->args);
    case 402:
        return make_child(t, PLAT_CLONE_FORK, ev->args);
    case 403:
        return answer_with(plat_mmap(t, 0x30000000, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, code_fd, 0));
    case 404:
        return look_at_registers(t);
    case 405:
        return offer(t);
    case SYS_clone:
        return make_prepared(t);
    case 500:
        ck_assert(wait_for(&kicks, &kicks_wanted, 20000));
        result = ev->args[0];
        note(&finished);
        plat_kill(t);
        return (struct plat_resume){PLAT_GONE, 0};
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_madvise:
    case SYS_mmap:
    case SYS_mremap:
        return (struct plat_resume){PLAT_CONTINUE, 0}; /* a sentry that forgets to check */
    default:
        return answer_with(-ENOSYS);
    }
}

static struct plat_resume on_event(void *cookie, struct plat_thread *t, const struct plat_event *ev)
{
    (void)cookie;
    switch (ev->kind) {
    case PLAT_EV_SYSCALL:
        return on_call(t, ev);
    case PLAT_EV_SIGNAL:
        note(&faults);
        plat_kill(t);
        return (struct plat_resume){PLAT_GONE, 0};
    case PLAT_EV_STILLBORN:
        note(&stillborn);
        return (struct plat_resume){PLAT_GONE, 0};
    case PLAT_EV_KICK:
    case PLAT_EV_WAIT:
        note(&kicks);
        break;
    default:
        break;
    }
    return (struct plat_resume){PLAT_RESUME, 0};
}

static void on_death(void *process_cookie, int status, const struct rusage *ru)
{
    (void)process_cookie, (void)status, (void)ru;
    note(&deaths);
}

static const struct platform_client test_client = {.event = on_event, .process_died = on_death};

static void start_platform(void)
{
    const struct platform_config cfg = {.name = "seccomp"};
    const char *why = "?";

    int ret = plat_init(&cfg, &test_client, &why);
    if (ret == 0)
        ret = plat_greet(&why);
    ck_assert_msg(ret == 0, "%s (%d)", why, ret);
    ck_assert_int_eq(plat_run(), 0);
    code_fd = memfd_create("guest", MFD_CLOEXEC);
    ck_assert_int_eq(write(code_fd, code_start, (size_t)(code_end - code_start)), code_end - code_start);
}

/* A process with the code and a data page, not started. */
static struct plat_thread *make_guest(void)
{
    static int cookie;
    struct plat_thread *t;

    ck_assert_int_eq(plat_new(&cookie, &cookie, &t), 0);
    note(&births);
    ck_assert_int_eq(plat_mmap(t, CODE, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, code_fd, 0), CODE);
    ck_assert_int_eq(
        plat_mmap(t, DATA, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0), DATA);
    return t;
}

static struct plat_thread *start_guest(const unsigned char *entry)
{
    struct plat_thread *t = make_guest();
    const struct regs regs = {.rip = CODE + (uint64_t)(entry - code_start),
                              .rsp = DATA + DATA_SIZE / 2,
                              .eflags = 0x202,
                              .orig_nr = (uint64_t)-1,
                              .rdi = sc_stub.site_ip - 2,
                              .rsi = sc_stub.areas,
                              .rdx = sc_stub.start,
                              .r8 = sc_stub.end - sc_stub.start,
                              .r9 = sc_stub.sigreturn_ip - 2};
    plat_start(t, &regs);
    return t;
}

/* The sentry lives: a well-behaved guest runs to its end. */
static void check_alive(void)
{
    const int want = finished + 1;

    struct plat_thread *t = start_guest(do_calls);
    ck_assert(wait_for(&finished, &want, 10000));
    ck_assert_uint_eq(result, 1000 * 1001);
    ck_assert(wait_for(&deaths, &births, 10000));
    plat_thread_put(t);
}

static const unsigned char *const deadly[] = {do_site_call, do_site_clone, do_bad_frame, do_fake_start, do_fake_done};

/* What never happens in a stub ends the process. */
START_TEST(forbidden_calls)
{
    start_platform();
    struct plat_thread *t = start_guest(deadly[_i]);
    ck_assert(wait_for(&deaths, &births, 10000));
    ck_assert_int_eq(finished, 0);
    plat_thread_put(t);
    check_alive();
}
END_TEST

START_TEST(stub_ranges)
{
    static const int one = 1;

    start_platform();
    struct plat_thread *t = start_guest(do_ranges);
    ck_assert(wait_for(&finished, &one, 10000));
    ck_assert_uint_eq(result, 0);
    plat_thread_put(t);
    check_alive();
}
END_TEST

static const unsigned char *const foreign[] = {do_int80, do_x32};

START_TEST(foreign_calls)
{
    start_platform();
    struct plat_thread *t = start_guest(foreign[_i]);
    ck_assert(wait_for(&deaths, &births, 10000));
    if (!faults) { /* a kernel without 32-bit calls makes a fault of int 0x80 by itself */
        ck_assert_int_eq(finished, 1);
        ck_assert_int_eq((int64_t)result, -ENOSYS);
    }
    plat_thread_put(t);
}
END_TEST

static const unsigned char *const self_deceit[] = {do_own_frame, do_garbage_return, do_lie};

START_TEST(invented_frames)
{
    start_platform();
    struct plat_thread *t = start_guest(self_deceit[_i]);
    ck_assert(wait_for(&deaths, &births, 10000));
    ck_assert_int_le(faults, 1);
    plat_thread_put(t);
    check_alive();
}
END_TEST

static const unsigned char *const scribblers[] = {do_scribble, do_hide_tids};

START_TEST(scribbled_area)
{
    start_platform();
    for (int i = 0; i < 10; i++) {
        struct plat_thread *t = start_guest(scribblers[_i]);
        const struct timespec while_it_lasts = {.tv_nsec = 50000000};
        nanosleep(&while_it_lasts, NULL);
        plat_kill(t);
        ck_assert(wait_for(&deaths, &births, 10000));
        plat_thread_put(t);
    }
    check_alive();
}
END_TEST

/* Threads made by the stub: all are, and a kick finds each, at once or when the host has made it. */
START_TEST(prepared_threads)
{
    static const int one = 1;

    kicks_wanted = 50;
    start_platform();
    struct plat_thread *t = start_guest(do_threads);
    ck_assert(wait_for(&finished, &one, 30000));
    ck_assert_uint_eq(result, 100);
    ck_assert_int_eq(prepared, 100);
    ck_assert(wait_for(&deaths, &births, 10000));
    ck_assert_int_eq(stillborn, 0);
    plat_thread_put(t);
    check_alive();
}
END_TEST

/* Guests that fork without end, as their children do, are killed at any moment of it. */
START_TEST(killed_while_forking)
{
    unsigned seed = 1;

    start_platform();
    for (int round = 0; round < 20; round++) {
        struct plat_thread *t = start_guest(do_forks);
        const struct timespec some = {.tv_nsec = rand_r(&seed) % 20000000}, a_bit = {.tv_nsec = 1000000};
        nanosleep(&some, NULL);
        plat_kill(t);
        for (int i = 0; i < 5000 && !all_dead(); i++) {
            kill_children(); /* more may have come */
            nanosleep(&a_bit, NULL);
        }
        ck_assert(wait_for(&deaths, &births, 10000));
        plat_thread_put(t);
        pthread_mutex_lock(&mutex);
        for (int i = 0; i < CHILDREN_MAX; i++) {
            if (children[i])
                plat_thread_put(children[i]);
            children[i] = NULL;
        }
        child_count = 0;
        pthread_mutex_unlock(&mutex);
    }
    check_alive();
    ck_assert(all_dead());
}
END_TEST

/* A thread that has blocked the host's kick, by a frame of its own making, does not get away with it. */
START_TEST(blocked_kick)
{
    const uint64_t frame_addr = DATA + 0x1000;
    const struct stub_frame frame = {
        .rip = CODE + (uint64_t)(do_spin - code_start), .eflags = 0x202, .cs = 0x33, .ss = 0x2b, .sigmask = ~0UL};
    const struct timespec a_while = {.tv_nsec = 100000000};
    struct plat_thread *t;

    sc_watch_rounds = 2;
    start_platform();
    t = make_guest();
    ck_assert_int_eq(plat_copy_out(t, frame_addr, &frame, sizeof(frame)), sizeof(frame));
    const struct regs regs = {.rip = sc_stub.sigreturn_ip - 2,
                              .rax = SYS_rt_sigreturn,
                              .rsp = frame_addr,
                              .eflags = 0x202,
                              .orig_nr = (uint64_t)-1};
    plat_start(t, &regs);
    nanosleep(&a_while, NULL);
    ck_assert(!all_dead());
    plat_kick(t);
    ck_assert(wait_for(&deaths, &births, 20000));
    plat_thread_put(t);
    check_alive();
}
END_TEST

/* As on hosts whose kernel cannot keep a notified call from being interrupted. */
START_TEST(everything_trapped)
{
    static const int one = 1;

    sc_force_trap = true;
    start_platform();
    ck_assert(trap_everything);
    struct plat_thread *t = start_guest(do_registers);
    ck_assert(wait_for(&finished, &one, 10000));
    ck_assert_uint_eq(result, 8);
    plat_thread_put(t);
    check_alive();
}
END_TEST

START_TEST(registers)
{
    static const int one = 1;

    start_platform();
    struct plat_thread *t = start_guest(do_registers);
    ck_assert(wait_for(&finished, &one, 10000));
    ck_assert_uint_eq(result, 8);
    plat_thread_put(t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("seccomp");
    TCase *c = tcase_create("hostile");

    tcase_set_timeout(c, 200);
    tcase_add_loop_test(c, forbidden_calls, 0, ARRAY_SIZE(deadly));
    tcase_add_test(c, stub_ranges);
    tcase_add_loop_test(c, foreign_calls, 0, ARRAY_SIZE(foreign));
    tcase_add_loop_test(c, invented_frames, 0, ARRAY_SIZE(self_deceit));
    tcase_add_loop_test(c, scribbled_area, 0, ARRAY_SIZE(scribblers));
    tcase_add_test(c, prepared_threads);
    tcase_add_test(c, killed_while_forking);
    tcase_add_test(c, blocked_kick);
    tcase_add_test(c, everything_trapped);
    tcase_add_test(c, registers);
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
    return 0; /* the guest code above is x86-64's, and so is the stub */
}

#endif
