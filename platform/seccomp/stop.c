/*
 * Stops: what a notice means, and how the thread goes on after event().
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

/* ---- in ---- */

static bool is_report(const struct seccomp_notif *n)
{
    return n->data.nr == STUB_REPORT_NR && n->data.instruction_pointer == sc_stub.site_ip;
}

bool stop_frame_in_area(const struct plat_thread *t, uint64_t frame)
{
    const uint64_t stack = area_address(t->area) + STUB_STACK_OFFSET, end = area_address(t->area) + STUB_SELF_OFFSET;

    return frame >= stack && frame <= end - sizeof(struct stub_frame) && frame % 8 == 0;
}

int stop_take(struct plat_thread *t, const struct seccomp_notif *n)
{
    t->id = n->id;
    t->lent = t->offered = t->regs_unread = false;
    t->regs_changed = t->result_changed = false;
    t->fpstate = 0;
    if (!is_report(n)) {
        if (n->data.instruction_pointer == sc_stub.site_ip)
            return offer_take(t, n);
        t->stop = STOP_CALL;
        return 0;
    }
    if (!stop_frame_in_area(t, n->data.args[0]))
        return sc_thread_violation(t, "its report names a frame outside its area");
    t->stop = STOP_HANDLER;
    t->frame = n->data.args[0];
    return 0;
}

/* The registers of a thread that is stopped in a call. */
static int read_registers(struct plat_thread *t)
{
    struct fault fault;
    siginfo_t info;

    int ret = frame_read(t, &info, &fault);
    t->regs.orig_nr = *regs_result(&t->regs);
    t->regs_unread = false;
    return ret;
}

static void call_event(struct plat_thread *t, const struct seccomp_notif *n)
{
    t->event = (struct plat_event){
        .kind = PLAT_EV_SYSCALL, .nr = (uint64_t)(int64_t)n->data.nr, .ip = n->data.instruction_pointer};
    memcpy(t->event.args, n->data.args, sizeof(t->event.args));
}

/* A kick may have met the thread in a wait of the host's, which the kernel has set back to the instruction. */
static void kick_event(struct plat_thread *t)
{
    frame_call_event(t);
    t->regs.orig_nr = (uint64_t)-1;
    if (native_waits(t->event.nr, t->event.args) && frame_at_call(t)) {
        t->event.kind = PLAT_EV_WAIT;
        t->event.ip += SYSCALL_INSN_LEN;
    } else {
        t->event = (struct plat_event){.kind = PLAT_EV_KICK};
    }
}

/* The host has not made the thread whose clone was let through. */
static int no_thread(struct plat_thread *t, struct plat_thread *child)
{
    const int64_t result = (int64_t)t->notice.data.args[2];

    if (!child || result >= 0 || result < -4095)
        return sc_thread_violation(t, "it reports a failure that was none");
    offer_stillborn(child);
    *regs_result(&t->regs) = (uint64_t)result;
    t->result_changed = true;
    return 1;
}

/* The event of a report. 1: there is none for the sentry, and the thread goes on. */
static int report_event(struct plat_thread *t, uint64_t kind, struct plat_thread *made)
{
    struct fault fault;
    siginfo_t info;

    int ret = frame_read(t, &info, &fault);
    if (ret < 0)
        return ret;
    switch (kind) {
    case SIGSYS:
        frame_call_event(t);
        return 0;
    case STUB_RECALLED:
        frame_call_event(t);
        t->event.mask_recalled = true;
        t->event.mask = t->notice.data.args[4];
        return 0;
    case STUB_NO_THREAD:
        return no_thread(t, made);
    case STUB_KICK_SIGNAL:
        kick_event(t);
        return atomic_exchange(&t->kick, false) ? 0 : 1; /* 1: it is served already */
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
        t->event = (struct plat_event){.kind = PLAT_EV_SIGNAL, .info = info, .fault = fault};
        t->event.info.si_signo = (int)kind;
        return 0;
    default:
        return sc_thread_violation(t, "it made a report that its state does not allow");
    }
}

/* made: the thread that t made, if it is the first stop after that. */
static int event_of_stop(struct plat_thread *t, struct plat_thread *made)
{
    int ret = stop_take(t, &t->notice);

    if (ret < 0)
        return ret;
    if (t->stop == STOP_CALL)
        call_event(t, &t->notice);
    else if (t->offered)
        offer_event(t);
    else
        ret = report_event(t, t->notice.data.args[1], made);
    return ret;
}

static int take_event(struct plat_thread *t)
{
    struct plat_thread *made = t->made;

    if (t->fresh) { /* whoever cloned it has taken its stop, and left the registers to begin with */
        t->event = (struct plat_event){.kind = PLAT_EV_START};
        t->fresh = false;
        return 0;
    }
    t->made = NULL;
    int ret = event_of_stop(t, made);
    if (made)
        sc_thread_put(made);
    return ret;
}

/* ---- out ---- */

/* Answers the call; afterwards t is another's. */
static void let_go(struct plat_thread *t, int64_t value)
{
    const bool fast = t->stop == STOP_FAST;
    const uint64_t id = t->id;

    if (!fast && fast_possible())
        t->went_on = poller_clock();
    t->stop = STOP_NONE;
    expect(t);
    if (atomic_load(&t->kick))
        sc_thread_send_kick(t);
    if (fast)
        slot_answer(t, value);
    else
        (void)!notify_reply(id, value); /* a failure: it is being killed, and the reaper takes it */
}

void stop_let_go_continue(struct plat_thread *t)
{
    const uint64_t id = t->id;

    t->stop = STOP_NONE;
    expect(t);
    if (atomic_load(&t->kick))
        sc_thread_send_kick(t);
    (void)!notify_continue(id);
}

