/*
 * See arguments.h. Guest memory is a row of slots of the same size: names first, then structures that calls take, then
 * room. A pointer to a slot is right for its call once in a few times, which is often enough, and wrong otherwise,
 * which must do no harm either. Calls overwrite what they get; so it is filled again now and then.
 */
#include "tests/fuzz/arguments.h"

#include "lib/compiler.h"
#include "sentry/syscalls/strace.h"
#include "sentry/syscalls/syscalls.h"
#include "tests/fuzz/fake_platform.h"

#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOT_SIZE 256
#define SLOT(n) (FAKE_BASE + (uint64_t)(n)*SLOT_SIZE)
#define FILES_LIMIT SLOT(0) /* for prlimit(2): all descriptors below it come up as arguments */
#define SIZE_LIMIT (SLOT(0) + sizeof(struct rlimit))
#define FIRST_NAME 1
#define FILE_NAME SLOT(FIRST_NAME)
#define DIRECTORY_NAME SLOT(FIRST_NAME + 1)

static const char *const names[] = {
    "file",
    "dir",
    "dir/a",
    "dir/b",
    "dir/c",
    "/tmp/a",
    "link",
    ".",
    "..",
    "/dev/null",
    "/dev/zero",
    "/proc/self/fd/3",
    "/proc/self/status",
    "/proc/self/maps",
    "user.x",
    "socket",
};

/* What calls point to, in the slots behind the names. The row is zeroes where nothing is said. */
union thing {
    unsigned char bytes[SLOT_SIZE];
    int numbers[SLOT_SIZE / 4];
    uint64_t words[SLOT_SIZE / 8];
    struct iovec iov[4];
    struct timespec times[4];
    struct pollfd polls[4];
    struct epoll_event events[4];
    struct sockaddr_un name;
    struct msghdr message;
    struct mmsghdr messages[2];
    struct flock lock;
    struct open_how {
        uint64_t flags, mode, resolve;
    } how;
};

static void *guest(uint64_t addr)
{
    return (void *)(uintptr_t)addr;
}

static uint64_t thing_at(uint64_t i)
{
    return SLOT(FIRST_NAME + ARRAY_SIZE(names) + i);
}

/* An array of descriptors with a header, as sendmsg(2) takes it. */
static void put_rights(union thing *t)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)t->bytes;

    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), (int[]){0, 1}, 2 * sizeof(int));
}

static const struct iovec pieces[] = {{(void *)(uintptr_t)ARGUMENT_ROOM, 16},
                                      {(void *)(uintptr_t)(ARGUMENT_ROOM + 512), 300}};

enum {
    NOTHING,
    NUMBERS,
    PIECES,
    SOON,
    NOW,
    POLLS,
    EVENTS,
    NAME,
    MESSAGE,
    MESSAGES,
    LOCK,
    HOW,
    RIGHTS,
    MASK,
    COUNT,
    THINGS
};

_Static_assert(SLOT(FIRST_NAME + ARRAY_SIZE(names) + THINGS) <= ARGUMENT_ROOM, "all slots are below the room");

