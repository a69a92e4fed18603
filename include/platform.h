/*
 * The platform: how guest code runs, how it stops, and what may be done to it while it is stopped.
 *
 * Objects
 *   plat_mm      one guest address space: the memory of one (or, under vfork, several) stub processes.
 *   plat_thread  one guest thread: one host thread of a stub process.
 *
 * Control flow. plat_run() starts worker threads. When a guest thread stops, one worker calls client->event() with it.
 * The worker then owns that plat_thread until event() returns, and event() may block for as long as it likes: other
 * workers serve other threads. What event() returns says how the guest thread goes on. All functions that take a
 * plat_thread, except plat_kick() and plat_kill(), may be called only by its owner.
 *
 * Trust. Registers, memory, and everything in a stub process are the guest's. The platform never acts on a value read
 * back from there without checking it against what it ordered.
 *
 * Implementations: platform/seccomp/ and platform/ptrace/, each a table of struct platform_ops; platform/platform.c
 * holds the thin wrappers declared here. Both use the stub of platform/stub/. See the design in docs/platform.md.
 */
#pragma once

#include "include/arch/regs.h"
#include "lib/compiler.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/uio.h>

struct plat_mm;
struct plat_thread;

enum plat_event_kind {
    PLAT_EV_SYSCALL, /* the guest made a system call: nr, args, ip */
    PLAT_EV_SIGNAL,  /* a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP): info holds the host's siginfo */
    PLAT_EV_KICK,    /* plat_kick() met the thread in guest code; nothing else happened */
    PLAT_EV_WAIT,    /* plat_kick() met the thread in a futex wait of the host's, or right before it: nr, args, ip. The
                        registers are those before the call, so that PLAT_RESUME makes it again */
    PLAT_EV_START,   /* a thread that plat_clone() made is about to run its first instruction */
    PLAT_EV_STILLBORN, /* a thread that plat_clone() made will not run: the host could not make it after all, or its
                          parent ended first. Comes from the parent's worker; the task ends, and PLAT_GONE is the answer
                        */
};

/* Why a guest thread stopped. Constant while event() runs. */
struct plat_event {
    enum plat_event_kind kind;
    uint64_t nr;      /* PLAT_EV_SYSCALL: number, as in the guest's register */
    uint64_t args[6]; /* PLAT_EV_SYSCALL */
    uint64_t ip;      /* PLAT_EV_SYSCALL: address of the instruction after the system call instruction */
    siginfo_t info;   /* PLAT_EV_SIGNAL: si_signo, si_code, si_addr (and si_trapno etc.) as the host kernel gave them */
    bool mask_recalled; /* PLAT_EV_SYSCALL: an rt_sigprocmask(2) that met plat_recall_mask(), which may have told the
                           mask after it; before it, it was `mask` */
    uint64_t mask;
    struct fault fault; /* PLAT_EV_SIGNAL: what a host that says no more than info leaves to be guessed */
};

enum plat_verdict {
    PLAT_RETURN,   /* system call: give `value` to the guest as its result and go on */
    PLAT_CONTINUE, /* system call: let the host kernel perform this very call (register arguments only), then go on */
    PLAT_RESUME, /* go on with the registers as they are (after plat_set_regs, or a kick or fault with nothing to do) */
    PLAT_GONE,   /* the thread is not to run again: it was plat_exit_thread()ed, killed or replaced by exec */
};

struct plat_resume {
    enum plat_verdict verdict;
    int64_t value; /* PLAT_RETURN: the result register */
};

