/* /proc/PID/stat, status, statm: a task's numbers, in the formats that ps and top parse. */
#include "sentry/fs/proc/proc.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/tty.h"

#include <errno.h>
#include <string.h>

#define NS_PER_TICK 10000000UL /* 100 clock ticks a second */

/* What the texts need of a task, gathered under its locks. */
struct task_facts {
    char comm[TASK_COMM_LEN];
    int state, ppid, pgrp, session, threads, exit_signal, exit_code, nice;
    int tty_nr, tpgid;
    pid_t tgid;
    uint64_t start_time, rss_limit;
    struct usage self, children;
    struct mm_stat mem;
    uint64_t code_start, code_end, stack_top, data_start, data_end, brk_start, arg_start, arg_end, env_start, env_end;
    sigset64_t pending, group_pending, blocked, ignored, caught;
    const struct cred *cred;
    mode_t umask;
    bool has_mm, no_new_privs;
};

static void gather_signals(struct task *t, struct task_facts *f)
{
    lock(&t->tg->siglock);
    f->pending = t->pending.set;
    f->group_pending = t->tg->pending.set;
    f->blocked = signal_blocked_locked(t);
    f->rss_limit = tg_limit(t->tg, RLIMIT_RSS);
    for (int sig = 1; t->tg->sighand && sig <= NSIG_MAX; sig++) {
        uint64_t handler = t->tg->sighand->action[sig - 1].handler;
        if (handler == (uint64_t)(uintptr_t)SIG_IGN)
            f->ignored |= sigbit(sig);
        else if (handler != (uint64_t)(uintptr_t)SIG_DFL)
            f->caught |= sigbit(sig);
    }
    unlock(&t->tg->siglock);
}

static void gather_memory(struct task *t, struct task_facts *f)
{
    struct mm *mm = task_mm_get(t);
    if (!mm)
        return;
    f->has_mm = true;
    mm_lock(mm);
    f->code_start = mm->code_start, f->code_end = mm->code_end;
    f->data_start = mm->data_start, f->data_end = mm->data_end;
    f->stack_top = mm->stack_top, f->brk_start = mm->brk_start;
    f->arg_start = mm->arg_start, f->arg_end = mm->arg_end;
    f->env_start = mm->env_start, f->env_end = mm->env_end;
    mm_unlock(mm);
    mm_put(mm);
    if (mm_host_stat(t, &f->mem) < 0)
        f->mem = (struct mm_stat){0};
}

static void gather_tree(struct task *t, struct task_facts *f)
{
    struct thread_group *tg = t->tg;

    lock(&tasks_lock);
    memcpy(f->comm, t->comm, sizeof(f->comm));
    f->tgid = tg->tgid;
    f->state = tg->zombie && t == tg->leader ? TASK_ZOMBIE : t->state;
    f->ppid = tg->parent ? tg->parent->tgid : 0;
    f->pgrp = tg->pgrp ? tg->pgrp->pgid : 0;
    f->session = tg->pgrp ? tg->pgrp->session->sid : 0;
    if (tg->pgrp)
        f->tty_nr = tty_numbers_locked(tg->pgrp->session, &f->tpgid);
    f->threads = tg->live;
    f->exit_signal = t == tg->leader ? tg->exit_signal : -1;
    f->exit_code = t->exit_code;
    f->nice = t->nice;
    f->start_time = t->start_time;
    f->children = tg->children_dead;
    f->cred = cred_get(t->cred);
    f->no_new_privs = t->no_new_privs;
    f->umask = t->fs ? t->fs->umask : 0;
    unlock(&tasks_lock);
}

/* Of a thread in the guest, only the host knows whether it waits for a futex. */
static void gather_wait(struct task *t, struct task_facts *f)
{
    if (f->state != TASK_RUNNING)
        return;
    lock(&t->tg->siglock);
    const pid_t host_tid = t->pt && atomic_load(&t->in_guest) ? plat_host_tid(t->pt) : -1;
    unlock(&t->tg->siglock);
    if (host_tid > 0 && mm_host_waits(host_tid))
        f->state = TASK_SLEEPING;
}

/* Fills f; the caller puts f->cred. -ESRCH. */
static int task_facts(const struct pseudo_arg *arg, bool whole_group, struct task_facts *f)
{
    *f = (struct task_facts){.tpgid = -1};
    struct task *t = proc_task(arg);
    if (!t)
        return -ESRCH;
    gather_tree(t, f);
    gather_wait(t, f);
    gather_signals(t, f);
    gather_memory(t, f);
    if (whole_group)
        tg_usage(t->tg, &f->self);
    else
        task_usage(t, &f->self);
    task_put(t);
    return 0;
}

