/*
 * The seccomp platform: the sentry's half of what runs guest code at native speed. Default, and the product's speed.
 *
 * One filter, made once in the zygote, stands before every stub process, and one *listener* descriptor brings the
 * calls that it notifies. A guest thread that stopped is at one of three kinds of stop:
 *   STOP_CALL     its own system call was notified. We know number and arguments, and answer with a result, or let the
 *                 host perform the call. It costs one round trip and no guest code.
 *   STOP_HANDLER  it is in the stub's handler, which saved all its registers in a frame and made a *report*. It can be
 *                 given jobs, and goes back to the guest with whatever the frame then holds.
 *   STOP_FAST     it has posted a call in memory that it shares with us, and waits there without having entered the
 * kernel. upgrade() turns the first and the third into the second: a kick, and a placeholder as the call's result,
 * which the kick's frame then catches before the guest sees it.
 *
 *   notify.c    the listener: ioctls and nothing else
 *   filter.c    the filter: which call is let through, notified or trapped; native.c: those that we need not see
 *   zygote.c    the first stub process; pool.c: others forked from it, ready for exec
 *   process.c   host processes, address spaces (areas), the use of pids; reap.c: their ends
 *   thread.c    guest threads: look-up by tid, references, kicks
 *   route.c     from a notice to the thread it is of, and to whoever waits for it
 *   worker.c    the threads that listen, and who listens while others are busy
 *   stop.c      what a notice means, and how a thread goes on
 *   jobs.c      orders to the stub and the check that nothing else is done; clone.c: the orders that make threads;
 *               offer.c: threads that the stub makes by itself
 *   fast.c      which threads make fast calls, and from where; patch.c: the change of their code; slot.c: the calls
 *   poller.c    the thread that looks for them
 *   memory.c    mappings and copies; frame_ARCH.c: the stub's frame; mask.c: the signal mask that the stub keeps
 *
 * Trust. A report's arguments, the frame and the area lie in the guest's hands: each is read once and checked. A thread
 * that does what was not ordered has its process killed (sc_thread_violation()). Thread and process ids come from the
 * kernel: the notice's pid, or, for a new thread's, its word that the process has such a thread (clone.c).
 *
 * Locks: (c) constant after creation  (a) atomic  (o) the owner's: the worker that runs event() for the thread, or the
 * caller between plat_new() and plat_start(). No platform lock is held while calling out.
 */
#pragma once

#include "include/platform.h"
#include "lib/list.h"
#include "lib/refcount.h"
#include "platform/stub/abi.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- objects ---- */

/* Which areas of one address space are taken. Shared by the processes of a vfork. */
struct space {
    refcount_t refs;
    pthread_mutex_t lock;
    uint64_t used[STUB_AREAS / 64];  /* lock */
    uint64_t slots[STUB_AREAS / 64]; /* lock: of which areas a slot was ever mapped */
    bool slot_shown;                 /* the stub knows the slot of the only thread; that one's owner's */
    struct sites *sites;             /* lock: NULL: nothing counted yet */
};

/* The system call instructions of one address space from which fast calls come. */
#define SITES_MAX 64U
#define SITE_ANY_NR UINT32_MAX
enum site_state { SITE_COUNTED, SITE_PATCHED, SITE_BAD };
struct site {
    uint64_t ip; /* after the instruction; 0: an unused entry */
    uint32_t nr; /* of its calls, or SITE_ANY_NR */
    unsigned hits;
    enum site_state state;
};
struct sites {
    struct site at[SITES_MAX];
    uint64_t trampolines; /* address of their page, 0: nothing is patched */
    unsigned trampolines_used;
    bool off; /* something of the guest's is where they would be */
};

