/*
 * One thread that sleeps in epoll_wait(2) on the host and turns host readiness into wake-ups of the sentry's queues.
 *
 * Descriptors are watched EPOLLONESHOT: nothing is reported until a task that is about to wait arms it, so an unread
 * pipe costs nothing; the first to be armed starts the thread. Events wanted by several waiters add up until one is
 * delivered. A slot table, not a pointer, is what the host hands back, so an event that was under way when a descriptor
 * was removed finds an empty slot. Locks: table_lock (unranked, taken before a wait queue's lock only).
 */
#include "sentry/vfs/hostpoll.h"

#include "lib/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define SLOTS 64

struct slot {
    struct hostpoll *h;
    uint32_t armed;
};

static struct lock table_lock = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static struct slot slots[SLOTS];
static int epoll_fd = -1;
static bool started;

static void deliver(const struct epoll_event *ev)
{
    unsigned n = ev->data.u32;
    lock(&table_lock);
    if (n < SLOTS && slots[n].h) {
        slots[n].armed = 0;
        waitq_wake(slots[n].h->q, ~0u); /* all look again and arm what they still wait for */
    }
    unlock(&table_lock);
}

static void *poller(void *arg unused_arg)
{
    struct epoll_event ev[16];
    for (;;) {
        int n = epoll_wait(epoll_fd, ev, 16, -1);
        for (int i = 0; i < n; i++)
            deliver(&ev[i]);
    }
    return NULL;
}

/* With table_lock. */
static int open_epoll(void)
{
    if (epoll_fd < 0)
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll_fd < 0 ? -errno : 0;
}

/* With table_lock. False: the host has no thread to give just now. */
static bool start_poller(void)
{
    sigset_t all, old;
    if (started)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    started = thread_start_detached(poller, NULL, 0) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return started;
}

int hostpoll_add(struct hostpoll *h, int fd, struct waitq *q)
{
    *h = (struct hostpoll){.fd = -1, .q = q};
    lock(&table_lock);
    int ret = open_epoll();
    unsigned n = 0;
    while (n < SLOTS && slots[n].h)
        n++;
    if (ret == 0 && n == SLOTS)
        ret = -ENFILE;
    if (ret == 0) {
        struct epoll_event ev = {.events = EPOLLONESHOT, .data.u32 = n};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0) {
            slots[n] = (struct slot){.h = h};
            h->fd = fd;
            h->slot = n;
        } else if (errno != EPERM) {
            ret = -errno;
        }
    }
    unlock(&table_lock);
    return ret;
}

void hostpoll_remove(struct hostpoll *h)
{
    if (h->fd < 0)
        return;
    lock(&table_lock);
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, h->fd, NULL);
    slots[h->slot].h = NULL;
    slots[h->slot].armed = 0;
    h->fd = -1;
    unlock(&table_lock);
}

void hostpoll_arm(struct hostpoll *h, uint32_t events)
{
    if (h->fd < 0)
        return;
    lock(&table_lock);
    struct slot *s = &slots[h->slot];
    s->armed |= events;
    struct epoll_event ev = {.events = s->armed | EPOLLONESHOT, .data.u32 = h->slot};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, h->fd, &ev);
    if (!start_poller())
        waitq_wake(h->q, ~0u); /* who waits looks again, and tries again */
    unlock(&table_lock);
}
