/*
 * Reading clocks and sleeping by them. Most reads never come here: the vDSO serves them in the guest. Setting the
 * host's time is nobody's right in here: EPERM.
 */
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timex.h>

long sys_clock_gettime(struct task *t, const struct sysargs *a)
{
    int64_t ns = 0;
    clockid_t clock;
    int ret = clock_host_id(t, (clockid_t)a->a[0], &clock);

    if (ret == 0)
        ret = clock_host_read(clock, &ns);
    return ret < 0 ? ret : timespec_write_ns(t, a->a[1], ns);
}

long sys_clock_getres(struct task *t, const struct sysargs *a)
{
    struct timespec ts = {.tv_nsec = 1}; /* of CPU clocks */
    clockid_t clock;
    int ret = clock_host_id(t, (clockid_t)a->a[0], &clock);

    if (ret < 0)
        return ret;
    if (clock >= 0 && clock_getres(clock, &ts) < 0)
        return -EINVAL;
    return a->a[1] ? user_write(t, a->a[1], &ts, sizeof(ts)) : 0;
}

long sys_clock_settime(struct task *t, const struct sysargs *a)
{
    clockid_t id = (clockid_t)a->a[0];
    int64_t ns;

    if (id != CLOCK_REALTIME)
        return -EINVAL;
    int ret = timespec_read_ns(t, a->a[1], &ns);
    return ret < 0 ? ret : -EPERM;
}

/* What the clock's state looks like to somebody who may not change it. */
static long do_adjtimex(struct task *t, uint64_t addr)
{
    struct timex tx;

    if (user_read(t, &tx, addr, sizeof(tx)) < 0)
        return -EFAULT;
    if (tx.modes)
        return -EPERM;
    tx =
        (struct timex){.status = STA_UNSYNC, .maxerror = 16000000, .esterror = 16000000, .tick = 10000, .precision = 1};
    gettimeofday(&tx.time, NULL);
    return user_write(t, addr, &tx, sizeof(tx)) < 0 ? -EFAULT : TIME_ERROR;
}

long sys_adjtimex(struct task *t, const struct sysargs *a)
{
    return do_adjtimex(t, a->a[0]);
}

long sys_clock_adjtime(struct task *t, const struct sysargs *a)
{
    return (clockid_t)a->a[0] == CLOCK_REALTIME ? do_adjtimex(t, a->a[1]) : -EOPNOTSUPP;
}

long sys_gettimeofday(struct task *t, const struct sysargs *a)
{
    struct timeval tv;
    struct timezone utc = {0, 0};

    gettimeofday(&tv, NULL);
    if (a->a[0] && user_write(t, a->a[0], &tv, sizeof(tv)) < 0)
        return -EFAULT;
    return a->a[1] ? user_write(t, a->a[1], &utc, sizeof(utc)) : 0;
}

long sys_settimeofday(struct task *t unused_arg, const struct sysargs *a unused_arg)
{
    return -EPERM;
}

#ifdef __x86_64__
long sys_time(struct task *t, const struct sysargs *a)
{
    time_t now = time(NULL);

    if (a->a[0] && user_write(t, a->a[0], &now, sizeof(now)) < 0)
        return -EFAULT;
    return now;
}
#endif

/* Sleeps until the deadline; 0 or -ERESTARTSYS. */
static int sleep_until(struct task *t, int64_t deadline)
{
    int ret = 0;

    while (!ret)
        ret = task_sleep(t, deadline);
    return ret == -ETIMEDOUT ? 0 : ret;
}

/* A relative sleep that may be continued: arg[0] is where to say how much is left. */
static long relative_sleep(struct task *t, struct restart_block *rb)
{
    int64_t deadline = rb->deadline, left;

    if (!sleep_until(t, deadline))
        return 0;
    left = deadline - now_monotonic();
    if (left <= 0)
        return 0;
    if (rb->arg[0] && timespec_write_ns(t, rb->arg[0], left) < 0)
        return -EFAULT;
    return -ERESTART_RESTARTBLOCK;
}

