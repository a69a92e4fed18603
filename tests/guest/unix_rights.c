/* What rides along: descriptors (their order, bounds and loss; cycles of sockets) and credentials. */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 253

union control {
    char buf[CMSG_SPACE(sizeof(int) * (MOST + 1)) + CMSG_SPACE(sizeof(struct ucred))];
    struct cmsghdr align;
};

static ssize_t send_fds(int s, const char *bytes, size_t len, const int *fds, size_t n)
{
    static union control c;
    struct iovec v = {(void *)bytes, len};
    struct msghdr h = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *m = CMSG_FIRSTHDR(&h);
    m->cmsg_level = SOL_SOCKET;
    m->cmsg_type = SCM_RIGHTS;
    m->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(m), fds, n * sizeof(int));
    return sendmsg(s, &h, MSG_DONTWAIT);
}

/* Receives up to cap bytes and max descriptors; *n: how many there were. */
static ssize_t recv_fds(int s, char *bytes, size_t cap, int *fds, size_t max, size_t *n, int flags, int *out_flags)
{
    static union control c;
    struct iovec v = {bytes, cap};
    struct msghdr h = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = CMSG_LEN(max * sizeof(int))};
    ssize_t got = recvmsg(s, &h, flags);
    *n = 0;
    *out_flags = h.msg_flags;
    if (got < 0)
        return got;
    for (struct cmsghdr *m = CMSG_FIRSTHDR(&h); m; m = CMSG_NXTHDR(&h, m)) {
        CHECK(m->cmsg_level == SOL_SOCKET && m->cmsg_type == SCM_RIGHTS);
        *n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(m), *n * sizeof(int));
    }
    return got;
}

