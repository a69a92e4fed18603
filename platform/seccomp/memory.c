/*
 * Guest memory: mappings that the guest's own process makes at our order, and copies that we make from outside.
 *
 * call_allowed() is the one list of host calls that can be made in a guest's name, by a job or by letting the guest's
 * own call go on; memory_lend() adds the mapping of a file by the guest's own call. Ranges that meet the stub's are
 * refused here, whatever the sentry said.
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define LENT_MAX 64 /* numbers of descriptors; the rest of 128 are for jobs */

/* ---- what is allowed ---- */

/* True if [addr, addr + len), in whole pages, meets the stub's range. */
static bool meets_stub(uint64_t addr, uint64_t len)
{
    const uint64_t start = addr & ~4095UL;
    uint64_t end;

    if (__builtin_add_overflow(addr, len, &end) || end > UINT64_MAX - 4095)
        return true; /* no range at all: let nobody find out what the host makes of it */
    end = (end + 4095) & ~4095UL;
    return start < sc_stub.end && end > sc_stub.start;
}

static bool fixed_mapping(uint64_t flags)
{
    return flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
}

bool call_allowed(long nr, const uint64_t a[6])
{
    switch (nr) {
    case SYS_mmap:
        return (a[3] & MAP_ANONYMOUS) && (a[3] & MAP_TYPE) == MAP_PRIVATE &&
               !(fixed_mapping(a[3]) && meets_stub(a[0], a[1]));
    case SYS_mremap:
        return !meets_stub(a[0], a[1]) && !((a[3] & MREMAP_FIXED) && meets_stub(a[4], a[2]));
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_madvise:
    case SYS_msync:
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_munlock:
        return !meets_stub(a[0], a[1]);
    case SYS_mincore:
        return !meets_stub(a[0], a[1]) && !meets_stub(a[2], a[1] / 4096 + 1);
    case SYS_futex:
        return (a[1] & ~(uint64_t)FUTEX_PRIVATE_FLAG) == FUTEX_WAKE;
    case SYS_brk:
    case SYS_set_tid_address:
    case SYS_set_robust_list:
    case SYS_mlockall:
    case SYS_munlockall:
    case SYS_membarrier:
    case SYS_sched_yield:
        return true;
#ifdef SYS_arch_prctl
    case SYS_arch_prctl:
        return !meets_stub(a[1], sizeof(uint64_t));
#endif
    default:
        return false;
    }
}

int64_t memory_host_call(struct plat_thread *t, long nr, const uint64_t args[6])
{
    return call_allowed(nr, args) ? job_call(t, nr, args) : -EINVAL;
}

/* ---- mappings ---- */

static int check_mapping(const struct plat_mapping *m)
{
    return fixed_mapping((uint64_t)m->flags) && meets_stub(m->addr, m->len) ? -EINVAL : 0;
}

/* The number that maps[i].fd has in the stub, from an earlier mapping of the batch, or -1. */
static int64_t donated_before(const struct plat_mapping *maps, const struct stub_job *jobs, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (maps[k].fd == maps[i].fd)
            return (int64_t)jobs[k].args[4];
    return -1;
}

static struct stub_job map_job(const struct plat_mapping *m, int64_t fd, bool close)
{
    return (struct stub_job){.op = STUB_CALL,
                             .nr = SYS_mmap,
                             .args = {m->addr, m->len, (uint64_t)m->prot, (uint64_t)m->flags, (uint64_t)fd, m->off},
                             .close_fd = close ? fd : -1};
}

/* At most STUB_JOBS_MAX. *out_addr: of the last one. */
static int map_some(struct plat_thread *t, const struct plat_mapping *maps, size_t n, int64_t *out_addr)
{
    struct stub_job jobs[STUB_JOBS_MAX];
    unsigned donations = 0;
    size_t done;

    int ret = stop_upgrade(t);
    for (size_t i = 0; i < n && ret >= 0; i++) {
        int64_t fd = maps[i].fd < 0 ? -1 : donated_before(maps, jobs, i);
        bool fresh = maps[i].fd >= 0 && fd < 0;
        if (fresh) {
            atomic_fetch_add(&t->process->donations, 1);
            donations++;
            fd = ret = notify_addfd(t->id, maps[i].fd);
        }
        jobs[i] = map_job(&maps[i], fd, fresh);
    }
    if (ret == -ENOENT)
        ret = -ESRCH;
    if (ret >= 0)
        ret = jobs_run(t, jobs, n, out_addr, &done);
    atomic_fetch_add(&t->process->returned, donations);
    if (ret < 0)
        return ret;
    if (*out_addr < 0 && *out_addr >= -4095)
        return (int)*out_addr;
    return done == n ? 0 : sc_thread_violation(t, "its stub left out jobs");
}