static long start_relative(struct task *t, int64_t ns, uint64_t remaining)
{
    if (!ns)
        return 0;
    t->restart = (struct restart_block){.fn = relative_sleep, .arg = {remaining}, .deadline = deadline_after(ns)};
    return relative_sleep(t, &t->restart);
}

long sys_nanosleep(struct task *t, const struct sysargs *a)
{
    int64_t ns;
    int ret = timespec_read_ns(t, a->a[0], &ns);

    return ret < 0 ? ret : start_relative(t, ns, a->a[1]);
}

/* -EINVAL: no such clock; -EOPNOTSUPP: one that nobody can sleep by here. */
static int check_sleep_clock(struct task *t, clockid_t clock)
{
    clockid_t host;
    int ret;

    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
        return 0;
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
        return -EPERM;
    case CLOCK_THREAD_CPUTIME_ID:
        return -EINVAL;
    case CLOCK_PROCESS_CPUTIME_ID:
        return 0;
    default:
        ret = clock_host_id(t, clock, &host);
        return ret < 0 ? ret : clock < 0 ? 0 : -EOPNOTSUPP;
    }
}

/* Sleeps until the CPU clock reads target: looks no later than the time could have run out, and again for the rest. */
static int cpu_sleep(struct task *t, clockid_t host, int64_t target, int64_t *left)
{
    int64_t now = 0;
    int ret = 0;

    while (ret == 0) {
        if (clock_host_read(host, &now) < 0)
            return -EINVAL; /* its thread is gone */
        *left = target - now;
        if (*left <= 0)
            return 0;
        ret = task_sleep(t, deadline_after(MAX(*left / MAX(t->tg->live, 1), 1000000LL)));
        if (ret == -ETIMEDOUT)
            ret = 0;
    }
    return ret;
}

static long cpu_restart(struct task *t, struct restart_block *rb)
{
    int64_t left;
    int ret = cpu_sleep(t, (clockid_t)rb->arg[1], rb->deadline, &left);

    if (ret != -ERESTARTSYS)
        return ret;
    if (rb->arg[0] && timespec_write_ns(t, rb->arg[0], left) < 0)
        return -EFAULT;
    return -ERESTART_RESTARTBLOCK;
}

static long sleep_by_cpu(struct task *t, clockid_t clock, bool absolute, int64_t ns, uint64_t remaining)
{
    clockid_t host;
    int64_t target = ns, left, now = 0;

    int ret = clock_host_id(t, clock, &host);
    if (ret < 0)
        return ret;
    if (absolute) {
        ret = cpu_sleep(t, host, target, &left);
        return ret == -ERESTARTSYS ? -ERESTARTNOHAND : ret;
    }
    if (clock_host_read(host, &now) < 0)
        return -EINVAL;
    if (__builtin_add_overflow(now, ns, &target))
        target = INT64_MAX;
    t->restart = (struct restart_block){.fn = cpu_restart, .arg = {remaining, (uint64_t)host}, .deadline = target};
    return cpu_restart(t, &t->restart);
}

long sys_clock_nanosleep(struct task *t, const struct sysargs *a)
{
    clockid_t clock = (clockid_t)a->a[0];
    int64_t ns;
    int ret = check_sleep_clock(t, clock);

    if (!ret)
        ret = timespec_read_ns(t, a->a[2], &ns);
    if (ret < 0)
        return ret;
    if (clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID)
        return sleep_by_cpu(t, clock, (int)a->a[1] & TIMER_ABSTIME, ns, a->a[3]);
    if (!((int)a->a[1] & TIMER_ABSTIME))
        return start_relative(t, ns, a->a[3]);
    return sleep_until(t, clock_deadline(clock, ns)) ? -ERESTARTNOHAND : 0;
}
