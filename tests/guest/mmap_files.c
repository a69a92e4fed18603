/* Mappings of files: private and shared, beyond the end, growth and truncation, descriptors and rights, memfd, maps. */
#include "scratch.h"

#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf jump;

static void on_fault(int sig)
{
    siglongjmp(jump, sig);
}

/* The signal that a read of *p raises, or 0. */
static int touch(volatile char *p)
{
    int sig = sigsetjmp(jump, 1);
    if (sig)
        return sig;
    (void)*p;
    return 0;
}

static int make_pages(const char *name, int pages)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    for (int i = 0; i < pages; i++) {
        char page[PAGE];
        memset(page, 'a' + i, sizeof(page));
        CHECK(write(fd, page, sizeof(page)) == PAGE);
    }
    return fd;
}

static void test_private(void)
{
    char c;
    scratch_enter();
    int fd = make_pages("f", 3);
    char *p = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0), *q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 2 * PAGE);
    CHECK(p != MAP_FAILED && q != MAP_FAILED);
    EXPECT(p[0] == 'a' && p[PAGE] == 'b' && q[0] == 'c');
    p[0] = 'X';
    EXPECT(pread(fd, &c, 1, 0) == 1 && c == 'a');
    EXPECT(pwrite(fd, "Y", 1, PAGE) == 1 && p[PAGE] == 'Y'); /* not copied yet: sees the file */
    EXPECT(pwrite(fd, "Z", 1, 0) == 1 && p[0] == 'X');
    EXPECT(madvise(p, PAGE, MADV_DONTNEED) == 0 && p[0] == 'Z'); /* the copy is dropped */
    close(fd);
    EXPECT(p[2 * PAGE] == 'c' && unlink("f") == 0 && p[2 * PAGE + 1] == 'c');
}

static void test_shared(void)
{
    char c;
    scratch_enter();
    int fd = make_pages("f", 2), fd2 = open("f", O_RDWR);
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0), *q = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd2, 0);
    CHECK(p != MAP_FAILED && q != MAP_FAILED && p != q);
    p[5] = 'X';
    EXPECT(q[5] == 'X' && pread(fd, &c, 1, 5) == 1 && c == 'X');
    EXPECT(pwrite(fd, "Y", 1, PAGE + 3) == 1 && p[PAGE + 3] == 'Y' && q[PAGE + 3] == 'Y');
    pid_t pid = fork();
    if (pid == 0) {
        q[7] = 'C';
        _exit(0);
    }
    EXPECT(check_child(pid) == 0 && p[7] == 'C');
    EXPECT(msync(p, PAGE, MS_SYNC) == 0 && munmap(p, 2 * PAGE) == 0 && q[7] == 'C');
    /* Another process that opens it by its name. */
    pid = fork();
    if (pid == 0) {
        int other = open("f", O_RDWR);
        char *o = mmap(NULL, PAGE, RW, MAP_SHARED, other, 0);
        o[9] = 'O';
        _exit(0);
    }
    EXPECT(check_child(pid) == 0 && q[9] == 'O');
}

/* At fixed places, as a dynamic linker does it, with files that take turns under one number. */
static void test_fixed(void)
{
    scratch_enter();
    signal(SIGBUS, on_fault);
    signal(SIGSEGV, on_fault);
    close(make_pages("f", 3));
    close(make_pages("g", 2));
    char *p = mmap(NULL, 6 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int f = open("f", O_RDONLY), g = open("g", O_RDONLY);
    CHECK(p != MAP_FAILED && f >= 0 && g >= 0);
    EXPECT(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, f, 2 * PAGE) == p && p[0] == 'c');
    EXPECT(mmap(p + PAGE, PAGE, RW, MAP_PRIVATE | MAP_FIXED, f, PAGE) == p + PAGE && p[PAGE] == 'b');
    p[PAGE] = 'X';
    EXPECT(dup2(g, f) == f && mmap(p + 2 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, f, 0) == p + 2 * PAGE);
    EXPECT(p[2 * PAGE] == 'a' && p[0] == 'c' && p[PAGE] == 'X' && p[PAGE + 1] == 'b');
    EXPECT(dup2(f, 100) == 100 &&
           mmap(p + 3 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 100, PAGE) == p + 3 * PAGE);
    EXPECT(p[3 * PAGE] == 'b' && unlink("f") == 0 && unlink("g") == 0 && p[3 * PAGE + 1] == 'b');
    close(f);
    EXPECT(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, f, 0) == MAP_FAILED && errno == EBADF && p[0] == 'c');
    EXPECT(mmap(p + 1, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, g, 0) == MAP_FAILED && errno == EINVAL);
    EXPECT(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, g, 1) == MAP_FAILED && errno == EINVAL && p[0] == 'c');
    EXPECT(mmap(p, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, g, 0) == p && p[PAGE] == 'b');
    EXPECT(touch(p + 2 * PAGE) == SIGBUS && touch(p + 4 * PAGE) == SIGSEGV);
}