struct process {
    refcount_t refs;
    pid_t pid;              /* set before the process is known to anybody; (c) */
    struct space *space;    /* (c) counted */
    _Atomic(void *) cookie; /* NULL: not handed out, nobody is told of its end */
    atomic_uint users;      /* PROCESS_DEAD, and how many are using the pid just now */
    pthread_mutex_t threads_lock;
    struct list threads;   /* threads_lock */
    atomic_uint donations; /* descriptors of ours ever opened in it, … */
    atomic_uint returned;  /* … and closed again: a fork between the two inherits some */
};
#define PROCESS_DEAD 0x80000000U

enum stop_kind {
    STOP_NONE, /* running, or gone */
    STOP_CALL,
    STOP_HANDLER,
    STOP_FAST,
};

/* The door through which an owner gets the next notice of its thread. Without one, notices become events. */
enum inbox_state {
    INBOX_OFF,
    INBOX_OPEN,
    INBOX_ASLEEP, /* the owner sleeps on it */
    INBOX_FULL,   /* the notice is there */
};

struct plat_thread {
    refcount_t refs;
    atomic_int tid;          /* 0: not known yet; see sc_thread_tid() */
    struct process *process; /* (c) counted */
    unsigned area;           /* (c) its number */
    void *cookie;            /* (c) once running */
    atomic_bool gone;        /* makes no more notices */
    atomic_bool expected;    /* a notice of it is to come: counted in worker.c */
    atomic_bool kick;        /* stop at the next chance */
    atomic_bool lends;       /* its mask is lent */
    atomic_int offer;        /* number of the area that its stub may use for a new thread; -1: none */

    atomic_uint inbox;
    atomic_int waiter;           /* tid of the worker that waits at the inbox */
    unsigned watched_rounds;     /* the watch's: how long it has been waited for */
    uint64_t watched_id;         /* the watch's: the last notice before that */
    struct seccomp_notif notice; /* written by who fills the inbox or queues the thread */
    struct list queue_node;      /* worker.c */

    /* (o) */
    enum stop_kind stop;
    uint64_t id; /* of the notice to answer */
    struct plat_event event;
    uint64_t frame;             /* STOP_HANDLER: address of its frame */
    uint64_t fpstate;           /* STOP_HANDLER: of the FP state that the frame names, or 0: not read yet */
    struct regs regs;           /* STOP_HANDLER */
    bool regs_changed;          /* the frame is to be written before the thread goes on, … */
    bool result_changed;        /* … if only for the result register */
    bool lent;                  /* STOP_CALL: an mmap whose descriptor is there, so that the host may perform it */
    bool fresh;                 /* a child before its PLAT_EV_START */
    bool offered;               /* STOP_HANDLER: at the clone(2) of such a thread, not at a report */
    bool regs_unread;           /* STOP_HANDLER: `regs` are still to be read */
    struct plat_thread *making; /* the thread whose clone is let through when this one goes on; referenced */
    struct plat_thread *made;   /* … was let through when it last went on; referenced */

    struct stub_slot *slot; /* our mapping of it, or NULL; (o) and then (c) */
    atomic_bool listed;     /* the poller looks at it */
    unsigned served;        /* fast calls since then */
    atomic_uint need;  /* notified calls in quick succession before it is listed; the poller's to change while it is */
    unsigned in_a_row; /* (o) such calls so far */
    uint64_t went_on;  /* (o) when it went on after the last notified call, ns */
    bool no_fast;      /* (o) it cannot make fast calls */

    struct list hash_node;    /* thread.c: holds a reference while in the table */
    struct list process_node; /* process->threads */
};

/* Addresses inside every stub, the same in all of a sandbox. (c) after plat_init() */
struct stub_layout {
    uint64_t start, end, areas;
    uint64_t site_ip, close_ip, prctl_ip, sigreturn_ip, futex_ip;
    uint64_t undo;                    /* address of the program for native_undo(), in the stub's data */
    uint64_t fast, slot, trampolines; /* of stub_fast, and of two variables: see slot.h */
};
extern struct stub_layout sc_stub;
extern struct plat_layout sc_host;
extern const struct platform_client *sc_client;
extern enum plat_fast_calls sc_fast_calls;
extern bool sc_force_trap;   /* for tests: be like such a host */
extern bool see_all;         /* no call is native */
extern bool trap_everything; /* the host cannot keep a received notice from being interrupted (before Linux 5.19) */

