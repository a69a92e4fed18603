/*
 * The ptrace platform: correct wherever ptrace(2) works, and the reference when platforms differ.
 *
 * Guest threads run under PTRACE_SYSEMU, so no guest system call ever reaches the host. ptrace wants every request from
 * the thread that attached; that is the one *tracer* thread. It collects stops, fetches registers, and queues the
 * stopped thread for a *worker*, which runs client->event(). What a worker needs done to a stopped thread it asks of
 * the tracer as a struct request and waits.
 *
 *   image.c   the tiny program in each stub process, and the making of the zygote
 *   tracer.c  the tracer thread: waiting, requests, new threads and processes
 *   inject.c  host calls in a stopped thread's name
 *   worker.c  the workers and the queue of stopped threads
 *   ops.c     the table of struct platform_ops
 *   ARCH.c    registers
 *
 * Ownership. A plat_thread holds a reference on its process. Fields marked (t) are the tracer's alone, (w) belong to
 * the worker that owns the stopped thread, handed over through the queue.
 */
#pragma once

#include "include/platform.h"
#include "lib/list.h"
#include "lib/refcount.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

struct process {
    refcount_t refs;
    pid_t pid;
    void *cookie;
    atomic_bool dead; /* reaped: pid may belong to another; set under pid_lock */
};

struct plat_thread {
    refcount_t refs;
    pid_t tid;
    struct process *process;
    void *cookie;
    atomic_bool gone;        /* its host thread has ended */
    atomic_bool kick;        /* stop at the next chance */
    bool running;            /* (t) in guest code */
    bool starting;           /* (w) its next event is PLAT_EV_START */
    struct list hash_node;   /* (t) in the tracer's table; holds a reference */
    struct list queue_node;  /* worker.c: on the queue; holds a reference */
    struct regs regs;        /* (w) valid while stopped */
    struct plat_event event; /* (w) */
};

/* Work for the tracer: fn runs there; result is handed back. */
struct request {
    struct list node;
    void (*fn)(struct request *r);
    struct plat_thread *t;
    void *arg;
    int64_t result;
    bool done; /* request_lock */
};

/* Descriptors and addresses of the stub image, the same in every process (image.c). */
struct image {
    uint64_t base, end;  /* its two pages */
    uint64_t syscall_ip; /* a system call instruction followed by a breakpoint */
    uint64_t cmpxchg_ip; /* the compare-and-exchange routine */
    uint64_t scratch;    /* a writable page */
    int send_fd;         /* our end of the socket that carries descriptors into stubs */
    pid_t zygote;
};
/* Wakes the tracer. A standard signal: one that is pending takes no second, so none can use up the user's queue. */
#define WAKE_SIGNAL SIGUSR2
#define IMAGE_SOCKET_FD 3 /* the stubs' end */

extern struct image image;
extern struct plat_layout layout;
extern const struct platform_client *client;
extern pthread_rwlock_t pid_lock; /* read: using a pid; write: reaping */

/* image.c. Makes the zygote, running but not yet traced; then learns its addresses from it. */
int image_make_zygote(const char **out_why) must_check;
int image_greet(const char **out_why) must_check;

/* tracer.c */
int tracer_start(void) must_check;
/* Runs fn(r) on the tracer and returns its result. */
int64_t tracer_call(void (*fn)(struct request *r), struct plat_thread *t, void *arg);
/* Lets the stopped thread go on with t->regs, or queues its kick at once. Does not wait. */
void tracer_resume(struct plat_thread *t);
void tracer_wake(void);
/* On the tracer only: */
/* Waits for the next stop of t. False: it has ended (and was noted). */
bool tracer_wait_stop(struct plat_thread *t, int *out_status);
void request_clone(struct request *r);
void request_new_process(struct request *r);
void request_get_fpstate(struct request *r);
void request_set_fpstate(struct request *r);

/* inject.c, on the tracer only */
struct call {
    long nr;
    uint64_t args[6];
};
/* The result of the host call that t makes, or -ESRCH if it has ended. */
int64_t inject(struct plat_thread *t, const struct call *c);
/* Sends a stopped thread to its end, which is not waited for. from: registers of any thread of its process. */
void inject_exit(pid_t tid, const struct regs *from);
void request_host_call(struct request *r);
void request_map(struct request *r);
void request_cmpxchg(struct request *r);
void request_exit_thread(struct request *r);

struct clone_request {
    enum plat_clone_kind kind;
    const struct regs *regs;
    const uint64_t *tls;
    void *cookie, *process_cookie;
    struct plat_thread *out;
};
struct map_request {
    const struct plat_mapping *maps;
    size_t n;
    int64_t last; /* address of the last one */
};
struct cmpxchg_request {
    uint64_t addr;
    uint32_t old, new_value, seen;
};
struct fp_request {
    void *buf;
    size_t len;
};

/* worker.c. Hands a stopped thread to a worker. */
void worker_queue(struct plat_thread *t);

/* ARCH.c. Registers of a stopped thread; -errno. */
int arch_fetch_regs(pid_t tid, struct regs *out) must_check;
int arch_store_regs(pid_t tid, const struct regs *regs) must_check;
/* Makes regs perform c at ip; the result is read with arch_call_result(). */
void arch_set_call(struct regs *regs, uint64_t ip, const struct call *c);
void arch_set_cmpxchg(struct regs *regs, uint64_t ip, const struct cmpxchg_request *c);
/* Fills the system call fields of ev from the registers of a system call stop. */
void arch_syscall_event(const struct regs *regs, struct plat_event *ev);
/* What a signal's words say of the fault behind it: ptrace has no more. */
void arch_fault(const siginfo_t *info, struct fault *out);
int arch_set_tls(pid_t tid, uint64_t tls) must_check;
int arch_get_tls(pid_t tid, uint64_t *tls) must_check;

struct plat_thread *thread_new(pid_t tid, struct process *process, void *cookie) must_check;
struct process *process_new(pid_t pid, void *cookie) must_check;
void process_put(struct process *p);
