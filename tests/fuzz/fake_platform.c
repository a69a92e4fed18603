/*
 * A platform with no guest behind it, for fuzzing system call handlers: guest memory is one buffer at FAKE_BASE, calls
 * that the host would make in the guest succeed without effect, and there is never a host process or thread.
 */
#include "tests/fuzz/fake_platform.h"

#include "include/platform.h"

#include <errno.h>
#include <string.h>

unsigned char fake_memory[FAKE_SIZE];
bool fake_clone_works;
void *fake_cloned;

/* Bytes of [addr, addr + len) that are there. */
static size_t mapped(uint64_t addr, size_t len)
{
    if (addr < FAKE_BASE || addr >= FAKE_BASE + FAKE_SIZE)
        return 0;
    return MIN(len, (size_t)(FAKE_BASE + FAKE_SIZE - addr));
}

/* Guests may change their memory under our eyes: no race of ours. */
static __attribute__((no_sanitize("thread"))) void move(void *to, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile unsigned char *)to)[i] = ((const volatile unsigned char *)from)[i];
}

void fake_write(size_t at, const void *bytes, size_t n)
{
    if (at < FAKE_SIZE && n <= FAKE_SIZE - at)
        move(fake_memory + at, bytes, n);
}

ssize_t plat_copy_in(struct plat_thread *t unused_arg, void *dst, uint64_t src, size_t len)
{
    size_t n = mapped(src, len);

    if (!n)
        return len ? -EFAULT : 0;
    move(dst, fake_memory + (src - FAKE_BASE), n);
    return (ssize_t)n;
}

ssize_t plat_copy_out(struct plat_thread *t unused_arg, uint64_t dst, const void *src, size_t len)
{
    size_t n = mapped(dst, len);

    if (!n)
        return len ? -EFAULT : 0;
    move(fake_memory + (dst - FAKE_BASE), src, n);
    return (ssize_t)n;
}

/* Copies between ranges; both ways alike but for who is the guest. */
static ssize_t copy_ranges(const struct iovec *guest, size_t n_guest, const struct iovec *own, size_t n, bool out)
{
    size_t done = 0, skip = 0;

    for (size_t g = 0, at = 0, o = 0; g < n_guest && o < n;) {
        size_t want = MIN(guest[g].iov_len - at, own[o].iov_len - skip);
        uint64_t addr = (uint64_t)(uintptr_t)guest[g].iov_base + at;
        char *mine = (char *)own[o].iov_base + skip;
        ssize_t got = out ? plat_copy_out(NULL, addr, mine, want) : plat_copy_in(NULL, mine, addr, want);
        if (got < 0)
            return done ? (ssize_t)done : got;
        done += (size_t)got;
        if ((size_t)got < want)
            break;
        at += want;
        skip += want;
        if (at == guest[g].iov_len)
            g++, at = 0;
        if (skip == own[o].iov_len)
            o++, skip = 0;
    }
    return (ssize_t)done;
}

ssize_t plat_copy_in_v(struct plat_thread *t unused_arg, const struct iovec *dst, size_t n, const struct iovec *guest,
                       size_t n_guest)
{
    return copy_ranges(guest, n_guest, dst, n, false);
}

ssize_t plat_copy_out_v(struct plat_thread *t unused_arg, const struct iovec *guest, size_t n_guest,
                        const struct iovec *src, size_t n)
{
    return copy_ranges(guest, n_guest, src, n, true);
}

int plat_cmpxchg32(struct plat_thread *t unused_arg, uint64_t addr, uint32_t old, uint32_t new_value,
                   uint32_t *out_seen)
{
    if (mapped(addr, 4) < 4)
        return -EFAULT;
    move(out_seen, fake_memory + (addr - FAKE_BASE), 4);
    if (*out_seen == old)
        move(fake_memory + (addr - FAKE_BASE), &new_value, 4);
    return 0;
}

int plat_get_regs(struct plat_thread *t unused_arg, struct regs *out)
{
    memset(out, 0, sizeof(*out));
    *regs_sp(out) = FAKE_BASE + FAKE_SIZE / 2;
    return 0;
}

int plat_set_regs(struct plat_thread *t unused_arg, const struct regs *regs unused_arg)
{
    return 0;
}