static inline uint64_t area_address(unsigned area)
{
    return sc_stub.areas + (uint64_t)area * STUB_AREA_SIZE;
}

/* Of its struct stub_self. */
static inline uint64_t self_address(const struct plat_thread *t)
{
    return area_address(t->area) + STUB_SELF_OFFSET;
}

/* ---- notify.c: all return 0 (or what they say) or -errno; -ENOENT: the thread is gone or was interrupted ---- */
void notify_init(int listener_fd);
/* Waits for a notice. -EINTR: a signal came, -ENOENT: a thread took its notice back; both: again. */
int notify_recv(struct seccomp_notif *out) must_check;
bool notify_pending(void); /* a notice is waiting for a listener */
bool notify_valid(uint64_t id);
int notify_reply(uint64_t id, int64_t value) must_check;
int notify_continue(uint64_t id) must_check;
/* Puts a copy of fd into the process of the notice; returns its number there. */
int notify_addfd(uint64_t id, int fd) must_check;
/* As that, but under this number, in the place of what had it. */
int notify_setfd(uint64_t id, int fd, unsigned number) must_check;

/* ---- filter.c ---- */
size_t filter_build(struct sock_filter *out, size_t cap);

/* ---- native.c ---- */
struct program;
/* Tells in sc_host what is native; needs the stub's addresses. */
void native_announce(void);
/* The part of the filter that passes native calls. */
void native_pass(struct program *p);
/* The second filter, which has calls on memory trapped; as filter_build(). */
size_t native_build_undo(struct sock_filter *out, size_t cap);
/* Puts the process of t behind the second filter. -ESRCH; -EAGAIN: it has threads that cannot be brought behind it. */
int native_undo(struct plat_thread *t) must_check;
/* A native call that may be interrupted while it waits. */
bool native_waits(uint64_t nr, const uint64_t args[6]);
uint64_t native_robust_list(struct plat_thread *t);

/* ---- zygote.c ---- */
/* Starts the zygote's program, which then comes up beside us. */
int zygote_start(pid_t *out_pid, const char **out_why) must_check;
/* Has it install its filter, and takes over its listener; on return its READY report can be received. */
int zygote_greet(pid_t pid, const char **out_why) must_check;

/* ---- process.c ---- */
struct space *space_new(void) must_check;
struct space *space_get(struct space *s);
/* The copy of s in a forked child, in which this one area is taken. */
struct space *space_fork(struct space *s, unsigned area) must_check;
int space_take(struct space *s);       /* the number of a free area, or -EAGAIN */
int space_take_spare(struct space *s); /* as that, but only while there are many */
void space_take_this(struct space *s, unsigned area);
void space_free(struct space *s, unsigned area);
/* Takes over the reference on space, also on failure. */
struct process *sc_process_new(struct space *space) must_check;
/* From now on the client is told of p's end. False: it has ended already, and nobody will be told. */
bool sc_process_hand_out(struct process *p, void *cookie) must_check;
struct process *sc_process_get(struct process *p);
void sc_process_put(struct process *p);
/* Between the two the pid is the process's and nobody else's. False: it is dead. */
bool sc_process_use(struct process *p);
void sc_process_unuse(struct process *p);
void sc_process_kill(struct process *p);
/* Marks p dead and waits until nobody uses its pid. For the reaper. */
void sc_process_seal(struct process *p);

