/* Printing arguments by their kind: numbers, strings, and flags by name. See strace.h for the letters. */
#include "sentry/syscalls/strace.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STRING_SHOWN 160
#define BYTES_SHOWN 32

struct name {
    uint64_t value;
    const char *name;
};

#define N(x)                                                                                                           \
    {                                                                                                                  \
        x, #x                                                                                                          \
    }

/* A word of flags: the bits of `field` are one number, named in `values`; the others are single flags. */
struct flag_set {
    char kind;
    uint64_t field;
    const struct name *values, *flags; /* each ends with a NULL name */
};

static const struct name open_values[] = {N(O_RDONLY), N(O_WRONLY), N(O_RDWR), {0, NULL}};
static const struct name open_flags[] = {N(O_CREAT),   N(O_EXCL),     N(O_NOCTTY),    N(O_TRUNC),
                                         N(O_APPEND),  N(O_NONBLOCK), N(O_SYNC),      N(O_DSYNC),
                                         N(O_DIRECT),  N(O_TMPFILE),  N(O_DIRECTORY), N(O_NOFOLLOW),
                                         N(O_NOATIME), N(O_CLOEXEC),  N(O_PATH),      {0100000, "O_LARGEFILE"},
                                         {0, NULL}};
static const struct name at_flags[] = {N(AT_SYMLINK_NOFOLLOW), N(AT_REMOVEDIR),  N(AT_SYMLINK_FOLLOW),
                                       N(AT_NO_AUTOMOUNT),     N(AT_EMPTY_PATH), {0, NULL}};
static const struct name access_values[] = {N(F_OK), {0, NULL}};
static const struct name access_flags[] = {N(R_OK), N(W_OK), N(X_OK), {0, NULL}};
static const struct name prot_values[] = {N(PROT_NONE), {0, NULL}};
static const struct name prot_flags[] = {N(PROT_READ), N(PROT_WRITE), N(PROT_EXEC), {0, NULL}};
static const struct name map_values[] = {N(MAP_SHARED), N(MAP_PRIVATE), N(MAP_SHARED_VALIDATE), {0, NULL}};
static const struct name map_flags[] = {N(MAP_FIXED),     N(MAP_ANONYMOUS), N(MAP_NORESERVE), N(MAP_STACK),
                                        N(MAP_GROWSDOWN), N(MAP_DENYWRITE), N(MAP_POPULATE),  N(MAP_LOCKED),
                                        N(MAP_HUGETLB),   {0, NULL}};
static const struct name clone_flags[] = {N(CLONE_VM),
                                          N(CLONE_FS),
                                          N(CLONE_FILES),
                                          N(CLONE_SIGHAND),
                                          N(CLONE_PIDFD),
                                          N(CLONE_VFORK),
                                          N(CLONE_PARENT),
                                          N(CLONE_THREAD),
                                          N(CLONE_NEWNS),
                                          N(CLONE_SYSVSEM),
                                          N(CLONE_SETTLS),
                                          N(CLONE_PARENT_SETTID),
                                          N(CLONE_CHILD_CLEARTID),
                                          N(CLONE_CHILD_SETTID),
                                          N(CLONE_NEWUSER),
                                          N(CLONE_NEWPID),
                                          N(CLONE_NEWNET),
                                          {0, NULL}};
static const struct name clone_values[] = {{0, "0"}, N(SIGCHLD), {0, NULL}};
static const struct name wait_flags[] = {
    N(WNOHANG), N(WUNTRACED), N(WCONTINUED), N(WEXITED), N(WNOWAIT), {0x80000000, "__WCLONE"}, {0x40000000, "__WALL"},
    {0, NULL}};
static const struct name zero[] = {{0, "0"}, {0, NULL}};
static const struct name fcntl_values[] = {N(F_DUPFD),      N(F_GETFD),         N(F_SETFD),      N(F_GETFL),
                                           N(F_SETFL),      N(F_GETLK),         N(F_SETLK),      N(F_SETLKW),
                                           N(F_SETOWN),     N(F_GETOWN),        N(F_OFD_GETLK),  N(F_OFD_SETLK),
                                           N(F_OFD_SETLKW), N(F_DUPFD_CLOEXEC), N(F_SETPIPE_SZ), N(F_GETPIPE_SZ),
                                           N(F_ADD_SEALS),  N(F_GET_SEALS),     {0, NULL}};
