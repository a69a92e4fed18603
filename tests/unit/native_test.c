/*
 * platform/seccomp/native.c: the filter's program, run by a small interpreter over calls whose ranges lie all around
 * the edges of the native region and of the stub. What passes must not touch anything that is the sentry's to know of.
 */
#include "platform/seccomp/internal.h"
#include "platform/seccomp/program.h"

#include <asm/prctl.h>
#include <check.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define AT_STUB 0x7f2dfb126000UL
#define PAST_STUB 0x7f2e0b138000UL
#define SITE 0x7f2dfb126100UL

static struct sock_filter filter[STUB_FILTER_MAX];
static size_t filter_length;

/* The instructions that our programs use, as the kernel's documentation of classic BPF has them. */
static uint32_t run(const struct sock_filter *insns, size_t n, const struct seccomp_data *data)
{
    uint32_t a = 0, x = 0;

    for (size_t pc = 0; pc < n; pc++) {
        const struct sock_filter *i = &insns[pc];
        const uint32_t k = i->k, other = BPF_SRC(i->code) == BPF_X ? x : k;
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            ck_assert(k % 4 == 0 && k < sizeof(*data));
            a = ((const uint32_t *)data)[k / 4];
            break;
        case BPF_MISC | BPF_TAX:
            x = a;
            break;
        case BPF_MISC | BPF_TXA:
            a = x;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= k;
            break;
        case BPF_ALU | BPF_ADD | BPF_X:
            a += x;
            break;
        case BPF_JMP | BPF_JA:
            pc += k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == other ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_X:
            pc += a >= other ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            pc += a > other ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return k;
        default:
            ck_abort_msg("instruction %zu has code %#x", pc, i->code);
        }
    }
    ck_abort_msg("the program runs over its end");
    return 0;
}

static struct seccomp_data call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return (struct seccomp_data){
        .nr = (int)nr, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = 0x401000, .args = {a, b, c, d}};
}

static bool passes(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const struct seccomp_data data = call(nr, a, b, c, d);

    return run(filter, filter_length, &data) == SECCOMP_RET_ALLOW;
}

static void setup(void)
{
    sc_stub = (struct stub_layout){.start = AT_STUB, .end = PAST_STUB, .site_ip = SITE};
    native_announce();
    filter_length = filter_build(filter, ARRAY_SIZE(filter));
    ck_assert_uint_le(filter_length, ARRAY_SIZE(filter));
}

/* The kernel's view of a range: whole pages; and ours: all of it native, nothing of it the stub's. */
static bool is_native(uint64_t addr, uint64_t len)
{
    uint64_t end;

    if (__builtin_add_overflow(addr, len, &end) || end > UINT64_MAX - 4095)
        return false;
    end = (end + 4095) & ~4095UL;
    return addr >= sc_host.native_start && end <= AT_STUB;
}

START_TEST(ranges)
{
    static const uint64_t anchors[] = {0,
                                       0x1000,
                                       0x100000000,
                                       AT_STUB - (384UL << 30),
                                       AT_STUB - (1UL << 32),
                                       AT_STUB,
                                       AT_STUB & ~0xffffffffUL,
                                       PAST_STUB,
                                       (PAST_STUB + 0xffffffffUL) & ~0xffffffffUL,
                                       0x7ffffffff000,
                                       1UL << 47,
                                       1UL << 63,
                                       UINT64_MAX};
    static const int64_t steps[] = {0,        1,        -1,          4095,           4096,
                                    -4096,    -4095,    8192,        -8192,          65536,
                                    1L << 31, 1L << 32, -(1L << 32), (1L << 32) - 1, (1L << 32) + 4096};
    unsigned native = 0;

    ck_assert_uint_eq(sc_host.native_start % (1UL << 32), 0);
    for (size_t i = 0; i < ARRAY_SIZE(anchors); i++)
        for (size_t j = 0; j < ARRAY_SIZE(steps); j++)
            for (size_t k = 0; k < ARRAY_SIZE(anchors); k++)
                for (size_t l = 0; l < ARRAY_SIZE(steps); l++) {
                    const uint64_t addr = anchors[i] + (uint64_t)steps[j];
                    const uint64_t len = anchors[k] + (uint64_t)steps[l] - (k > 2 && l % 2 ? addr : 0);
                    const bool passed = passes(SYS_munmap, addr, len, 0, 0);
                    native += passed;
                    if (passed && !is_native(addr, len))
                        ck_abort_msg("munmap(%#lx, %#lx) passes", addr, len);
                    ck_assert_int_eq(passed, passes(SYS_mprotect, addr, len, PROT_READ, 0));
                    ck_assert_int_eq(passed, passes(SYS_madvise, addr, len, MADV_DONTNEED, 0));
                    ck_assert_int_eq(passed, passes(SYS_mremap, addr, len, len, MREMAP_MAYMOVE));
                    ck_assert_int_eq(passed, passes(SYS_mmap, addr, len, PROT_READ, MAP_FIXED | 0x22));
                }
    ck_assert_uint_gt(native, 100);
}
END_TEST

