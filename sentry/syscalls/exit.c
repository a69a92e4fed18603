/* exit(2) and exit_group(2). */
#include "sentry/kernel/lifecycle.h"
#include "sentry/syscalls/syscalls_decl.h"

long sys_exit(struct task *t, const struct sysargs *a)
{
    return do_exit(t, (int)(a->a[0] & 0xff) << 8);
}

long sys_exit_group(struct task *t, const struct sysargs *a)
{
    return do_group_exit(t, (int)(a->a[0] & 0xff) << 8);
}