static int same_file(int a, int b)
{
    struct stat x, y;
    CHECK(fstat(a, &x) == 0 && fstat(b, &y) == 0);
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void test_pass(int type)
{
    int p[2], pipes[2], fds[8], flags;
    size_t n;
    char buf[100];
    CHECK(socketpair(AF_UNIX, type, 0, p) == 0 && pipe(pipes) == 0);
    CHECK(send_fds(p[0], "ab", 2, pipes, 2) == 2);
    CHECK(recv_fds(p[1], buf, 100, fds, 4, &n, 0, &flags) == 2 && n == 2 && !(flags & MSG_CTRUNC));
    CHECK(same_file(fds[0], pipes[0]) && same_file(fds[1], pipes[1]) && fds[0] != pipes[0]);
    CHECK(fcntl(fds[0], F_GETFD) == 0);
    CHECK(write(fds[1], "x", 1) == 1 && read(pipes[0], buf, 1) == 1);
    close(fds[0]);
    close(fds[1]);
    CHECK(send_fds(p[0], "ab", 2, pipes, 1) == 2);
    CHECK(recv_fds(p[1], buf, 100, fds, 4, &n, MSG_PEEK, &flags) == 2 && n == 1);
    close(fds[0]);
    CHECK(recv_fds(p[1], buf, 100, fds, 4, &n, MSG_CMSG_CLOEXEC, &flags) == 2 && n == 1);
    CHECK(fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
    close(fds[0]);
    /* Cut: what has no place is closed. */
    CHECK(send_fds(p[0], "ab", 2, pipes, 2) == 2);
    CHECK(recv_fds(p[1], buf, 100, fds, 1, &n, 0, &flags) == 2 && n == 1 && (flags & MSG_CTRUNC));
    close(fds[0]);
    CHECK(send_fds(p[0], "ab", 2, pipes, 2) == 2);
    CHECK(recv_fds(p[1], buf, 100, fds, 0, &n, 0, &flags) == 2 && n == 0 && (flags & MSG_CTRUNC));
    CHECK(send_fds(p[0], "ab", 2, pipes, 2) == 2 && read(p[1], buf, 100) == 2);
    close(pipes[1]);
    CHECK(read(pipes[0], buf, 1) == 0); /* no writer is left anywhere */
    close(pipes[0]);
    /* Bad ones. */
    int bad = 0x7ffff;
    CHECK_ERRNO(send_fds(p[0], "a", 1, &bad, 1), EBADF);
    CHECK_ERRNO(recv(p[1], buf, 1, MSG_DONTWAIT), EAGAIN);
    /* What is lost with a socket is closed. */
    CHECK(pipe(pipes) == 0 && send_fds(p[0], "a", 1, pipes, 2) == 1);
    close(pipes[1]);
    close(p[1]);
    CHECK(read(pipes[0], buf, 1) == 0);
    close(pipes[0]);
    close(p[0]);
}

static void test_stream_order(void)
{
    int p[2], fds[8], flags, zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    size_t n;
    char buf[100];
    CHECK(zero >= 0 && null >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(write(p[0], "plain", 5) == 5 && send_fds(p[0], "zero", 4, &zero, 1) == 4);
    CHECK(write(p[0], "more", 4) == 4 && send_fds(p[0], "null", 4, &null, 1) == 4);
    /* A read ends with the bytes that its descriptors came with. */
    CHECK(recv_fds(p[1], buf, 100, fds, 8, &n, 0, &flags) == 9 && n == 1 && !memcmp(buf, "plainzero", 9));
    CHECK(same_file(fds[0], zero));
    close(fds[0]);
    CHECK(recv_fds(p[1], buf, 4, fds, 8, &n, 0, &flags) == 4 && n == 0 && !memcmp(buf, "more", 4));
    CHECK(recv_fds(p[1], buf, 2, fds, 8, &n, 0, &flags) == 2 && n == 1 && same_file(fds[0], null));
    close(fds[0]);
    CHECK(recv_fds(p[1], buf, 100, fds, 8, &n, 0, &flags) == 2 && n == 0 && !memcmp(buf, "ll", 2));
    CHECK(send_fds(p[0], "", 0, &null, 1) == 0); /* nothing to ride on */
    CHECK_ERRNO(recv(p[1], buf, 1, MSG_DONTWAIT), EAGAIN);
    close(p[0]);
    close(p[1]);
    close(zero);
    close(null);
}

static void test_many(void)
{
    int p[2], fds[MOST + 1], got[MOST + 1], flags;
    size_t n;
    char c;
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, p) == 0);
    for (int i = 0; i <= MOST; i++)
        fds[i] = i % 2 ? p[0] : 0;
    CHECK_ERRNO(send_fds(p[0], "x", 1, fds, MOST + 1), EINVAL);
    CHECK(send_fds(p[0], "x", 1, fds, MOST) == 1);
    CHECK(recv_fds(p[1], &c, 1, got, MOST, &n, 0, &flags) == 1 && n == MOST);
    for (int i = 0; i < MOST; i++)
        CHECK(same_file(got[i], fds[i]) && close(got[i]) == 0);
    /* The receiver's table is full. */
    struct rlimit old, few;
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    CHECK(send_fds(p[0], "x", 1, fds, 20) == 1);
    few = old;
    int next = dup(0);
    few.rlim_cur = (rlim_t)next + 5;
    close(next);
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK(recv_fds(p[1], &c, 1, got, 20, &n, 0, &flags) == 1 && n == 5 && (flags & MSG_CTRUNC));
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    for (size_t i = 0; i < n; i++)
        close(got[i]);
    close(p[0]);
    close(p[1]);
}

/* Is the write end, whose descriptors here are closed, open anywhere else? Read end r, non-blocking. */
static int has_writer(int r)
{
    char c;
    ssize_t n = read(r, &c, 1);
    CHECK(n == 0 || (n == -1 && errno == EAGAIN));
    return n != 0;
}

static void poke_collector(void)
{
    close(socket(AF_UNIX, SOCK_STREAM, 0));
    usleep(20000); /* Linux collects in the background */
    close(socket(AF_UNIX, SOCK_STREAM, 0));
    usleep(20000);
}

static void test_cycles(void)
{
    int p[2], q[2], pipes[2];
    /* Into itself. */
    CHECK(pipe2(pipes, O_NONBLOCK) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    int two[2] = {p[0], pipes[1]};
    CHECK(send_fds(p[1], "x", 1, two, 2) == 1);
    close(pipes[1]);
    close(p[0]);
    CHECK(has_writer(pipes[0]));
    close(p[1]);
    poke_collector();
    CHECK(!has_writer(pipes[0]));
    close(pipes[0]);
    /* Two into each other, with a way in from outside that is closed last. */
    CHECK(pipe2(pipes, O_NONBLOCK) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, q) == 0);
    int to_p[2] = {q[0], pipes[1]}, to_q[1] = {p[0]};
    CHECK(send_fds(p[1], "x", 1, to_p, 2) == 1 && send_fds(q[1], "y", 1, to_q, 1) == 1);
    close(pipes[1]);
    close(p[0]);
    close(p[1]);
    close(q[1]);
    poke_collector();
    CHECK(has_writer(pipes[0])); /* through q[0], p[0] and all in it can be had */
    int fds[4], flags;
    size_t n;
    char buf[8];
    CHECK(recv_fds(q[0], buf, 8, fds, 4, &n, 0, &flags) == 1 && n == 1);
    int back[1] = {fds[0]};
    CHECK(recv_fds(fds[0], buf, 8, fds + 1, 3, &n, 0, &flags) == 1 && n == 2);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    int again[3] = {fds[1], fds[2], p[0]};
    CHECK(send_fds(p[1], "z", 1, again, 3) == 1);
    for (int i = 0; i < 3; i++)
        close(i ? again[i] : back[0]);
    close(fds[1]);
    close(q[0]);
    CHECK(has_writer(pipes[0]));
    close(p[1]);
    poke_collector();
    CHECK(!has_writer(pipes[0]));
    close(pipes[0]);
}

/* A listener that waits in the queue of a connection that nobody has accepted. */
static void test_listener_cycle(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                                (size_t)snprintf(a.sun_path + 1, 50, "cycle-%d", (int)getpid()));
    int l = socket(AF_UNIX, SOCK_STREAM, 0), s = socket(AF_UNIX, SOCK_STREAM, 0), pipes[2];
    CHECK(pipe2(pipes, O_NONBLOCK) == 0 && bind(l, (struct sockaddr *)&a, len) == 0 && listen(l, 1) == 0);
    CHECK(connect(s, (struct sockaddr *)&a, len) == 0);
    int two[2] = {l, pipes[1]};
    CHECK(send_fds(s, "x", 1, two, 2) == 1);
    close(pipes[1]);
    close(l);
    CHECK(has_writer(pipes[0]));
    close(s);
    poke_collector();
    CHECK(!has_writer(pipes[0]));
    close(pipes[0]);
}