static void make_thing(union thing *t, int which)
{
    const struct msghdr message = {.msg_name = guest(thing_at(NAME)),
                                   .msg_namelen = 0,
                                   .msg_iov = guest(thing_at(PIECES)),
                                   .msg_iovlen = 2,
                                   .msg_control = guest(thing_at(RIGHTS)),
                                   .msg_controllen = CMSG_LEN(2 * sizeof(int))};

    memset(t, 0, sizeof(*t));
    switch (which) {
    case NUMBERS:
        for (int i = 0; i < 16; i++)
            t->numbers[i] = i;
        break;
    case PIECES:
        memcpy(t->iov, pieces, sizeof(pieces));
        break;
    case SOON: /* an interval and a time, as timers take them */
        t->times[0] = t->times[1] = (struct timespec){.tv_nsec = 50000};
        break;
    case NOW:
        t->times[0] = t->times[1] = (struct timespec){.tv_nsec = UTIME_NOW};
        break;
    case POLLS:
        for (int i = 0; i < 4; i++)
            t->polls[i] = (struct pollfd){.fd = i, .events = POLLIN | POLLOUT};
        break;
    case EVENTS:
        t->events[0] = (struct epoll_event){.events = EPOLLIN | EPOLLOUT, .data.u64 = 1};
        t->events[1] = (struct epoll_event){.events = EPOLLIN | EPOLLET | EPOLLONESHOT};
        break;
    case NAME:
        t->name = (struct sockaddr_un){.sun_family = AF_UNIX, .sun_path = "socket"};
        break;
    case MESSAGE:
        t->message = message;
        break;
    case MESSAGES:
        t->messages[0].msg_hdr = t->messages[1].msg_hdr = message;
        break;
    case LOCK:
        t->lock = (struct flock){.l_type = F_WRLCK, .l_len = 10};
        break;
    case HOW:
        t->how = (struct open_how){.flags = O_RDWR | O_CREAT, .mode = 0600};
        break;
    case RIGHTS:
        put_rights(t);
        break;
    case MASK:
        t->words[0] = 1ULL << (SIGUSR1 - 1);
        break;
    case COUNT: /* in and out: the size of a buffer */
        t->words[0] = 64;
        break;
    default:
        break;
    }
}

void arguments_fill(void)
{
    const struct rlimit limits[] = {{16, 16}, {1 << 20, 1 << 20}};

    fake_write(FILES_LIMIT - FAKE_BASE, limits, sizeof(limits));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        fake_write(SLOT(FIRST_NAME + i) - FAKE_BASE, names[i], strlen(names[i]) + 1);
    for (int i = 0; i < THINGS; i++) {
        union thing t;
        make_thing(&t, i);
        fake_write(thing_at((uint64_t)i) - FAKE_BASE, &t, sizeof(t));
    }
}

void arguments_open(struct task *t)
{
    static const struct sysargs calls[] = {
        {.nr = __NR_prlimit64, .a = {0, RLIMIT_NOFILE, FILES_LIMIT}},
        {.nr = __NR_prlimit64, .a = {0, RLIMIT_FSIZE, SIZE_LIMIT}},
        {.nr = __NR_mkdirat, .a = {(uint64_t)AT_FDCWD, DIRECTORY_NAME, 0755}},
        {.nr = __NR_openat, .a = {(uint64_t)AT_FDCWD, FILE_NAME, O_RDWR | O_CREAT, 0644}},
        {.nr = __NR_openat, .a = {(uint64_t)AT_FDCWD, DIRECTORY_NAME, O_RDONLY}},
        {.nr = __NR_socketpair, .a = {AF_UNIX, SOCK_STREAM, 0, ARGUMENT_ROOM}},
        {.nr = __NR_socket, .a = {AF_UNIX, SOCK_STREAM}},
        {.nr = __NR_pipe2, .a = {ARGUMENT_ROOM}},
        {.nr = __NR_eventfd2},
        {.nr = __NR_epoll_create1},
        {.nr = __NR_timerfd_create, .a = {CLOCK_MONOTONIC}},
        {.nr = __NR_inotify_init1},
        {.nr = __NR_pidfd_open, .a = {1}},
    };

    arguments_fill();
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        (void)syscall_table[calls[i].nr].fn(t, &calls[i]);
}

/* Values of a kind: one of `values`, with one of `flags` in two thirds of the cases. */
struct choice {
    char kind;
    uint8_t values, flags; /* how many */
    uint32_t value[20], flag[8];
};

