/*
 * A pipe's ring: slots of a page each, filled at one end and emptied at the other, its size, and what splice(2) puts
 * back in front. See pipe.c for how it is locked; here nobody sleeps.
 */
#include "sentry/vfs/pipe_ring.h"

#include "sentry/kernel/locking.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define PIPE_DEFAULT_SLOTS 16u
#define PIPE_MAX_SLOTS 256u       /* 1 MiB */
#define PIPE_MAX_SLOTS_PRIV 4096u /* CAP_SYS_RESOURCE may go beyond, to 16 MiB */

struct pipe *pipe_alloc(void)
{
    struct pipe *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->slots = calloc(PIPE_DEFAULT_SLOTS, sizeof(*p->slots));
    if (!p->slots) {
        free(p);
        return NULL;
    }
    p->nslots = PIPE_DEFAULT_SLOTS;
    lock_init(&p->lock, RANK_PIPE);
    waitq_init(&p->rd);
    waitq_init(&p->wr);
    return p;
}

void pipe_free(struct pipe *p)
{
    for (unsigned i = 0; i < p->nslots; i++)
        free(p->slots[i].page);
    free(p->slots);
    lock_destroy(&p->lock);
    free(p);
}

size_t pipe_room_locked(struct pipe *p, bool packet)
{
    size_t room = (size_t)(p->nslots - p->used) * PIPE_SLOT_SIZE;
    if (p->used && !packet) {
        struct pipe_slot *s = pipe_slot_at(p, p->used - 1);
        if (!s->packet)
            room += PIPE_SLOT_SIZE - s->off - s->len;
    }
    return room;
}

/* The slot to write into: the newest if it has room, else a fresh one. NULL: full, or no memory (*err set). */
static struct pipe_slot *slot_for_write(struct pipe *p, bool packet, int *err)
{
    struct pipe_slot *s = p->used ? pipe_slot_at(p, p->used - 1) : NULL;
    *err = 0;
    if (s && !packet && !s->packet && s->off + s->len < PIPE_SLOT_SIZE)
        return s;
    if (p->used == p->nslots)
        return NULL;
    s = pipe_slot_at(p, p->used);
    if (!s->page && !(s->page = malloc(PIPE_SLOT_SIZE))) {
        *err = -ENOMEM;
        return NULL;
    }
    s->off = s->len = 0;
    s->packet = packet;
    return s;
}

ssize_t pipe_fill_locked(struct pipe *p, struct uio *u, bool packet)
{
    ssize_t done = 0;
    while (u->left) {
        int err;
        struct pipe_slot *s = slot_for_write(p, packet, &err);
        if (!s)
            return done ? done : err;
        size_t want = MIN(u->left, (size_t)(PIPE_SLOT_SIZE - s->off - s->len));
        bool fresh = s->len == 0;
        ssize_t n = uio_copy_in(u, s->page + s->off + s->len, want);
        if (n <= 0)
            return done ? done : n;
        s->len += (unsigned)n;
        p->bytes += (size_t)n;
        p->used += fresh;
        done += n;
        if ((size_t)n < want)
            break;
    }
    return done;
}

static void slot_pop(struct pipe *p)
{
    p->head = (p->head + 1) % p->nslots;
    p->used--;
}

ssize_t pipe_drain_locked(struct pipe *p, struct uio *u)
{
    ssize_t done = 0;
    while (u->left && p->used) {
        struct pipe_slot *s = pipe_slot_at(p, 0);
        size_t want = MIN(u->left, (size_t)s->len);
        ssize_t n = uio_copy_out(u, s->page + s->off, want);
        if (n <= 0)
            return done ? done : n;
        bool packet = s->packet;
        unsigned take = packet ? s->len : (unsigned)n;
        s->off += take;
        s->len -= take;
        p->bytes -= take;
        done += n;
        if (!s->len)
            slot_pop(p);
        if (packet || (size_t)n < want)
            break;
    }
    return done;
}

long pipe_get_size(struct pipe *p)
{
    lock(&p->lock);
    long n = (long)p->nslots * PIPE_SLOT_SIZE;
    unlock(&p->lock);
    return n;
}

/* Moves the used slots to the front of a new array of n slots. */
static void pipe_reslot(struct pipe *p, struct pipe_slot *slots, unsigned n)
{
    for (unsigned i = 0; i < p->nslots; i++) {
        if (i < n)
            slots[i] = *pipe_slot_at(p, i);
        else
            free(pipe_slot_at(p, i)->page);
    }
    free(p->slots);
    p->slots = slots;
    p->nslots = n;
    p->head = 0;
}

long pipe_set_size(struct pipe *p, size_t size, bool privileged)
{
    if (size > (1u << 31))
        return -EINVAL;
    unsigned n = 1;
    while ((size_t)n * PIPE_SLOT_SIZE < size)
        n *= 2;
    if (n > PIPE_MAX_SLOTS && !privileged)
        return -EPERM;
    if (n > PIPE_MAX_SLOTS_PRIV)
        return -ENOMEM;
    struct pipe_slot *slots = calloc(n, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    lock(&p->lock);
    if (p->used > n) {
        unlock(&p->lock);
        free(slots);
        return -EBUSY;
    }
    bool grew = n > p->nslots;
    pipe_reslot(p, slots, n);
    unlock(&p->lock);
    if (grew)
        waitq_wake(&p->wr, EPOLLOUT | EPOLLWRNORM);
    return (long)n * PIPE_SLOT_SIZE;
}

/* A free slot in front of the oldest, in a bigger ring if writers have filled this one; NULL: no memory. */
static struct pipe_slot *slot_in_front(struct pipe *p)
{
    if (p->used == p->nslots) {
        struct pipe_slot *slots = calloc(p->nslots + 1, sizeof(*slots));
        if (!slots)
            return NULL;
        pipe_reslot(p, slots, p->nslots + 1);
    }
    struct pipe_slot *s = pipe_slot_at(p, p->nslots - 1);
    return s->page || (s->page = malloc(PIPE_SLOT_SIZE)) ? s : NULL;
}

void pipe_unread(struct pipe *p, const void *bytes, size_t len)
{
    const unsigned char *from = bytes;

    lock(&p->lock);
    while (len) { /* the last bytes first, each piece before the one put there before */
        struct pipe_slot *s = slot_in_front(p);
        if (!s)
            break;
        const unsigned n = (unsigned)MIN(len, (size_t)PIPE_SLOT_SIZE);
        memcpy(s->page, from + len - n, n);
        s->off = 0;
        s->len = n;
        s->packet = false;
        p->head = (p->head + p->nslots - 1) % p->nslots;
        p->used++;
        p->bytes += n;
        len -= n;
    }
    unlock(&p->lock);
    waitq_wake(&p->rd, EPOLLIN | EPOLLRDNORM);
}

size_t pipe_readable(struct pipe *p)
{
    lock(&p->lock);
    size_t n = p->bytes;
    unlock(&p->lock);
    return n;
}

size_t pipe_room(struct pipe *p)
{
    lock(&p->lock);
    size_t n = pipe_room_locked(p, false);
    unlock(&p->lock);
    return n;
}