void stop_resume(struct plat_thread *t)
{
    if (frame_write(t) < 0)
        return;
    if (t->making)
        offer_let_go(t, *regs_result(&t->regs));
    else
        let_go(t, 0);
}

/* A result alone travels in the answer. */
static void resume_with_result(struct plat_thread *t, int64_t value)
{
    if (t->making && !t->regs_changed) {
        offer_let_go(t, (uint64_t)value);
    } else if (!t->regs_changed && value == (int64_t)((uint64_t)value << 8) >> 8) {
        let_go(t, (int64_t)((uint64_t)value << 8 | STUB_ANSWER_RESULT));
    } else if (!t->regs_unread || read_registers(t) == 0) {
        *regs_result(&t->regs) = (uint64_t)value;
        t->result_changed = true;
        stop_resume(t);
    }
}

/* A stop in the handler can be told of a kick at once. True: t->event is that. */
static bool kicked(struct plat_thread *t)
{
    if (t->stop != STOP_HANDLER || !atomic_exchange(&t->kick, false))
        return false;
    t->event = (struct plat_event){.kind = PLAT_EV_KICK};
    return true;
}

static bool go_on_returning(struct plat_thread *t, int64_t value)
{
    if (t->stop != STOP_HANDLER) {
        let_go(t, value);
        return false;
    }
    if (!atomic_load(&t->kick)) {
        resume_with_result(t, value);
        return false;
    }
    if (t->regs_unread && read_registers(t) < 0)
        return false;
    *regs_result(&t->regs) = (uint64_t)value;
    t->regs.orig_nr = (uint64_t)-1;
    t->result_changed = true;
    if (kicked(t))
        return true;
    stop_resume(t);
    return false;
}

static bool go_on_continuing(struct plat_thread *t)
{
    if (t->stop == STOP_CALL && (t->lent || call_allowed((long)t->event.nr, t->event.args))) {
        stop_let_go_continue(t);
        return false;
    }
    return go_on_returning(t, memory_host_call(t, (long)t->event.nr, t->event.args));
}

/* Does what event() decided. True: t has another event, in t->event. */
static bool go_on(struct plat_thread *t, struct plat_resume r)
{
    switch (r.verdict) {
    case PLAT_RETURN:
        return go_on_returning(t, r.value);
    case PLAT_CONTINUE:
        return go_on_continuing(t);
    case PLAT_RESUME:
        if (t->stop != STOP_HANDLER)
            return go_on_returning(t, (int64_t)t->event.nr);
        if (t->regs_unread && read_registers(t) < 0)
            return false;
        if (kicked(t))
            return true;
        stop_resume(t);
        return false;
    case PLAT_GONE:
        break;
    }
    if (t->making) {
        struct plat_thread *child = t->making;
        t->making = NULL;
        offer_stillborn(child);
        sc_thread_put(child);
    }
    return false;
}

void stop_handle(struct plat_thread *t)
{
    int ret = take_event(t);

    if (ret == 1)
        stop_resume(t);
    if (ret == 0 && t->stop == STOP_CALL && fast_possible())
        ret = fast_consider(t);
    if (ret == 0)
        stop_serve(t);
}

void stop_serve(struct plat_thread *t)
{
    while (go_on(t, sc_client->event(t->cookie, t, &t->event)))
        ;
}

/* ---- upgrade ---- */

int stop_upgrade(struct plat_thread *t)
{
    struct seccomp_notif n;
    struct fault fault;
    siginfo_t info;

    if (t->stop == STOP_HANDLER)
        return t->regs_unread ? read_registers(t) : 0;
    if (t->stop == STOP_NONE)
        return -ESRCH;
    inbox_open(t);
    expect(t);
    sc_thread_send_kick(t);
    if (t->stop == STOP_FAST)
        slot_answer(t, 0);
    else
        (void)!notify_reply(t->id, 0); /* if it failed, t is dying and the wait says so */
    t->stop = STOP_NONE;
    int ret = inbox_await(t, &n);
    if (ret < 0)
        return ret;
    if (!is_report(&n) || n.data.args[1] != STUB_KICK_SIGNAL)
        return sc_thread_violation(t, "it did not take a kick");
    ret = stop_take(t, &n);
    if (ret == 0)
        ret = frame_read(t, &info, &fault);
    if (ret < 0)
        return ret;
    *regs_result(&t->regs) = t->event.nr;
    t->regs.orig_nr = t->event.nr;
    t->result_changed = true;
    return 0;
}

/* ---- ends ---- */

/*
 * A thread ends by its own exit, which the host performs. One that is stopped elsewhere, or leads its process (whose
 * id must stay), is never answered: it stands where it is until its process is killed, and costs nothing.
 */
void stop_exit_thread(struct plat_thread *t)
{
    const bool leads = atomic_load(&t->tid) == t->process->pid;

    if (leads || t->event.kind != PLAT_EV_SYSCALL || t->event.nr != SYS_exit || t->stop == STOP_NONE)
        return;
    if (t->stop == STOP_CALL)
        (void)!notify_continue(t->id);
    else
        job_exit(t);
    t->stop = STOP_NONE;
    sc_thread_leave(t);
}

/* An end by its own call spares the kernel a signal, and waking the thread on whatever processor it finds idle. */
void stop_end_process(struct plat_thread *t)
{
    const bool own_call = t->stop == STOP_CALL && t->event.kind == PLAT_EV_SYSCALL && t->event.nr == SYS_exit_group;

    if (own_call && notify_continue(t->id) == 0)
        t->stop = STOP_NONE;
    else
        sc_process_kill(t->process);
}
