/* Stream sockets: pairs, names, listen and accept, ends and errors, peeking, timeouts, options, /proc. */
#include "check.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile bad = (void *)8; /* no memory is there */

static socklen_t name_of(struct sockaddr_un *a, const char *path, size_t len)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    memcpy(a->sun_path, path, len);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int listener(const char *path, size_t len, int type, int backlog)
{
    struct sockaddr_un a;
    socklen_t n = name_of(&a, path, len);
    int s = socket(AF_UNIX, type, 0);
    CHECK(s >= 0 && bind(s, (struct sockaddr *)&a, n) == 0 && listen(s, backlog) == 0);
    return s;
}

static void test_making(void)
{
    int p[2];
    struct stat st;
    CHECK_ERRNO(socket(AF_UNIX, 99, 0), EINVAL);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM, 99), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM | 0x100, 0), EINVAL);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(12, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) == 0);
    CHECK(fcntl(p[0], F_GETFD) == FD_CLOEXEC && fcntl(p[1], F_GETFL) == (O_RDWR | O_NONBLOCK));
    CHECK(fstat(p[0], &st) == 0 && S_ISSOCK(st.st_mode));
    CHECK_ERRNO(lseek(p[0], 0, SEEK_SET), ESPIPE);
    CHECK_ERRNO(pread(p[0], &st, 1, 0), ESPIPE);
    char link[64], text[64], want[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", p[0]);
    ssize_t n = readlink(link, text, sizeof(text) - 1);
    CHECK(n > 0);
    text[n] = '\0';
    snprintf(want, sizeof(want), "socket:[%lu]", (unsigned long)st.st_ino);
    CHECK(!strcmp(text, want));
    CHECK_ERRNO(send(0x7fff, "x", 1, 0), EBADF);
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    CHECK_ERRNO(send(pipes[1], "x", 1, 0), ENOTSOCK);
    close(pipes[0]);
    close(pipes[1]);
    close(p[0]);
    close(p[1]);
}