static const struct choice choices[] = {
    {'f',
     4,
     8,
     {O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_CREAT},
     {O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_APPEND, O_NONBLOCK, O_DIRECTORY, O_PATH, O_CLOEXEC}},
    {'t', 1, 5, {0}, {AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT}},
    {'a', 4, 0, {F_OK, R_OK, W_OK, X_OK}, {0}},
    {'P', 4, 1, {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC}, {PROT_WRITE}},
    {'M', 2, 4, {MAP_PRIVATE, MAP_SHARED}, {MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_NORESERVE}},
    {'c', 1, 3, {0}, {CLONE_FS, CLONE_FILES, CLONE_SYSVSEM}},
    {'W', 2, 5, {WNOHANG, 0}, {WEXITED, WUNTRACED, WCONTINUED, WNOWAIT, __WALL}},
    {'F',
     18,
     0,
     {F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_SETOWN, F_GETOWN, F_OFD_GETLK,
      F_OFD_SETLK, F_OFD_SETLKW, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS},
     {0}},
    {'L', 5, 0, {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE}, {0}},
    {'E', 3, 0, {EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD}, {0}},
    {'U',
     7,
     2,
     {FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET},
     {FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME}},
    {'T', 3, 2, {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}, {SOCK_NONBLOCK, SOCK_CLOEXEC}},
    {'A', 3, 0, {AF_UNIX, AF_UNIX, AF_INET}, {0}},
    {'I',
     10,
     0,
     {FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX, TCGETS, TIOCGPGRP, TIOCSPGRP, TIOCNOTTY, TIOCGWINSZ},
     {0}},
    {'K', 3, 0, {SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK}, {0}},
    {'u', 12, 0, {0, 1, 2, 4, 8, 8, 16, 24, 64, 110, 256, 4096}, {0}},
    {'O', 8, 0, {0, 1, 8, 100, 4095, 4096, 65536, 1 << 20}, {0}},
    {'o', 6, 0, {0, 0600, 0644, 0755, S_IFREG | 0600, S_IFIFO | 0600}, {0}},
};

static uint64_t choose(const struct choice *c, uint64_t r)
{
    uint64_t value = c->value[r % c->values];

    if (c->flags && (r >> 16) % 3)
        value |= c->flag[(r >> 24) % c->flags];
    return value;
}

/* Anything, and small numbers, single bits and numbers below zero more often. */
static uint64_t any(uint64_t r)
{
    switch (r & 7) {
    case 0:
    case 1:
        return 1ULL << (r >> 8 & 63);
    case 2:
        return r >> 8;
    case 3:
        return (uint64_t) - (int64_t)(r >> 8 & 4095);
    default:
        return r >> 8 & 15;
    }
}

uint64_t argument_for(const char *call, int i, uint64_t random)
{
    const char *kinds = strace_kinds(call);
    char kind = kinds && (size_t)i < strlen(kinds) ? kinds[i] : '?';
    const uint64_t r = random >> 8;

    if (random % 32 == 0) /* of every kind, now and then */
        return any(r);
    if (kind == '?')
        kind = "dddpsx"[random % 6];
    for (size_t k = 0; k < ARRAY_SIZE(choices); k++)
        if (choices[k].kind == kind)
            return choose(&choices[k], r);
    switch (kind) {
    case 's':
        return SLOT(FIRST_NAME + r % ARRAY_SIZE(names));
    case 'D':
        return r % 4 ? (uint64_t)AT_FDCWD : r >> 8 & 15;
    case 'B':
    case 'R':
        return ARGUMENT_ROOM + (r & 0xfff);
    case 'p':
        return r % 8 == 0 ? 0 : r % 4 == 0 ? ARGUMENT_ROOM + (r >> 8 & 0xff) * 8 : thing_at((r >> 8) % THINGS);
    case 'x':
        return r % 2 ? 0 : any(r >> 8);
    case 'S':
        return r % 65;
    default: /* descriptors, processes, clocks, advice, and flags whose kind nobody knows */
        return r % 4 ? r >> 8 & 15 : any(r >> 8);
    }
}
