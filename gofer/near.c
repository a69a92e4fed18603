/*
 * Where the gofer runs. A client that asks and waits, again and again from the same processor, is answered fastest on
 * that processor (lib/placement.h), and says so by Xnear. When its requests come from here and there it takes that
 * back, and the kernel chooses.
 */
#include "gofer/server.h"

#include "lib/placement.h"

#include <errno.h>
#include <sched.h>

static cpu_set_t allowed; /* empty: not known, and left as it is */

void gofer_near_init(void)
{
    (void)placement_allowed(&allowed);
}

int op_near(struct conn *c unused_arg, struct wirebuf *in, struct wirebuf *out unused_arg)
{
    const uint32_t cpu = wire_get32(in);
    cpu_set_t set;

    if (cpu == P9_NEAR_ANY) {
        set = allowed;
    } else if (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed)) {
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
    } else {
        return -EINVAL;
    }
    return CPU_COUNT(&set) && sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}