/* A chain: each socket waits in the queue of the next; the end of the last is the end of all. */
static void test_chain(void)
{
    int pipes[2], p[2], carry;
    CHECK(pipe2(pipes, O_NONBLOCK) == 0);
    carry = pipes[1];
    for (int i = 0; i < 3000; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
        if (send_fds(p[1], "x", 1, &carry, 1) != 1) {
            CHECK(errno == ETOOMANYREFS);
            close(p[0]);
            close(p[1]);
            break;
        }
        close(carry);
        close(p[1]);
        carry = p[0];
    }
    CHECK(has_writer(pipes[0]));
    close(carry);
    poke_collector();
    CHECK(!has_writer(pipes[0]));
    close(pipes[0]);
}

/* ---- credentials ---- */

static struct ucred recv_cred(int s, int *found, char *byte)
{
    static union control c;
    struct iovec v = {byte, 1};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = sizeof(c.buf)};
    struct ucred out = {0, 0, 0};
    CHECK(recvmsg(s, &h, 0) == 1);
    *found = 0;
    for (struct cmsghdr *m = CMSG_FIRSTHDR(&h); m; m = CMSG_NXTHDR(&h, m)) {
        if (m->cmsg_type != SCM_CREDENTIALS)
            continue;
        *found = 1;
        memcpy(&out, CMSG_DATA(m), sizeof(out));
    }
    return out;
}

static ssize_t send_cred(int s, struct ucred u)
{
    static union control c;
    struct iovec v = {"c", 1};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = CMSG_SPACE(sizeof(u))};
    struct cmsghdr *m = CMSG_FIRSTHDR(&h);
    m->cmsg_level = SOL_SOCKET;
    m->cmsg_type = SCM_CREDENTIALS;
    m->cmsg_len = CMSG_LEN(sizeof(u));
    memcpy(CMSG_DATA(m), &u, sizeof(u));
    return sendmsg(s, &h, 0);
}

