/* The calls of include/platform.h, forwarded to the platform that plat_init() chose. */
#include "platform/platform_ops.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

static const struct platform_ops *ops;

int plat_init(const struct platform_config *cfg, const struct platform_client *client, const char **out_why)
{
    const struct platform_ops *const known[] = {&seccomp_platform, &ptrace_platform};

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(known[i]->name, cfg->name))
            continue;
        ops = known[i];
        return ops->init(cfg, client, out_why);
    }
    *out_why = "there is no platform of that name; use seccomp or ptrace";
    return -EINVAL;
}

int plat_greet(const char **out_why)
{
    return ops->greet(out_why);
}

int plat_run(void)
{
    return ops->run();
}

void plat_shutdown(void)
{
    ops->shutdown();
}

int plat_new(void *cookie, void *process_cookie, struct plat_thread **out)
{
    return ops->new_process(cookie, process_cookie, out);
}

void plat_start(struct plat_thread *t, const struct regs *regs)
{
    ops->start(t, regs);
}

int plat_clone(struct plat_thread *t, enum plat_clone_kind kind, const struct regs *child_regs, const uint64_t *tls,
               uint64_t clear_tid, void *cookie, void *process_cookie, struct plat_thread **out)
{
    return ops->clone(t, kind, child_regs, tls, clear_tid, cookie, process_cookie, out);
}

bool plat_child_prepared(const struct plat_thread *t)
{
    return ops->child_prepared && ops->child_prepared(t);
}

void plat_exit_thread(struct plat_thread *t)
{
    ops->exit_thread(t);
}

void plat_end(struct plat_thread *t)
{
    if (ops->end)
        ops->end(t);
    else
        ops->kill(t);
}

void plat_kill(struct plat_thread *t)
{
    ops->kill(t);
}

void plat_thread_get(struct plat_thread *t)
{
    ops->get(t);
}

void plat_thread_put(struct plat_thread *t)
{
    ops->put(t);
}

pid_t plat_host_tid(struct plat_thread *t)
{
    return ops->host_tid(t);
}

pid_t plat_host_pid(const struct plat_thread *t)
{
    return ops->host_pid(t);
}

void plat_kick(struct plat_thread *t)
{
    ops->kick(t);
}

int plat_get_regs(struct plat_thread *t, struct regs *out)
{
    return ops->get_regs(t, out);
}

int plat_set_regs(struct plat_thread *t, const struct regs *regs)
{
    return ops->set_regs(t, regs);
}

ssize_t plat_get_fpstate(struct plat_thread *t, void *buf, size_t cap)
{
    return ops->get_fpstate(t, buf, cap);
}

int plat_set_fpstate(struct plat_thread *t, const void *buf, size_t len)
{
    return ops->set_fpstate(t, buf, len);
}

int64_t plat_host_call(struct plat_thread *t, long nr, const uint64_t args[6])
{
    return ops->host_call(t, nr, args);
}

int plat_see_memory_calls(struct plat_thread *t)
{
    return ops->see_memory_calls ? ops->see_memory_calls(t) : 0;
}

int64_t plat_mmap(struct plat_thread *t, uint64_t addr, uint64_t len, int prot, int flags, int fd, uint64_t off)
{
    const struct plat_mapping map = {.addr = addr, .len = len, .off = off, .prot = prot, .flags = flags, .fd = fd};

    return ops->mmap(t, &map);
}

int plat_lend_fd(struct plat_thread *t, int fd)
{
    return ops->lend_fd ? ops->lend_fd(t, fd) : -EOPNOTSUPP;
}

int plat_mmap_batch(struct plat_thread *t, const struct plat_mapping *maps, size_t n)
{
    return ops->mmap_batch(t, maps, n);
}

int plat_cmpxchg32(struct plat_thread *t, uint64_t addr, uint32_t old, uint32_t new_value, uint32_t *out_seen)
{
    return ops->cmpxchg32(t, addr, old, new_value, out_seen);
}

ssize_t plat_copy_in(struct plat_thread *t, void *dst, uint64_t src, size_t len)
{
    const struct iovec local = {dst, len}, guest = {(void *)(uintptr_t)src, len};

    return ops->copy_in(t, &local, 1, &guest, 1);
}

ssize_t plat_copy_out(struct plat_thread *t, uint64_t dst, const void *src, size_t len)
{
    const struct iovec local = {(void *)(uintptr_t)src, len}, guest = {(void *)(uintptr_t)dst, len};

    return ops->copy_out(t, &guest, 1, &local, 1);
}

ssize_t plat_copy_in_v(struct plat_thread *t, const struct iovec *dst, size_t n, const struct iovec *guest,
                       size_t n_guest)
{
    return ops->copy_in(t, dst, n, guest, n_guest);
}

ssize_t plat_copy_out_v(struct plat_thread *t, const struct iovec *guest, size_t n_guest, const struct iovec *src,
                        size_t n)
{
    return ops->copy_out(t, guest, n_guest, src, n);
}

uint64_t plat_robust_list(struct plat_thread *t)
{
    return ops->robust_list ? ops->robust_list(t) : 0;
}

bool plat_lend_mask(struct plat_thread *t, uint64_t mask)
{
    return ops->lend_mask && ops->lend_mask(t, mask);
}

int plat_recall_mask(struct plat_thread *t, uint64_t *out_mask)
{
    return ops->recall_mask(t, out_mask);
}

void plat_stub_range(const struct plat_thread *t, uint64_t *start, uint64_t *end)
{
    ops->stub_range(t, start, end);
}

const struct plat_layout *plat_layout(void)
{
    return ops->layout();
}

void plat_block_begin(void)
{
    if (likely(ops)) /* a test of the sentry's parts has none */
        ops->block_begin();
}

void plat_block_end(void)
{
    if (likely(ops))
        ops->block_end();
}

uint64_t platform_clone_flags(enum plat_clone_kind kind)
{
    switch (kind) {
    case PLAT_CLONE_THREAD:
        return CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    case PLAT_CLONE_VM:
        return CLONE_VM | CLONE_PARENT | SIGCHLD;
    case PLAT_CLONE_FORK:
        break;
    }
    return CLONE_PARENT | SIGCHLD;
}
