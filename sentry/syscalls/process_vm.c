/*
 * process_vm_readv(2) and process_vm_writev(2): copies between the caller's memory and another process's, through a
 * bounded buffer, range after range of the remote side; the local side is a uio and keeps its own place. Whatever was
 * moved before a fault counts.
 */
#include "sentry/fs/proc/access.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uio.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNK (64UL * 1024)

struct transfer {
    struct task *other; /* counted */
    struct uio local, remote;
    char *buffer;
    bool write;
};

/* Up to CHUNK bytes at one remote address. Returns what was moved, or -errno if nothing was. */
static ssize_t move_chunk(struct transfer *x, uint64_t addr, size_t len)
{
    ssize_t n;

    if (x->write) {
        n = uio_copy_in(&x->local, x->buffer, len);
        return n <= 0 ? n : task_mem_write(x->other, addr, x->buffer, (size_t)n);
    }
    n = task_mem_read(x->other, x->buffer, addr, len);
    return n <= 0 ? n : uio_copy_out(&x->local, x->buffer, (size_t)n);
}

static ssize_t move_all(struct transfer *x)
{
    ssize_t total = 0;

    for (size_t i = 0; i < x->remote.iov_count; i++) {
        const struct iovec *r = &x->remote.iov[i];
        size_t done = 0;
        while (done < r->iov_len && x->local.left) {
            size_t want = MIN(MIN(r->iov_len - done, CHUNK), x->local.left);
            ssize_t n = move_chunk(x, (uint64_t)(uintptr_t)r->iov_base + done, want);
            if (n > 0)
                total += n, done += (size_t)n;
            if (n < (ssize_t)want)
                return total ? total : n < 0 ? n : -EFAULT;
        }
    }
    return total;
}

/* The process, if the caller may look into its memory: ptrace(2), PTRACE_MODE_ATTACH_REALCREDS. */
static int find_other(struct task *t, pid_t pid, struct task **out)
{
    struct task *other = task_find(pid);

    if (!other)
        return -ESRCH;
    int ret = proc_may_trace(t, pid);
    if (ret < 0) {
        task_put(other);
        return ret == -EACCES ? -EPERM : ret;
    }
    *out = other;
    return 0;
}

static ssize_t run_transfer(struct task *t, struct transfer *x, pid_t pid)
{
    ssize_t ret = find_other(t, pid, &x->other);

    if (ret < 0)
        return ret;
    x->buffer = malloc(CHUNK);
    ret = x->buffer ? move_all(x) : -ENOMEM;
    free(x->buffer);
    task_put(x->other);
    return ret;
}

static long process_vm(struct task *t, const struct sysargs *a, bool write)
{
    struct transfer x = {.write = write};

    if (a->a[5])
        return -EINVAL;
    int err = uio_user_iov(&x.local, t, a->a[1], a->a[2]);
    if (err < 0)
        return err;
    err = uio_user_iov(&x.remote, t, a->a[3], a->a[4]);
    if (err < 0) {
        uio_free(&x.local);
        return err;
    }
    ssize_t ret = x.local.left && x.remote.left ? run_transfer(t, &x, (pid_t)a->a[0]) : 0;
    uio_free(&x.remote);
    uio_free(&x.local);
    return ret;
}

long sys_process_vm_readv(struct task *t, const struct sysargs *a)
{
    return process_vm(t, a, false);
}

long sys_process_vm_writev(struct task *t, const struct sysargs *a)
{
    return process_vm(t, a, true);
}
