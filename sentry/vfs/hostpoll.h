/* Waiting for host descriptors that have no wake-up of ours: one thread with a host epoll wakes wait queues. */
#pragma once

#include "lib/compiler.h"
#include "sentry/kernel/wait.h"

#include <stdbool.h>

struct hostpoll {
    int fd;          /* borrowed; -1: not watched (always ready) */
    struct waitq *q; /* woken with the host's events */
    unsigned slot;   /* in hostpoll.c's table */
};

/* Registers fd, to wake q. A descriptor that the host cannot poll (a regular file) is always ready: fd is then -1. */
int hostpoll_add(struct hostpoll *h, int fd, struct waitq *q) must_check;
/* After it returns q is not touched any more. */
void hostpoll_remove(struct hostpoll *h);
/* Asks for one wake-up of q when the descriptor has one of these EPOLL* events (at once if it has them now). */
void hostpoll_arm(struct hostpoll *h, uint32_t events);
