/* Calls that are refused whatever their arguments, as a Linux refuses them that forbids or lacks what they are for. */
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>

long refuse_EPERM(struct task *t unused_arg, const struct sysargs *a unused_arg)
{
    return -EPERM;
}

long refuse_EOPNOTSUPP(struct task *t unused_arg, const struct sysargs *a unused_arg)
{
    return -EOPNOTSUPP;
}