static void test_credentials(int type)
{
    int p[2], on = 1, found, status;
    char c;
    CHECK(socketpair(AF_UNIX, type, 0, p) == 0);
    CHECK(setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(write(p[0], "a", 1) == 1);
        struct ucred mine = {getpid(), getuid(), getgid()};
        CHECK(send_cred(p[0], mine) == 1);
        if (geteuid() == 0)
            CHECK(setgid(4321) == 0 && setuid(1234) == 0);
        struct ucred bad = {getpid(), 99, getgid()};
        CHECK_ERRNO(send_cred(p[0], bad), EPERM);
        bad = (struct ucred){1, getuid(), getgid()};
        CHECK_ERRNO(send_cred(p[0], bad), EPERM);
        CHECK(write(p[0], "b", 1) == 1);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    struct ucred u = recv_cred(p[1], &found, &c);
    CHECK(found && u.pid == pid && u.uid == getuid() && u.gid == getgid() && c == 'a');
    u = recv_cred(p[1], &found, &c);
    CHECK(found && u.pid == pid && u.uid == getuid() && c == 'c');
    u = recv_cred(p[1], &found, &c);
    CHECK(found && u.pid == pid && c == 'b');
    if (geteuid() == 0)
        CHECK(u.uid == 1234 && u.gid == 4321);
    on = 0;
    CHECK(setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 && write(p[0], "d", 1) == 1);
    recv_cred(p[1], &found, &c);
    CHECK(!found);
    close(p[0]);
    close(p[1]);
}

/* Bytes of different senders are not read as one when it matters whose they are. */
static void test_credential_bounds(void)
{
    int p[2], on = 1, found;
    char buf[10], c;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
    CHECK(write(p[0], "1", 1) == 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(write(p[0], "2", 1) != 1);
    CHECK(waitpid(pid, NULL, 0) == pid && write(p[0], "3", 1) == 1);
    CHECK(recv(p[1], buf, 1, MSG_PEEK) == 1 && buf[0] == '1');
    CHECK(recv_cred(p[1], &found, &c).pid == getpid() && c == '1');
    CHECK(recv_cred(p[1], &found, &c).pid == pid && c == '2');
    CHECK(recv_cred(p[1], &found, &c).pid == getpid() && c == '3');
    close(p[0]);
    close(p[1]);
}

/* SO_PEERCRED: who listened, and who connected. */
static void test_peer(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                                (size_t)snprintf(a.sun_path + 1, 50, "peer-%d", (int)getpid()));
    int l = socket(AF_UNIX, SOCK_STREAM, 0), status;
    pid_t parent = getpid();
    CHECK(bind(l, (struct sockaddr *)&a, len) == 0 && listen(l, 1) == 0);
    pid_t pid = fork();
    struct ucred u;
    socklen_t n = sizeof(u);
    if (pid == 0) {
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &n) == 0 && u.pid == 0 && u.uid == (uid_t)-1);
        CHECK(connect(s, (struct sockaddr *)&a, len) == 0);
        CHECK(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &n) == 0 && u.pid == parent);
        _exit(0);
    }
    int c = accept(l, NULL, NULL);
    CHECK(c >= 0 && getsockopt(c, SOL_SOCKET, SO_PEERCRED, &u, &n) == 0);
    CHECK(u.pid == pid && u.uid == geteuid() && u.gid == getegid());
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
#ifdef SO_PEERGROUPS
    gid_t groups[64];
    n = sizeof(groups);
    CHECK(getsockopt(c, SOL_SOCKET, SO_PEERGROUPS, groups, &n) == 0 && (int)(n / sizeof(gid_t)) == getgroups(0, NULL));
    CHECK_ERRNO(getsockopt(l, SOL_SOCKET, SO_PEERGROUPS, groups, NULL), EFAULT);
#endif
    close(c);
    close(l);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    test_pass(SOCK_STREAM);
    test_pass(SOCK_DGRAM);
    test_pass(SOCK_SEQPACKET);
    test_stream_order();
    test_many();
    test_cycles();
    test_listener_cycle();
    test_chain();
    test_credentials(SOCK_STREAM);
    test_credentials(SOCK_DGRAM);
    test_credential_bounds();
    test_peer();
    return 0;
}