static void test_bytes(void)
{
    int p[2], n;
    char buf[100];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(write(p[0], "hello", 5) == 5 && write(p[0], " world", 6) == 6);
    CHECK(ioctl(p[1], FIONREAD, &n) == 0 && n == 11);
    CHECK(ioctl(p[0], SIOCOUTQ, &n) == 0 && n >= 11);
    CHECK(recv(p[1], buf, 4, MSG_PEEK) == 4 && !memcmp(buf, "hell", 4));
    CHECK(recv(p[1], buf, 100, MSG_PEEK) == 11 && !memcmp(buf, "hello world", 11));
    CHECK(read(p[1], buf, 8) == 8 && !memcmp(buf, "hello wo", 8));
    CHECK(read(p[1], buf, 8) == 3 && !memcmp(buf, "rld", 3));
    CHECK_ERRNO(recv(p[1], buf, 1, MSG_DONTWAIT), EAGAIN);
    CHECK(ioctl(p[0], SIOCOUTQ, &n) == 0 && n == 0);
    CHECK(send(p[1], "back", 4, 0) == 4 && recv(p[0], buf, 100, 0) == 4);
    CHECK(read(p[1], buf, 0) == 0);
    struct iovec v[3] = {{"a", 1}, {"bcd", 3}, {"ef", 2}};
    CHECK(writev(p[0], v, 3) == 6 && read(p[1], buf, 100) == 6 && !memcmp(buf, "abcdef", 6));
    CHECK(write(p[0], "x", 0) == 0);
    CHECK_ERRNO(recv(p[1], buf, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(write(p[0], bad, 4), EFAULT);
    CHECK(write(p[0], "q", 1) == 1);
    CHECK_ERRNO(read(p[1], bad, 4), EFAULT);
    CHECK(read(p[1], buf, 4) == 1 && buf[0] == 'q');
    close(p[0]);
    close(p[1]);
}

static void test_ends(void)
{
    int p[2];
    char buf[10];
    signal(SIGPIPE, SIG_IGN);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(write(p[0], "last", 4) == 4);
    CHECK(shutdown(p[0], SHUT_WR) == 0);
    CHECK_ERRNO(write(p[0], "x", 1), EPIPE);
    CHECK(read(p[1], buf, 10) == 4 && read(p[1], buf, 10) == 0);
    CHECK(write(p[1], "yy", 2) == 2 && read(p[0], buf, 10) == 2);
    CHECK_ERRNO(shutdown(p[0], 3), EINVAL);
    close(p[1]);
    CHECK(read(p[0], buf, 10) == 0);
    close(p[0]);

    /* Unread bytes reset the other end. */
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(write(p[0], "lost", 4) == 4 && write(p[1], "kept", 4) == 4);
    close(p[1]);
    CHECK_ERRNO(write(p[0], "x", 1), EPIPE);
    CHECK(read(p[0], buf, 10) == 4);
    CHECK_ERRNO(read(p[0], buf, 10), ECONNRESET);
    CHECK(read(p[0], buf, 10) == 0);
    close(p[0]);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(shutdown(p[0], SHUT_RD) == 0);
    CHECK_ERRNO(send(p[1], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK(read(p[0], buf, 10) == 0);
    close(p[0]);
    close(p[1]);
}

static void test_sigpipe(void)
{
    int p[2], status;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
        close(p[1]);
        CHECK_ERRNO(send(p[0], "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK(write(p[0], "x", 1) == -1);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

static void test_listen(void)
{
    struct sockaddr_un a, b;
    socklen_t n, len;
    char buf[16];
    int l = listener("sock", 5, SOCK_STREAM, 1), on;
    struct stat st;
    CHECK(stat("sock", &st) == 0 && S_ISSOCK(st.st_mode));
    CHECK_ERRNO(open("sock", O_RDWR), ENXIO);
    n = name_of(&a, "sock", 5);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(bind(s, (struct sockaddr *)&a, n), EADDRINUSE);
    CHECK_ERRNO(bind(s, (struct sockaddr *)&a, 2000), EINVAL);
    CHECK_ERRNO(listen(s, 5), EINVAL);
    CHECK_ERRNO(accept(s, NULL, NULL), EINVAL);
    CHECK_ERRNO(write(s, "x", 1), ENOTCONN);
    CHECK_ERRNO(read(s, buf, 1), EINVAL);
    len = sizeof(b);
    CHECK_ERRNO(getpeername(s, (struct sockaddr *)&b, &len), ENOTCONN);
    CHECK(getsockname(s, (struct sockaddr *)&b, &len) == 0 && len == 2 && b.sun_family == AF_UNIX);
    CHECK(connect(s, (struct sockaddr *)&a, n) == 0);
    CHECK_ERRNO(connect(s, (struct sockaddr *)&a, n), EISCONN);
    len = sizeof(b);
    CHECK(getpeername(s, (struct sockaddr *)&b, &len) == 0 && len == n && !strcmp(b.sun_path, "sock"));
    CHECK(write(s, "early", 5) == 5);
    len = sizeof(b);
    int c = accept4(l, (struct sockaddr *)&b, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CHECK(c >= 0 && len == 2 && fcntl(c, F_GETFD) == FD_CLOEXEC);
    CHECK_ERRNO(accept4(l, NULL, NULL, 1), EINVAL);
    len = sizeof(b);
    CHECK(getsockname(c, (struct sockaddr *)&b, &len) == 0 && len == n && !strcmp(b.sun_path, "sock"));
    CHECK(read(c, buf, 16) == 5);
    len = sizeof(b);
    CHECK(write(c, "hi", 2) == 2 && recvfrom(s, buf, 16, 0, (struct sockaddr *)&b, &len) == 2);
    CHECK(len == n && !strcmp(b.sun_path, "sock"));
    CHECK_ERRNO(sendto(s, "x", 1, 0, (struct sockaddr *)&a, n), EISCONN);
    len = sizeof(on);
    CHECK(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on == 1);
    CHECK(getsockopt(c, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on == 0);
    close(c);
    close(s);

    /* A full queue. */
    int q[4];
    for (int i = 0; i < 4; i++)
        q[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(connect(q[0], (struct sockaddr *)&a, n) == 0 && connect(q[1], (struct sockaddr *)&a, n) == 0);
    CHECK_ERRNO(connect(q[2], (struct sockaddr *)&a, n), EAGAIN);
    c = accept(l, NULL, NULL);
    CHECK(c >= 0 && connect(q[2], (struct sockaddr *)&a, n) == 0);
    close(l);
    CHECK_ERRNO(read(q[2], buf, 1), ECONNRESET); /* never accepted */
    CHECK_ERRNO(connect(q[3], (struct sockaddr *)&a, n), ECONNREFUSED);
    for (int i = 0; i < 4; i++)
        close(q[i]);
    close(c);
    CHECK(unlink("sock") == 0);
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(s, (struct sockaddr *)&a, n), ENOENT);
    CHECK(close(open("plain", O_CREAT | O_WRONLY, 0600)) == 0);
    n = name_of(&a, "plain", 6);
    CHECK_ERRNO(connect(s, (struct sockaddr *)&a, n), ECONNREFUSED);
    CHECK_ERRNO(bind(s, (struct sockaddr *)&a, n), EADDRINUSE);
    CHECK(unlink("plain") == 0);
    n = name_of(&a, "none/sock", 10);
    CHECK_ERRNO(bind(s, (struct sockaddr *)&a, n), ENOENT);
    close(s);
}

static void test_names(void)
{
    struct sockaddr_un a, b;
    socklen_t n, len = sizeof(b);
    char abstract[] = "\0test-unix-stream";
    int l = listener(abstract, sizeof(abstract) - 1, SOCK_STREAM, 5), s = socket(AF_UNIX, SOCK_STREAM, 0);
    n = name_of(&a, abstract, sizeof(abstract) - 1);
    CHECK_ERRNO(bind(s, (struct sockaddr *)&a, n), EADDRINUSE);
    CHECK(getsockname(l, (struct sockaddr *)&b, &len) == 0 && len == n && !memcmp(&a, &b, n));
    CHECK(connect(s, (struct sockaddr *)&a, n) == 0);
    close(s);
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(s, (struct sockaddr *)&a, n - 1), ECONNREFUSED); /* another name */
    a.sun_family = AF_INET;
    CHECK_ERRNO(connect(s, (struct sockaddr *)&a, n), EINVAL);
    close(l);
    a.sun_family = AF_UNIX;
    CHECK_ERRNO(connect(s, (struct sockaddr *)&a, n), ECONNREFUSED);

    /* A name of the kernel's choice: NUL and five digits. */
    CHECK(bind(s, (struct sockaddr *)&a, sizeof(sa_family_t)) == 0);
    len = sizeof(b);
    CHECK(getsockname(s, (struct sockaddr *)&b, &len) == 0 && len == 8 && b.sun_path[0] == '\0');
    close(s);

    /* A name as long as may be has no NUL; links and renames lead to the same socket. */
    char longest[108];
    memset(longest, 'n', sizeof(longest));
    l = listener(longest, sizeof(longest), SOCK_STREAM, 5);
    struct sockaddr_storage big;
    len = sizeof(big);
    CHECK(getsockname(l, (struct sockaddr *)&big, &len) == 0 && len == 111);
    char text[109] = {0};
    memcpy(text, longest, 108);
    CHECK(rename(text, "moved") == 0 && symlink("moved", "link") == 0);
    n = name_of(&a, "link", 5);
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(s, (struct sockaddr *)&a, n) == 0);
    close(s);
    s = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_ERRNO(connect(s, (struct sockaddr *)&a, n), EPROTOTYPE);
    close(s);
    if (geteuid() == 0) {
        pid_t pid = fork();
        int status;
        if (pid == 0) {
            CHECK(chmod("moved", 0755) == 0 && chmod(".", 0755) == 0 && setuid(12345) == 0);
            s = socket(AF_UNIX, SOCK_STREAM, 0);
            CHECK_ERRNO(connect(s, (struct sockaddr *)&a, n), EACCES);
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    close(l);
    CHECK(unlink("link") == 0 && unlink("moved") == 0);
}

static void *late_writer(void *arg)
{
    int fd = *(int *)arg;
    for (int i = 0; i < 10; i++) {
        usleep(2000);
        CHECK(write(fd, "0123456789", 10) == 10);
    }
    return NULL;
}

static void test_waiting(void)
{
    int p[2];
    char buf[100];
    pthread_t th;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(pthread_create(&th, NULL, late_writer, &p[0]) == 0);
    CHECK(recv(p[1], buf, 95, MSG_WAITALL) == 95);
    pthread_join(th, NULL);
    CHECK(recv(p[1], buf, 95, 0) == 5);
    struct timeval tv = {.tv_usec = 50000}, got;
    socklen_t len = sizeof(got);
    CHECK(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
    CHECK(getsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &got, &len) == 0 && len == sizeof(got));
    CHECK(got.tv_sec == 0 && got.tv_usec >= 50000 && got.tv_usec < 60000); /* rounded up to a tick */
    struct timeval t0, t1;
    gettimeofday(&t0, NULL);
    CHECK_ERRNO(recv(p[1], buf, 1, 0), EAGAIN);
    gettimeofday(&t1, NULL);
    CHECK((t1.tv_sec - t0.tv_sec) * 1000000 + t1.tv_usec - t0.tv_usec >= 45000);
    tv.tv_usec = 1000000;
    CHECK_ERRNO(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), EDOM);
    CHECK_ERRNO(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &tv, 4), EINVAL);
    /* A full buffer: not writable any more, and a send with a timeout gives up. */
    char *big = calloc(1, 1 << 20);
    tv = (struct timeval){.tv_usec = 50000};
    CHECK(setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
    ssize_t sent = write(p[0], big, 1 << 20);
    CHECK(sent > 50000 && sent < 1 << 20);
    CHECK_ERRNO(write(p[0], big, 1), EAGAIN);
    CHECK_ERRNO(send(p[0], big, 1, MSG_DONTWAIT), EAGAIN);
    for (ssize_t done = 0, n; done < sent; done += n)
        CHECK((n = read(p[1], big, 1 << 20)) > 0);
    free(big);
    close(p[0]);
    close(p[1]);
}

static volatile int alarms;
static void on_alarm(int sig)
{
    alarms += sig == SIGALRM;
}

static void test_signals(void)
{
    int p[2];
    char c;
    struct sigaction sa = {.sa_handler = on_alarm};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    sigaction(SIGALRM, &sa, NULL);
    check_alarms_begin();
    CHECK_ERRNO(read(p[0], &c, 1), EINTR);
    check_alarms_end();
    /* Restarted, until the child writes. */
    sa.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(100000);
        CHECK(write(p[1], "z", 1) == 1);
        _exit(0);
    }
    alarms = 0;
    check_alarms_begin();
    CHECK(read(p[0], &c, 1) == 1 && c == 'z' && alarms >= 1);
    CHECK(waitpid(pid, NULL, 0) == pid);
    /* Not with a timeout. */
    struct timeval tv = {.tv_sec = 5};
    CHECK(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
    CHECK_ERRNO(recv(p[0], &c, 1, 0), EINTR);
    check_alarms_end();
    close(p[0]);
    close(p[1]);
}

static void test_options(void)
{
    int p[2], v;
    socklen_t len = sizeof(v);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &v, &len) == 0 && v == SOCK_STREAM);
    CHECK(getsockopt(p[0], SOL_SOCKET, SO_DOMAIN, &v, &len) == 0 && v == AF_UNIX);
    CHECK(getsockopt(p[0], SOL_SOCKET, SO_PROTOCOL, &v, &len) == 0 && v == 0);
    CHECK(getsockopt(p[0], SOL_SOCKET, SO_ERROR, &v, &len) == 0 && v == 0);
    v = 10000;
    CHECK(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)) == 0);
    CHECK(getsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &v, &len) == 0 && v == 20000);
    v = 1;
    CHECK(setsockopt(p[0], SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)) == 0);
    CHECK(getsockopt(p[0], SOL_SOCKET, SO_RCVBUF, &v, &len) == 0 && v == 2304);
    CHECK(setsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, &len, sizeof(len)) == 0);
    CHECK(getsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, &v, &len) == 0 && v == 1);
    CHECK_ERRNO(setsockopt(p[0], SOL_SOCKET, SO_TYPE, &v, sizeof(v)), ENOPROTOOPT);
    CHECK_ERRNO(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &v, 2), EINVAL);
    CHECK_ERRNO(getsockopt(p[0], SOL_SOCKET, 9999, &v, &len), ENOPROTOOPT);
    CHECK_ERRNO(getsockopt(p[0], 6, 1, &v, &len), EOPNOTSUPP);
    CHECK_ERRNO(setsockopt(p[0], 6, 1, &v, sizeof(v)), EOPNOTSUPP);
    int on = 1;
    CHECK(ioctl(p[0], FIONBIO, &on) == 0 && (fcntl(p[0], F_GETFL) & O_NONBLOCK));
    char c;
    CHECK_ERRNO(read(p[0], &c, 1), EAGAIN);
    struct ucred cr;
    len = sizeof(cr);
    CHECK(getsockopt(p[0], SOL_SOCKET, SO_PEERCRED, &cr, &len) == 0 && len == sizeof(cr));
    CHECK(cr.pid == getpid() && cr.uid == geteuid() && cr.gid == getegid());
    close(p[0]);
    close(p[1]);
}

