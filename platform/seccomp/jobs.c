/*
 * Jobs: what the stub does for us in a guest's process, and the check that it does nothing else.
 *
 * The jobs are written into the area of a thread that is stopped in its handler, and the answer to its report says how
 * many there are. Each host call that the stub then makes is notified like any other; it is let through only if it is
 * the next one ordered, number and all six arguments, so it makes no difference what the guest does to the area, or
 * who jumps to the stub's call instruction. The results in the next report are the guest's word.
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

/* The calls that are still to come. */
struct order {
    const struct stub_job *jobs;
    size_t n, next;
};

static bool matches(const struct stub_job *j, const struct seccomp_notif *n)
{
    return (uint64_t)(int64_t)n->data.nr == j->nr && !memcmp(n->data.args, j->args, sizeof(j->args));
}

/* Lets the host perform an ordered call. */
static int pass_call(struct plat_thread *t, struct order *o, const struct seccomp_notif *n)
{
    while (o->next < o->n && (o->jobs[o->next].op == STUB_CMPXCHG || o->jobs[o->next].op == STUB_POKE))
        o->next++; /* makes no call */
    if (n->data.instruction_pointer != sc_stub.site_ip || o->next == o->n || !matches(&o->jobs[o->next], n))
        return sc_thread_violation(t, "its stub made a call that was not ordered");
    o->next++;
    inbox_open(t);
    expect(t);
    (void)!notify_continue(n->id);
    return 0;
}

static int order(struct plat_thread *t, const struct stub_job *jobs, size_t n)
{
    const uint64_t id = t->id;

    int ret = memory_write(t, area_address(t->area), jobs, n * sizeof(jobs[0]));
    if (ret < 0)
        return ret == -ESRCH ? ret : sc_thread_violation(t, "its area cannot be written");
    inbox_open(t);
    expect(t);
    t->stop = STOP_NONE;
    (void)!notify_reply(id, (int64_t)n);
    return 0;
}

static bool is_done_report(const struct seccomp_notif *n)
{
    return n->data.nr == STUB_REPORT_NR && n->data.instruction_pointer == sc_stub.site_ip &&
           n->data.args[1] == STUB_JOBS_DONE;
}

int jobs_run(struct plat_thread *t, const struct stub_job *jobs, size_t n, int64_t *out_result, size_t *out_done)
{
    struct order o = {.jobs = jobs, .n = n};
    struct seccomp_notif notice;

    int ret = stop_upgrade(t);
    if (ret < 0)
        return ret;
    if (t->making)
        return -EBUSY; /* the answer is the clone's */
    const uint64_t frame = t->frame;
    const bool changed = t->regs_changed, result_changed = t->result_changed;
    ret = order(t, jobs, n);
    while (ret == 0) {
        ret = inbox_await(t, &notice);
        if (ret < 0 || is_done_report(&notice))
            break;
        ret = pass_call(t, &o, &notice);
    }
    if (ret == 0)
        ret = stop_take(t, &notice);
    if (ret == 0 && t->frame != frame)
        ret = sc_thread_violation(t, "its frame moved during jobs");
    if (ret < 0)
        return ret;
    t->regs_changed = changed;
    t->result_changed = result_changed;
    *out_result = (int64_t)notice.data.args[2];
    *out_done = MIN(notice.data.args[3], n);
    return 0;
}

int64_t job_call(struct plat_thread *t, long nr, const uint64_t args[6])
{
    struct stub_job job = {.op = STUB_CALL, .nr = (uint64_t)nr, .close_fd = -1};
    int64_t result;
    size_t done;

    memcpy(job.args, args, sizeof(job.args));
    int ret = jobs_run(t, &job, 1, &result, &done);
    return ret < 0 ? ret : result;
}

void job_exit(struct plat_thread *t)
{
    const struct stub_job job = {.op = STUB_CALL, .nr = SYS_exit, .close_fd = -1};
    struct order o = {.jobs = &job, .n = 1};
    struct seccomp_notif notice;

    if (order(t, &job, 1) < 0 || inbox_await(t, &notice) < 0)
        return;
    if (pass_call(t, &o, &notice) == 0)
        atomic_store(&t->inbox, INBOX_OFF); /* it makes no more notices */
}
