/*
 * kcmp(2): do two processes share a kernel object? The order among different ones is Linux's promise to sort by; it is
 * made from the objects' addresses scrambled by a secret, so that it tells nothing of where they are.
 */
#include "sentry/fs/proc/access.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sys/random.h>

static uint64_t secret[2];

static void make_secret(void)
{
    if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
        secret[0] = secret[1] = 0x9e3779b97f4a7c15ULL;
    secret[1] |= 1;
}

static uint64_t scramble(const void *p)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_secret);
    return ((uint64_t)(uintptr_t)p ^ secret[0]) * secret[1];
}

/* 0: the same, 1 and 2: less and greater. */
static long order(const void *a, const void *b)
{
    return a == b ? 0 : scramble(a) < scramble(b) ? 1 : 2;
}

static const void *object_locked(struct task *t, int type)
{
    switch (type) {
    case KCMP_VM:
        return t->mm;
    case KCMP_FILES:
        return t->files;
    case KCMP_FS:
        return t->fs;
    case KCMP_SIGHAND:
        return t->tg->sighand;
    default: /* KCMP_IO, KCMP_SYSVSEM: what nobody has is the same */
        return NULL;
    }
}

/* The file behind t's fd with a reference, or NULL. */
static struct file *file_of(struct task *t, uint64_t fd)
{
    struct file *f = NULL;

    lock(&tasks_lock);
    struct files *files = t->files ? files_get(t->files) : NULL;
    unlock(&tasks_lock);
    if (files) {
        f = fd > INT32_MAX ? NULL : files_get_file(files, (int)fd);
        files_put(files, current);
    }
    return f;
}

static long compare_files(struct task *a, struct task *b, uint64_t fd_a, uint64_t fd_b)
{
    struct file *fa = file_of(a, fd_a), *fb = file_of(b, fd_b);
    long ret = fa && fb ? order(fa, fb) : -EBADF;

    file_put(fa);
    file_put(fb);
    return ret;
}

static long compare(struct task *a, struct task *b, const struct sysargs *args)
{
    const int type = (int)args->a[2];

    if (type < 0 || type >= KCMP_TYPES)
        return -EINVAL;
    if (type == KCMP_EPOLL_TFD)
        return -EOPNOTSUPP;
    if (type == KCMP_FILE)
        return compare_files(a, b, args->a[3], args->a[4]);
    lock(&tasks_lock);
    long ret = order(object_locked(a, type), object_locked(b, type));
    unlock(&tasks_lock);
    return ret;
}

long sys_kcmp(struct task *t, const struct sysargs *args)
{
    struct task *a = task_find((pid_t)args->a[0]), *b = task_find((pid_t)args->a[1]);
    long ret = -ESRCH;

    if (a && b) {
        ret = proc_may_trace(t, a->tid) < 0 || proc_may_trace(t, b->tid) < 0 ? -EPERM : 0;
        if (ret == 0)
            ret = compare(a, b, args);
    }
    if (a)
        task_put(a);
    if (b)
        task_put(b);
    return ret;
}
