/*
 * Reads of regular files in big pieces, again and again: at the edges of the file and of memory, and while the file
 * changes. TEST_RW names a folder of the host's that may be written; files in /tmp are the sandbox's own.
 */
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define PIECE 65536
#define SIZE (4 * PIECE)
#define ROUNDS 8

static const char *folder; /* where the files are made */
static char piece[PIECE];

static char byte_at(off_t at)
{
    return (char)('a' + at / 7 % 26);
}

/* piece holds what belongs at `at`: the pattern up to `end`, then zeros. */
static bool is_right(off_t at, ssize_t n, off_t end)
{
    for (ssize_t i = 0; i < n; i++)
        if (piece[i] != (at + i < end ? byte_at(at + i) : 0))
            return false;
    return true;
}

/* A file of SIZE bytes of the pattern, without a name. */
static int make_file(void)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/readsXXXXXX", folder);
    int fd = mkstemp(path);
    CHECK(fd >= 0 && unlink(path) == 0);
    for (off_t at = 0; at < SIZE; at += PIECE) {
        for (off_t i = 0; i < PIECE; i++)
            piece[i] = byte_at(at + i);
        CHECK(pwrite(fd, piece, PIECE, at) == PIECE);
    }
    return fd;
}

static void read_over(int fd)
{
    for (int round = 0; round < ROUNDS; round++)
        for (off_t at = 0; at < SIZE; at += PIECE)
            CHECK(pread(fd, piece, PIECE, at) == PIECE && is_right(at, PIECE, SIZE));
}

static void test_end(void)
{
    int fd = make_file();

    for (int round = 0; round < ROUNDS; round++) {
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        for (off_t at = 0; at < SIZE; at += PIECE)
            EXPECT(read(fd, piece, PIECE) == PIECE && is_right(at, PIECE, SIZE));
        EXPECT(read(fd, piece, PIECE) == 0 && lseek(fd, 0, SEEK_CUR) == SIZE);
        EXPECT(pread(fd, piece, PIECE, SIZE - 20001) == 20001 && is_right(SIZE - 20001, 20001, SIZE));
        EXPECT(pread(fd, piece, PIECE, SIZE + 1) == 0 && pread(fd, piece, PIECE, LONG_MAX - PIECE) == 0);
    }
}

static void test_size(void)
{
    int fd = make_file();
    const off_t cut = 100001, grown = 3 * SIZE;

    read_over(fd);
    EXPECT(ftruncate(fd, cut) == 0);
    EXPECT(pread(fd, piece, PIECE, PIECE) == cut - PIECE && is_right(PIECE, cut - PIECE, cut));
    EXPECT(pread(fd, piece, PIECE, 2 * PIECE) == 0);
    EXPECT(ftruncate(fd, grown) == 0);
    EXPECT(pread(fd, piece, PIECE, PIECE) == PIECE && is_right(PIECE, PIECE, cut));
    EXPECT(pread(fd, piece, PIECE, 2 * PIECE) == PIECE && is_right(2 * PIECE, PIECE, cut));
    EXPECT(pread(fd, piece, PIECE, SIZE - 1) == PIECE && is_right(SIZE - 1, PIECE, cut));
    EXPECT(pread(fd, piece, PIECE, grown - 1) == 1 && piece[0] == 0);
}

/* A read sees what was written before it, through whichever way. */
static void test_written(void)
{
    char path[64];
    int fd = make_file();

    read_over(fd);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int other = open(path, O_RDWR | O_APPEND);
    char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(other >= 0 && map != MAP_FAILED);
    for (int i = 1; i < ROUNDS; i++) {
        EXPECT(pwrite(fd, &(char){(char)i}, 1, 5) == 1);
        EXPECT(pread(fd, piece, PIECE, 0) == PIECE && piece[5] == i && map[5] == i);
        map[PIECE] = (char)-i;
        EXPECT(pread(fd, piece, PIECE, PIECE - 1) == PIECE && piece[1] == -i);
        EXPECT(write(other, "end", 3) == 3);
        EXPECT(pread(fd, piece, PIECE, SIZE) == 3 * i && !memcmp(piece + 3 * (i - 1), "end", 3));
    }
}

/* How a read ends where its memory does. */
static void test_memory(void)
{
    int fd = make_file();
    char *mem = mmap(NULL, 2 * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(mem != MAP_FAILED && munmap(mem + PIECE, PIECE) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct iovec v[] = {{piece, 20000}, {mem + PIECE - 4096, 8192}, {piece + 20000, 20000}};
        EXPECT(lseek(fd, 0, SEEK_SET) == 0 && read(fd, mem + 100, PIECE) == PIECE - 100);
        EXPECT(lseek(fd, 0, SEEK_CUR) == PIECE - 100 && mem[PIECE - 1] == byte_at(PIECE - 101));
        EXPECT_ERRNO(read(fd, mem + PIECE, PIECE), EFAULT);
        EXPECT(lseek(fd, 0, SEEK_CUR) == PIECE - 100);
        EXPECT(preadv(fd, v, 3, 0) == 24096 && is_right(0, 20000, SIZE));
        EXPECT(pread(fd, mem + PIECE, PIECE, SIZE) == 0);
        read_over(fd);
    }
}

/* Cuts the file off and makes it whole again, until it is killed. */
static void cut_and_grow(int fd)
{
    for (;;)
        if (ftruncate(fd, PIECE / 2) < 0 || ftruncate(fd, SIZE) < 0)
            _exit(1);
}

static void test_cut_meanwhile(void)
{
    int fd = make_file();

    read_over(fd);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        cut_and_grow(fd);
    for (int i = 0; i < 2000; i++) {
        const off_t at = (off_t)(i % 4) * PIECE;
        const ssize_t n = pread(fd, piece, PIECE, at);
        EXPECT(n >= (at ? 0 : PIECE / 2));
        EXPECT(n < 0 || (at ? true : is_right(0, PIECE / 2, SIZE)));
    }
    EXPECT(kill(pid, SIGKILL) == 0 && check_child(pid) == 1000 + SIGKILL);
}

/* A file that nobody changes: this program. */
static void test_program(void)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    struct stat st;

    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    char *first = malloc((size_t)st.st_size), *again = malloc((size_t)st.st_size + 1);
    CHECK(first && again && pread(fd, first, (size_t)st.st_size, 0) == st.st_size);
    for (int round = 0; round < ROUNDS; round++) {
        EXPECT(pread(fd, again, (size_t)st.st_size + 1, 0) == st.st_size);
        EXPECT(!memcmp(first, again, (size_t)st.st_size));
    }
    EXPECT(pread(fd, again, PIECE, st.st_size - 1) == 1 && again[0] == first[st.st_size - 1]);
    EXPECT(pread(fd, again, PIECE, st.st_size) == 0);
}

static void all(const char *where)
{
    folder = where;
    RUN(test_end);
    RUN(test_size);
    RUN(test_written);
    RUN(test_memory);
    RUN(test_cut_meanwhile);
}

int main(void)
{
    const char *rw = getenv("TEST_RW");

    all("/tmp");
    if (rw)
        all(rw);
    RUN(test_program);
    return check_end();
}