/* ---- thread.c ---- */
void sc_thread_get(struct plat_thread *t);
void sc_thread_put(struct plat_thread *t);
/* A thread not yet known by tid. Takes over the reference on process and the area, also on failure. */
struct plat_thread *sc_thread_new(struct process *process, unsigned area, void *cookie) must_check;
/* Enters t under its tid, or 0 while it has none; a stale thread of that tid is forgotten. */
void sc_thread_enter(struct plat_thread *t, pid_t tid);
/* Takes t out of the table, now that it makes no more notices, and frees its area. Idempotent. */
void sc_thread_leave(struct plat_thread *t);
/* Returns a reference, or NULL. */
struct plat_thread *sc_thread_find(pid_t tid);
/* A new thread that turns out to have this tid, referenced, or NULL. */
struct plat_thread *sc_thread_find_new(pid_t tid);
bool sc_thread_known(pid_t tid); /* it is in the table, and not as one that is gone */
/* 0: the host has not made it yet, or the guest hides it. */
pid_t sc_thread_tid(struct plat_thread *t);
/* A living process by pid, with a reference, or NULL: for the reaper. */
struct process *sc_process_find(pid_t pid);
/* All threads of p leave; their waiting owners are woken. */
void sc_threads_of_dead(struct process *p);
/* Whether a thread left the table since the caller last began to receive: its notice may then be of another by now. */
void sc_threads_note_recv(void);
bool sc_threads_left_since_recv(void);
void sc_thread_kick(struct plat_thread *t);
void sc_thread_send_kick(struct plat_thread *t); /* the host signal */
/* Kicks new threads that could not be kicked yet. True if there are still some. */
bool sc_threads_kick_new(void);
/* Kills processes whose threads do not come when they are waited for. True if any is waited for. */
bool sc_threads_watch(void);
/* The guest did what its stub never does: kills its process, says why in the debug log, returns -ESRCH. */
int sc_thread_violation(struct plat_thread *t, const char *what);

/* ---- route.c ---- */
/*
 * Finds whose notice n is. Returns the thread (with a reference, and n as its notice) if it is an event for the caller
 * to handle; NULL if somebody waited for it or it came to nothing.
 */
struct plat_thread *route_notice(const struct seccomp_notif *n);
/* Opens t's inbox: to be done before t is let go on. */
void inbox_open(struct plat_thread *t);
/* Waits for the notice; -ESRCH: t is gone. The inbox is off again afterwards. */
int inbox_await(struct plat_thread *t, struct seccomp_notif *out) must_check;
void inbox_wake(struct plat_thread *t); /* t is gone: its owner shall look */

/* ---- worker.c ---- */
int workers_init(void) must_check; /* before there are threads */
/* Counts that t will make a notice (to be called before it is let go on), and that it did or never will. */
void expect(struct plat_thread *t);
bool unexpect(struct plat_thread *t); /* false: none was to come */
unsigned guests_running(void);        /* threads of which a notice is to come */
/* Makes sure that somebody listens, after a thread was let go on by a caller that does not listen itself. */
void ensure_listener(void);
/* An owner that waits may listen, if nobody else does; it then looks at its inbox first. False: somebody else listens.
 */
bool listen_for_owner(void);
void listen_for_owner_end(void);
/* Makes a listener look whether what it waits for is gone. A standard signal: one that is pending takes no second. */
#define NUDGE_SIGNAL SIGUSR2
/* Hands an event to a worker, with the reference. now: somebody else than the caller should take it. */
void queue_event(struct plat_thread *t, bool now);
void worker_block_begin(void);
void worker_block_end(void);

/* notify_recv() for a holder of a token. */
int receive(struct seccomp_notif *n) must_check;
/* Guest threads run and nobody receives. */
bool nobody_listens(void);
unsigned notices_received(void);
/* Gives out one more token. */
void add_listener(void);

/* ---- watch.c ---- */
/* With the first program: before that nobody can hold us up. Without a thread to give it is the next program's turn. */
void watch_start(void);
void watch_listeners(void);      /* to be called when it may be that nobody listens for a while */
void watch_threads(void);        /* to be called when a thread is waited for that the guest could hold up */
void watch_new_threads(void);    /* … when one is kicked that has no tid yet */
extern unsigned sc_watch_rounds; /* of a second: then a wait ends */

