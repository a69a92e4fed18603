/*
 * The ring of a pipe (pipe_ring.c), for its files (pipe.c). Functions that say `locked` want p->lock held.
 */
#pragma once

#include "sentry/kernel/wait.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct inode;
struct uio;

#define PIPE_SLOT_SIZE 4096u

struct pipe_slot {
    unsigned char *page; /* NULL until first used */
    unsigned off, len;
    bool packet; /* written with O_DIRECT: read as one unit, never appended to */
};

/* All fields under lock; refs counts the open files, and openers that wait. */
struct pipe {
    struct lock lock;
    unsigned refs;
    unsigned readers, writers;
    uint64_t r_opens, w_opens;
    unsigned head, used, nslots; /* slots [head, head + used) modulo nslots hold bytes */
    size_t bytes;
    struct pipe_slot *slots;
    struct inode *fifo;              /* whose i->pipe we are: a FIFO, or pipe(2)'s own nameless inode */
    struct waitq rd, wr;             /* who waits for bytes, or for room */
    unsigned rd_waiting, wr_waiting; /* tasks that sleep in read and write */
};

struct pipe *pipe_alloc(void);
void pipe_free(struct pipe *p);

static inline struct pipe_slot *pipe_slot_at(struct pipe *p, unsigned i)
{
    return &p->slots[(p->head + i) % p->nslots];
}

/* Bytes that a write could place now: whole free slots, plus the tail of the newest if it takes appends. */
size_t pipe_room_locked(struct pipe *p, bool packet);
/* Moves what fits from u into the ring. Bytes moved; or the first error if none. */
ssize_t pipe_fill_locked(struct pipe *p, struct uio *u, bool packet);
/* Moves bytes from the ring to u; a packet ends the read and loses what did not fit. */
ssize_t pipe_drain_locked(struct pipe *p, struct uio *u);
