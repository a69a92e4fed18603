/*
 * System call handlers with random numbers and arguments, on a platform with no guest (fake_platform.c). The input is a
 * program: what guest memory holds, then calls. Arguments are taken from the classes that get past first checks: small
 * numbers, descriptors, addresses in guest memory, flags, and anything.
 *
 * No call blocks: the task always has a signal waiting. Calls that end the task, or the fuzzer with it, are left out.
 */
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
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CALLS_MAX 64
#define GUEST_BYTES 1024 /* of the input at the beginning of guest memory */

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

static uint64_t argument(struct input *in)
{
    uint8_t b = (uint8_t)take(in, 1);

    switch (b >> 5) {
    case 0:
        return b & 31; /* descriptors, small counts */
    case 1:
        return FAKE_BASE + (uint64_t)(b & 31) * 32;
    case 2:
        return FAKE_BASE + take(in, 2);
    case 3:
        return 1ULL << (b & 31);
    case 4:
        return take(in, 2);
    case 5:
        return take(in, 4);
    case 6:
        return (uint64_t) - (int64_t)(b & 31) - 69; /* AT_FDCWD and its neighbours */
    default:
        return take(in, 8);
    }
}

static void add_mount(const struct path *root, const char *name, int (*make)(struct dentry **))
{
    struct inode *made, *i = dentry_inode(root->dentry);
    struct dentry *d;
    struct path at;

    if (make(&d) < 0 || i->ops->mkdir(i, name, 0755, me->cred, &made) < 0)
        abort();
    inode_put(made);
    if (path_lookup_from(me, root, name, 0, &at) < 0 || mount_at(&at, d, 0, name) < 0)
        abort();
    path_put(&at);
}

static void set_up(void)
{
    struct rlimit files = {512, 512};
    struct dentry *d;
    struct path root;

    setrlimit(RLIMIT_NOFILE, &files);
    if (tmpfs_mount(1 << 20, 0755, &d) < 0 || mount_root(d, 0, "none", &root) < 0)
        abort();
    me = task_create_init(cred_new(0, 0, NULL, 0), files_new(), fs_context_new(&root, &root, 022));
    if (!me || !(me->mm = mm_new()))
        abort();
    current = me;
    me->tg->rlimits[RLIMIT_NOFILE] = (struct rlimit64){48, 64};
    me->tg->rlimits[RLIMIT_FSIZE] = (struct rlimit64){1 << 20, 1 << 20};
    add_mount(&root, "proc", proc_mount);
    add_mount(&root, "dev", dev_mount);
    add_mount(&root, "sys", sysfs_mount);
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

static void fresh_files(void)
{
    struct files *old = me->files, *new_files = files_new();

    if (!new_files)
        return;
    lock(&tasks_lock);
    me->files = new_files;
    unlock(&tasks_lock);
    files_put(old, me);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    size_t bytes = MIN(size / 2, (size_t)GUEST_BYTES);

    if (!me)
        set_up();
    fresh_files();
    memset(fake_memory, 0, sizeof(fake_memory));
    memcpy(fake_memory, data, bytes);
    in.at += bytes;
    in.left -= bytes;
    for (int i = 0; i < CALLS_MAX && in.left; i++) {
        struct sysargs a = {.nr = take(&in, 2) % 460, .ip = FAKE_BASE};
        for (int k = 0; k < 6; k++)
            a.a[k] = argument(&in);
        revive();
        if (allowed(a.nr))
            (void)syscall_table[a.nr].fn(me, &a);
    }
    return 0;
}