/* ---- stop.c ---- */
/* Takes n as the stop of t: fills id, kind of stop and, for a report, frame and registers. -ESRCH after a violation. */
int stop_take(struct plat_thread *t, const struct seccomp_notif *n) must_check;
/* Runs event() for t's notice and lets t go on as it says. */
void stop_handle(struct plat_thread *t);
/* Runs event() for t->event, at the stop that t is at. */
void stop_serve(struct plat_thread *t);
/* The frame must lie on the signal stack of the thread's own area. */
bool stop_frame_in_area(const struct plat_thread *t, uint64_t frame);
/* To STOP_HANDLER, with its registers. -ESRCH. */
int stop_upgrade(struct plat_thread *t) must_check;
/* Lets t go on with the host call that it is stopped at. */
void stop_let_go_continue(struct plat_thread *t);
/* Lets a STOP_HANDLER thread go on into the guest, with its registers. */
void stop_resume(struct plat_thread *t);
void stop_exit_thread(struct plat_thread *t);
void stop_end_process(struct plat_thread *t);

/* ---- offer.c ---- */
/* The address of an area that t's stub may use for a new thread, to be told it; 0: there is none. */
uint64_t offer_area(struct plat_thread *t);
void offer_withdraw(struct plat_thread *t); /* t makes no more calls */
/* stop_take() for the stub's own clone(2). */
int offer_take(struct plat_thread *t, const struct seccomp_notif *n) must_check;
void offer_event(struct plat_thread *t); /* the event of that stop */
/* clone_thread() at such a stop: *out runs when t goes on. */
int offer_clone(struct plat_thread *t, const uint64_t *tls, uint64_t clear_tid, void *cookie,
                struct plat_thread **out) must_check;
/* Lets t go on with its clone, and then with this result. */
void offer_let_go(struct plat_thread *t, uint64_t result);
/* At the stop after that one, or instead of letting go: child will not run. */
void offer_stillborn(struct plat_thread *child);
/* The tid that the kernel has told of a new thread, if that is true: a thread of its process that nobody knows. Or 0.
 */
pid_t offer_told_tid(struct plat_thread *child);

/* ---- jobs.c ---- */
/*
 * Has the stub of t do n jobs (t is upgraded if need be) up to the first that fails. *out_result is the last one's
 * result, *out_done how many were done. -ESRCH: t is gone.
 */
int jobs_run(struct plat_thread *t, const struct stub_job *jobs, size_t n, int64_t *out_result,
             size_t *out_done) must_check;
int64_t job_call(struct plat_thread *t, long nr, const uint64_t args[6]);
/* Has a STOP_HANDLER thread perform exit(2). */
void job_exit(struct plat_thread *t);

/* ---- clone.c, pool.c ---- */
/*
 * plat_clone() up to the child's start: *out is fresh, stopped in its handler and owned by the caller. regs: to begin
 * with; NULL: for a process that only waits. The reference is the caller's; a new process is not handed out yet.
 */
int clone_thread(struct plat_thread *t, enum plat_clone_kind kind, const struct regs *regs, const uint64_t *tls,
                 uint64_t clear_tid, void *cookie, struct plat_thread **out) must_check;
/* The first report of a thread that nobody knows. Returns the thread, or NULL if no clone is waiting for it. */
struct plat_thread *clone_claim(const struct seccomp_notif *n);
/* A process died that is in no table: it may be a child that has not reported. */
void clone_unknown_death(pid_t pid);
/* The process of p died: children in it that have not reported will not. */
void clone_process_died(struct process *p);
/* Gives up children that have been waited for too long. True if any is waited for. */
bool clone_watch(void);
void pool_init(struct plat_thread *zygote, unsigned size);
int pool_take(void *cookie, void *process_cookie, struct plat_thread **out) must_check;
/* A guest process has made another: programs are about to be started. */
void pool_expect_execs(void);
void pool_shutdown(void);

