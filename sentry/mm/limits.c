/*
 * See limits.h. The sandbox has no say over the host's hard limits and leaves them alone: a guest's hard limit is only
 * the sentry's affair. What the host counts but the guest does not see (the stub's part, and the stack, which is mapped
 * whole) is added. Children inherit the host's limits by fork; an execve gets a fresh process, and limits_apply().
 */
#include "sentry/mm/limits.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#define LOCK_DEFAULT (8U << 20)

static const int kept[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK};

bool limits_special(const struct rlimit64 *limits)
{
    return limits[RLIMIT_AS].rlim_cur != RLIM64_INFINITY || limits[RLIMIT_DATA].rlim_cur != RLIM64_INFINITY ||
           limits[RLIMIT_MEMLOCK].rlim_cur != LOCK_DEFAULT;
}

/* Bytes that the host counts for `which` and the guest does not know of. */
static uint64_t unseen(struct plat_thread *pt, const struct mm *mm, int which)
{
    uint64_t start, end;

    if (which == RLIMIT_MEMLOCK)
        return 0;
    plat_stub_range(pt, &start, &end);
    const uint64_t stack = which == RLIMIT_DATA && mm ? mm->stack_end - mm->stack_start : 0;
    return end - start + stack;
}

void limits_apply(struct plat_thread *pt, const struct rlimit64 *limits, const struct mm *mm)
{
    const pid_t pid = plat_host_pid(pt);

    for (size_t i = 0; pid > 0 && i < ARRAY_SIZE(kept); i++) {
        struct rlimit64 host;
        uint64_t want = limits[kept[i]].rlim_cur;

        if (prlimit64(pid, (enum __rlimit_resource)kept[i], NULL, &host) < 0)
            return; /* the process is gone */
        if (want != RLIM64_INFINITY && __builtin_add_overflow(want, unseen(pt, mm, kept[i]), &want))
            want = RLIM64_INFINITY;
        host.rlim_cur = MIN(want, host.rlim_max);
        if (prlimit64(pid, (enum __rlimit_resource)kept[i], &host, NULL) < 0)
            return;
    }
}

static void protect(struct task *t, uint64_t start, uint64_t end, int prot)
{
    const uint64_t args[6] = {start, end - start, (uint64_t)prot};

    if (start < end)
        (void)!plat_host_call(t->pt, SYS_mprotect, args); /* best effort: the limit is the guest's wish for itself */
}

void limits_apply_stack(struct task *t, uint64_t bytes)
{
    const uint64_t start = t->mm->stack_start, end = t->mm->stack_end;
    struct regs regs;

    if (plat_get_regs(t->pt, &regs) < 0)
        return;
    const uint64_t sp = *regs_sp(&regs);
    if (sp < start || sp >= end)
        return; /* another thread's stack: the main one is not at hand */
    uint64_t edge = bytes < end - start ? (end - bytes) & PAGE_MASK : start;
    edge = MIN(edge, (sp & PAGE_MASK) - PAGE_SIZE);
    edge = MAX(edge, start);
    protect(t, start, edge, PROT_NONE);
    protect(t, edge, sp & PAGE_MASK, PROT_READ | PROT_WRITE);
}
