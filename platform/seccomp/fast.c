/*
 * Which threads make fast calls, and from where: what is often called from a site that can be patched is, and the
 * thread that calls there again and again gets a slot and is polled. Short programs, and those that compute, never pay
 * for it.
 *
 * All that is for processes with one thread. While that thread is stopped nobody can be on the bytes that are changed,
 * and who posts a call need not be told from others. (Threads could be told by what GS is based at; but where user code
 * cannot set that base by itself, it makes each switch between guest and sentry dearer, by 4 µs on one machine.) A
 * second thread, or a child that shares memory, makes the stub forget the slot; a forked child has the patches, as it
 * has the memory, and no slot.
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SOON_NS 50000UL /* a call that comes so soon after the one before follows it in quick succession */
#define HOT 64U         /* calls from one site before it is patched … */
#define WARM 16U        /* … and those that are patched with it */
#define SLOT_NEED 32U   /* calls in quick succession before a thread gets a slot */

bool fast_possible(void)
{
    return sc_fast_calls != PLAT_FAST_NEVER && sc_stub.fast && poller_possible() && !see_all && !trap_everything &&
           sc_client->code_space;
}

/* ---- sites ---- */

struct sites *sites_copy(struct space *s)
{
    struct sites *copy = NULL;

    pthread_mutex_lock(&s->lock);
    if (s->sites && (copy = malloc(sizeof(*copy))))
        *copy = *s->sites;
    pthread_mutex_unlock(&s->lock);
    return copy;
}

/* With the space's lock: the entry of the site at ip, made if need be, or NULL. */
static struct site *site_find(struct sites *sites, uint64_t ip, uint64_t nr)
{
    size_t i = (ip ^ ip >> 7) % SITES_MAX;

    for (size_t tries = 0; tries < 8; tries++, i = (i + 1) % SITES_MAX) {
        struct site *site = &sites->at[i];
        if (site->ip == ip)
            return site;
        if (!site->ip) {
            *site = (struct site){.ip = ip, .nr = (uint32_t)nr};
            return site;
        }
    }
    return NULL;
}

/* Counts a call from t's site. Returns what the site is, SITE_BAD if nothing can come of it. */
static enum site_state count_call(struct plat_thread *t, unsigned *out_hits)
{
    struct space *s = t->process->space;
    enum site_state state = SITE_BAD;

    pthread_mutex_lock(&s->lock);
    if (!s->sites)
        s->sites = calloc(1, sizeof(*s->sites));
    struct site *site = s->sites && !s->sites->off ? site_find(s->sites, t->event.ip, t->event.nr) : NULL;
    if (site) {
        state = site->nr == t->event.nr || site->nr == SITE_ANY_NR ? site->state : SITE_BAD;
        *out_hits = ++site->hits;
    }
    pthread_mutex_unlock(&s->lock);
    return state;
}

/* Nobody else can be running in t's address space, nor begin to. */
static bool alone(struct plat_thread *t)
{
    struct process *p = t->process;

    pthread_mutex_lock(&p->threads_lock);
    const bool one = list_first(&p->threads, struct plat_thread, process_node) == t &&
                     list_last(&p->threads, struct plat_thread, process_node) == t;
    pthread_mutex_unlock(&p->threads_lock);
    return one && !ref_shared(&p->space->refs);
}

/* Patches the hot site that t is at, and what is warm. */
static int patch_sites(struct plat_thread *t)
{
    struct sites *sites = t->process->space->sites; /* ours alone: t is its only thread, and stopped */
    struct site *some[PATCH_MAX];
    size_t n = 0;

    for (size_t i = 0; i < SITES_MAX && n < PATCH_MAX; i++) {
        struct site *site = &sites->at[i];
        if (site->ip && site->state == SITE_COUNTED && (site->hits >= WARM || sc_fast_calls == PLAT_FAST_ALWAYS))
            some[n++] = site;
    }
    return patch(t, sites, some, n);
}

/* ---- calls ---- */

static bool often(unsigned times, unsigned need)
{
    return times >= need || sc_fast_calls == PLAT_FAST_ALWAYS;
}

static bool soon(struct plat_thread *t, uint64_t now)
{
    const bool yes = now - t->went_on < SOON_NS || sc_fast_calls == PLAT_FAST_ALWAYS;

    t->in_a_row = yes ? t->in_a_row + 1 : t->in_a_row / 2;
    return yes;
}

int fast_consider(struct plat_thread *t)
{
    unsigned hits = 0;
    int ret = 0;

    if (!fast_call(t->event.nr) || t->no_fast)
        return 0;
    const uint64_t now = poller_clock();
    if (!soon(t, now))
        return 0;
    const enum site_state state = count_call(t, &hits);
    const bool again = hits % WARM == 0 || sc_fast_calls == PLAT_FAST_ALWAYS; /* it may not have been alone */
    if (state == SITE_BAD || !alone(t))
        return 0;
    if (state == SITE_COUNTED)
        ret = often(hits, HOT) && again ? patch_sites(t) : 0;
    else if (!t->slot || !t->process->space->slot_shown)
        ret = often(t->in_a_row, SLOT_NEED) ? slot_show(t) : 0;
    else if (often(t->in_a_row, t->need)) {
        t->in_a_row = 0;
        poller_list(t, now);
    }
    if (ret == -ESRCH)
        return ret;
    if (ret < 0)
        t->no_fast = true; /* the host has not the memory, or the guest something else in its place */
    return 0;
}
