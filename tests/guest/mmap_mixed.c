/*
 * Files and private memory that take each other's places: a file mapped over reserved memory, memory mapped over a
 * file, and what /proc/self/maps, protection and the file's references say of it afterwards.
 */
#include "scratch.h"

#include <setjmp.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)

/* Whether /proc/self/maps names a file (of any name) at p; -1: nothing is mapped there. */
static int file_at(const void *p)
{
    char line[512], name[256];
    uintptr_t start, end;
    int found = -1;
    FILE *f = fopen("/proc/self/maps", "r");
    CHECK(f);
    while (fgets(line, sizeof(line), f)) {
        name[0] = '\0';
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %255[^\n]", &start, &end, name) >= 2 && (uintptr_t)p >= start &&
            (uintptr_t)p < end)
            found = name[0] == '/';
    }
    fclose(f);
    return found;
}

static int make_file(const char *name, int pages)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, pages * PAGE) == 0);
    return fd;
}

static char *reserve(size_t len)
{
    char *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static void test_over_reserved(void)
{
    scratch_enter();
    int fd = make_file("f", 2);
    char *p = reserve(16 * PAGE);
    EXPECT(file_at(p) == 0);
    CHECK(mmap(p + 4 * PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == p + 4 * PAGE);
    EXPECT(file_at(p + 4 * PAGE) == 1 && file_at(p) == 0 && file_at(p + 6 * PAGE) == 0);
    p[4 * PAGE] = 'x';
    char c;
    EXPECT(pread(fd, &c, 1, 0) == 1 && c == 'x');
    EXPECT(munmap(p + 3 * PAGE, 2 * PAGE) == 0);
    EXPECT(file_at(p + 4 * PAGE) == -1 && file_at(p + 5 * PAGE) == 1);
    CHECK(mmap(p + 5 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 5 * PAGE);
    EXPECT(file_at(p + 5 * PAGE) == 0);
    EXPECT(munmap(p, 16 * PAGE) == 0 && file_at(p + 8 * PAGE) == -1);
    close(fd);
}

/* Two views of the same pages behind each other, the way ring buffers are made; again and again. */
static void test_ring(void)
{
    for (int round = 0; round < 50; round++) {
        int fd = memfd_create("ring", MFD_CLOEXEC);
        CHECK(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0);
        char *p = reserve(8 * PAGE);
        CHECK(mmap(p, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == p);
        CHECK(mmap(p + 4 * PAGE, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == p + 4 * PAGE);
        memcpy(p + 4 * PAGE - 2, "abcd", 4);
        EXPECT(p[0] == 'c' && p[1] == 'd' && p[8 * PAGE - 1] == 'b');
        close(fd);
        EXPECT(munmap(p, 8 * PAGE) == 0);
    }
}

/* The mapping is the last that holds the lock's open file. */
static void test_reference(void)
{
    scratch_enter();
    int fd = make_file("locked", 1), other = open("locked", O_RDWR);
    char *p = reserve(4 * PAGE);
    CHECK(flock(fd, LOCK_EX) == 0);
    CHECK(mmap(p, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == p);
    close(fd);
    EXPECT_ERRNO(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    EXPECT(munmap(p, 4 * PAGE) == 0);
    EXPECT(flock(other, LOCK_EX | LOCK_NB) == 0);
    close(other);
}

/* What was opened for reading only is not to be written, wherever it is mapped. */
static void test_protection(void)
{
    scratch_enter();
    close(make_file("ro", 2));
    int fd = open("ro", O_RDONLY);
    char *p = reserve(4 * PAGE), *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(q != MAP_FAILED && mmap(p, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == p);
    EXPECT_ERRNO(mprotect(q, PAGE, RW), EACCES);
    EXPECT_ERRNO(mprotect(p, PAGE, RW), EACCES);
    EXPECT(munmap(p, PAGE) == 0 && mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == p);
    EXPECT(mprotect(p, PAGE, RW) == 0);
    *p = 'x';
    close(fd);
}

/* Mappings that grow and move keep their file, and leave nothing behind. */
static void test_moves(void)
{
    scratch_enter();
    int fd = make_file("m", 8);
    char *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), *next = mmap(NULL, PAGE, RW, MAP_SHARED, fd, PAGE);
    CHECK(p != MAP_FAILED && next != MAP_FAILED);
    p[0] = 'p';
    char *moved = mremap(p, PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED);
    EXPECT(moved[0] == 'p' && file_at(moved + 3 * PAGE) == 1 && (moved == p || file_at(p) != 1));
    EXPECT(munmap(moved, 4 * PAGE) == 0 && file_at(moved) == -1);
    char *anon = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    anon[0] = 'a';
    char *grown = mremap(anon, PAGE, 1024 * PAGE, MREMAP_MAYMOVE);
    EXPECT(grown != MAP_FAILED && grown[0] == 'a' && grown[1023 * PAGE] == 0 && file_at(grown) == 0);
    EXPECT(munmap(grown, 1024 * PAGE) == 0 && munmap(next, PAGE) == 0);
    close(fd);
}

/* A child has what its parent had, after all of that. */
static void test_fork(void)
{
    scratch_enter();
    int fd = make_file("c", 2);
    char *p = reserve(8 * PAGE);
    CHECK(mmap(p, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == p);
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT(file_at(p) == 1 && munmap(p, PAGE) == 0 && file_at(p) == -1);
        CHECK(mmap(p, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
        EXPECT(file_at(p) == 0 && file_at(p + PAGE) == 1);
        p[PAGE] = 'c';
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0 && p[PAGE] == 'c' && file_at(p) == 1);
    close(fd);
}

int main(void)
{
    RUN(test_over_reserved);
    RUN(test_ring);
    RUN(test_reference);
    RUN(test_protection);
    RUN(test_moves);
    RUN(test_fork);
    return check_end();
}