/* ---- memory.c ---- */
bool call_allowed(long nr, const uint64_t args[6]);
int64_t memory_host_call(struct plat_thread *t, long nr, const uint64_t args[6]);
int64_t memory_map(struct plat_thread *t, const struct plat_mapping *map);
int memory_lend(struct plat_thread *t, int fd) must_check;
int memory_map_batch(struct plat_thread *t, const struct plat_mapping *maps, size_t n) must_check;
int memory_cmpxchg(struct plat_thread *t, uint64_t addr, uint32_t old, uint32_t new_value, uint32_t *out_seen);
ssize_t memory_in(struct plat_thread *t, const struct iovec *dst, size_t n, const struct iovec *guest,
                  size_t n_guest) must_check;
ssize_t memory_out(struct plat_thread *t, const struct iovec *guest, size_t n_guest, const struct iovec *src,
                   size_t n) must_check;
/* All of one range, or -EFAULT or -ESRCH. */
int memory_read(struct plat_thread *t, void *dst, uint64_t src, size_t len) must_check;
int memory_write(struct plat_thread *t, uint64_t dst, const void *src, size_t len) must_check;

/* ---- fast.c ---- */
bool fast_possible(void);
/* For a thread at STOP_CALL: counts the call, and does what has become worth while. -ESRCH. */
int fast_consider(struct plat_thread *t) must_check;
/* For a forked child. NULL: there is nothing. */
struct sites *sites_copy(struct space *s);

/* ---- patch.c ---- */
#define PATCH_MAX 4U /* sites at a time */
/* Has the stub of t, alone in its process, patch what can be patched; the others become SITE_BAD. */
int patch(struct plat_thread *t, struct sites *sites, struct site *const *some, size_t n) must_check;

/* ---- slot.c ---- */
bool fast_call(uint64_t nr); /* may be posted */
/* Gives t, stopped and alone, its slot, and has the stub use it. -ENOMEM or what the host said: it does not then. */
int slot_show(struct plat_thread *t) must_check;
void slot_free(struct plat_thread *t);
void slot_arm(struct plat_thread *t, bool on);
bool slot_posted(const struct plat_thread *t);
/* Takes the posted call, if it is still there, and runs event() for it. False: it was none to serve. */
bool slot_serve(struct plat_thread *t);
/* Answers a STOP_FAST. */
void slot_answer(struct plat_thread *t, int64_t value);

/* ---- poller.c ---- */
#define POLLER_NEED_MIN 4U
#define POLLER_NEED_MAX 128U
void poller_init(void);
bool poller_possible(void);
uint64_t poller_clock(void); /* ns */
/* Has t's slot polled, if a processor is free for it. */
void poller_list(struct plat_thread *t, uint64_t now);
/* A thread of ours, which may be the poller, waits within event(). */
void poller_wait_begin(void);
void poller_wait_end(void);

/* ---- reap.c ---- */
int reaper_start(void) must_check;

/* ---- mask.c: plat_lend_mask() and plat_recall_mask() ---- */
bool mask_lend(struct plat_thread *t, uint64_t mask) must_check;
int mask_recall(struct plat_thread *t, uint64_t *out_mask) must_check;

/* ---- frame_ARCH.c ---- */
/* Reads registers, and what a signal was for, from the frame of a STOP_HANDLER thread. -ESRCH: it is being killed. */
int frame_read(struct plat_thread *t, siginfo_t *out_info, struct fault *out_fault) must_check;
bool frame_at_call(struct plat_thread *t);         /* the next instruction is a system call's */
void frame_call_event(struct plat_thread *t);      /* the trapped call that the registers hold becomes t->event */
int frame_write(struct plat_thread *t) must_check; /* the registers, if they changed */
ssize_t frame_get_fpstate(struct plat_thread *t, void *buf, size_t cap) must_check;
int frame_set_fpstate(struct plat_thread *t, const void *buf, size_t len) must_check;
