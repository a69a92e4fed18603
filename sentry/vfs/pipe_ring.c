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
#include <sys/uio.h>

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

/* How much a write may append to the newest slot. */
static size_t newest_room(struct pipe *p, bool packet)
{
    const struct pipe_slot *s = p->used && !packet ? pipe_slot_at(p, p->used - 1) : NULL;

    return s && !s->packet ? PIPE_SLOT_SIZE - s->off - s->len : 0;
}

size_t pipe_room_locked(struct pipe *p, bool packet)
{
    return (size_t)(p->nslots - p->used) * PIPE_SLOT_SIZE + newest_room(p, packet);
}

/* ---- copies: many slots in one, so that a block costs one host call whatever its size ---- */

#define MAX_PLACES 32

/* Where the bytes of one copy are, or go: pieces of slots that follow each other. */
struct places {
    struct iovec at[MAX_PLACES];
    size_t n, len; /* len: the sum of all */
};

static void places_add(struct places *l, unsigned char *at, size_t len)
{
    l->at[l->n++] = (struct iovec){at, len};
    l->len += len;
}

/* Places for at most len bytes: the rest of the newest slot, and free slots. None: the ring is full, or no memory. */
static void places_to_fill(struct pipe *p, size_t len, bool packet, struct places *out)
{
    size_t room = newest_room(p, packet);

    out->n = out->len = 0;
    if (room) {
        struct pipe_slot *s = pipe_slot_at(p, p->used - 1);
        places_add(out, s->page + s->off + s->len, MIN(len, room));
    }
    for (unsigned i = p->used; i < p->nslots && out->len < len && out->n < MAX_PLACES; i++) {
        struct pipe_slot *s = pipe_slot_at(p, i);
        if (!s->page && !(s->page = malloc(PIPE_SLOT_SIZE)))
            break;
        places_add(out, s->page, MIN(len - out->len, (size_t)PIPE_SLOT_SIZE));
    }
}

/* The first n bytes of these places were filled. */
static void filled(struct pipe *p, size_t n, bool packet)
{
    size_t part = MIN(n, newest_room(p, packet));

    p->bytes += n;
    if (part)
        pipe_slot_at(p, p->used - 1)->len += (unsigned)part;
    for (n -= part; n; n -= part) {
        struct pipe_slot *s = pipe_slot_at(p, p->used++);
        part = MIN(n, (size_t)PIPE_SLOT_SIZE);
        s->off = 0;
        s->len = (unsigned)part;
        s->packet = packet;
    }
}

ssize_t pipe_fill_locked(struct pipe *p, struct uio *u, bool packet)
{
    struct places to;
    ssize_t done = 0;

    while (u->left) {
        places_to_fill(p, u->left, packet, &to);
        if (!to.n)
            return done || p->used == p->nslots ? done : -ENOMEM;
        ssize_t n = uio_copy_in_v(u, to.at, to.n);
        if (n <= 0)
            return done ? done : n;
        filled(p, (size_t)n, packet);
        done += n;
        if ((size_t)n < to.len)
            break;
    }
    return done;
}

/* The next bytes to read, at most len, up to the end of the first packet. */
static void places_to_drain(struct pipe *p, size_t len, struct places *out)
{
    out->n = out->len = 0;
    for (unsigned i = 0; i < p->used && out->len < len && out->n < MAX_PLACES; i++) {
        struct pipe_slot *s = pipe_slot_at(p, i);
        places_add(out, s->page + s->off, MIN(len - out->len, (size_t)s->len));
        if (s->packet)
            break;
    }
}

/*
 * The first n bytes of the ring were read. True if a packet was among them: it is gone as a whole. An empty ring begins
 * at its first slot again, so that a reader who keeps up finds few pages in use, which are in the processor's cache.
 */
static bool drained(struct pipe *p, size_t n)
{
    bool packet = false;

    while (n) {
        struct pipe_slot *s = pipe_slot_at(p, 0);
        unsigned take = (unsigned)MIN(n, (size_t)s->len);
        n -= take;
        packet = s->packet;
        if (packet)
            take = s->len;
        s->off += take;
        s->len -= take;
        p->bytes -= take;
        if (!s->len) {
            p->used--;
            p->head = p->used ? (p->head + 1) % p->nslots : 0;
        }
    }
    return packet;
}

ssize_t pipe_drain_locked(struct pipe *p, struct uio *u)
{
    struct places from;
    ssize_t done = 0;

    while (u->left && p->used) {
        places_to_drain(p, u->left, &from);
        ssize_t n = uio_copy_out_v(u, from.at, from.n);
        if (n <= 0)
            return done ? done : n;
        done += n;
        if (drained(p, (size_t)n) || (size_t)n < from.len)
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