static const struct name lseek_values[] = {N(SEEK_SET),  N(SEEK_CUR),  N(SEEK_END),
                                           N(SEEK_DATA), N(SEEK_HOLE), {0, NULL}};
static const struct name epoll_values[] = {N(EPOLL_CTL_ADD), N(EPOLL_CTL_DEL), N(EPOLL_CTL_MOD), {0, NULL}};
static const struct name futex_values[] = {
    N(FUTEX_WAIT),        N(FUTEX_WAKE),        N(FUTEX_REQUEUE),   N(FUTEX_CMP_REQUEUE),
    N(FUTEX_WAKE_OP),     N(FUTEX_LOCK_PI),     N(FUTEX_UNLOCK_PI), N(FUTEX_TRYLOCK_PI),
    N(FUTEX_WAIT_BITSET), N(FUTEX_WAKE_BITSET), {0, NULL}};
static const struct name futex_flags[] = {N(FUTEX_PRIVATE_FLAG), N(FUTEX_CLOCK_REALTIME), {0, NULL}};
static const struct name family_values[] = {N(AF_UNSPEC),  N(AF_UNIX),   N(AF_INET), N(AF_INET6),
                                            N(AF_NETLINK), N(AF_PACKET), {0, NULL}};
static const struct name type_values[] = {N(SOCK_STREAM), N(SOCK_DGRAM), N(SOCK_RAW), N(SOCK_SEQPACKET), {0, NULL}};
static const struct name type_flags[] = {N(SOCK_NONBLOCK), N(SOCK_CLOEXEC), {0, NULL}};
static const struct name how_values[] = {N(SIG_BLOCK), N(SIG_UNBLOCK), N(SIG_SETMASK), {0, NULL}};
static const struct name advice_values[] = {N(MADV_NORMAL),   N(MADV_RANDOM),   N(MADV_SEQUENTIAL), N(MADV_WILLNEED),
                                            N(MADV_DONTNEED), N(MADV_FREE),     N(MADV_HUGEPAGE),   N(MADV_NOHUGEPAGE),
                                            N(MADV_DONTFORK), N(MADV_DONTDUMP), {0, NULL}};
static const struct name clock_values[] = {
    N(CLOCK_REALTIME),          N(CLOCK_MONOTONIC),     N(CLOCK_PROCESS_CPUTIME_ID),
    N(CLOCK_THREAD_CPUTIME_ID), N(CLOCK_MONOTONIC_RAW), N(CLOCK_REALTIME_COARSE),
    N(CLOCK_MONOTONIC_COARSE),  N(CLOCK_BOOTTIME),      {0, NULL}};
static const struct name ioctl_values[] = {N(FIONREAD),   N(FIONBIO),  N(FIOASYNC),  N(FIOCLEX),   N(FIONCLEX),
                                           N(TCGETS),     N(TCSETS),   N(TCSETSW),   N(TCSETSF),   N(TIOCGPGRP),
                                           N(TIOCSPGRP),  N(TIOCGSID), N(TIOCSCTTY), N(TIOCNOTTY), N(TIOCGWINSZ),
                                           N(TIOCSWINSZ), {0, NULL}};
static const struct name none[] = {{0, NULL}};

static const struct flag_set sets[] = {
    {'f', O_ACCMODE, open_values, open_flags},
    {'t', 0, zero, at_flags},
    {'a', 0, access_values, access_flags},
    {'P', 0, prot_values, prot_flags},
    {'M', MAP_TYPE, map_values, map_flags},
    {'c', CSIGNAL, clone_values, clone_flags},
    {'W', 0, zero, wait_flags},
    {'F', UINT32_MAX, fcntl_values, none},
    {'L', UINT32_MAX, lseek_values, none},
    {'E', UINT32_MAX, epoll_values, none},
    {'U', FUTEX_CMD_MASK & 0x7f, futex_values, futex_flags},
    {'A', UINT32_MAX, family_values, none},
    {'T', 0xf, type_values, type_flags},
    {'K', UINT32_MAX, how_values, none},
    {'m', UINT32_MAX, advice_values, none},
    {'C', UINT32_MAX, clock_values, none},
    {'I', UINT32_MAX, ioctl_values, none},
};

static const char *name_of(const struct name *names, uint64_t value)
{
    for (; names->name; names++)
        if (names->value == value)
            return names->name;
    return NULL;
}

