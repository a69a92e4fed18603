/*
 * Slots: fast calls on the sentry's side. A thread that has a slot, a page which it shares with us, posts calls there
 * from call sites that are patched (patch.c); the poller (poller.c) takes and serves them like a notified call.
 *
 * A stop of this kind is STOP_FAST: number and arguments are known as at STOP_CALL, and what needs registers upgrades
 * it by a kick and a placeholder in the same way. The guest's handler never leaves its thread in the middle of a fast
 * call: it takes back what was not taken, and waits for what was.
 *
 * Trust. The guest can write its slot at any time, from any of its threads. Whose call it is follows from the slot, and
 * that a thread is stopped only once follows from `expected`: taking it away from a thread that has it makes the taker
 * its owner. A call posted for a thread that is stopped otherwise kills its process, as does the notice of one that is
 * being served here.
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOT_PAGE 4096UL
#define SLOTS_OFFSET (16UL << 20) /* of area 0's slot in the native region */

/* ---- which calls ---- */

/*
 * Calls that mostly answer at once, and that the host never performs in the guest's place. Whatever waits as a rule is
 * better off without: it would hold up the poller.
 */
bool fast_call(uint64_t nr)
{
    switch (nr) {
#if defined(__x86_64__)
    case SYS_open:
    case SYS_stat:
    case SYS_lstat:
    case SYS_access:
    case SYS_dup2:
    case SYS_readlink:
    case SYS_unlink:
    case SYS_mkdir:
    case SYS_rmdir:
    case SYS_rename:
    case SYS_chmod:
    case SYS_chown:
    case SYS_lchown:
    case SYS_time:
#endif
    case SYS_read:
    case SYS_write:
    case SYS_pread64:
    case SYS_pwrite64:
    case SYS_readv:
    case SYS_writev:
    case SYS_preadv:
    case SYS_pwritev:
    case SYS_lseek:
    case SYS_openat:
    case SYS_close:
    case SYS_fstat:
    case SYS_newfstatat:
    case SYS_statx:
    case SYS_faccessat:
    case SYS_faccessat2:
    case SYS_readlinkat:
    case SYS_getdents64:
    case SYS_fcntl:
    case SYS_ioctl:
    case SYS_dup:
    case SYS_dup3:
    case SYS_ftruncate:
    case SYS_fchmod:
    case SYS_fchmodat:
    case SYS_fchown:
    case SYS_fchownat:
    case SYS_utimensat:
    case SYS_unlinkat:
    case SYS_mkdirat:
    case SYS_renameat2:
    case SYS_linkat:
    case SYS_symlinkat:
    case SYS_getcwd:
    case SYS_getpid:
    case SYS_getppid:
    case SYS_gettid:
    case SYS_getuid:
    case SYS_geteuid:
    case SYS_getgid:
    case SYS_getegid:
    case SYS_getpgid:
    case SYS_getsid:
    case SYS_getrusage:
    case SYS_times:
    case SYS_umask:
    case SYS_uname:
    case SYS_rt_sigprocmask:
    case SYS_rt_sigaction:
    case SYS_rt_sigpending:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_recvfrom:
    case SYS_recvmsg:
        return true;
    default:
        return false;
    }
}

/* ---- made and given up ---- */

/* The page, for us and, by *out_fd, for the guest. */
static struct stub_slot *map_page(int *out_fd)
{
    const int fd = memfd_create("sbox-slot", MFD_CLOEXEC);

    if (fd < 0)
        return NULL;
    void *page = MAP_FAILED;
    if (ftruncate(fd, SLOT_PAGE) == 0)
        page = mmap(NULL, SLOT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        close(fd);
        return NULL;
    }
    *out_fd = fd;
    return page;
}

/* A page at this address may be there already, from an earlier thread in the same area. */
static int map_in_guest(struct plat_thread *t, uint64_t addr, int fd)
{
    struct space *s = t->process->space;
    const uint64_t bit = 1UL << t->area % 64;

    pthread_mutex_lock(&s->lock);
    const bool again = s->slots[t->area / 64] & bit;
    s->slots[t->area / 64] |= bit;
    pthread_mutex_unlock(&s->lock);
    const struct plat_mapping map = {.addr = addr,
                                     .len = SLOT_PAGE,
                                     .prot = PROT_READ | PROT_WRITE,
                                     .flags = MAP_SHARED | (again ? MAP_FIXED : MAP_FIXED_NOREPLACE),
                                     .fd = fd};
    const int64_t at = memory_map(t, &map);
    return at < 0 ? (int)at : 0;
}

