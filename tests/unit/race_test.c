/*
 * Tasks of one process that make random system calls at once, on a platform with no guest: for ThreadSanitizer, and for
 * the check of lock order. Which calls succeed does not matter; afterwards every task still answers.
 */
#include "tests/fuzz/arguments.h"
#include "tests/fuzz/fake_platform.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/vfs.h"

#include <asm/unistd.h>
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

static void add_mount(const struct path *root, const char *name, int (*make)(struct dentry **))
{
    struct inode *made, *i = dentry_inode(root->dentry);
    struct dentry *d;
    struct path at;

    ck_assert_int_eq(make(&d), 0);
    ck_assert_int_eq(i->ops->mkdir(i, name, 0755, tasks[0]->cred, &made), 0);
    inode_put(made);
    ck_assert_int_eq(path_lookup_from(tasks[0], root, name, 0, &at), 0);
    ck_assert_int_eq(mount_at(&at, d, 0, name), 0);
    path_put(&at);
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
    struct dentry *d;

    ck_assert_int_eq(tmpfs_mount(1 << 20, 0755, &d), 0);
    ck_assert_int_eq(mount_root(d, 0, "none", &top), 0);
    struct task *t = task_create_init(cred_new(0, 0, NULL, 0), files_new(), fs_context_new(&top, &top, 022));
    ck_assert_ptr_nonnull(t);
    t->mm = mm_new();
    current = tasks[0] = t;
    add_mount(&top, "proc", proc_mount);
    add_mount(&top, "dev", dev_mount);
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
    static const struct sysargs calls[] = {
        {.nr = __NR_prlimit64, .a = {0, RLIMIT_NOFILE, ARGUMENT_FILES_LIMIT}},
        {.nr = __NR_prlimit64, .a = {0, RLIMIT_FSIZE, ARGUMENT_SIZE_LIMIT}},
        {.nr = __NR_mkdir, .a = {ARGUMENT_DIRECTORY, 0755}},
        {.nr = __NR_open, .a = {ARGUMENT_FILE, O_RDWR | O_CREAT, 0644}},
        {.nr = __NR_open, .a = {ARGUMENT_DIRECTORY, O_RDONLY}},
        {.nr = __NR_socketpair, .a = {AF_UNIX, SOCK_STREAM, 0, ARGUMENT_ROOM}},
        {.nr = __NR_socket, .a = {AF_UNIX, SOCK_STREAM}},
        {.nr = __NR_pipe2, .a = {ARGUMENT_ROOM}},
        {.nr = __NR_eventfd2},
        {.nr = __NR_epoll_create1},
        {.nr = __NR_timerfd_create, .a = {CLOCK_MONOTONIC}},
        {.nr = __NR_inotify_init1},
        {.nr = __NR_pidfd_open, .a = {1}},
    };

    cred_install(t, cred_new(0, 0, NULL, 0));
    fs_context_set_root(t->fs, &top);
    fs_context_set_cwd(t->fs, &top);
    arguments_fill();
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        (void)syscall_table[calls[i].nr].fn(t, &calls[i]);
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