static void test_end(void)
{
    scratch_enter();
    signal(SIGBUS, on_fault);
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, "hello", 5) == 5);
    for (int kind = 0; kind < 2; kind++) {
        char *p = mmap(NULL, 3 * PAGE, PROT_READ, kind ? MAP_SHARED : MAP_PRIVATE, fd, 0);
        CHECK(p != MAP_FAILED);
        EXPECT(touch(p + PAGE - 1) == 0 && p[5] == 0 && p[PAGE - 1] == 0);
        EXPECT(touch(p + PAGE) == SIGBUS && touch(p + 2 * PAGE) == SIGBUS);
        CHECK(ftruncate(fd, 2 * PAGE + 1) == 0);
        EXPECT(touch(p + PAGE) == 0 && touch(p + 3 * PAGE - 1) == 0 && p[PAGE] == 0 && p[0] == 'h');
        CHECK(ftruncate(fd, 5) == 0);
        EXPECT(touch(p + PAGE) == SIGBUS && touch(p) == 0);
    }
    /* What is written behind the end through a mapping is not in the file. */
    char *w = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), buf[16];
    w[5] = 'X';
    CHECK(ftruncate(fd, 10) == 0 || 1);
    EXPECT(pread(fd, buf, 16, 0) == 10);
    EXPECT(lseek(fd, 0, SEEK_END) == 10);
    char *beyond = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100 * PAGE);
    EXPECT(beyond != MAP_FAILED && touch(beyond) == SIGBUS);
}

static void test_rights(void)
{
    scratch_enter();
    int fd = make_pages("f", 1), fds[2];
    close(fd);
    int r = open("f", O_RDONLY), w = open("f", O_WRONLY), path = open("f", O_PATH), dir = open(".", O_RDONLY);
    CHECK(r >= 0 && w >= 0 && path >= 0 && pipe(fds) == 0);
    EXPECT(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, r, 0) == MAP_FAILED && errno == EACCES);
    EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, w, 0) == MAP_FAILED && errno == EACCES);
    EXPECT(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, w, 0) == MAP_FAILED && errno == EACCES);
    EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, path, 0) == MAP_FAILED && errno == EBADF);
    EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dir, 0) == MAP_FAILED && errno == ENODEV);
    EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[0], 0) == MAP_FAILED && errno == ENODEV);
    EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r, 1) == MAP_FAILED && errno == EINVAL);
    char *s = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r, 0);
    CHECK(s != MAP_FAILED);
    EXPECT_ERRNO(mprotect(s, PAGE, RW), EACCES);
    char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, r, 0);
    EXPECT(p != MAP_FAILED && mprotect(p, PAGE, RW) == 0);
    p[0] = 1;
    EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | (1 << 25), r, 0) == MAP_FAILED && errno == EOPNOTSUPP);
    EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE, r, 0) != MAP_FAILED);
    int zero = open("/dev/zero", O_RDWR);
    char *z = mmap(NULL, PAGE, RW, MAP_PRIVATE, zero, 0), *zs = mmap(NULL, PAGE, RW, MAP_SHARED, zero, 0);
    EXPECT(z != MAP_FAILED && z[0] == 0 && zs != MAP_FAILED && zs[5] == 0);
    if (z != MAP_FAILED)
        z[0] = 5;
}