/* The sentry's side. All are called from worker threads of the platform with no platform lock held. */
struct platform_client {
    /* A stop of thread t, whose cookie the sentry chose. May block. */
    struct plat_resume (*event)(void *cookie, struct plat_thread *t, const struct plat_event *ev);
    /*
     * The host process behind an address space's process has ended and was reaped: its threads will make no further
     * events. `status` is as of waitpid(2), ru what it used. Called once for each process ever made, in any order with
     * respect to event() calls still running for its threads (whose plat calls then fail with -ESRCH).
     */
    void (*process_died)(void *process_cookie, int status, const struct rusage *ru);
    /*
     * May the platform change the guest's code at [addr, addr + len)? Then an address is returned, of a whole page,
     * where code can be put that is at most 2 GiB away, if nothing is there yet. 0: no, that is not plain code of a
     * program file. NULL: never. Called by the owner of the thread with this cookie.
     */
    uint64_t (*code_space)(void *cookie, uint64_t addr, size_t len);
};

/* Calls that are served without a stop in the host's kernel, where the platform can do that. */
enum plat_fast_calls {
    PLAT_FAST_AUTO, /* of busy threads, while a processor is idle */
    PLAT_FAST_NEVER,
    PLAT_FAST_ALWAYS, /* at once and from everywhere: for tests */
};

struct platform_config {
    const char *name;   /* "seccomp" or "ptrace" */
    unsigned pool_size; /* stub processes to keep ready for exec; 0: a sensible default */
    bool see_all;       /* no call is native (below) or fast: for tracing */
    enum plat_fast_calls fast_calls;
};

/*
 * Prepares the chosen platform: starts the program of the first stub (the zygote, from which all others are forked).
 * Called once per process, before the caller has locked itself in and while it is single-threaded. On failure returns
 * -errno and *out_why names the step in a few words (static text).
 */
int plat_init(const struct platform_config *cfg, const struct platform_client *client, const char **out_why) must_check;

/*
 * Waits until that program has come up, which it does beside the caller, and has it put itself behind its filter. Next
 * after plat_init() and under the same conditions.
 */
int plat_greet(const char **out_why) must_check;

/*
 * Starts the worker threads. Called after the process is locked in (seccomp filter on). Returns -errno, or 0 with the
 * workers running.
 */
int plat_run(void) must_check;

/* Kills every stub; used when the sandbox ends. */
void plat_shutdown(void);

/* ---- address spaces and threads ---- */

/*
 * Takes a fresh, empty address space with one thread in it, stopped before its first instruction and owned by the
 * caller: what execve and the first process need. The caller maps things into it with the calls below, sets registers
 * and lets it go with plat_start(), or gives it up with plat_kill() + plat_thread_put().
 * cookie is given to event(); process_cookie to process_died(). Returns -errno (-EAGAIN: host out of processes).
 */
int plat_new(void *cookie, void *process_cookie, struct plat_thread **out) must_check;

/* Lets a thread from plat_new() run; its owner is then the platform. */
void plat_start(struct plat_thread *t, const struct regs *regs);

enum plat_clone_kind {
    PLAT_CLONE_THREAD, /* same process, same memory (CLONE_VM|CLONE_THREAD) */
    PLAT_CLONE_VM,     /* new process, same memory (vfork, or CLONE_VM alone) */
    PLAT_CLONE_FORK,   /* new process, copy of memory */
};

/*
 * Makes a new guest thread out of the stopped thread t, which must be stopped in a system call. The child starts with
 * child_regs and t's FP state; if tls is not NULL its TLS register is set to *tls (else it inherits t's). With native
 * futexes, the host clears the word at clear_tid (0: none) and wakes a waiter when the child ends. A process
 * begins with PLAT_EV_START (from a worker, with `cookie`), after which it runs; a thread may begin so, or run without
 * an event from when t goes on. process_cookie is used for the two process kinds. Returns -errno with nothing made
 * (-EAGAIN, -ENOMEM as the host said).
 */
int plat_clone(struct plat_thread *t, enum plat_clone_kind kind, const struct regs *child_regs, const uint64_t *tls,
               uint64_t clear_tid, void *cookie, void *process_cookie, struct plat_thread **out) must_check;

/*
 * True if t is stopped in a clone(2) whose child, a thread, has its registers already, as the call's arguments say:
 * plat_clone(), with the same arguments, then does not look at child_regs.
 */
