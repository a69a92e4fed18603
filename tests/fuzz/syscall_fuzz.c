/*
 * System call handlers with random numbers and arguments, on a platform with no guest (fake_platform.c). The input is a
 * program of calls: their arguments are mostly ones that get past first checks (arguments.h), and in between it writes
 * to guest memory. Each begins with fresh files, descriptors, memory and rights, and a descriptor of each kind.
 *
 * No call blocks: the task always has a signal waiting. Calls that end the task, or the fuzzer with it, are left out.
 */
#include "tests/fuzz/arguments.h"
#include "tests/fuzz/fake_platform.h"
#include "tests/fuzz/tree.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/vfs.h"

#include <asm/unistd.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CALLS_MAX 64

static const unsigned left_out[] = {__NR_exit, __NR_exit_group, __NR_execve, __NR_execveat,
                                    /* these read the stack of registers that this platform makes up */
                                    __NR_rt_sigreturn};

struct input {
    const uint8_t *at;
    size_t left;
};

static struct task *me;

static uint64_t take(struct input *in, size_t bytes)
{
    uint64_t v = 0;

    for (size_t i = 0; i < bytes && in->left; i++, in->left--)
        v = v << 8 | *in->at++;
    return v;
}

/* The guest's own writes: a few bytes of what calls point to. */
static void scribble(struct input *in)
{
    size_t at = take(in, 2), n = take(in, 1) % 9;

    for (size_t i = 0; i < n; i++) {
        const uint8_t b = (uint8_t)take(in, 1);
        fake_write((at + i) % (ARGUMENT_ROOM - FAKE_BASE), &b, 1);
    }
}

static void set_up(void)
{
    struct rlimit files = {512, 512};

    setrlimit(RLIMIT_NOFILE, &files);
    me = task_create_init(cred_new(0, 0, NULL, 0), files_new(), NULL);
    if (!me)
        abort();
    current = me;
}

static bool allowed(uint64_t nr)
{
    for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
        if (nr == left_out[i])
            return false;
    return nr < SYSCALL_MAX && syscall_table[nr].fn;
}

/* The task as it was: alive, with a signal waiting, and no end in sight. */
static void revive(void)
{
    lock(&me->tg->siglock);
    me->killed = true;
    me->tg->group_exiting = false;
    me->tg->stopping = me->tg->stopped = me->group_stop_pending = false;
    me->tg->stop_count = 0;
    unlock(&me->tg->siglock);
    me->restore_mask = false;
    atomic_store(&me->signal_wake, true);
}

static void set_memory_and_files(struct mm *mm, struct files *files)
{
    struct mm *old_mm = me->mm;
    struct files *old_files = me->files;

    lock(&tasks_lock);
    me->mm = mm;
    me->files = files;
    unlock(&tasks_lock);
    if (old_files)
        files_put(old_files, me);
    if (old_mm)
        mm_put(old_mm);
}

static void begin(void)
{
    struct mm *mm = mm_new();
    struct files *files = files_new();

    if (!mm || !files)
        abort();
    revive();
    set_memory_and_files(mm, files);
    tree_begin(me);
    memset(fake_memory, 0, sizeof(fake_memory));
    arguments_open(me);
}

/* Gives up all that the input made, so that what it leaves behind is a leak. */
static void end(void)
{
    revive();
    set_memory_and_files(NULL, NULL);
    posix_timers_exit(me->tg);
    cred_install(me, cred_new(0, 0, NULL, 0));
    tree_end(me);
}

static void call(struct input *in)
{
    struct sysargs a = {.nr = take(in, 2) % 460, .ip = FAKE_BASE};

    if (!allowed(a.nr))
        return;
    for (int k = 0; k < 6; k++)
        a.a[k] = argument_for(syscall_table[a.nr].name, k, take(in, 5));
    revive();
    (void)syscall_table[a.nr].fn(me, &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    if (!me)
        set_up();
    begin();
    for (int i = 0; i < CALLS_MAX && in.left; i++) {
        if (take(&in, 1) % 4 == 0)
            scribble(&in);
        call(&in);
    }
    end();
    return 0;
}
