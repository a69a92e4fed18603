/* What a parent in vfork(2) waits for: its child has let go of the parent's memory, by execve or exit. */
#pragma once

#include "lib/refcount.h"
#include "sentry/kernel/task.h"

struct vfork_done {
    refcount_t refs; /* one of the parent, one of the child */
    _Atomic bool done;
    struct task *waiter; /* tasks_lock; NULL once the parent has stopped waiting */
};

/* With two references, the parent's and the child's. */
struct vfork_done *vfork_done_new(struct task *parent) must_check;
void vfork_done_put(struct vfork_done *d);
