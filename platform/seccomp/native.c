/*
 * Calls that the host performs for the guest without our seeing them: *native* calls.
 *
 * They concern memory that is the process's own, or the kernel's waiting and waking on words of it, and their answers
 * are the host's, as they would be if we looked first: private anonymous memory where the host finds room, changes to
 * ranges in the *native region*, the heap, futexes, and what a thread registers with the kernel about itself; and
 * random numbers, which are written to the guest's own memory.
 *
 * The native region reaches from sc_host.native_start up to the stub. The sentry maps files and shared memory below it,
 * where every change is notified, so what happens above needs no bookkeeping of ours. A guest that insists on a file
 * up there (MAP_FIXED) gets a second filter, from native_undo(), which has the calls on memory trapped from then on.
 *
 * Nothing here may reach the stub: a range that touches it, or whose end cannot be told in 32 bits, is not native.
 * See mmap(2), futex(2), get_robust_list(2), bpf(2)'s ancestor in Documentation/networking/filter.rst.
 */
#include "platform/seccomp/internal.h"
#include "platform/seccomp/program.h"

#include <errno.h>
#if defined(__x86_64__)
#include <asm/prctl.h>
#endif
#include <linux/futex.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From the stub downwards. Sanitizers' runtimes want everything within the 1.5 TiB below the stack. */
#define REGION_BYTES (384UL << 30)
#define REGION_ALIGN (1UL << 32)

/* Flags of mmap that do not matter here. */
#define MAP_HARMLESS                                                                                                   \
    (MAP_NORESERVE | MAP_STACK | MAP_POPULATE | MAP_NONBLOCK | MAP_LOCKED | MAP_DENYWRITE | MAP_EXECUTABLE)
#define MAP_FREE (MAP_PRIVATE | MAP_ANONYMOUS)

void native_announce(void)
{
    sc_host.native_futex = true;
    sc_host.native_start = (sc_stub.start - REGION_BYTES) & ~(REGION_ALIGN - 1);
}

/* Passes a call whose first two arguments are a range of the native region; goes to `no` with any other. */
static void pass_range(struct program *p, struct label *no)
{
    const uint32_t stub_high = (uint32_t)(sc_stub.start >> 32), stub_low = (uint32_t)sc_stub.start;

    load(p, HIGH_ARG(1));
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0);
    jump(p, no);
    load(p, HIGH_ARG(0));
    emit(p, BPF_JMP | BPF_JGE | BPF_K, 1, 0, (uint32_t)(sc_host.native_start >> 32));
    jump(p, no);
    emit(p, BPF_JMP | BPF_JGT | BPF_K, 0, 1, stub_high);
    jump(p, no);
    /* The end's lower half; a carry out of it is refused, so that the upper half is the start's. */
    load(p, LOW_ARG(0));
    emit(p, BPF_MISC | BPF_TAX, 0, 0, 0);
    load(p, LOW_ARG(1));
    emit(p, BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0);
    emit(p, BPF_JMP | BPF_JGE | BPF_X, 1, 0, 0);
    jump(p, no);
    emit(p, BPF_MISC | BPF_TAX, 0, 0, 0);
    load(p, HIGH_ARG(0));
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, stub_high);
    answer(p, SECCOMP_RET_ALLOW);
    /* In the stub's own 4 GiB: a page is kept free, for lengths that are rounded up. */
    emit(p, BPF_MISC | BPF_TXA, 0, 0, 0);
    emit(p, BPF_JMP | BPF_JGT | BPF_K, 0, 1, stub_low - MIN(stub_low, 4096));
    jump(p, no);
    answer(p, SECCOMP_RET_ALLOW);
}

static void mmap_call(struct program *p, struct label *range, struct label *no)
{
    load(p, LOW_ARG(3));
    emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, ~(uint32_t)MAP_HARMLESS);
    answer_if_equal(p, MAP_FREE, SECCOMP_RET_ALLOW);
    emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, ~(uint32_t)(MAP_FIXED | MAP_FIXED_NOREPLACE));
    jump_if_equal(p, MAP_FREE, range);
    jump(p, no);
}

static void futex_call(struct program *p, struct label *no)
{
    static const uint32_t ops[] = {FUTEX_WAIT,        FUTEX_WAKE,        FUTEX_WAIT_BITSET, FUTEX_REQUEUE,
                                   FUTEX_CMP_REQUEUE, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP};

    load(p, LOW_ARG(1));
    emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, ~(uint32_t)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME));
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
        answer_if_equal(p, ops[i], SECCOMP_RET_ALLOW);
    jump(p, no);
}