bool plat_child_prepared(const struct plat_thread *t);

/* Ends the calling guest thread's host thread (not its process). The owner then returns PLAT_GONE. */
void plat_exit_thread(struct plat_thread *t);

/*
 * Ends the whole host process of t, for t's owner: by the exit_group(2) that t is stopped in, if it is, else as
 * plat_kill() does. process_died() follows; the owner then returns PLAT_GONE.
 */
void plat_end(struct plat_thread *t);

/*
 * Kills the whole host process of t (SIGKILL): any thread may call it, at any time while it holds a reference. Its
 * threads make no further events; process_died() follows.
 */
void plat_kill(struct plat_thread *t);

/* A plat_thread has one reference from plat_new()/plat_clone(), owned by the sentry; the last put frees it. */
void plat_thread_get(struct plat_thread *t);
void plat_thread_put(struct plat_thread *t);

/* The host ids behind t, for accounting (/proc, clocks); -1 when gone. */
pid_t plat_host_tid(struct plat_thread *t);
pid_t plat_host_pid(const struct plat_thread *t);

/*
 * Makes t stop soon: in guest code with PLAT_EV_KICK. A thread that is stopped already, or is inside event(), stops
 * again right after it next resumes. Any thread may call it while holding a reference. Kicks do not queue.
 */
void plat_kick(struct plat_thread *t);

/* ---- what the owner of a stopped thread may do ---- */

/*
 * Registers of the stopped guest: at a system call stop, ip is after the system call instruction and the result
 * register (arch/regs.h: regs_result) holds the system call number's original register value, orig_nr the number.
 * Costs an extra round trip on the seccomp platform when the call was not one that stops with all registers.
 * Return -errno (-ESRCH: the thread is being killed).
 */
int plat_get_regs(struct plat_thread *t, struct regs *out) must_check;
int plat_set_regs(struct plat_thread *t, const struct regs *regs) must_check;

/*
 * The guest's FP and vector state, in the format of the host's signal frame without its trailer (x86-64: the XSAVE
 * area, standard format; arm64: the chain of _aarch64_ctx records). get: returns the bytes written to buf (at most
 * cap), or -errno. set: -EINVAL if it is not well formed.
 */
ssize_t plat_get_fpstate(struct plat_thread *t, void *buf, size_t cap) must_check;
int plat_set_fpstate(struct plat_thread *t, const void *buf, size_t len) must_check;

/*
 * Performs host system call nr with register arguments in the stopped thread's process and returns its raw result
 * (-errno on failure). Only memory-management calls, arch_prctl, and a thread's words (futex wake, set_tid_address,
 * set_robust_list) are permitted; the stub's own region is refused
 * with -EINVAL. May be called several times in one stop.
 */
int64_t plat_host_call(struct plat_thread *t, long nr, const uint64_t args[6]) must_check;

/*
 * From now on all calls of t's process on memory are events, wherever they are about. For good, and for its children.
 * -ESRCH; -EAGAIN: the host refuses.
 */
int plat_see_memory_calls(struct plat_thread *t) must_check;

/* mmap(2) of the caller's host descriptor fd (or -1 with MAP_ANONYMOUS) in the guest. Returns the address or -errno. */
int64_t plat_mmap(struct plat_thread *t, uint64_t addr, uint64_t len, int prot, int flags, int fd,
                  uint64_t off) must_check;

/*
 * For an event that is an mmap of a file at a fixed address, private: gives t's process the caller's host descriptor fd
 * under the number that the call names, so that the host can perform the call (PLAT_CONTINUE). The process keeps it,
 * out of the guest's reach, until another takes the number or the process ends. -EOPNOTSUPP or another error:
 * plat_mmap() it.
 */
int plat_lend_fd(struct plat_thread *t, int fd) must_check;

