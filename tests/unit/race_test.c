/*
 * Tasks of one process that make random system calls at once, on a platform with no guest: for ThreadSanitizer, and for
 * the check of lock order. Which calls succeed does not matter; afterwards every task still answers.
 */
#include "tests/fuzz/arguments.h"
#include "tests/fuzz/fake_platform.h"
#include "tests/fuzz/tree.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/vfs.h"

#include <asm/unistd.h>
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS 4
#define CALLS 100000

/* Calls that end, replace or duplicate the task, and those that would stop the others. */
static const unsigned left_out[] = {__NR_exit,         __NR_exit_group, __NR_execve,  __NR_execveat,
                                    __NR_rt_sigreturn, __NR_clone,      __NR_clone3,  __NR_fork,
                                    __NR_vfork,        __NR_mount,      __NR_umount2, __NR_close_range};

static struct task *tasks[THREADS];
static struct path top;

/* Its tasks are never taken down, nor what they have open. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* Never asleep: a signal always waits. */
static void keep_awake(struct task *t)
{
    lock(&t->tg->siglock);
    t->killed = true;
    unlock(&t->tg->siglock);
    atomic_store(&t->signal_wake, true);
}

static void set_up(void)
{
    const struct sysargs thread = {.a = {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD}};

    struct task *t = task_create_init(cred_new(0, 0, NULL, 0), files_new(), NULL);
    ck_assert_ptr_nonnull(t);
    t->mm = mm_new();
    current = tasks[0] = t;
    tree_begin(t);
    fs_context_root(t->fs, &top);
    fake_clone_works = true;
    for (int i = 1; i < THREADS; i++) {
        ck_assert_int_gt(syscall_table[__NR_clone].fn(t, &thread), 1);
        tasks[i] = fake_cloned;
    }
    for (int i = 0; i < THREADS; i++)
        keep_awake(tasks[i]);
}

/*
 * The end of what came of earlier calls: no limit too low, nobody's rights given up, files where they are looked for,
 * and a descriptor of each kind, as far as there is room.
 */
static void restore(struct task *t)
{
    cred_install(t, cred_new(0, 0, NULL, 0));
    fs_context_set_root(t->fs, &top);
    fs_context_set_cwd(t->fs, &top);
    arguments_open(t);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One call in a few makes room for new descriptors, or they would soon be the same few for good. */
static uint64_t random_call(uint64_t *state)
{
    const uint64_t r = next_random(state) >> 8;

    return r % 12 ? (r >> 8) % 460 : __NR_close;
}

static bool allowed(uint64_t nr)
{
    for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
        if (nr == left_out[i])
            return false;
    return nr < SYSCALL_MAX && syscall_table[nr].fn;
}

static void *run(void *arg)
{
    struct task *t = arg;
    uint64_t state = 0x9e3779b97f4a7c15ULL * (uint64_t)t->tid;

    current = t;
    for (int i = 0; i < CALLS; i++) {
        struct sysargs a = {.nr = random_call(&state), .ip = FAKE_BASE};
        for (int k = 0; k < 6; k++)
            a.a[k] = argument_for(syscall_table[a.nr].name, k, next_random(&state));
        keep_awake(t);
        if (i % 16 == 0)
            sched_yield(); /* also on a busy machine they shall meet */
        if (i % 128 == 0)
            restore(t);
        if (allowed(a.nr))
            (void)syscall_table[a.nr].fn(t, &a);
    }
    return NULL;
}

START_TEST(calls_at_once)
{
    pthread_t threads[THREADS];

    set_up();
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run, tasks[i]), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        const struct sysargs none = {0};
        current = tasks[i];
        ck_assert_int_eq(syscall_table[__NR_gettid].fn(tasks[i], &none), tasks[i]->tid);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("race");
    TCase *tc = tcase_create("calls");
    SRunner *runner = srunner_create(s);

    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, calls_at_once);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
