/*
 * Process groups and sessions, and the rule of POSIX job control about orphaned groups: a group none of whose members
 * has a parent elsewhere in the session has nobody to continue it, so stopped members are hung up and continued.
 *
 * A group holds its session; a member holds its group. Under tasks_lock throughout.
 */
#include "sentry/kernel/lifecycle.h"

#include <stdlib.h>

struct session *session_new(pid_t sid)
{
    struct session *s = calloc(1, sizeof(*s));

    if (s) {
        ref_init(&s->refs);
        s->sid = sid;
    }
    return s;
}

static void session_put(struct session *s)
{
    if (!ref_put(&s->refs))
        return;
    pid_detach_locked(s->sid, PID_SESSION);
    free(s);
}

struct pgrp *pgrp_new(pid_t pgid, struct session *s)
{
    struct pgrp *pg = calloc(1, sizeof(*pg));

    if (!pg)
        return NULL;
    ref_init(&pg->refs);
    pg->pgid = pgid;
    pg->session = s;
    ref_get(&s->refs);
    list_init(&pg->members);
    return pg;
}

void pgrp_get(struct pgrp *pg)
{
    ref_get(&pg->refs);
}

/* The last put of a group that was attached must be under tasks_lock; members and look-ups are. */
void pgrp_put(struct pgrp *pg)
{
    if (!ref_put(&pg->refs))
        return;
    session_put(pg->session);
    free(pg);
}

void pgrp_leave_locked(struct thread_group *tg)
{
    struct pgrp *pg = tg->pgrp;

    if (!pg)
        return;
    list_del(&tg->pgrp_node);
    tg->pgrp = NULL;
    if (list_empty(&pg->members))
        pid_detach_locked(pg->pgid, PID_PGRP);
    pgrp_put(pg);
}

void pgrp_join_locked(struct thread_group *tg, struct pgrp *pg)
{
    pgrp_get(pg);
    pgrp_leave_locked(tg);
    tg->pgrp = pg;
    list_push_back(&pg->members, &tg->pgrp_node);
    pid_attach_locked(pg->pgid, PID_PGRP, pg);
}

bool pgrp_orphaned_locked(struct pgrp *pg, struct thread_group *ignored)
{
    struct thread_group *m;

    list_for_each (m, &pg->members, pgrp_node) {
        struct thread_group *p = m->parent;

        if (m == ignored || m->ended || !p || (p->tgid == 1 && main_tgid == 1))
            continue;
        if (p->pgrp && p->pgrp != pg && p->pgrp->session == pg->session)
            return false;
    }
    return true;
}

static bool has_stopped_member(struct pgrp *pg)
{
    struct thread_group *m;

    list_for_each (m, &pg->members, pgrp_node) {
        if (m->stopped && !m->ended)
            return true;
    }
    return false;
}

static void hang_up_if_orphaned(struct pgrp *pg, struct thread_group *ignored)
{
    if (!has_stopped_member(pg) || !pgrp_orphaned_locked(pg, ignored))
        return;
    signal_send_pgrp_locked(pg, SIGHUP, NULL);
    signal_send_pgrp_locked(pg, SIGCONT, NULL);
}

void pgrp_check_orphans_locked(struct thread_group *tg, struct thread_group *parent)
{
    struct pgrp *pg = tg->pgrp;

    /* Only a group that this link kept from being orphaned can become so now. */
    if (!pg || !parent || !parent->pgrp || parent->pgrp == pg || parent->pgrp->session != pg->session)
        return;
    hang_up_if_orphaned(pg, tg);
}