/* One mapping of a batch; see plat_mmap_batch(). */
struct plat_mapping {
    uint64_t addr, len, off;
    int prot, flags, fd;
};

/* n times plat_mmap() with MAP_FIXED addresses in one round trip (exec). Stops at the first failure: -errno. */
int plat_mmap_batch(struct plat_thread *t, const struct plat_mapping *maps, size_t n) must_check;

/*
 * Atomically: if the 32-bit word at addr equals old, store new. *out_seen gets what was there. -EFAULT if not mapped.
 */
int plat_cmpxchg32(struct plat_thread *t, uint64_t addr, uint32_t old, uint32_t new_value,
                   uint32_t *out_seen) must_check;

/* The guest address of the robust list that t has registered with the host, 0: none. */
uint64_t plat_robust_list(struct plat_thread *t);

/*
 * Lends t's thread its signal mask: from when it goes on it may change it by rt_sigprocmask(2) without an event. A
 * thread that plat_clone() makes out of it has its mask lent too. False: not here, not now; nothing has changed.
 */
bool plat_lend_mask(struct plat_thread *t, uint64_t mask) must_check;

/*
 * Takes the mask back. Any thread may call it while it holds a reference, but no two at a time for one t. *out_mask is
 * the guest's word. -errno: t's process is gone.
 */
int plat_recall_mask(struct plat_thread *t, uint64_t *out_mask) must_check;

/*
 * Copies between sentry memory and the guest memory of t. Any thread may call them while t is stopped or blocked in
 * event() (t's owner may be another worker). Return the bytes copied, which are fewer than len where the guest range
 * ends early, or -EFAULT if none was, or -ESRCH if the process is gone.
 */
ssize_t plat_copy_in(struct plat_thread *t, void *dst, uint64_t src, size_t len) must_check;
ssize_t plat_copy_out(struct plat_thread *t, uint64_t dst, const void *src, size_t len) must_check;

/*
 * Scatter forms: one host call for n ranges of the sentry's and n_guest of the guest's, whose iov_base is a guest
 * address; both ≤ IOV_MAX. The shorter of the two sums is the length of the copy.
 */
ssize_t plat_copy_in_v(struct plat_thread *t, const struct iovec *dst, size_t n, const struct iovec *guest,
                       size_t n_guest) must_check;
ssize_t plat_copy_out_v(struct plat_thread *t, const struct iovec *guest, size_t n_guest, const struct iovec *src,
                        size_t n) must_check;

/* The range [*start, *end) of guest addresses that belongs to the stub: refused to the guest, hidden in /proc maps. */
void plat_stub_range(const struct plat_thread *t, uint64_t *start, uint64_t *end);

/* Facts about every fresh address space, the same for all of one sandbox. */
struct plat_layout {
    uint64_t vdso;      /* address of the vDSO image (AT_SYSINFO_EHDR), 0 if none */
    uint64_t brk_start; /* where the host's brk area starts; brk(2) may be PLAT_CONTINUEd */
    uint64_t mmap_top;  /* the host places new mappings below this address, top down */
    uint64_t task_size; /* first address above user space */
    /*
     * Where native memory begins. From here up, the host may perform a guest's mmap of private anonymous memory,
     * munmap, mprotect, madvise and mremap without an event; brk likewise. So the sentry places what it wants to know
     * of below, or calls plat_see_memory_calls(). task_size: there is none.
     */
    uint64_t native_start;
    /*
     * The host serves futex(2) without an event (all but priority inheritance), and set_robust_list(2), of
     * which plat_robust_list() tells. Who wants to wake a waiter has to ask the host then: plat_host_call().
     */
    bool native_futex;
};
const struct plat_layout *plat_layout(void);

/* ---- being about to block ---- */

/*
 * A worker calls plat_block_begin() before it sleeps inside event() for longer than a lock's hold time, and
 * plat_block_end() after: the platform then has another worker listen. Pairs do not nest.
 */
void plat_block_begin(void);
void plat_block_end(void);
