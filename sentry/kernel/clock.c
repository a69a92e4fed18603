/*
 * Clocks: the guest's are the host's. Only CPU clocks need translation, since their ids hold process and thread ids;
 * sleeping always goes by CLOCK_MONOTONIC, so absolute times of other clocks are converted once.
 */
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"

#include <errno.h>

#define NS_PER_SEC 1000000000LL

enum { CPUCLOCK_WHICH = 3, CPUCLOCK_THREAD = 4 };

/* The host gives a thread's CPU clock to its own process only; of a stub's thread its /proc tells. */
int clock_host_read(clockid_t clock, int64_t *out)
{
    struct timespec ts;

    if (clock < 0 && (clock & CPUCLOCK_THREAD))
        return mm_host_thread_ns((pid_t) ~(clock >> 3), out) < 0 ? -EINVAL : 0;
    if (clock_gettime(clock, &ts) < 0)
        return -EINVAL;
    *out = ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
    return 0;
}

static int64_t clock_ns(clockid_t clock)
{
    int64_t ns = 0;

    return clock_host_read(clock, &ns) < 0 ? 0 : ns;
}

int timespec_read_ns(struct task *t, uint64_t addr, int64_t *out)
{
    struct timespec ts;
    int ret = user_read(t, &ts, addr, sizeof(ts));

    if (ret < 0)
        return ret;
    if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= NS_PER_SEC)
        return -EINVAL;
    if (__builtin_mul_overflow(ts.tv_sec, NS_PER_SEC, out) || __builtin_add_overflow(*out, ts.tv_nsec, out))
        *out = INT64_MAX;
    return 0;
}

int timespec_write_ns(struct task *t, uint64_t addr, int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};

    return user_write(t, addr, &ts, sizeof(ts));
}

int64_t clock_deadline(clockid_t clock, int64_t ns)
{
    int64_t left;

    if (clock == CLOCK_MONOTONIC)
        return ns;
    left = ns - clock_ns(clock);
    return left <= 0 ? 0 : deadline_after(left);
}

static clockid_t cpu_clock(pid_t host_id, int bits)
{
    return (clockid_t)((~(unsigned)host_id << 3) | (unsigned)bits);
}

static int host_cpu_clock(struct task *of, bool thread, int which, clockid_t *out)
{
    pid_t id = -1;

    lock(&of->tg->siglock);
    if (of->pt)
        id = thread ? plat_host_tid(of->pt) : plat_host_pid(of->pt);
    unlock(&of->tg->siglock);
    if (id <= 0)
        return -EINVAL;
    *out = cpu_clock(id, which | (thread ? CPUCLOCK_THREAD : 0));
    return 0;
}

/* A CPU clock id made by pthread_getcpuclockid() and the like: ~id << 3, a thread bit and the kind of time. */
static int encoded_cpu_clock(struct task *t, clockid_t id, clockid_t *out)
{
    pid_t pid = (pid_t) ~(id >> 3);
    bool thread = id & CPUCLOCK_THREAD;
    int which = id & CPUCLOCK_WHICH, ret;
    struct task *of;

    if (which == CPUCLOCK_WHICH || pid < 0)
        return -EINVAL;
    if (!pid)
        return host_cpu_clock(t, thread, which, out);
    of = task_find(pid);
    if (!of)
        return -EINVAL;
    ret = thread && of->tg != t->tg ? -EINVAL : host_cpu_clock(of, thread, which, out);
    task_put(of);
    return ret;
}

int clock_host_id(struct task *t, clockid_t id, clockid_t *out)
{
    *out = id;
    if (id < 0)
        return encoded_cpu_clock(t, id, out);
    if (id == CLOCK_PROCESS_CPUTIME_ID)
        return host_cpu_clock(t, false, 2, out);
    if (id == CLOCK_THREAD_CPUTIME_ID)
        return host_cpu_clock(t, true, 2, out);
    return id > CLOCK_TAI || id == 10 ? -EINVAL : 0;
}

int64_t clock_process_cpu(struct thread_group *tg)
{
    clockid_t clock = 0;
    pid_t id = -1;

    lock(&tg->siglock);
    if (tg->leader && tg->leader->pt)
        id = plat_host_pid(tg->leader->pt);
    unlock(&tg->siglock);
    if (id <= 0)
        return 0;
    clock = cpu_clock(id, 2);
    return clock_ns(clock);
}
