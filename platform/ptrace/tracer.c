/*
 * The tracer thread: the only one that may make ptrace requests.
 *
 * It sleeps in sigwaitinfo() for SIGCHLD (a tracee stopped or ended) and WAKE_SIGNAL (there is a request or a kick).
 * Both are blocked in every thread, so neither can be missed between a look and the sleep.
 */
#include "platform/ptrace/internal.h"

#include "lib/log.h"
#include "lib/thread.h"
#include "platform/platform_ops.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HASH_SIZE 1024
#define SYSEMU_REQUEST 31 /* PTRACE_SYSEMU on both architectures */

pthread_rwlock_t pid_lock = PTHREAD_RWLOCK_INITIALIZER;

static struct list by_tid[HASH_SIZE]; /* tracer only */
static pthread_mutex_t request_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t request_done = PTHREAD_COND_INITIALIZER;
static struct list requests = LIST_INIT(requests); /* request_lock */
static pid_t tracer_tid;
static struct plat_thread *zygote; /* tracer only */
static int start_error;
static bool started; /* request_lock */

/* ---- the table of traced threads ---- */

static struct plat_thread *find_thread(pid_t tid)
{
    struct plat_thread *it;

    list_for_each (it, &by_tid[tid % HASH_SIZE], hash_node)
        if (it->tid == tid)
            return it;
    return NULL;
}

/* Takes a reference for the table. */
static void table_add(struct plat_thread *t)
{
    plat_thread_get(t);
    list_push_back(&by_tid[t->tid % HASH_SIZE], &t->hash_node);
}

static void table_remove(struct plat_thread *t)
{
    list_del(&t->hash_node);
    plat_thread_put(t);
}

/* ---- ends ---- */

/* The wait status of an ended thread or process: forget it, and tell the sentry when it was a process. */
static void note_end(struct plat_thread *t, int status, const struct rusage *ru)
{
    struct process *p = t->process;
    bool leader = t->tid == p->pid;

    atomic_store(&t->gone, true);
    if (!leader)
        table_remove(t);
    if (!leader || atomic_exchange(&p->dead, true))
        return;
    struct plat_thread *it, *tmp;
    for (size_t i = 0; i < HASH_SIZE; i++) {
        list_for_each_safe (it, tmp, &by_tid[i], hash_node) {
            if (it->process != p)
                continue;
            atomic_store(&it->gone, true);
            if (it != t)
                table_remove(it);
        }
    }
    void *cookie = p->cookie;
    table_remove(t);
    if (cookie)
        client->process_died(cookie, status, ru);
}

/* waitpid() with the pid lock, so that no other thread uses a pid that is just being reaped. */
static pid_t wait_locked(pid_t tid, int *status, int flags, struct rusage *ru)
{
    pthread_rwlock_wrlock(&pid_lock);
    pid_t got = wait4(tid, status, flags | __WALL, ru);
    if (got > 0 && (WIFEXITED(*status) || WIFSIGNALED(*status))) {
        struct plat_thread *t = find_thread(got);
        if (t)
            atomic_store(&t->gone, true);
    }
    pthread_rwlock_unlock(&pid_lock);
    return got;
}

bool tracer_wait_stop(struct plat_thread *t, int *status)
{
    siginfo_t info;

    /* Sleep without the lock, reap with it. */
    for (;;) {
        if (waitid(P_PID, (id_t)t->tid, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL) < 0 && errno != EINTR)
            return false;
        struct rusage ru;
        pid_t got = wait_locked(t->tid, status, WNOHANG, &ru);
        if (got < 0)
            return false;
        if (got == 0)
            continue;
        if (WIFSTOPPED(*status))
            return true;
        note_end(t, *status, &ru);
        return false;
    }
}

/* ---- FP state ---- */

#ifdef __x86_64__
#define FP_NOTE NT_X86_XSTATE
#else
#define FP_NOTE NT_PRFPREG
#endif

static void fp_request(struct request *r, int which)
{
    struct fp_request *f = r->arg;
    struct iovec iov = {f->buf, f->len};

    if (atomic_load(&r->t->gone))
        r->result = -ESRCH;
    else if (ptrace(which, r->t->tid, (void *)FP_NOTE, &iov) < 0)
        r->result = -errno;
    else
        r->result = (int64_t)iov.iov_len;
}