static void put_flags(struct strace_line *l, const struct flag_set *set, uint64_t v)
{
    const char *number = name_of(set->values, v & set->field), *bar = "";
    uint64_t rest = v & ~set->field & UINT32_MAX;

    /* The number is shown where there is one, and where it is all there is. */
    if (set->field || !rest) {
        if (number && (strcmp(number, "0") || !rest))
            strace_put(l, "%s", number), bar = "|";
        else if (!number)
            strace_put(l, "%#llx", (unsigned long long)(v & set->field)), bar = "|";
    }
    for (const struct name *f = set->flags; f->name && rest; f++) {
        if ((rest & f->value) != f->value)
            continue;
        strace_put(l, "%s%s", bar, f->name);
        rest &= ~f->value;
        bar = "|";
    }
    if (rest)
        strace_put(l, "%s%#llx", bar, (unsigned long long)rest);
}

static void put_quoted(struct strace_line *l, const unsigned char *bytes, size_t n, bool cut)
{
    strace_put(l, "\"");
    for (size_t i = 0; i < n; i++) {
        switch (bytes[i]) {
        case '\n':
            strace_put(l, "\\n");
            break;
        case '\t':
            strace_put(l, "\\t");
            break;
        case '"':
        case '\\':
            strace_put(l, "\\%c", bytes[i]);
            break;
        default:
            strace_put(l, bytes[i] >= ' ' && bytes[i] < 127 ? "%c" : "\\x%02x", bytes[i]);
        }
    }
    strace_put(l, cut ? "\"…" : "\"");
}

static void put_pointer(struct strace_line *l, uint64_t v)
{
    if (v)
        strace_put(l, "%#llx", (unsigned long long)v);
    else
        strace_put(l, "NULL");
}

static void put_string(struct task *t, struct strace_line *l, uint64_t addr)
{
    char text[STRING_SHOWN + 1];
    ssize_t n = t->mm && addr ? user_string(t, text, addr, sizeof(text)) : -EFAULT;

    if (n >= 0)
        put_quoted(l, (unsigned char *)text, (size_t)n, false);
    else if (n == -ENAMETOOLONG && user_read(t, text, addr, STRING_SHOWN) == 0)
        put_quoted(l, (unsigned char *)text, STRING_SHOWN, true);
    else
        put_pointer(l, addr);
}

static void put_bytes(struct task *t, struct strace_line *l, uint64_t addr, uint64_t n)
{
    unsigned char bytes[BYTES_SHOWN];
    const size_t shown = MIN(n, (uint64_t)sizeof(bytes));

    if (t->mm && user_read(t, bytes, addr, shown) == 0)
        put_quoted(l, bytes, shown, n > shown);
    else
        put_pointer(l, addr);
}

static void put_signal(struct strace_line *l, int sig)
{
    const char *abbrev = sig > 0 && sig < 32 ? sigabbrev_np(sig) : NULL;

    if (abbrev)
        strace_put(l, "SIG%s", abbrev);
    else if (sig >= 32 && sig <= 64)
        strace_put(l, "SIGRT_%d", sig - 32);
    else
        strace_put(l, "%d", sig);
}

static const struct flag_set *set_of(char kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        if (sets[i].kind == kind)
            return &sets[i];
    return NULL;
}

void strace_arg(struct task *t, struct strace_line *l, char kind, const struct sysargs *a, int i, long ret)
{
    const uint64_t v = a->a[i];
    const struct flag_set *set = set_of(kind);

    if (set) {
        put_flags(l, set, (uint32_t)v);
        return;
    }
    switch (kind) {
    case 's':
        put_string(t, l, v);
        break;
    case 'B':
        put_bytes(t, l, v, a->a[i + 1]);
        break;
    case 'R':
        if (ret > 0)
            put_bytes(t, l, v, MIN((uint64_t)ret, a->a[i + 1]));
        else
            put_pointer(l, v);
        break;
    case 'D':
        if ((int)v == AT_FDCWD)
            strace_put(l, "AT_FDCWD");
        else
            strace_put(l, "%d", (int)v);
        break;
    case 'S':
        put_signal(l, (int)v);
        break;
    case 'd':
        strace_put(l, "%d", (int)v);
        break;
    case 'u':
        strace_put(l, "%llu", (unsigned long long)v);
        break;
    case 'O':
        strace_put(l, "%lld", (long long)v);
        break;
    case 'o':
        strace_put(l, "%#o", (unsigned)v);
        break;
    case 'x':
        strace_put(l, "%#llx", (unsigned long long)v);
        break;
    default:
        put_pointer(l, v);
    }
}