static uint64_t address_in_guest(const struct plat_thread *t)
{
    return sc_host.native_start + SLOTS_OFFSET + t->area * SLOT_PAGE;
}

static int make(struct plat_thread *t)
{
    const uint64_t forget[6] = {address_in_guest(t), SLOT_PAGE, MADV_DONTFORK};
    int fd;

    struct stub_slot *page = map_page(&fd);
    if (!page)
        return -ENOMEM;
    int ret = map_in_guest(t, address_in_guest(t), fd);
    close(fd);
    if (ret == 0)
        ret = (int)job_call(t, SYS_madvise, forget);
    if (ret < 0)
        munmap(page, SLOT_PAGE);
    else
        t->slot = page;
    return ret;
}

int slot_show(struct plat_thread *t)
{
    const struct stub_job job = {.op = STUB_POKE, .args = {sc_stub.slot, address_in_guest(t)}, .close_fd = -1};
    int64_t result;
    size_t done;

    int ret = t->slot ? 0 : make(t);
    if (ret == 0)
        ret = jobs_run(t, &job, 1, &result, &done);
    if (ret == 0)
        t->process->space->slot_shown = true;
    return ret;
}

void slot_free(struct plat_thread *t)
{
    if (t->slot)
        munmap(t->slot, SLOT_PAGE);
    t->slot = NULL;
}

void slot_arm(struct plat_thread *t, bool on)
{
    if (__atomic_load_n(&t->slot->armed, __ATOMIC_RELAXED) != (uint32_t)on)
        __atomic_store_n(&t->slot->armed, on, __ATOMIC_SEQ_CST);
}

/* ---- calls ---- */

bool slot_posted(const struct plat_thread *t)
{
    return __atomic_load_n(&t->slot->state, __ATOMIC_ACQUIRE) == SLOT_POSTED;
}

/* The guest may have gone to sleep since the call was taken. */
static void end_call(struct stub_slot *s, uint32_t state)
{
    if (__atomic_exchange_n(&s->state, state, __ATOMIC_SEQ_CST) == SLOT_ASLEEP)
        syscall(SYS_futex, &s->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Takes the posted call of t as its stop. False: it was taken back, or t is being killed. */
static bool take(struct plat_thread *t)
{
    struct stub_slot *s = t->slot;
    uint32_t state = SLOT_POSTED;

    if (!__atomic_compare_exchange_n(&s->state, &state, SLOT_TAKEN, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return false;
    if (atomic_load(&t->gone))
        return false;
    if (!unexpect(t)) {
        (void)!sc_thread_violation(t, "a call was posted for a thread that is stopped");
        return false;
    }
    const uint32_t nr = __atomic_load_n(&s->nr, __ATOMIC_RELAXED);
    if (!fast_call(nr)) {
        expect(t);
        if (atomic_load(&t->kick))
            sc_thread_send_kick(t);
        end_call(s, SLOT_REFUSED);
        return false;
    }
    t->event = (struct plat_event){
        .kind = PLAT_EV_SYSCALL, .nr = nr, .ip = __atomic_load_n(&s->site, __ATOMIC_RELAXED) + SYSCALL_INSN_LEN};
    for (size_t i = 0; i < ARRAY_SIZE(t->event.args); i++)
        t->event.args[i] = __atomic_load_n(&s->args[i], __ATOMIC_RELAXED);
    t->lent = false;
    t->stop = STOP_FAST;
    return true;
}

bool slot_serve(struct plat_thread *t)
{
    if (!take(t))
        return false;
    stop_serve(t);
    ensure_listener(); /* while t was served here, there was perhaps nobody to listen for */
    return true;
}

void slot_answer(struct plat_thread *t, int64_t value)
{
    __atomic_store_n(&t->slot->result, value, __ATOMIC_RELAXED);
    end_call(t->slot, SLOT_DONE);
}
