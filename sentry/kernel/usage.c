/*
 * CPU time and faults. The host counts them for the stub's threads and processes: live ones are read from their CPU
 * clocks (the clock id of another's CPU time encodes its id, as clock_getcpuclockid(3) does), dead ones from the rusage
 * that process_died() brings. Time spent in the sentry on a guest's behalf is not in it.
 */
#include "sentry/kernel/lifecycle.h"
#include "sentry/kernel/timer.h"

#include <time.h>

#define NS_PER_SEC 1000000000ULL

enum { CPUCLOCK_SCHED = 2, CPUCLOCK_PERTHREAD = 4 };

static uint64_t cpu_clock_ns(pid_t id, int kind)
{
    int64_t ns = 0;

    if (id <= 0 || clock_host_read((clockid_t)((~(unsigned)id << 3) | (unsigned)kind), &ns) < 0)
        return 0;
    return (uint64_t)ns;
}

void usage_add(struct usage *sum, const struct usage *more)
{
    sum->utime_ns += more->utime_ns;
    sum->stime_ns += more->stime_ns;
    sum->minflt += more->minflt;
    sum->majflt += more->majflt;
    sum->nvcsw += more->nvcsw;
    sum->nivcsw += more->nivcsw;
    sum->inblock += more->inblock;
    sum->oublock += more->oublock;
    sum->maxrss_kib = MAX(sum->maxrss_kib, more->maxrss_kib);
}

static uint64_t timeval_ns(const struct timeval *tv)
{
    return (uint64_t)tv->tv_sec * NS_PER_SEC + (uint64_t)tv->tv_usec * 1000;
}

static struct timeval ns_timeval(uint64_t ns)
{
    return (struct timeval){.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_usec = (suseconds_t)(ns % NS_PER_SEC / 1000)};
}

void usage_from_rusage(const struct rusage *ru, struct usage *out)
{
    *out = (struct usage){
        .utime_ns = timeval_ns(&ru->ru_utime),
        .stime_ns = timeval_ns(&ru->ru_stime),
        .minflt = (uint64_t)ru->ru_minflt,
        .majflt = (uint64_t)ru->ru_majflt,
        .nvcsw = (uint64_t)ru->ru_nvcsw,
        .nivcsw = (uint64_t)ru->ru_nivcsw,
        .inblock = (uint64_t)ru->ru_inblock,
        .oublock = (uint64_t)ru->ru_oublock,
        .maxrss_kib = (uint64_t)ru->ru_maxrss,
    };
}

void usage_to_rusage(const struct usage *u, struct rusage *out)
{
    *out = (struct rusage){
        .ru_utime = ns_timeval(u->utime_ns),
        .ru_stime = ns_timeval(u->stime_ns),
        .ru_minflt = (long)u->minflt,
        .ru_majflt = (long)u->majflt,
        .ru_nvcsw = (long)u->nvcsw,
        .ru_nivcsw = (long)u->nivcsw,
        .ru_inblock = (long)u->inblock,
        .ru_oublock = (long)u->oublock,
        .ru_maxrss = (long)u->maxrss_kib,
    };
}

void task_usage(struct task *t, struct usage *out)
{
    *out = (struct usage){0};
    lock(&t->tg->siglock);
    if (t->pt)
        out->utime_ns = cpu_clock_ns(plat_host_tid(t->pt), CPUCLOCK_SCHED | CPUCLOCK_PERTHREAD);
    unlock(&t->tg->siglock);
    out->nvcsw = atomic_load(&t->nvcsw);
    out->nivcsw = atomic_load(&t->nivcsw);
}

void io_counts_add(struct io_counts *sum, const struct io_counts *more)
{
    io_count(&sum->reads, atomic_load(&more->reads));
    io_count(&sum->writes, atomic_load(&more->writes));
    io_count(&sum->read_bytes, atomic_load(&more->read_bytes));
    io_count(&sum->written_bytes, atomic_load(&more->written_bytes));
}

void io_counts_move(struct io_counts *sum, struct io_counts *more)
{
    io_counts_add(sum, more);
    atomic_store(&more->reads, 0);
    atomic_store(&more->writes, 0);
    atomic_store(&more->read_bytes, 0);
    atomic_store(&more->written_bytes, 0);
}

void tg_usage(struct thread_group *tg, struct usage *out)
{
    struct task *t;
    struct usage live = {0};

    lock(&tasks_lock);
    *out = tg->self_dead;
    if (!tg->process_dead) {
        lock(&tg->siglock);
        if (tg->leader && tg->leader->pt)
            live.utime_ns = cpu_clock_ns(plat_host_pid(tg->leader->pt), CPUCLOCK_SCHED);
        unlock(&tg->siglock);
        list_for_each (t, &tg->tasks, tg_node) {
            live.nvcsw += atomic_load(&t->nvcsw);
            live.nivcsw += atomic_load(&t->nivcsw);
        }
        usage_add(out, &live);
    }
    unlock(&tasks_lock);
}