void request_get_fpstate(struct request *r)
{
    fp_request(r, PTRACE_GETREGSET);
}

void request_set_fpstate(struct request *r)
{
    fp_request(r, PTRACE_SETREGSET);
}

/* ---- new threads and processes ---- */

/* Has t make a child; the child is stopped when this returns. -errno or its tid. */
static int64_t clone_host_thread(struct plat_thread *t, enum plat_clone_kind kind)
{
    const struct call c = {.nr = SYS_clone, .args = {platform_clone_flags(kind)}};

    int64_t tid = inject(t, &c);
    if (tid < 0)
        return tid;
    int status;
    pid_t got;
    do
        got = waitpid((pid_t)tid, &status, __WALL);
    while (got < 0 && errno == EINTR);
    return got == tid && WIFSTOPPED(status) ? tid : -ESRCH;
}

static int64_t finish_clone(struct plat_thread *parent, struct clone_request *c, pid_t tid)
{
    bool thread = c->kind == PLAT_CLONE_THREAD;
    struct process *p = thread ? parent->process : process_new(tid, c->process_cookie);
    if (!p)
        return -ENOMEM;
    if (thread)
        ref_get(&p->refs);
    struct plat_thread *t = thread_new(tid, p, c->cookie);
    if (!t) {
        process_put(p);
        return -ENOMEM;
    }
    uint64_t tls = c->tls ? *c->tls : 0;
    if (!c->tls && arch_get_tls(parent->tid, &tls) < 0)
        tls = 0;
    if (arch_set_tls(tid, tls) < 0)
        log_debug("ptrace: thread %d keeps its parent's TLS", tid);
    t->regs = *c->regs;
    table_add(t);
    c->out = t;
    return 0;
}

void request_clone(struct request *r)
{
    struct clone_request *c = r->arg;

    int64_t tid = clone_host_thread(r->t, c->kind);
    if (tid < 0) {
        r->result = tid;
        return;
    }
    r->result = finish_clone(r->t, c, (pid_t)tid);
    if (r->result < 0)
        inject_exit((pid_t)tid, &r->t->regs); /* a thread cannot be killed alone */
}

void request_new_process(struct request *r)
{
    struct clone_request *c = r->arg;

    c->kind = PLAT_CLONE_FORK;
    c->regs = &zygote->regs;
    int64_t tid = clone_host_thread(zygote, c->kind);
    r->result = tid < 0 ? tid : finish_clone(zygote, c, (pid_t)tid);
}

/* ---- stops ---- */

static void kick_now(struct plat_thread *t)
{
    atomic_store(&t->kick, false);
    t->event = (struct plat_event){.kind = PLAT_EV_KICK};
    worker_queue(t);
}

/* Runs the thread until its next stop. */
static void go_on(struct plat_thread *t)
{
    if (atomic_load(&t->gone))
        return;
    if (atomic_load(&t->kick)) {
        kick_now(t);
        return;
    }
    t->running = true;
    if (arch_store_regs(t->tid, &t->regs) < 0 || ptrace(SYSEMU_REQUEST, t->tid, NULL, NULL) < 0)
        t->running = false; /* being killed: its end is reported */
}

static void do_resume(struct request *r)
{
    if (r->t->starting) {
        r->t->starting = false;
        r->t->event = (struct plat_event){.kind = PLAT_EV_START};
        worker_queue(r->t);
    } else {
        go_on(r->t);
    }
}

static bool is_fault(int sig)
{
    return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP;
}

/* Turns a stop of a running guest thread into an event, or lets it run on. */
static void handle_stop(struct plat_thread *t, int status)
{
    int sig = WSTOPSIG(status), event = status >> 16;

    t->running = false;
    if (arch_fetch_regs(t->tid, &t->regs) < 0)
        return;
    if (sig == (SIGTRAP | 0x80)) {
        t->event = (struct plat_event){.kind = PLAT_EV_SYSCALL};
        arch_syscall_event(&t->regs, &t->event);
        *regs_result(&t->regs) = t->event.nr;
        worker_queue(t);
        return;
    }
    t->regs.orig_nr = (uint64_t)-1;
    t->event = (struct plat_event){.kind = PLAT_EV_SIGNAL};
    if (event == 0 && is_fault(sig) && ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &t->event.info) == 0) {
        arch_fault(&t->event.info, &t->event.fault);
        worker_queue(t);
        return;
    }
    if (atomic_load(&t->kick))
        kick_now(t);
    else
        go_on(t);
}

