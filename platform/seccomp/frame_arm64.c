/* arm64: the stub is not written yet, and plat_init() says so; nothing here is ever called. */
#include "platform/seccomp/internal.h"

#include <errno.h>

int frame_read(struct plat_thread *t unused_arg, siginfo_t *out_info unused_arg, struct fault *out_fault unused_arg)
{
    return -ENOSYS;
}

bool frame_at_call(struct plat_thread *t unused_arg)
{
    return false;
}

void frame_call_event(struct plat_thread *t unused_arg)
{
}

int frame_write(struct plat_thread *t unused_arg)
{
    return -ENOSYS;
}

ssize_t frame_get_fpstate(struct plat_thread *t unused_arg, void *buf unused_arg, size_t cap unused_arg)
{
    return -ENOSYS;
}

int frame_set_fpstate(struct plat_thread *t unused_arg, const void *buf unused_arg, size_t len unused_arg)
{
    return -ENOSYS;
}
