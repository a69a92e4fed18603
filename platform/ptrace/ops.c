/* The ptrace platform's table of operations: thin, since the tracer does the work. */
#include "platform/ptrace/internal.h"

#include "platform/platform_ops.h"
#include "platform/ptrace/worker.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

const struct platform_client *client;

/* ---- objects ---- */

struct process *process_new(pid_t pid, void *cookie)
{
    struct process *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    ref_init(&p->refs);
    p->pid = pid;
    p->cookie = cookie;
    return p;
}

void process_put(struct process *p)
{
    if (ref_put(&p->refs))
        free(p);
}

/* Takes over the reference on process. */
struct plat_thread *thread_new(pid_t tid, struct process *process, void *cookie)
{
    struct plat_thread *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    ref_init(&t->refs);
    t->tid = tid;
    t->process = process;
    t->cookie = cookie;
    list_init(&t->hash_node);
    list_init(&t->queue_node);
    return t;
}

static void pt_get(struct plat_thread *t)
{
    ref_get(&t->refs);
}

static void pt_put(struct plat_thread *t)
{
    if (!ref_put(&t->refs))
        return;
    process_put(t->process);
    free(t);
}

/* ---- life ---- */

static int pt_init(const struct platform_config *cfg, const struct platform_client *c, const char **out_why)
{
    sigset_t set;
    (void)cfg;

    client = c;
    /* Of all threads to come, only the tracer takes these, with sigwaitinfo(). */
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, WAKE_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return image_make_zygote(out_why);
}

static int pt_run(void)
{
    int ret = tracer_start();

    return ret < 0 ? ret : worker_start();
}

/* Everything traced dies with the tracer's process (PTRACE_O_EXITKILL); the zygote too. */
static void pt_shutdown(void)
{
    kill(image.zygote, SIGKILL);
}

static int pt_new(void *cookie, void *process_cookie, struct plat_thread **out)
{
    struct clone_request c = {.cookie = cookie, .process_cookie = process_cookie};

    int64_t ret = tracer_call(request_new_process, NULL, &c);
    if (ret < 0)
        return (int)ret;
    *out = c.out;
    return 0;
}

static void pt_start(struct plat_thread *t, const struct regs *regs)
{
    t->regs = *regs;
    tracer_resume(t);
}

static int pt_clone(struct plat_thread *t, enum plat_clone_kind kind, const struct regs *child_regs,
                    const uint64_t *tls, uint64_t clear_tid unused_arg, void *cookie, void *process_cookie,
                    struct plat_thread **out)
{
    struct clone_request c = {
        .kind = kind, .regs = child_regs, .tls = tls, .cookie = cookie, .process_cookie = process_cookie};

    int64_t ret = tracer_call(request_clone, t, &c);
    if (ret < 0)
        return (int)ret;
    *out = c.out;
    c.out->starting = true;
    tracer_resume(c.out);
    return 0;
}

static void pt_exit_thread(struct plat_thread *t)
{
    tracer_call(request_exit_thread, t, NULL);
}

static void pt_kill(struct plat_thread *t)
{
    pthread_rwlock_rdlock(&pid_lock);
    if (!atomic_load(&t->process->dead) && !(atomic_load(&t->gone) && t->tid == t->process->pid))
        kill(t->process->pid, SIGKILL);
    pthread_rwlock_unlock(&pid_lock);
}

static pid_t pt_host_tid(struct plat_thread *t)
{
    return atomic_load(&t->gone) ? -1 : t->tid;
}

static pid_t pt_host_pid(const struct plat_thread *t)
{
    return atomic_load(&t->process->dead) ? -1 : t->process->pid;
}

static void pt_kick(struct plat_thread *t)
{
    if (!atomic_exchange(&t->kick, true))
        tracer_wake();
}

/* ---- stopped threads ---- */

static int pt_get_regs(struct plat_thread *t, struct regs *out)
{
    if (atomic_load(&t->gone))
        return -ESRCH;
    *out = t->regs;
    return 0;
}

static int pt_set_regs(struct plat_thread *t, const struct regs *regs)
{
    if (atomic_load(&t->gone))
        return -ESRCH;
    t->regs = *regs;
    return 0;
}

static ssize_t pt_get_fpstate(struct plat_thread *t, void *buf, size_t cap)
{
    struct fp_request f = {buf, cap};

    return tracer_call(request_get_fpstate, t, &f);
}

static int pt_set_fpstate(struct plat_thread *t, const void *buf, size_t len)
{
    struct fp_request f = {(void *)buf, len};
    int64_t ret = tracer_call(request_set_fpstate, t, &f);

    return ret < 0 ? (int)ret : 0;
}

/* True if [addr, addr + len) meets the stub's pages. */
static bool meets_stub(uint64_t addr, uint64_t len)
{
    return addr < image.end && len > 0 && (addr + len < addr || addr + len > image.base);
}

