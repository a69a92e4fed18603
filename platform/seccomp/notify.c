/*
 * The listener: the one descriptor through which the kernel hands us the notified calls of all stubs, and its ioctls.
 *
 * Two flags make it fast and safe where the host has them: SYNC_WAKE_UP (Linux 6.6) moves the wake-up to the caller's
 * core, which is what makes a round trip cost 3 µs and not 12; WAIT_KILLABLE_RECV (5.19), given when the filter is
 * made, keeps a signal from taking back a call that we have received already.
 */
#include "platform/seccomp/internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#define IOCTL_SET_FLAGS 0x40082104UL /* SECCOMP_IOCTL_NOTIF_SET_FLAGS: newer than the headers */
#define FLAG_SYNC_WAKE_UP 1UL

static int listener = -1;

void notify_init(int listener_fd)
{
    listener = listener_fd;
    (void)!ioctl(listener, IOCTL_SET_FLAGS, FLAG_SYNC_WAKE_UP); /* an older host is only slower */
}

static int notify_ioctl(unsigned long request, void *arg)
{
    int ret = ioctl(listener, request, arg);

    return ret < 0 ? -errno : ret;
}

int notify_recv(struct seccomp_notif *out)
{
    memset(out, 0, sizeof(*out)); /* the kernel insists */
    sc_threads_note_recv();
    return notify_ioctl(SECCOMP_IOCTL_NOTIF_RECV, out);
}

bool notify_pending(void)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

bool notify_valid(uint64_t id)
{
    return notify_ioctl(SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int notify_reply(uint64_t id, int64_t value)
{
    struct seccomp_notif_resp resp = {.id = id, .val = value};

    return notify_ioctl(SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

int notify_continue(uint64_t id)
{
    struct seccomp_notif_resp resp = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

    return notify_ioctl(SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static int add_fd(uint64_t id, int fd, uint32_t flags, uint32_t number)
{
    struct seccomp_notif_addfd add = {
        .id = id, .flags = flags, .srcfd = (uint32_t)fd, .newfd = number, .newfd_flags = 02000000 /* O_CLOEXEC */};

    return notify_ioctl(SECCOMP_IOCTL_NOTIF_ADDFD, &add);
}

int notify_addfd(uint64_t id, int fd)
{
    return add_fd(id, fd, 0, 0);
}

int notify_setfd(uint64_t id, int fd, unsigned number)
{
    return add_fd(id, fd, SECCOMP_ADDFD_FLAG_SETFD, number);
}
