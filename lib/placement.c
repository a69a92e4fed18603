#include "lib/placement.h"

unsigned placement_allowed(cpu_set_t *out)
{
    if (sched_getaffinity(0, sizeof(*out), out) == 0)
        return (unsigned)CPU_COUNT(out);
    CPU_ZERO(out);
    return 1;
}

void placement_hold(struct placement *p, pid_t tid)
{
    const int cpu = sched_getcpu();
    cpu_set_t here;

    p->held = false;
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(tid, sizeof(p->allowed), &p->allowed) < 0)
        return;
    if (!CPU_ISSET(cpu, &p->allowed) || CPU_COUNT(&p->allowed) == 1)
        return;
    CPU_ZERO(&here);
    CPU_SET(cpu, &here);
    p->held = sched_setaffinity(tid, sizeof(here), &here) == 0;
}

void placement_release(const struct placement *p, pid_t tid)
{
    if (p->held)
        (void)!sched_setaffinity(tid, sizeof(p->allowed), &p->allowed); /* fails if the thread is gone */
}