/* The segment bases, which a guest may also set by instructions. */
static void arch_prctl_call(struct program *p, struct label *no)
{
#if defined(__x86_64__)
    static const uint32_t codes[] = {ARCH_SET_FS, ARCH_SET_GS, ARCH_GET_FS, ARCH_GET_GS};

    load(p, LOW_ARG(0));
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        answer_if_equal(p, codes[i], SECCOMP_RET_ALLOW);
#endif
    jump(p, no);
}

/* With the number in the accumulator, before and, where nothing passed, after. */
void native_pass(struct program *p)
{
    /* restart_syscall: how the kernel goes on with a futex wait after it has stopped the thread itself (the freezer) */
    static const uint32_t whole[] = {SYS_brk,         SYS_sched_yield,     SYS_set_robust_list,
                                     SYS_futex_waitv, SYS_restart_syscall, SYS_getrandom};
    struct label mmaps = {0}, bases = {0}, futexes = {0}, remaps = {0}, advice = {0}, range = {0}, no = {0};

    for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
        answer_if_equal(p, whole[i], SECCOMP_RET_ALLOW);
    jump_if_equal(p, SYS_futex, &futexes);
    jump_if_equal(p, SYS_mmap, &mmaps);
    jump_if_equal(p, SYS_munmap, &range);
    jump_if_equal(p, SYS_mprotect, &range);
    jump_if_equal(p, SYS_madvise, &advice);
    jump_if_equal(p, SYS_mremap, &remaps);
#if defined(__x86_64__)
    jump_if_equal(p, SYS_arch_prctl, &bases);
#endif
    jump(p, &no);
    land(p, &futexes);
    futex_call(p, &no);
    land(p, &bases);
    arch_prctl_call(p, &no);
    land(p, &mmaps);
    mmap_call(p, &range, &no);
    /* Where the new place is the host's choice. */
    land(p, &remaps);
    load(p, LOW_ARG(3));
    jump_if_equal(p, MREMAP_MAYMOVE, &range);
    jump(p, &no);
    land(p, &advice);
    load(p, LOW_ARG(2));
    jump_if_equal(p, MADV_DONTNEED, &range);
    jump_if_equal(p, MADV_FREE, &range);
    jump(p, &no);
    land(p, &range);
    pass_range(p, &no);
    land(p, &no);
    load(p, LOW(nr));
}

size_t native_build_undo(struct sock_filter *out, size_t cap)
{
    static const uint32_t memory[] = {SYS_brk, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_mremap};
    struct program p = {.insns = out, .cap = cap};
    struct label others = {0};

    /* The stub's own calls are judged by the first filter, which also refuses what is not x86-64's. */
    load(&p, HIGH(instruction_pointer));
    emit(&p, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, (uint32_t)(sc_stub.site_ip >> 32));
    load(&p, LOW(instruction_pointer));
    jump_if_equal(&p, (uint32_t)sc_stub.site_ip, &others);
    load(&p, LOW(nr));
    for (size_t i = 0; i < ARRAY_SIZE(memory); i++)
        answer_if_equal(&p, memory[i], SECCOMP_RET_TRAP);
    land(&p, &others);
    answer(&p, SECCOMP_RET_ALLOW);
    return p.n;
}

int native_undo(struct plat_thread *t)
{
    const uint64_t args[6] = {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, sc_stub.undo};

    const int64_t ret = job_call(t, SYS_seccomp, args);
    return ret == 0 ? 0 : ret < 0 && ret >= -4095 ? (int)ret : -EAGAIN;
}

bool native_waits(uint64_t nr, const uint64_t args[6])
{
    const uint64_t op = args[1] & ~(uint64_t)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

    if (see_all)
        return false;
    return nr == SYS_futex_waitv || (nr == SYS_futex && (op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET));
}

uint64_t native_robust_list(struct plat_thread *t)
{
    const pid_t tid = sc_thread_tid(t);
    uint64_t head = 0;
    size_t len;

    if (!tid || !sc_process_use(t->process))
        return 0;
    if (syscall(SYS_get_robust_list, tid, &head, &len) < 0)
        head = 0;
    sc_process_unuse(t->process);
    return head;
}
