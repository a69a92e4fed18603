/* Moving data within the kernel: sendfile, copy_file_range, splice, tee, vmsplice, readv and writev with all their
 * flags. */
#include "scratch.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>

static int make(const char *name, const char *text)
{
    scratch_file(name, text, 0600);
    int fd = open(name, O_RDWR);
    CHECK(fd >= 0);
    return fd;
}

static void expect_text(int fd, off_t at, const char *want)
{
    char got[256] = "";
    ssize_t n = pread(fd, got, sizeof(got) - 1, at);
    if (n < 0 || strcmp(got, want)) {
        fprintf(stderr, "got '%s' instead of '%s'\n", got, want);
        check_failures++;
    }
}

static void test_sendfile(void)
{
    int fds[2];
    char buf[32] = "";
    off_t at = 2;
    scratch_enter();
    int in = make("in", "0123456789"), out = make("out", "");
    CHECK(pipe(fds) == 0);
    EXPECT(sendfile(out, in, &at, 5) == 5 && at == 7 && lseek(in, 0, SEEK_CUR) == 0);
    expect_text(out, 0, "23456");
    EXPECT(sendfile(out, in, NULL, 100) == 10 && lseek(in, 0, SEEK_CUR) == 10 && sendfile(out, in, NULL, 5) == 0);
    at = 8;
    EXPECT(sendfile(fds[1], in, &at, 100) == 2 && read(fds[0], buf, 32) == 2 && !memcmp(buf, "89", 2));
    EXPECT_ERRNO(sendfile(out, fds[0], NULL, 1), EINVAL);
    EXPECT_ERRNO(sendfile(99, in, NULL, 1), EBADF);
    EXPECT_ERRNO(sendfile(open("out", O_RDONLY), in, NULL, 1), EBADF);
    at = -1;
    EXPECT_ERRNO(sendfile(out, in, &at, 1), EINVAL);
    EXPECT_ERRNO(sendfile(open("out", O_WRONLY | O_APPEND), in, NULL, 1), EINVAL);
}

static void test_copy_file_range(void)
{
    off_t from = 1, to = 3;
    scratch_enter();
    int in = make("in", "0123456789"), out = make("out", "abcdefghij");
    EXPECT(copy_file_range(in, &from, out, &to, 4, 0) == 4 && from == 5 && to == 7);
    expect_text(out, 0, "abc1234hij");
    EXPECT(copy_file_range(in, NULL, out, NULL, 3, 0) == 3 && lseek(in, 0, SEEK_CUR) == 3 &&
           lseek(out, 0, SEEK_CUR) == 3);
    expect_text(out, 0, "0121234hij");
    from = 100;
    EXPECT(copy_file_range(in, &from, out, NULL, 3, 0) == 0);
    EXPECT_ERRNO(copy_file_range(in, NULL, out, NULL, 3, 1), EINVAL);
    from = 0, to = 2;
    EXPECT_ERRNO(copy_file_range(in, &from, in, &to, 5, 0), EINVAL); /* overlapping */
    to = 20;
    EXPECT(copy_file_range(in, &from, in, &to, 5, 0) == 5);
    EXPECT_ERRNO(copy_file_range(in, NULL, open("out", O_RDONLY), NULL, 1, 0), EBADF);
    EXPECT_ERRNO(copy_file_range(in, NULL, open("out", O_WRONLY | O_APPEND), NULL, 1, 0), EBADF);
    EXPECT_ERRNO(copy_file_range(open(".", O_RDONLY), NULL, out, NULL, 1, 0), EISDIR);
    int fds[2];
    CHECK(pipe(fds) == 0);
    EXPECT_ERRNO(copy_file_range(in, NULL, fds[1], NULL, 1, 0), EINVAL);
}