int proc_show_stat(struct text *out, const struct pseudo_arg *arg)
{
    struct task_facts f;
    int ret = task_facts(arg, arg->tid == arg->tgid, &f);
    if (ret < 0)
        return ret;

    text_printf(out, "%d (%.*s) %c %d %d %d %d %d %u ", arg->tid, TASK_COMM_LEN, f.comm, f.state, f.ppid, f.pgrp,
                f.session, f.tty_nr, f.tpgid, 0x400000u);
    text_printf(out, "%lu %lu %lu %lu %lu %lu %lu %lu ", f.self.minflt, f.children.minflt, f.self.majflt,
                f.children.majflt, f.self.utime_ns / NS_PER_TICK, f.self.stime_ns / NS_PER_TICK,
                f.children.utime_ns / NS_PER_TICK, f.children.stime_ns / NS_PER_TICK);
    text_printf(out, "%d %d %d 0 %lu %lu %lu %lu ", 20 + f.nice, f.nice, f.threads, f.start_time / NS_PER_TICK,
                f.mem.vsize, f.mem.rss / PAGE_SIZE, f.rss_limit);
    text_printf(out, "%lu %lu %lu 0 0 %lu %lu %lu %lu 0 0 0 %d 0 0 0 0 0 0 ", f.code_start, f.code_end, f.stack_top,
                f.pending & 0x7fffffff, f.blocked & 0x7fffffff, f.ignored & 0x7fffffff, f.caught & 0x7fffffff,
                f.exit_signal);
    text_printf(out, "%lu %lu %lu %lu %lu %lu %lu %d\n", f.data_start, f.data_end, f.brk_start, f.arg_start, f.arg_end,
                f.env_start, f.env_end, f.exit_code);
    cred_put(f.cred);
    return 0;
}

static const char *state_name(int state)
{
    switch (state) {
    case TASK_RUNNING:
        return "R (running)";
    case TASK_STOPPED:
        return "T (stopped)";
    case TASK_ZOMBIE:
        return "Z (zombie)";
    case TASK_DEAD:
        return "X (dead)";
    default:
        return "S (sleeping)";
    }
}

static void show_credentials(struct text *out, const struct cred *c)
{
    text_printf(out, "Uid:\t%u\t%u\t%u\t%u\n", c->ruid, c->euid, c->suid, c->fsuid);
    text_printf(out, "Gid:\t%u\t%u\t%u\t%u\n", c->rgid, c->egid, c->sgid, c->fsgid);
    text_printf(out, "FDSize:\t64\nGroups:\t");
    for (size_t i = 0; i < c->ngroups; i++)
        text_printf(out, "%u ", c->groups[i]);
    text_printf(out, "\n");
}

static void show_memory(struct text *out, const struct task_facts *f)
{
    const struct {
        const char *name;
        uint64_t bytes;
    } rows[] = {{"VmPeak", f->mem.vsize},
                {"VmSize", f->mem.vsize},
                {"VmLck", 0},
                {"VmPin", 0},
                {"VmHWM", f->mem.rss},
                {"VmRSS", f->mem.rss},
                {"RssAnon", f->mem.rss - MIN(f->mem.shared, f->mem.rss)},
                {"RssFile", f->mem.shared},
                {"RssShmem", 0},
                {"VmData", f->mem.data},
                {"VmStk", 0},
                {"VmExe", f->code_end - f->code_start},
                {"VmLib", 0},
                {"VmPTE", 0},
                {"VmSwap", 0}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        text_printf(out, "%s:\t%8lu kB\n", rows[i].name, rows[i].bytes / 1024);
}

int proc_show_status(struct text *out, const struct pseudo_arg *arg)
{
    struct task_facts f;
    int ret = task_facts(arg, true, &f);
    if (ret < 0)
        return ret;

    text_printf(out, "Name:\t%.*s\nUmask:\t%04o\nState:\t%s\n", TASK_COMM_LEN, f.comm, f.umask, state_name(f.state));
    text_printf(out, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", f.tgid, arg->tid, f.ppid);
    show_credentials(out, f.cred);
    text_printf(out, "NStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", f.tgid, arg->tid, f.pgrp, f.session);
    if (f.has_mm)
        show_memory(out, &f);
    text_printf(out, "CoreDumping:\t0\nTHP_enabled:\t1\nThreads:\t%d\nSigQ:\t0/%lu\n", f.threads, 63000UL);
    text_printf(out, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n", f.pending,
                f.group_pending, f.blocked, f.ignored, f.caught);
    text_printf(out, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\n",
                f.cred->cap_inheritable, f.cred->cap_permitted, f.cred->cap_effective, f.cred->cap_bounding,
                f.cred->cap_ambient);
    text_printf(out, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tvulnerable\n",
                f.no_new_privs);
    uint64_t cpus = proc_cpus >= 64 ? ~0ULL : (1ULL << proc_cpus) - 1;
    text_printf(out, "Cpus_allowed:\t%lx\nCpus_allowed_list:\t0", cpus);
    if (proc_cpus > 1)
        text_printf(out, "-%u", proc_cpus - 1);
    text_printf(out, "\nMems_allowed:\t1\nMems_allowed_list:\t0\n");
    text_printf(out, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n", f.self.nvcsw, f.self.nivcsw);
    cred_put(f.cred);
    return 0;
}

int proc_show_statm(struct text *out, const struct pseudo_arg *arg)
{
    struct task_facts f;
    int ret = task_facts(arg, true, &f);
    if (ret < 0)
        return ret;
    text_printf(out, "%lu %lu %lu %lu 0 %lu 0\n", f.mem.vsize / PAGE_SIZE, f.mem.rss / PAGE_SIZE,
                f.mem.shared / PAGE_SIZE, (f.code_end - f.code_start) / PAGE_SIZE, f.mem.data / PAGE_SIZE);
    cred_put(f.cred);
    return 0;
}
