/*
 * What the entries of a directory are, found out before anybody asked: with its listing, or with a batch of look-ups.
 * Only attributes are kept, no inodes, and of all directories together a bounded number. A change through this sentry
 * may concern any of them, under another name, so it ends what was found out before.
 */
#include "sentry/fs/gofer/gofer.h"

#include "sentry/kernel/locking.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_MAX 65536 /* some 10 MiB */

static struct p9_attr asked_for;  /* stands for an entry that was asked for */
static _Atomic unsigned kept_all; /* in all directories */

static bool is_kept(const struct gofer_dir *gd, size_t n)
{
    return n < gd->ahead_cap && gd->ahead[n] && gd->ahead[n] != &asked_for;
}

static void drop(struct gofer_dir *gd, size_t n)
{
    if (!is_kept(gd, n))
        return;
    free(gd->ahead[n]);
    gd->ahead[n] = NULL;
    gd->kept--;
    atomic_fetch_sub_explicit(&kept_all, 1, memory_order_relaxed);
}

static bool reserve(struct gofer_dir *gd, size_t n)
{
    size_t cap = MAX(gd->ahead_cap, (size_t)16);

    if (n < gd->ahead_cap)
        return true;
    while (cap <= n)
        cap *= 2;
    struct p9_attr **more = reallocarray(gd->ahead, cap, sizeof(*more));
    if (!more)
        return false;
    memset(more + gd->ahead_cap, 0, (cap - gd->ahead_cap) * sizeof(*more));
    gd->ahead = more;
    gd->ahead_cap = cap;
    return true;
}

bool gofer_ahead_full(void)
{
    return atomic_load_explicit(&kept_all, memory_order_relaxed) >= KEPT_MAX;
}

bool gofer_ahead_unknown(const struct gofer_dir *gd, size_t n)
{
    return n >= gd->ahead_cap || !gd->ahead[n];
}

void gofer_ahead_begin(struct gofer_sb *gs, struct gofer_dir *gd)
{
    const uint64_t now = atomic_load(&gs->changes);

    for (size_t n = 0; gd->changes != now && gd->kept && n < gd->ahead_cap; n++)
        drop(gd, n);
    gd->changes = now;
}

void gofer_ahead_put(struct gofer_dir *gd, size_t n, const struct p9_attr *a)
{
    if (!gofer_ahead_unknown(gd, n) || gofer_ahead_full() || !reserve(gd, n))
        return;
    gd->ahead[n] = malloc(sizeof(*a));
    if (!gd->ahead[n])
        return;
    *gd->ahead[n] = *a;
    gd->kept++;
    atomic_fetch_add_explicit(&kept_all, 1, memory_order_relaxed);
}

bool gofer_ahead_take(struct gofer_sb *gs, struct gofer_dir *gd, size_t n, struct p9_attr *out)
{
    gofer_ahead_begin(gs, gd);
    bool found = is_kept(gd, n);
    if (found)
        *out = *gd->ahead[n];
    drop(gd, n);
    if (reserve(gd, n))
        gd->ahead[n] = &asked_for;
    return found;
}

void gofer_ahead_free(struct gofer_dir *gd)
{
    for (size_t n = 0; n < gd->ahead_cap; n++)
        drop(gd, n);
    free(gd->ahead);
    gd->ahead = NULL;
    gd->ahead_cap = 0;
}