/* The calls the sentry may make in a guest's name, and which of their arguments are ranges. */
static bool call_allowed(long nr, const uint64_t a[6])
{
    switch (nr) {
    case SYS_mmap:
        return (int)a[4] < 0 && !((a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && meets_stub(a[0], a[1]));
    case SYS_mremap:
        return !meets_stub(a[0], a[1]) && !((a[3] & MREMAP_FIXED) && meets_stub(a[4], a[2]));
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_madvise:
    case SYS_msync:
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_munlock:
    case SYS_mincore:
        return !meets_stub(a[0], a[1]);
    case SYS_brk:
    case SYS_mlockall:
    case SYS_munlockall:
    case SYS_membarrier:
    case SYS_sched_yield:
#ifdef SYS_arch_prctl
    case SYS_arch_prctl:
#endif
        return true;
    default:
        return false;
    }
}

static int64_t pt_host_call(struct plat_thread *t, long nr, const uint64_t args[6])
{
    struct call c = {nr, {args[0], args[1], args[2], args[3], args[4], args[5]}};

    return call_allowed(nr, args) ? tracer_call(request_host_call, t, &c) : -EINVAL;
}

static int check_mapping(const struct plat_mapping *m)
{
    return (m->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && meets_stub(m->addr, m->len) ? -EINVAL : 0;
}

static int pt_mmap_batch(struct plat_thread *t, const struct plat_mapping *maps, size_t n)
{
    struct map_request m = {.maps = maps, .n = n};

    for (size_t i = 0; i < n; i++)
        if (check_mapping(&maps[i]) < 0)
            return -EINVAL;
    return (int)tracer_call(request_map, t, &m);
}

static int64_t pt_mmap(struct plat_thread *t, const struct plat_mapping *map)
{
    struct map_request m = {.maps = map, .n = 1};

    if (check_mapping(map) < 0)
        return -EINVAL;
    int64_t ret = tracer_call(request_map, t, &m);
    return ret < 0 ? ret : m.last;
}

static int pt_cmpxchg32(struct plat_thread *t, uint64_t addr, uint32_t old, uint32_t new_value, uint32_t *out_seen)
{
    struct cmpxchg_request c = {.addr = addr, .old = old, .new_value = new_value};

    if (meets_stub(addr, sizeof(uint32_t)))
        return -EFAULT;
    int64_t ret = tracer_call(request_cmpxchg, t, &c);
    if (ret < 0)
        return (int)ret;
    *out_seen = c.seen;
    return 0;
}

static ssize_t copy_result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == ESRCH ? -ESRCH : -EFAULT;
}

static ssize_t pt_copy_in(struct plat_thread *t, const struct iovec *dst, size_t n, const struct iovec *guest,
                          size_t n_guest)
{
    pthread_rwlock_rdlock(&pid_lock);
    ssize_t got = -ESRCH;
    if (!atomic_load(&t->gone))
        got = copy_result(process_vm_readv(t->tid, dst, n, guest, n_guest, 0));
    pthread_rwlock_unlock(&pid_lock);
    return got;
}

static ssize_t pt_copy_out(struct plat_thread *t, const struct iovec *guest, size_t n_guest, const struct iovec *src,
                           size_t n)
{
    pthread_rwlock_rdlock(&pid_lock);
    ssize_t got = -ESRCH;
    if (!atomic_load(&t->gone))
        got = copy_result(process_vm_writev(t->tid, src, n, guest, n_guest, 0));
    pthread_rwlock_unlock(&pid_lock);
    return got;
}

static void pt_stub_range(const struct plat_thread *t, uint64_t *start, uint64_t *end)
{
    (void)t;
    *start = image.base;
    *end = image.end;
}

static const struct plat_layout *pt_layout(void)
{
    return &layout;
}

/* Workers are made on demand: a blocked one needs no replacement to be arranged. */
static void pt_block(void)
{
}

const struct platform_ops ptrace_platform = {
    .name = "ptrace",
    .init = pt_init,
    .greet = image_greet,
    .run = pt_run,
    .shutdown = pt_shutdown,
    .new_process = pt_new,
    .start = pt_start,
    .clone = pt_clone,
    .exit_thread = pt_exit_thread,
    .kill = pt_kill,
    .get = pt_get,
    .put = pt_put,
    .host_tid = pt_host_tid,
    .host_pid = pt_host_pid,
    .kick = pt_kick,
    .get_regs = pt_get_regs,
    .set_regs = pt_set_regs,
    .get_fpstate = pt_get_fpstate,
    .set_fpstate = pt_set_fpstate,
    .host_call = pt_host_call,
    .mmap = pt_mmap,
    .mmap_batch = pt_mmap_batch,
    .cmpxchg32 = pt_cmpxchg32,
    .copy_in = pt_copy_in,
    .copy_out = pt_copy_out,
    .stub_range = pt_stub_range,
    .layout = pt_layout,
    .block_begin = pt_block,
    .block_end = pt_block,
};
