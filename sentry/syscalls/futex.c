/*
 * futex(2), futex_waitv(2) and the registration of robust lists and of the word to clear at exit.
 *
 * Priority inheritance is not offered: FUTEX_LOCK_PI and its kin are ENOSYS, as on kernels without it.
 */
#include "sentry/kernel/futex.h"

#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>

#define ROBUST_HEAD_SIZE 24

static long restart_wait(struct task *t, struct restart_block *rb)
{
    struct futex_wait_item item = {.addr = rb->arg[0], .value = (uint32_t)rb->arg[1], .private_key = rb->arg[3] != 0};
    long ret = futex_wait(t, &item, 1, (uint32_t)rb->arg[2], rb->deadline);

    return ret == -ERESTARTSYS ? -ERESTART_RESTARTBLOCK : ret;
}

static int read_deadline(struct task *t, uint64_t addr, bool relative, clockid_t clock, int64_t *out)
{
    int64_t ns;
    int ret;

    *out = NO_DEADLINE;
    if (!addr)
        return 0;
    ret = timespec_read_ns(t, addr, &ns);
    if (ret < 0)
        return ret;
    *out = relative ? deadline_after(ns) : clock_deadline(clock, ns);
    return 0;
}

static long do_wait(struct task *t, const struct sysargs *a, int cmd, uint32_t bitset, int op)
{
    struct futex_wait_item item = {
        .addr = a->a[0], .value = (uint32_t)a->a[2], .private_key = (op & FUTEX_PRIVATE_FLAG) != 0};
    clockid_t clock = op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    int64_t deadline;
    long ret;

    if (!bitset)
        return -EINVAL;
    ret = read_deadline(t, a->a[3], cmd == FUTEX_WAIT, clock, &deadline);
    if (ret < 0)
        return ret;
    ret = futex_wait(t, &item, 1, bitset, deadline);
    if (ret != -ERESTARTSYS || deadline == NO_DEADLINE)
        return ret;
    t->restart = (struct restart_block){
        .fn = restart_wait, .arg = {item.addr, item.value, bitset, item.private_key}, .deadline = deadline};
    return -ERESTART_RESTARTBLOCK;
}

long sys_futex(struct task *t, const struct sysargs *a)
{
    int op = (int)a->a[1], cmd = op & FUTEX_CMD_MASK;
    bool private_key = op & FUTEX_PRIVATE_FLAG;
    uint32_t val3 = (uint32_t)a->a[5];

    if ((op & FUTEX_CLOCK_REALTIME) && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_WAIT)
        return -ENOSYS;
    switch (cmd) {
    case FUTEX_WAIT:
        return do_wait(t, a, cmd, FUTEX_BITSET_MATCH_ANY, op);
    case FUTEX_WAIT_BITSET:
        return do_wait(t, a, cmd, val3, op);
    case FUTEX_WAKE:
        return futex_wake(t, a->a[0], private_key, (int)a->a[2], FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET:
        return futex_wake(t, a->a[0], private_key, (int)a->a[2], val3);
    case FUTEX_REQUEUE:
        return futex_requeue(t, a->a[0], a->a[4], private_key, (int)a->a[2], (int)a->a[3], NULL);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(t, a->a[0], a->a[4], private_key, (int)a->a[2], (int)a->a[3], &val3);
    case FUTEX_WAKE_OP:
        return futex_wake_op(t, a->a[0], a->a[4], private_key, (int)a->a[2], (int)a->a[3], val3);
    default:
        return -ENOSYS;
    }
}

/* struct futex_waitv of linux/futex.h. */
struct waitv {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};

#define WAITV_32 2U /* FUTEX_32: the only size there is */

static int read_waitv(struct task *t, uint64_t addr, struct futex_wait_item *items, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct waitv w;
        int ret = user_read(t, &w, addr + i * sizeof(w), sizeof(w));

        if (ret < 0)
            return ret;
        if (w.flags & ~(WAITV_32 | FUTEX_PRIVATE_FLAG) || w.reserved || !(w.flags & WAITV_32))
            return -EINVAL;
        items[i] = (struct futex_wait_item){
            .addr = w.uaddr, .value = (uint32_t)w.val, .private_key = (w.flags & FUTEX_PRIVATE_FLAG) != 0};
    }
    return 0;
}

long sys_futex_waitv(struct task *t, const struct sysargs *a)
{
    struct futex_wait_item items[FUTEX_WAITV_LIMIT];
    uint64_t n = (uint32_t)a->a[1];
    clockid_t clock = (clockid_t)a->a[4];
    int64_t deadline;
    int ret;

    if ((uint32_t)a->a[2] || !n || n > FUTEX_WAITV_LIMIT || !a->a[0])
        return -EINVAL;
    if (a->a[3] && clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return -EINVAL;
    ret = read_deadline(t, a->a[3], false, clock, &deadline);
    if (!ret)
        ret = read_waitv(t, a->a[0], items, (unsigned)n);
    if (ret < 0)
        return ret;
    return futex_wait(t, items, (unsigned)n, FUTEX_BITSET_MATCH_ANY, deadline);
}

long sys_set_robust_list(struct task *t, const struct sysargs *a)
{
    if (a->a[1] != ROBUST_HEAD_SIZE)
        return -EINVAL;
    t->robust_list = a->a[0];
    t->robust_list_len = a->a[1];
    return 0;
}

long sys_get_robust_list(struct task *t, const struct sysargs *a)
{
    pid_t tid = (pid_t)a->a[0];
    size_t len = ROBUST_HEAD_SIZE;
    struct task *target = t;
    uint64_t head;
    bool may = true;

    if (tid && tid != t->tid) {
        target = task_find(tid);
        if (!target)
            return -ESRCH;
        lock(&tasks_lock);
        may = signal_may_send(t, target->tg, SIGKILL);
        unlock(&tasks_lock);
    }
    head = futex_robust_list(target);
    if (target != t)
        task_put(target);
    if (!may)
        return -EPERM;
    if (user_write(t, a->a[2], &len, sizeof(len)) < 0 || user_write(t, a->a[1], &head, sizeof(head)) < 0)
        return -EFAULT;
    return 0;
}
