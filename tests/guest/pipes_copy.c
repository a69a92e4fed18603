/* What pipes do with bytes: odd sizes, many ranges, memory that is missing, several readers and writers at once. */
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>

static int fds[2];
static unsigned char buf[300000];

static unsigned char pattern(size_t at)
{
    return (unsigned char)(at * 7 + at / 4096);
}

static void write_pattern(const size_t *sizes, size_t n, size_t total)
{
    for (size_t at = 0, i = 0; at < total; i++) {
        size_t len = sizes[i % n] < total - at ? sizes[i % n] : total - at;
        for (size_t k = 0; k < len; k++)
            buf[k] = pattern(at + k);
        CHECK(write(fds[1], buf, len) == (ssize_t)len);
        at += len;
    }
}

static size_t read_pattern(const size_t *sizes, size_t n)
{
    size_t at = 0;
    ssize_t got;

    for (size_t i = 0; (got = read(fds[0], buf, sizes[i % n])) > 0; i++)
        for (ssize_t k = 0; k < got; k++, at++)
            CHECK(buf[k] == pattern(at));
    CHECK(got == 0);
    return at;
}

static void test_odd_sizes(void)
{
    static const size_t in[] = {1, 4095, 4096, 4097, 10240, 65536, 65537, 3, 200001, 8191, 12289};
    static const size_t out[] = {7, 10240, 4096, 65536, 1, 131073, 4097, 999};
    const size_t total = 3000017;

    for (int size = 4096; size <= 1 << 20; size *= 16) {
        CHECK(pipe(fds) == 0 && fcntl(fds[0], F_SETPIPE_SZ, size) == size);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            write_pattern(in, sizeof(in) / sizeof(in[0]), total);
            _exit(0);
        }
        close(fds[1]);
        EXPECT(read_pattern(out, sizeof(out) / sizeof(out[0])) == total && check_child(pid) == 0);
        close(fds[0]);
    }
}

/* Ranges of all lengths, among them none, on both sides. */
static void test_ranges(void)
{
    struct iovec in[100], out[70];
    unsigned char back[6000];
    size_t total = 0, room = 0;

    CHECK(pipe(fds) == 0);
    for (int i = 0; i < 100; i++) {
        in[i] = (struct iovec){buf + total, (size_t)(i * 13 % 97)};
        total += in[i].iov_len;
    }
    for (int i = 0; i < 70; i++) {
        out[i] = (struct iovec){back + room, (size_t)(i * 29 % 151)};
        room += out[i].iov_len;
    }
    CHECK(total > PIPE_BUF && total <= room && room <= sizeof(back));
    for (size_t i = 0; i < total; i++)
        buf[i] = pattern(i);
    EXPECT(writev(fds[1], in, 100) == (ssize_t)total && readv(fds[0], out, 70) == (ssize_t)total);
    EXPECT(memcmp(buf, back, total) == 0);
}

/* Six pages with a pattern, all but one of them there. */
static unsigned char *pages_with_hole(size_t hole)
{
    unsigned char *p = mmap(NULL, 6 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(p != MAP_FAILED);
    for (size_t i = 0; i < 6UL * 4096; i++)
        p[i] = pattern(i);
    CHECK(mprotect(p + hole * 4096, 4096, PROT_NONE) == 0);
    return p;
}

/* What was moved before the hole counts, and what was not stays where it was. */
static void test_missing_memory(void)
{
    unsigned char *p = pages_with_hole(3), *first = pages_with_hole(0);

    CHECK(pipe2(fds, O_NONBLOCK) == 0);
    EXPECT_ERRNO(write(fds[1], first, 5 * 4096), EFAULT);
    EXPECT_ERRNO(read(fds[0], buf, 1), EAGAIN);
    EXPECT(write(fds[1], p, 5 * 4096) == 3 * 4096);
    EXPECT(read(fds[0], buf, sizeof(buf)) == 3 * 4096);
    for (size_t i = 0; i < 3UL * 4096; i++)
        CHECK(buf[i] == pattern(i));

    for (size_t i = 0; i < 5UL * 4096; i++)
        buf[i] = pattern(i + 1);
    CHECK(write(fds[1], buf, 5 * 4096) == 5 * 4096);
    EXPECT_ERRNO(read(fds[0], first, 5 * 4096), EFAULT);
    EXPECT(read(fds[0], p, 5 * 4096) == 3 * 4096 && memcmp(p, buf, 3 * 4096) == 0);
    EXPECT(read(fds[0], p, 3 * 4096) == 2 * 4096 && memcmp(p, buf + 3 * 4096, 2 * 4096) == 0);
    EXPECT_ERRNO(read(fds[0], buf, 1), EAGAIN);
}

/* A large write makes several packets, and one read takes one of them. */
static void test_packets(void)
{
    CHECK(pipe2(fds, O_DIRECT | O_NONBLOCK) == 0);
    for (size_t i = 0; i < sizeof(buf); i++)
        buf[i] = pattern(i);
    EXPECT(write(fds[1], buf, 3 * 4096 + 5) == 3 * 4096 + 5 && write(fds[1], "next", 4) == 4);
    EXPECT(read(fds[0], buf, sizeof(buf)) == 4096 && buf[1] == pattern(1));
    EXPECT(read(fds[0], buf, 10) == 10 && buf[1] == pattern(4097)); /* the rest of that packet is lost */
    EXPECT(read(fds[0], buf, sizeof(buf)) == 4096 && buf[1] == pattern(2 * 4096 + 1));
    EXPECT(read(fds[0], buf, sizeof(buf)) == 5 && read(fds[0], buf, sizeof(buf)) == 4 && memcmp(buf, "next", 4) == 0);
    EXPECT(write(fds[1], buf, 1 << 17) == 1 << 16);
    EXPECT_ERRNO(write(fds[1], buf, 1), EAGAIN);
}

/* Writes blocks of all sizes, all bytes of which are `letter`. */
static void write_letter(char letter, size_t total)
{
    memset(buf, letter, sizeof(buf));
    for (size_t at = 0, len = 1; at < total; at += len, len = len * 3 % 40009 + 1) {
        len = len < total - at ? len : total - at;
        CHECK(write(fds[1], buf, len) == (ssize_t)len);
    }
    _exit(0);
}

/* Counts what it gets of each letter, and adds that to counts. */
static void read_letters(size_t *counts)
{
    for (ssize_t n; (n = read(fds[0], buf, 10240)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            __atomic_fetch_add(&counts[(buf[i] - 'a') & 3], 1, __ATOMIC_RELAXED);
    _exit(0);
}

static void test_many(void)
{
    const size_t total = 1000003;
    size_t *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(counts != MAP_FAILED && pipe(fds) == 0);
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            write_letter((char)('a' + i), total);
    close(fds[1]);
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            read_letters(counts);
    for (int status; wait(&status) > 0;)
        EXPECT(status == 0);
    EXPECT(counts[0] == total && counts[1] == total && counts[2] == total && counts[3] == 0);
}

int main(void)
{
    RUN(test_odd_sizes);
    RUN(test_ranges);
    RUN(test_missing_memory);
    RUN(test_packets);
    RUN(test_many);
    return check_end();
}
