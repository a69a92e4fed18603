/* The seccomp platform's table of operations, and its start. */
#include "platform/seccomp/internal.h"

#include "platform/platform_ops.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

struct stub_layout sc_stub;
struct plat_layout sc_host;
const struct platform_client *sc_client;
enum plat_fast_calls sc_fast_calls;
bool sc_force_trap, trap_everything, see_all;

static struct plat_thread *zygote;
static pid_t zygote_pid;
static unsigned pool_size;

/* ---- start ---- */

static int recv_retry(struct seccomp_notif *n)
{
    int ret;

    do
        ret = notify_recv(n);
    while (ret == -EINTR || ret == -ENOENT);
    return ret;
}

/* The zygote's READY, and then its breakpoint, which takes it into the handler for good. */
static int adopt_zygote(pid_t pid)
{
    struct seccomp_notif n;
    struct space *space = space_new();

    if (space)
        space_take_this(space, 0);
    zygote = sc_thread_new(sc_process_new(space), 0, NULL);
    if (!zygote)
        return -ENOMEM;
    sc_thread_enter(zygote, pid);
    int ret = recv_retry(&n);
    if (ret < 0)
        return ret;
    if ((pid_t)n.pid != pid || n.data.nr != STUB_REPORT_NR || n.data.args[1] != STUB_READY)
        return -EPROTO;
    ret = notify_reply(n.id, 0);
    if (ret == 0)
        ret = recv_retry(&n);
    if (ret < 0)
        return ret;
    if ((pid_t)n.pid != pid || n.data.args[1] != SIGTRAP)
        return -EPROTO;
    return stop_take(zygote, &n);
}

static int sc_init(const struct platform_config *cfg, const struct platform_client *c, const char **out_why)
{
    sc_client = c;
    pool_size = cfg->pool_size;
    see_all = cfg->see_all;
    sc_fast_calls = cfg->fast_calls;
    int ret = zygote_start(&zygote_pid, out_why);
    if (ret < 0)
        return ret;
    *out_why = "cannot prepare the platform's workers";
    return workers_init();
}

static int sc_greet(const char **out_why)
{
    int ret = zygote_greet(zygote_pid, out_why);

    if (ret < 0)
        return ret;
    *out_why = "the stub does not report";
    return adopt_zygote(zygote_pid);
}

static int sc_run(void)
{
    pool_init(zygote, pool_size);
    return reaper_start();
}

static void sc_shutdown(void)
{
    pool_shutdown();
}

/* ---- life ---- */

static void sc_start(struct plat_thread *t, const struct regs *regs)
{
    t->regs = *regs;
    t->regs_changed = true;
    stop_resume(t);
    ensure_listener();
    watch_start();
}

static int sc_clone(struct plat_thread *t, enum plat_clone_kind kind, const struct regs *child_regs,
                    const uint64_t *tls, uint64_t clear_tid, void *cookie, void *process_cookie,
                    struct plat_thread **out)
{
    struct plat_thread *child;

    if (t->offered)
        return offer_clone(t, tls, clear_tid, cookie, out);
    int ret = clone_thread(t, kind, child_regs, tls, clear_tid, cookie, &child);
    if (ret < 0)
        return ret;
    if (kind != PLAT_CLONE_THREAD)
        pool_expect_execs();
    if (kind != PLAT_CLONE_THREAD && !sc_process_hand_out(child->process, process_cookie)) {
        sc_thread_put(child);
        return -EAGAIN;
    }
    *out = child;
    sc_thread_get(child);
    queue_event(child, false);
    return 0;
}

static bool sc_child_prepared(const struct plat_thread *t)
{
    return t->offered;
}

static void sc_kill(struct plat_thread *t)
{
    sc_process_kill(t->process);
}

static pid_t sc_host_tid(struct plat_thread *t)
{
    const pid_t tid = atomic_load(&t->gone) ? 0 : sc_thread_tid(t);

    return tid ? tid : -1;
}

static pid_t sc_host_pid(const struct plat_thread *t)
{
    return atomic_load(&t->process->users) & PROCESS_DEAD ? -1 : t->process->pid;
}

/* ---- registers ---- */

static int sc_get_regs(struct plat_thread *t, struct regs *out)
{
    int ret = stop_upgrade(t);

    if (ret == 0)
        *out = t->regs;
    return ret;
}

static int sc_set_regs(struct plat_thread *t, const struct regs *regs)
{
    int ret = stop_upgrade(t);

    if (ret < 0)
        return ret;
    t->regs = *regs;
    t->regs_changed = true;
    return 0;
}

static ssize_t sc_get_fpstate(struct plat_thread *t, void *buf, size_t cap)
{
    int ret = stop_upgrade(t);

    return ret < 0 ? ret : frame_get_fpstate(t, buf, cap);
}

static int sc_set_fpstate(struct plat_thread *t, const void *buf, size_t len)
{
    int ret = stop_upgrade(t);

    return ret < 0 ? ret : frame_set_fpstate(t, buf, len);
}

/* ---- facts ---- */

static void sc_stub_range(const struct plat_thread *t unused_arg, uint64_t *start, uint64_t *end)
{
    *start = sc_stub.start;
    *end = sc_stub.end;
}

static const struct plat_layout *sc_layout(void)
{
    return &sc_host;
}

const struct platform_ops seccomp_platform = {
    .name = "seccomp",
    .init = sc_init,
    .greet = sc_greet,
    .run = sc_run,
    .shutdown = sc_shutdown,
    .new_process = pool_take,
    .start = sc_start,
    .clone = sc_clone,
    .child_prepared = sc_child_prepared,
    .exit_thread = stop_exit_thread,
    .end = stop_end_process,
    .kill = sc_kill,
    .get = sc_thread_get,
    .put = sc_thread_put,
    .host_tid = sc_host_tid,
    .host_pid = sc_host_pid,
    .kick = sc_thread_kick,
    .get_regs = sc_get_regs,
    .set_regs = sc_set_regs,
    .get_fpstate = sc_get_fpstate,
    .set_fpstate = sc_set_fpstate,
    .host_call = memory_host_call,
    .see_memory_calls = native_undo,
    .mmap = memory_map,
    .lend_fd = memory_lend,
    .mmap_batch = memory_map_batch,
    .cmpxchg32 = memory_cmpxchg,
    .copy_in = memory_in,
    .copy_out = memory_out,
    .robust_list = native_robust_list,
    .lend_mask = mask_lend,
    .recall_mask = mask_recall,
    .stub_range = sc_stub_range,
    .layout = sc_layout,
    .block_begin = worker_block_begin,
    .block_end = worker_block_end,
};