START_TEST(flags)
{
    const uint64_t in = AT_STUB - (1UL << 30), below = sc_host.native_start - (1UL << 30);

    ck_assert(passes(SYS_munmap, in, 4096, 0, 0));
    ck_assert(!passes(SYS_munmap, below, 4096, 0, 0));
    ck_assert(passes(SYS_mmap, 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS));
    ck_assert(passes(SYS_mmap, below, 1UL << 40, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
    ck_assert(!passes(SYS_mmap, 0, 4096, 3, MAP_PRIVATE));
    ck_assert(!passes(SYS_mmap, 0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS));
    ck_assert(!passes(SYS_mmap, 0, 4096, 3, MAP_SHARED_VALIDATE | MAP_ANONYMOUS));
    ck_assert(!passes(SYS_mmap, 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB));
    ck_assert(!passes(SYS_mmap, 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN));
    ck_assert(!passes(SYS_mmap, below, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED));
    ck_assert(passes(SYS_mmap, in, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE));
    ck_assert(!passes(SYS_mremap, in, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED));
    ck_assert(!passes(SYS_mremap, in, 4096, 8192, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
    ck_assert(!passes(SYS_madvise, in, 4096, MADV_DONTFORK, 0));
    ck_assert(!passes(SYS_madvise, in, 4096, MADV_WIPEONFORK, 0));
    ck_assert(passes(SYS_brk, 0, 0, 0, 0));
}
END_TEST

START_TEST(futexes)
{
    ck_assert(passes(SYS_futex, 0x1000, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, 0));
    ck_assert(passes(SYS_futex, 0x1000, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, 0));
    ck_assert(passes(SYS_futex, 0x1000, FUTEX_WAKE_OP, 0, 0));
    for (uint64_t op = 0; op < 128; op++)
        if (op == FUTEX_FD || (op >= FUTEX_LOCK_PI && op <= FUTEX_TRYLOCK_PI) || op > FUTEX_WAKE_BITSET)
            ck_assert(!passes(SYS_futex, 0x1000, op, 0, 0) && !passes(SYS_futex, 0x1000, op | 128, 0, 0));
    ck_assert(!passes(SYS_futex, 0x1000, FUTEX_WAIT | 0x1000, 0, 0));
}
END_TEST

/* Nothing else passes, whatever its number; foreign calls and the stub's own go their ways. */
START_TEST(other_calls)
{
    unsigned passed = 0;

    for (long nr = 0; nr < 600; nr++)
        passed += passes(nr, 0, 0, 0, 0);
    ck_assert_uint_eq(passed, 7); /* the six that always pass, and futex as a wait */
    ck_assert(passes(SYS_arch_prctl, ARCH_SET_FS, 0, 0, 0) && passes(SYS_arch_prctl, ARCH_GET_GS, 0, 0, 0));
    ck_assert(!passes(SYS_arch_prctl, ARCH_SET_CPUID, 0, 0, 0) && !passes(SYS_arch_prctl, 0x5001, 0, 0, 0));
    ck_assert(!passes(SYS_brk | 0x40000000, 0, 0, 0, 0));
    struct seccomp_data data = call(SYS_munmap, AT_STUB - 8192, 4096, 0, 0);
    data.arch = AUDIT_ARCH_I386;
    ck_assert(run(filter, filter_length, &data) != SECCOMP_RET_ALLOW);
    data = call(SYS_munmap, AT_STUB - 8192, 4096, 0, 0);
    data.instruction_pointer = SITE;
    ck_assert_uint_eq(run(filter, filter_length, &data), SECCOMP_RET_USER_NOTIF);
}
END_TEST

START_TEST(undone)
{
    struct sock_filter undo[STUB_UNDO_MAX];
    const size_t n = native_build_undo(undo, ARRAY_SIZE(undo));
    struct seccomp_data data = call(SYS_munmap, AT_STUB - 8192, 4096, 0, 0);

    ck_assert_uint_le(n, ARRAY_SIZE(undo));
    ck_assert_uint_eq(run(undo, n, &data), SECCOMP_RET_TRAP);
    data.instruction_pointer = SITE; /* as a job */
    ck_assert_uint_eq(run(undo, n, &data), SECCOMP_RET_ALLOW);
    data = call(SYS_read, 0, 0, 0, 0);
    ck_assert_uint_eq(run(undo, n, &data), SECCOMP_RET_ALLOW);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("native");
    TCase *tc = tcase_create("native");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, ranges);
    tcase_add_test(tc, flags);
    tcase_add_test(tc, futexes);
    tcase_add_test(tc, other_calls);
    tcase_add_test(tc, undone);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
