/* setitimer(2), getitimer(2), alarm(2). */
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <sys/time.h>

#define NS_PER_SEC 1000000000LL

static int from_timeval(const struct timeval *tv, int64_t *ns)
{
    if (tv->tv_sec < 0 || tv->tv_usec < 0 || tv->tv_usec >= 1000000)
        return -EINVAL;
    if (__builtin_mul_overflow(tv->tv_sec, NS_PER_SEC, ns) || __builtin_add_overflow(*ns, tv->tv_usec * 1000, ns))
        *ns = INT64_MAX / 2;
    *ns = MIN(*ns, INT64_MAX / 2);
    return 0;
}

static struct timeval to_timeval(int64_t ns)
{
    return (struct timeval){.tv_sec = ns / NS_PER_SEC, .tv_usec = ns % NS_PER_SEC / 1000};
}

static int write_value(struct task *t, uint64_t addr, const struct itimer_value *v)
{
    struct itimerval it = {.it_interval = to_timeval(v->interval), .it_value = to_timeval(v->value)};

    return user_write(t, addr, &it, sizeof(it));
}

long sys_getitimer(struct task *t, const struct sysargs *a)
{
    struct itimer_value old;
    unsigned which = (unsigned)a->a[0];
    int ret;

    if (which > ITIMER_PROF)
        return -EINVAL;
    ret = itimer_set(t->tg, (int)which, NULL, &old);
    return ret < 0 ? ret : write_value(t, a->a[1], &old);
}

long sys_setitimer(struct task *t, const struct sysargs *a)
{
    struct itimer_value set = {0, 0}, old;
    unsigned which = (unsigned)a->a[0];
    struct itimerval it;
    int ret;

    if (a->a[1]) {
        ret = user_read(t, &it, a->a[1], sizeof(it));
        if (!ret)
            ret = from_timeval(&it.it_value, &set.value);
        if (!ret)
            ret = from_timeval(&it.it_interval, &set.interval);
        if (ret < 0)
            return ret;
    }
    if (which > ITIMER_PROF)
        return -EINVAL;
    ret = itimer_set(t->tg, (int)which, &set, &old);
    if (ret < 0 || !a->a[2])
        return ret;
    return write_value(t, a->a[2], &old);
}

#ifdef __x86_64__
long sys_alarm(struct task *t, const struct sysargs *a)
{
    struct itimer_value set = {.value = (int64_t)(uint32_t)a->a[0] * NS_PER_SEC}, old;
    int ret = itimer_set(t->tg, ITIMER_REAL, &set, &old);

    if (ret < 0)
        return ret;
    /* alarm(2) rounds to whole seconds, but never a pending alarm to none. */
    int64_t seconds = (old.value + NS_PER_SEC / 2) / NS_PER_SEC;
    return old.value && !seconds ? 1 : seconds;
}
#endif