ssize_t plat_get_fpstate(struct plat_thread *t unused_arg, void *buf, size_t cap)
{
    memset(buf, 0, cap);
    return (ssize_t)MIN(cap, (size_t)512);
}

int plat_set_fpstate(struct plat_thread *t unused_arg, const void *buf unused_arg, size_t len unused_arg)
{
    return 0;
}

int64_t plat_host_call(struct plat_thread *t unused_arg, long nr unused_arg, const uint64_t args[6])
{
    return (int64_t)(args[0] & 0x7ffffffff000ULL);
}

int plat_lend_fd(struct plat_thread *t unused_arg, int fd unused_arg)
{
    return -EOPNOTSUPP;
}

int plat_see_memory_calls(struct plat_thread *t unused_arg)
{
    return 0;
}

int64_t plat_mmap(struct plat_thread *t unused_arg, uint64_t addr, uint64_t len, int prot unused_arg,
                  int flags unused_arg, int fd unused_arg, uint64_t off unused_arg)
{
    static uint64_t next = 0x700000000000ULL;

    if (addr)
        return (int64_t)(addr & ~4095ULL);
    next += (len + 8191) & ~4095ULL;
    if (next > 0x7e0000000000ULL)
        next = 0x700000000000ULL;
    return (int64_t)next;
}

int plat_mmap_batch(struct plat_thread *t unused_arg, const struct plat_mapping *maps unused_arg, size_t n unused_arg)
{
    return -ENOMEM;
}

bool plat_lend_mask(struct plat_thread *t unused_arg, uint64_t mask unused_arg)
{
    return false;
}

int plat_recall_mask(struct plat_thread *t unused_arg, uint64_t *out_mask unused_arg)
{
    return -ESRCH;
}

uint64_t plat_robust_list(struct plat_thread *t unused_arg)
{
    return 0;
}

void plat_stub_range(const struct plat_thread *t unused_arg, uint64_t *start, uint64_t *end)
{
    *start = 0x7f0000000000ULL;
    *end = 0x7f0000100000ULL;
}

const struct plat_layout *plat_layout(void)
{
    static const struct plat_layout l = {.brk_start = 0x500000000000ULL,
                                         .mmap_top = 0x7f0000000000ULL,
                                         .task_size = 0x7ffffffff000ULL,
                                         .native_start = 0x7e0000000000ULL};

    return &l;
}

/* ---- nothing ever runs ---- */

int plat_init(const struct platform_config *cfg unused_arg, const struct platform_client *client unused_arg,
              const char **out_why unused_arg)
{
    return -ENOSYS;
}

int plat_greet(const char **out_why unused_arg)
{
    return -ENOSYS;
}

int plat_run(void)
{
    return -ENOSYS;
}

void plat_shutdown(void)
{
}

int plat_new(void *cookie unused_arg, void *process_cookie unused_arg, struct plat_thread **out unused_arg)
{
    return -EAGAIN;
}

void plat_start(struct plat_thread *t unused_arg, const struct regs *regs unused_arg)
{
}

bool plat_child_prepared(const struct plat_thread *t unused_arg)
{
    return false;
}

int plat_clone(struct plat_thread *t unused_arg, enum plat_clone_kind kind unused_arg,
               const struct regs *child_regs unused_arg, const uint64_t *tls unused_arg, uint64_t clear_tid unused_arg,
               void *cookie, void *process_cookie unused_arg, struct plat_thread **out)
{
    static char thread; /* only its address is used */

    if (!fake_clone_works)
        return -EAGAIN;
    fake_cloned = cookie;
    *out = (struct plat_thread *)(void *)&thread;
    return 0;
}

void plat_exit_thread(struct plat_thread *t unused_arg)
{
}

void plat_end(struct plat_thread *t unused_arg)
{
}

void plat_kill(struct plat_thread *t unused_arg)
{
}

void plat_thread_get(struct plat_thread *t unused_arg)
{
}

void plat_thread_put(struct plat_thread *t unused_arg)
{
}

pid_t plat_host_tid(struct plat_thread *t unused_arg)
{
    return -1;
}

pid_t plat_host_pid(const struct plat_thread *t unused_arg)
{
    return -1;
}

void plat_kick(struct plat_thread *t unused_arg)
{
}

void plat_block_begin(void)
{
}

void plat_block_end(void)
{
}