/* Everything that waitpid() has for us. */
static void collect_stops(void)
{
    struct rusage ru;
    int status;
    pid_t tid;

    while ((tid = wait_locked(-1, &status, WNOHANG, &ru)) > 0) {
        struct plat_thread *t = find_thread(tid);
        if (!t)
            continue;
        if (!WIFSTOPPED(status))
            note_end(t, status, &ru);
        else
            handle_stop(t, status);
    }
}

/* ---- requests ---- */

static void run_requests(void)
{
    pthread_mutex_lock(&request_lock);
    while (!list_empty(&requests)) {
        struct request *r = list_first(&requests, struct request, node);
        list_del(&r->node);
        pthread_mutex_unlock(&request_lock);
        bool nobody_waits = r->fn == do_resume;
        r->fn(r);
        pthread_mutex_lock(&request_lock);
        if (nobody_waits) {
            plat_thread_put(r->t);
            free(r);
            continue;
        }
        r->done = true;
        pthread_cond_broadcast(&request_done);
    }
    pthread_mutex_unlock(&request_lock);
}

static void interrupt_kicked(void)
{
    struct plat_thread *it;

    for (size_t i = 0; i < HASH_SIZE; i++)
        list_for_each (it, &by_tid[i], hash_node)
            if (it->running && atomic_load(&it->kick))
                ptrace(PTRACE_INTERRUPT, it->tid, NULL, NULL);
}

void tracer_wake(void)
{
    syscall(SYS_tgkill, getpid(), tracer_tid, WAKE_SIGNAL);
}

static void push_request(struct request *r)
{
    pthread_mutex_lock(&request_lock);
    list_push_back(&requests, &r->node);
    pthread_mutex_unlock(&request_lock);
    tracer_wake();
}

int64_t tracer_call(void (*fn)(struct request *r), struct plat_thread *t, void *arg)
{
    struct request r = {.fn = fn, .t = t, .arg = arg};

    if (t && atomic_load(&t->gone))
        return -ESRCH;
    push_request(&r);
    pthread_mutex_lock(&request_lock);
    while (!r.done)
        pthread_cond_wait(&request_done, &request_lock);
    pthread_mutex_unlock(&request_lock);
    return r.result;
}

void tracer_resume(struct plat_thread *t)
{
    struct request *r = calloc(1, sizeof(*r));

    if (!r) { /* a thread that cannot be resumed must not live */
        plat_kill(t);
        return;
    }
    r->fn = do_resume;
    r->t = t;
    plat_thread_get(t);
    push_request(r);
}

/* ---- the thread ---- */

static int seize_zygote(void)
{
    const long options =
        PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    int status;

    struct process *p = process_new(image.zygote, NULL);
    zygote = p ? thread_new(image.zygote, p, NULL) : NULL;
    if (!zygote)
        return -ENOMEM;
    table_add(zygote);
    if (ptrace(PTRACE_SEIZE, image.zygote, NULL, (void *)options) < 0 ||
        ptrace(PTRACE_INTERRUPT, image.zygote, NULL, NULL) < 0)
        return -errno;
    if (!tracer_wait_stop(zygote, &status))
        return -ESRCH;
    return arch_fetch_regs(zygote->tid, &zygote->regs);
}

static void *tracer_main(void *arg)
{
    sigset_t set;
    (void)arg;

    tracer_tid = (pid_t)syscall(SYS_gettid);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, WAKE_SIGNAL);
    int ret = seize_zygote();
    pthread_mutex_lock(&request_lock);
    start_error = ret;
    started = true;
    pthread_cond_broadcast(&request_done);
    pthread_mutex_unlock(&request_lock);
    while (ret == 0) {
        siginfo_t info;
        sigwaitinfo(&set, &info);
        collect_stops();
        run_requests();
        interrupt_kicked();
    }
    return NULL;
}

int tracer_start(void)
{
    for (size_t i = 0; i < HASH_SIZE; i++)
        list_init(&by_tid[i]);
    int ret = thread_start_detached(tracer_main, NULL, 0);
    if (ret < 0)
        return ret;
    pthread_mutex_lock(&request_lock);
    while (!started)
        pthread_cond_wait(&request_done, &request_lock);
    ret = start_error;
    pthread_mutex_unlock(&request_lock);
    return ret;
}