int memory_map_batch(struct plat_thread *t, const struct plat_mapping *maps, size_t n)
{
    int64_t addr;
    int ret = 0;

    for (size_t i = 0; i < n; i++)
        if (check_mapping(&maps[i]) < 0)
            return -EINVAL;
    while (n && ret == 0) {
        const size_t part = MIN(n, STUB_JOBS_MAX);
        ret = map_some(t, maps, part, &addr);
        maps += part;
        n -= part;
    }
    return ret;
}

int64_t memory_map(struct plat_thread *t, const struct plat_mapping *map)
{
    int64_t addr;

    if (check_mapping(map) < 0)
        return -EINVAL;
    int ret = map_some(t, map, 1, &addr);
    if (ret < 0)
        return ret;
    const uint64_t at = (uint64_t)addr;
    if (at % 4096 || at >= sc_host.task_size || map->len > sc_host.task_size - at || meets_stub(at, map->len) ||
        (fixed_mapping((uint64_t)map->flags) && at != map->addr))
        return sc_thread_violation(t, "its stub reports an address that cannot be");
    return addr;
}

/*
 * What the arguments of the call say is mapped, and nothing of it can change any more, but for the descriptor: another
 * thread may have one lent under the same number. Then it is a file of its own that is mapped, with that file's rights.
 */
int memory_lend(struct plat_thread *t, int fd)
{
    const uint64_t *a = t->event.args;
    const bool private_file = (a[3] & (MAP_ANONYMOUS | MAP_TYPE)) == MAP_PRIVATE;

    if (t->stop != STOP_CALL || t->event.nr != SYS_mmap || !private_file || !(a[3] & MAP_FIXED) || a[4] >= LENT_MAX)
        return -EOPNOTSUPP;
    if (meets_stub(a[0], a[1]))
        return -EINVAL;
    int ret = notify_setfd(t->id, fd, (unsigned)a[4]);
    if (ret < 0)
        return ret;
    t->lent = true;
    return 0;
}

int memory_cmpxchg(struct plat_thread *t, uint64_t addr, uint32_t old, uint32_t new_value, uint32_t *out_seen)
{
    const struct stub_job job = {.op = STUB_CMPXCHG, .args = {addr, old, new_value}, .close_fd = -1};
    int64_t result;
    size_t done;

    if (addr >= sc_host.task_size || meets_stub(addr, sizeof(uint32_t)))
        return -EFAULT;
    int ret = jobs_run(t, &job, 1, &result, &done);
    if (ret < 0)
        return ret;
    if (result < 0)
        return -EFAULT;
    *out_seen = (uint32_t)result;
    return 0;
}

/* ---- copies ---- */

static ssize_t copy_result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == ESRCH ? -ESRCH : -EFAULT;
}

ssize_t memory_in(struct plat_thread *t, const struct iovec *dst, size_t n, const struct iovec *guest, size_t n_guest)
{
    if (!sc_process_use(t->process))
        return -ESRCH;
    ssize_t got = copy_result(process_vm_readv(t->process->pid, dst, n, guest, n_guest, 0));
    sc_process_unuse(t->process);
    return got;
}

ssize_t memory_out(struct plat_thread *t, const struct iovec *guest, size_t n_guest, const struct iovec *src, size_t n)
{
    if (!sc_process_use(t->process))
        return -ESRCH;
    ssize_t got = copy_result(process_vm_writev(t->process->pid, src, n, guest, n_guest, 0));
    sc_process_unuse(t->process);
    return got;
}

int memory_read(struct plat_thread *t, void *dst, uint64_t src, size_t len)
{
    const struct iovec local = {dst, len}, guest = {(void *)(uintptr_t)src, len};

    ssize_t got = memory_in(t, &local, 1, &guest, 1);
    return got == (ssize_t)len ? 0 : got == -ESRCH ? -ESRCH : -EFAULT;
}

int memory_write(struct plat_thread *t, uint64_t dst, const void *src, size_t len)
{
    const struct iovec local = {(void *)(uintptr_t)src, len}, guest = {(void *)(uintptr_t)dst, len};

    ssize_t got = memory_out(t, &guest, 1, &local, 1);
    return got == (ssize_t)len ? 0 : got == -ESRCH ? -ESRCH : -EFAULT;
}