static void test_splice(void)
{
    int a[2], b[2];
    char buf[64] = "";
    off_t at = 3;
    scratch_enter();
    int in = make("in", "0123456789"), out = make("out", "");
    CHECK(pipe(a) == 0 && pipe(b) == 0);
    EXPECT(splice(in, &at, a[1], NULL, 4, 0) == 4 && at == 7);
    EXPECT(tee(a[0], b[1], 100, 0) == 4 && read(b[0], buf, 64) == 4 && !memcmp(buf, "3456", 4));
    EXPECT(splice(a[0], NULL, b[1], NULL, 2, 0) == 2 && splice(b[0], NULL, out, NULL, 100, 0) == 2);
    expect_text(out, 0, "34");
    at = 5;
    EXPECT(splice(a[0], NULL, out, &at, 100, 0) == 2 && at == 7);
    expect_text(out, 5, "56");
    EXPECT_ERRNO(splice(a[0], NULL, out, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
    EXPECT_ERRNO(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
    EXPECT_ERRNO(splice(in, NULL, out, NULL, 1, 0), EINVAL); /* one must be a pipe */
    EXPECT_ERRNO(splice(a[0], &at, out, NULL, 1, 0), ESPIPE);
    EXPECT_ERRNO(tee(a[0], a[1], 1, 0), EINVAL);
    EXPECT_ERRNO(splice(a[0], NULL, a[1], NULL, 1, 0), EINVAL);
    EXPECT_ERRNO(tee(in, b[1], 1, 0), EINVAL);
    EXPECT_ERRNO(splice(a[0], NULL, 99, NULL, 1, 0), EBADF);
    close(a[1]);
    EXPECT(splice(a[0], NULL, out, NULL, 1, 0) == 0);
    struct iovec iov[2] = {{"ab", 2}, {"cde", 3}};
    EXPECT(vmsplice(b[1], iov, 2, 0) == 5 && read(b[0], buf, 64) == 5 && !memcmp(buf, "abcde", 5));
    EXPECT_ERRNO(vmsplice(in, iov, 2, 0), EBADF);
}

static void test_vectors(void)
{
    char a[4] = "", b[8] = "";
    struct iovec in[3] = {{a, 3}, {NULL, 0}, {b, 7}}, bad[2] = {{a, 2}, {a, (size_t)-1}};
    struct iovec out[2] = {{"hello ", 6}, {"world", 5}};
    scratch_enter();
    int fd = make("f", "");
    EXPECT(writev(fd, out, 2) == 11 && pwritev(fd, out, 1, 20) == 6 && lseek(fd, 0, SEEK_CUR) == 11);
    EXPECT(preadv(fd, in, 3, 0) == 10 && !memcmp(a, "hel", 3) && !memcmp(b, "lo worl", 7));
    EXPECT(lseek(fd, 8, SEEK_SET) == 8 && readv(fd, in, 3) == 10 && !memcmp(a, "rld", 3));
    EXPECT_ERRNO(readv(fd, in, -1), EINVAL);
    EXPECT_ERRNO(readv(fd, in, IOV_MAX + 1), EINVAL);
    EXPECT_ERRNO(readv(fd, bad, 2), EINVAL);
    EXPECT_ERRNO(readv(fd, (void *)8, 1), EFAULT);
    EXPECT(readv(fd, in, 0) == 0);
    EXPECT_ERRNO(preadv(fd, in, 1, -1), EINVAL);
    int fds[2];
    CHECK(pipe(fds) == 0);
    EXPECT_ERRNO(preadv(fds[0], in, 1, 0), ESPIPE);
    EXPECT_ERRNO(pwrite(fds[1], "x", 1, 0), ESPIPE);
    /* preadv2 and pwritev2: -1 is the current offset; flags. */
    EXPECT(lseek(fd, 0, SEEK_SET) == 0 && preadv2(fd, in, 1, -1, 0) == 3 && lseek(fd, 0, SEEK_CUR) == 3);
    EXPECT(pwritev2(fd, out, 1, -1, RWF_APPEND) == 6 && lseek(fd, 0, SEEK_CUR) == 32);
    EXPECT(pwritev2(fd, out, 1, 0, RWF_APPEND) == 6 && lseek(fd, 0, SEEK_END) == 38);
    EXPECT(pwritev2(fd, out, 1, 0, RWF_DSYNC) == 6 && preadv2(fd, in, 1, 0, RWF_HIPRI) == 3);
    EXPECT_ERRNO(preadv2(fd, in, 1, 0, 0x10000), EOPNOTSUPP);
    EXPECT_ERRNO(preadv2(fds[0], in, 1, -1, RWF_NOWAIT), EAGAIN);
    EXPECT(write(fds[1], "xyz", 3) == 3 && preadv2(fds[0], in, 1, -1, RWF_NOWAIT) == 3 && !memcmp(a, "xyz", 3));
}

/* Does a read with RWF_NOWAIT say that it would have to wait? Natively an older kernel may not know it of this file. */
static bool refuses_to_wait(int fd)
{
    struct signalfd_siginfo room;
    const struct iovec v = {&room, sizeof(room)};

    return preadv2(fd, &v, 1, -1, RWF_NOWAIT) == -1 &&
           (errno == EAGAIN || (errno == EOPNOTSUPP && !getenv("TEST_PLATFORM")));
}

static void test_nowait(void)
{
    uint64_t one = 1;
    struct iovec v = {&one, sizeof(one)};
    sigset_t none;
    int fds[2];

    scratch_enter();
    sigemptyset(&none);
    int event = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0), signals = signalfd(-1, &none, 0);
    CHECK(event >= 0 && timer >= 0 && signals >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    EXPECT(refuses_to_wait(event) && refuses_to_wait(timer) && refuses_to_wait(signals) && refuses_to_wait(fds[0]));
    EXPECT(write(event, &one, sizeof(one)) == 8 && preadv2(event, &v, 1, -1, RWF_NOWAIT) == 8);
    EXPECT_ERRNO(pwritev2(event, &v, 1, -1, RWF_NOWAIT), EOPNOTSUPP);
    /* A socket takes what there is room for, and gives what there is. */
    ssize_t sent = 0, got = 0, n;
    while ((n = pwritev2(fds[1], &v, 1, -1, RWF_NOWAIT)) > 0)
        sent += n;
    EXPECT(n == -1 && errno == EAGAIN && sent > 0);
    while ((n = preadv2(fds[0], &v, 1, -1, RWF_NOWAIT)) > 0)
        got += n;
    EXPECT(n == -1 && errno == EAGAIN && got == sent);
    int zero = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR), watch = inotify_init();
    EXPECT(preadv2(zero, &v, 1, -1, RWF_NOWAIT) == 8 && one == 0 && pwritev2(zero, &v, 1, -1, RWF_NOWAIT) == 8);
    EXPECT_ERRNO(preadv2(full, &v, 1, -1, RWF_NOWAIT), EOPNOTSUPP);
    EXPECT_ERRNO(preadv2(watch, &v, 1, -1, RWF_NOWAIT), EOPNOTSUPP);
    CHECK(mkfifo("fifo", 0600) == 0);
    int fifo = open("fifo", O_RDWR);
    EXPECT_ERRNO(preadv2(fifo, &v, 1, -1, RWF_NOWAIT), EOPNOTSUPP);
    EXPECT_ERRNO(preadv2(fifo, &v, 1, 0, RWF_NOWAIT), ESPIPE);
}

/* On Linux only file systems that say so know RWF_NOWAIT: not tmpfs, proc and sysfs. */
static void test_nowait_files(void)
{
    static const char *const refuse[] = {"/proc/version", "/proc/self/status", "/proc/sys/kernel/hostname",
                                         "/sys/devices/system/cpu/online", "/dev/shm/test_nowait"};
    char c = 'x';
    struct iovec v = {&c, 1};

    int shm = open("/dev/shm/test_nowait", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(shm >= 0);
    EXPECT_ERRNO(pwritev2(shm, &v, 1, 0, RWF_NOWAIT), EOPNOTSUPP);
    for (size_t i = 0; i < sizeof(refuse) / sizeof(*refuse); i++) {
        int fd = open(refuse[i], O_RDONLY);
        CHECK(fd >= 0);
        EXPECT_ERRNO(preadv2(fd, &v, 1, 0, RWF_NOWAIT), EOPNOTSUPP);
        close(fd);
    }
    CHECK(unlink("/dev/shm/test_nowait") == 0);
    int memory = memfd_create("memory", 0), passwd = open("/etc/passwd", O_RDONLY);
    EXPECT_ERRNO(preadv2(memory, &v, 1, 0, RWF_NOWAIT), EOPNOTSUPP);
    ssize_t n = preadv2(passwd, &v, 1, 0, RWF_NOWAIT);
    EXPECT(n == 1 || (n == -1 && (errno == EAGAIN || errno == EOPNOTSUPP)));
}

/* Ranges without a byte do not reach the file, nor do flags with them. */
static void test_empty_vectors(void)
{
    char c;
    struct iovec empty = {&c, 0}, one = {&c, 1};
    int fds[2];

    int event = eventfd(0, EFD_NONBLOCK), full = open("/dev/full", O_RDWR);
    CHECK(event >= 0 && full >= 0 && pipe(fds) == 0);
    EXPECT(readv(event, &empty, 1) == 0 && readv(event, &empty, 0) == 0 && writev(event, &empty, 1) == 0);
    EXPECT_ERRNO(read(event, &c, 0), EINVAL);
    EXPECT(writev(full, &empty, 1) == 0);
    EXPECT(preadv2(full, &empty, 1, -1, 0x10000) == 0 && preadv2(full, &empty, 1, -1, RWF_NOWAIT) == 0);
    EXPECT_ERRNO(preadv2(full, &one, 1, -1, 0x10000), EOPNOTSUPP);
    EXPECT_ERRNO(preadv2(fds[1], &empty, 1, -1, 0x10000), EBADF);
    EXPECT_ERRNO(preadv2(fds[0], &empty, 1, 0, 0x10000), ESPIPE);
}

int main(void)
{
    RUN(test_sendfile);
    RUN(test_copy_file_range);
    RUN(test_splice);
    RUN(test_vectors);
    RUN(test_nowait);
    RUN(test_nowait_files);
    RUN(test_empty_vectors);
    return check_end();
}