static void test_memfd(void)
{
    char target[64] = "";
    int fd = memfd_create("a name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
    EXPECT(readlink("/proc/self/fd/3", target, 63) > 0 && !strcmp(target, "/memfd:a name (deleted)"));
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED);
    p[0] = 'm';
    char c;
    EXPECT(pread(fd, &c, 1, 0) == 1 && c == 'm' && pwrite(fd, "n", 1, 1) == 1 && p[1] == 'n');
    EXPECT_ERRNO(memfd_create("x", 0x100), EINVAL);
    EXPECT(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    EXPECT_ERRNO(ftruncate(fd, 0), EPERM);
    EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY); /* a writable mapping is there */
    CHECK(munmap(p, 2 * PAGE) == 0);
    EXPECT(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    EXPECT_ERRNO(write(fd, "x", 1), EPERM);
    EXPECT(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
    EXPECT(mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0) != MAP_FAILED);
}

/* A line of /proc/self/maps that covers addr. */
static int find_line(const void *addr, char *line, size_t size)
{
    unsigned long start, end;
    FILE *f = fopen("/proc/self/maps", "r");
    CHECK(f);
    while (fgets(line, (int)size, f))
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && (uintptr_t)addr >= start && (uintptr_t)addr < end) {
            fclose(f);
            return 1;
        }
    fclose(f);
    return 0;
}

static void test_maps(void)
{
    char line[512], perms[8], name[256];
    unsigned long start, end, offset, inode;
    unsigned major, minor;
    struct stat st;
    scratch_enter();
    int fd = make_pages("mapped", 4);
    CHECK(fstat(fd, &st) == 0);
    char *p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
    CHECK(find_line(p, line, sizeof(line)));
    EXPECT(sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %255s", &start, &end, perms, &offset, &major, &minor, &inode,
                  name) == 8);
    EXPECT(start == (uintptr_t)p && end == start + 2 * PAGE && offset == PAGE && !strcmp(perms, "r--s"));
    EXPECT(inode == st.st_ino && strstr(name, "/mapped") && name[0] == '/');
    CHECK(unlink("mapped") == 0 && find_line(p, line, sizeof(line)));
    EXPECT(strstr(line, "mapped (deleted)"));
    int stack_here;
    EXPECT(find_line(&stack_here, line, sizeof(line)) && strstr(line, "[stack]"));
    EXPECT(find_line(sbrk(0), line, sizeof(line)) ||
           (sbrk(PAGE) != (void *)-1 && find_line((char *)sbrk(0) - 1, line, 512)));
    EXPECT(strstr(line, "[heap]"));
    EXPECT(find_line((void *)find_line, line, sizeof(line)) && strstr(line, "r-xp") && strchr(line, '/'));
    char *anon = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(find_line(anon, line, sizeof(line)) && strstr(line, "rw-p 00000000 00:00 0"));
    CHECK(munmap(anon, PAGE) == 0);
}

static void test_remap(void)
{
    scratch_enter();
    signal(SIGSEGV, on_fault);
    int fd = make_pages("f", 6);
    char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 2 * PAGE);
    char *q = mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    EXPECT(q != MAP_FAILED && q[0] == 'c' && q[3 * PAGE] == 'f');
    EXPECT(mremap(q, 4 * PAGE, PAGE, 0) == q && touch(q + PAGE) == SIGSEGV);
    q[1] = 'R';
    char c;
    EXPECT(pread(fd, &c, 1, 2 * PAGE + 1) == 1 && c == 'R');
    CHECK(munmap(q, PAGE) == 0);
    p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK(munmap(p + PAGE, PAGE) == 0);
    EXPECT(p[0] == 'a' && touch(p + PAGE) == SIGSEGV && p[2 * PAGE] == 'c');
    EXPECT(mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 5 * PAGE) == p + PAGE && p[PAGE] == 'f');
}

/* Reading into and writing from mappings of the same file. */
static void test_self_copy(void)
{
    scratch_enter();
    int fd = make_pages("f", 4);
    char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    EXPECT(pread(fd, p, PAGE, PAGE) == PAGE && p[0] == 'b');
    EXPECT(pwrite(fd, p + 2 * PAGE, PAGE, 3 * PAGE) == PAGE && p[3 * PAGE] == 'c');
    CHECK(munmap(p, 4 * PAGE) == 0);
}

int main(void)
{
    RUN(test_private);
    RUN(test_shared);
    RUN(test_fixed);
    RUN(test_end);
    RUN(test_rights);
    RUN(test_memfd);
    RUN(test_maps);
    RUN(test_remap);
    RUN(test_self_copy);
    return check_end();
}