/* A transfer in odd sizes through a small buffer, checked byte for byte. */
static unsigned char at(size_t i)
{
    return (unsigned char)(i * 7 + i / 251);
}

#define BULK (8u << 20)

static void *bulk_writer(void *arg)
{
    int fd = *(int *)arg;
    unsigned char *buf = malloc(100000);
    size_t sizes[] = {1, 100, 4096, 5000, 65536, 99999, 8192, 8193, 3};
    for (size_t i = 0, k = 0; i < BULK; k++) {
        size_t n = sizes[k % 9];
        n = n > BULK - i ? BULK - i : n;
        for (size_t j = 0; j < n; j++)
            buf[j] = at(i + j);
        CHECK(write(fd, buf, n) == (ssize_t)n);
        i += n;
    }
    free(buf);
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void test_bulk(void)
{
    int p[2];
    pthread_t th;
    unsigned char *buf = malloc(200000);
    size_t sizes[] = {70000, 1, 13, 200000, 4096, 20000};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(pthread_create(&th, NULL, bulk_writer, &p[0]) == 0);
    size_t i = 0;
    for (int k = 0;; k++) {
        ssize_t n = read(p[1], buf, sizes[k % 6]);
        CHECK(n >= 0);
        if (n == 0)
            break;
        for (ssize_t j = 0; j < n; j++)
            CHECK(buf[j] == at(i + (size_t)j));
        i += (size_t)n;
    }
    CHECK(i == BULK);
    pthread_join(th, NULL);
    free(buf);
    close(p[0]);
    close(p[1]);
}

static void test_sendfile(void)
{
    int p[2], f = open("data", O_CREAT | O_RDWR, 0600), pipes[2];
    char buf[200];
    CHECK(f >= 0 && write(f, "0123456789", 10) == 10 && lseek(f, 0, SEEK_SET) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
    CHECK(sendfile(p[0], f, NULL, 100) == 10 && read(p[1], buf, 100) == 10 && !memcmp(buf, "0123456789", 10));
    CHECK(pipe(pipes) == 0 && write(p[0], "spliced", 7) == 7);
    CHECK(splice(p[1], NULL, pipes[1], NULL, 100, 0) == 7 && read(pipes[0], buf, 100) == 7);
    CHECK(write(pipes[1], "there", 5) == 5 && splice(pipes[0], NULL, p[0], NULL, 5, 0) == 5);
    CHECK(read(p[1], buf, 100) == 5 && !memcmp(buf, "there", 5));
    close(pipes[0]);
    close(pipes[1]);
    close(p[0]);
    close(p[1]);
    close(f);
    CHECK(unlink("data") == 0);
}

/* From a pipe to a socket that takes only a part each time: nothing is lost. */
static void test_splice_short(void)
{
    int p[2], pipes[2], small = 4608;
    static unsigned char in[65536], out[65536];
    size_t got = 0;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p) == 0 && pipe2(pipes, O_NONBLOCK) == 0);
    CHECK(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = at(i);
    CHECK(write(pipes[1], in, sizeof(in)) == sizeof(in));
    while (got < sizeof(out)) {
        ssize_t n = splice(pipes[0], NULL, p[0], NULL, sizeof(in), SPLICE_F_NONBLOCK);
        CHECK(n > 0 || errno == EAGAIN);
        n = read(p[1], out + got, 3000);
        CHECK(n > 0);
        got += (size_t)n;
    }
    CHECK(!memcmp(in, out, sizeof(in)));
    close(pipes[0]);
    close(pipes[1]);
    close(p[0]);
    close(p[1]);
}

static void test_proc(void)
{
    int l = listener("shown", 6, SOCK_STREAM, 5);
    char line[300], want[40];
    struct stat st;
    int found = 0;
    CHECK(fstat(l, &st) == 0);
    snprintf(want, sizeof(want), " %lu shown\n", (unsigned long)st.st_ino);
    FILE *f = fopen("/proc/net/unix", "r");
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        found += strstr(line, want) && strstr(line, " 00010000 0001 01 ");
    CHECK(found == 1);
    fclose(f);
    close(l);
    CHECK(unlink("shown") == 0);
}

int main(void)
{
    char dir[] = "/tmp/unixXXXXXX";
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    test_making();
    test_bytes();
    test_ends();
    test_sigpipe();
    test_listen();
    test_names();
    test_waiting();
    test_signals();
    test_options();
    test_bulk();
    test_sendfile();
    test_splice_short();
    test_proc();
    CHECK(chdir("/") == 0 && rmdir(dir) == 0);
    return 0;
}
