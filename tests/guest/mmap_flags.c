/* mmap and its relatives over anonymous memory: flags, errors, splitting, mremap in all forms, madvise, brk, mincore,
 * locks. */
#include "check.h"

#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf jump;

static void on_fault(int sig)
{
    (void)sig;
    siglongjmp(jump, 1);
}

static int can_write(volatile char *p)
{
    if (sigsetjmp(jump, 1))
        return 0;
    *p = *p;
    return 1;
}

static int can_read(volatile char *p)
{
    if (sigsetjmp(jump, 1))
        return 0;
    (void)*p;
    return 1;
}

static char *map(size_t pages, int prot, int flags)
{
    char *p = mmap(NULL, pages * PAGE, prot, flags, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static void test_errors(void)
{
    char *p = map(4, RW, ANON);
    EXPECT(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
           errno == EINVAL); /* neither shared nor private */
    EXPECT(mmap(NULL, 0, RW, ANON, -1, 0) == MAP_FAILED && errno == EINVAL);
    EXPECT(mmap(NULL, SIZE_MAX - 100, RW, ANON, -1, 0) == MAP_FAILED && errno == ENOMEM);
    EXPECT(mmap(NULL, 1UL << 47, RW, ANON, -1, 0) == MAP_FAILED && errno == ENOMEM);
    EXPECT(mmap(p + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EINVAL);
    EXPECT(mmap(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
    EXPECT(mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0) == MAP_FAILED && errno == EBADF);
    EXPECT_ERRNO(munmap(p + 1, PAGE), EINVAL);
    EXPECT_ERRNO(munmap(p, 0), EINVAL);
    EXPECT(munmap(p, PAGE) == 0 && munmap(p, PAGE) == 0); /* nothing there is fine */
    EXPECT_ERRNO(mprotect(p, PAGE, PROT_READ), ENOMEM);
    EXPECT_ERRNO(mprotect(p + PAGE + 1, PAGE, PROT_READ), EINVAL);
    EXPECT_ERRNO(mprotect(p + PAGE, PAGE, 0x100), EINVAL);
    EXPECT(mprotect(p + PAGE, 0, PROT_READ) == 0);
    EXPECT_ERRNO(msync(p + PAGE, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    EXPECT_ERRNO(msync(p, PAGE, MS_SYNC), ENOMEM);
    EXPECT(msync(p + PAGE, PAGE, MS_SYNC) == 0);
    EXPECT(mmap(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p);
}

static void test_split(void)
{
    signal(SIGSEGV, on_fault);
    char *p = map(8, RW, ANON);
    memset(p, 7, 8 * PAGE);
    CHECK(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ) == 0 && mprotect(p + 5 * PAGE, PAGE, PROT_NONE) == 0);
    EXPECT(can_write(p + PAGE) && !can_write(p + 2 * PAGE) && can_read(p + 3 * PAGE) && can_write(p + 4 * PAGE));
    EXPECT(!can_read(p + 5 * PAGE) && can_write(p + 6 * PAGE));
    CHECK(munmap(p + 3 * PAGE, PAGE) == 0);
    EXPECT(!can_read(p + 3 * PAGE) && can_read(p + 2 * PAGE));
    EXPECT(mmap(p + 3 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + 3 * PAGE && p[3 * PAGE] == 0 &&
           p[4 * PAGE] == 7);
    CHECK(mprotect(p, 8 * PAGE, RW) == 0);
    EXPECT(can_write(p + 5 * PAGE) && p[5 * PAGE] == 7);
}

static void test_hints(void)
{
    char *p = map(4, RW, ANON);
    CHECK(munmap(p, 4 * PAGE) == 0);
    EXPECT(mmap(p, PAGE, RW, ANON, -1, 0) == p); /* a free hint is taken */
    char *q = mmap(p, PAGE, RW, ANON, -1, 0);
    EXPECT(q != MAP_FAILED && q != p); /* another is not */
    q = mmap(p + 7, PAGE, RW, ANON, -1, 0);
    EXPECT(q != MAP_FAILED && ((uintptr_t)q & (PAGE - 1)) == 0);
    q = mmap(NULL, PAGE, RW, ANON | MAP_32BIT * (sizeof(long) == 8), -1, 0);
#ifdef __x86_64__
    EXPECT(q != MAP_FAILED && (uintptr_t)q < 1UL << 31);
#endif
    q = mmap(NULL, 64 * PAGE, RW, ANON | MAP_POPULATE | MAP_NORESERVE | MAP_STACK, -1, 0);
    EXPECT(q != MAP_FAILED && q[63 * PAGE] == 0);
}

static void test_grows_down(void)
{
    char *p = mmap(NULL, 64 * PAGE, PROT_NONE, ANON, -1, 0);
    CHECK(p != MAP_FAILED && munmap(p, 64 * PAGE) == 0);
    p = mmap(p + 62 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
    CHECK(p != MAP_FAILED);
    signal(SIGSEGV, on_fault);
    EXPECT(can_write(p - 1) && can_write(p - PAGE - 1));
}

static void test_mremap(void)
{
    signal(SIGSEGV, on_fault);
    char *p = map(8, RW, ANON);
    for (int i = 0; i < 8; i++)
        p[i * (long)PAGE] = (char)(i + 1);
    EXPECT(mremap(p, 8 * PAGE, 4 * PAGE, 0) == p && !can_read(p + 4 * PAGE));
    EXPECT(mremap(p, 4 * PAGE, 4 * PAGE, 0) == p);
    EXPECT(mremap(p, 4 * PAGE, 6 * PAGE, 0) == p && p[5 * PAGE] == 0 && p[3 * PAGE] == 4); /* the room is free */
    char *block = mmap(p + 6 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    CHECK(block == p + 6 * PAGE);
    EXPECT(mremap(p, 6 * PAGE, 7 * PAGE, 0) == MAP_FAILED && errno == ENOMEM);
    char *q = mremap(p, 6 * PAGE, 12 * PAGE, MREMAP_MAYMOVE);
    EXPECT(q != MAP_FAILED && q != p && q[PAGE] == 2 && !can_read(p) && can_write(q + 11 * PAGE));
    char *to = map(4, RW, ANON);
    to[0] = 99;
    EXPECT(mremap(q, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to && to[0] == 1 && to[3 * PAGE] == 4);
    EXPECT(!can_read(q) && can_read(q + 4 * PAGE));
    EXPECT(mremap(to, 4 * PAGE, 4 * PAGE, MREMAP_FIXED, q) == MAP_FAILED && errno == EINVAL);
    EXPECT(mremap(to, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE) == MAP_FAILED && errno == EINVAL);
    EXPECT(mremap(to + 1, PAGE, PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
    EXPECT(mremap(to, 4 * PAGE, 0, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
    EXPECT(mremap(to, 4 * PAGE, PAGE, 0x80) == MAP_FAILED && errno == EINVAL);
    CHECK(munmap(q, PAGE) == 0);
    EXPECT(mremap(q, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
    q = mremap(to, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    EXPECT(q != MAP_FAILED && q[PAGE] == 2 && to[PAGE] == 0 && can_write(to));
    /* An old size of nought makes a second view of shared memory. */
    char *s = map(2, RW, MAP_SHARED | MAP_ANONYMOUS);
    char *s2 = mremap(s, 0, 2 * PAGE, MREMAP_MAYMOVE);
    EXPECT(s2 != MAP_FAILED && s2 != s);
    if (s2 != MAP_FAILED) {
        s[5] = 42;
        EXPECT(s2[5] == 42);
    }
}

static void test_madvise(void)
{
    char *p = map(4, RW, ANON);
    memset(p, 1, 4 * PAGE);
    EXPECT(madvise(p + PAGE, PAGE, MADV_DONTNEED) == 0 && p[PAGE] == 0 && p[0] == 1 && p[2 * PAGE] == 1);
    EXPECT(madvise(p, 4 * PAGE, MADV_WILLNEED) == 0 && madvise(p, PAGE, MADV_SEQUENTIAL) == 0);
    EXPECT(madvise(p, PAGE, MADV_RANDOM) == 0 && madvise(p, PAGE, MADV_NORMAL) == 0);
    EXPECT(madvise(p, 4 * PAGE, MADV_FREE) == 0);
    EXPECT(madvise(p, PAGE, MADV_DONTFORK) == 0 && madvise(p, PAGE, MADV_DOFORK) == 0);
    EXPECT(madvise(p, 0, MADV_DONTNEED) == 0);
    EXPECT_ERRNO(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
    EXPECT_ERRNO(madvise(p, PAGE, 12345), EINVAL);
    CHECK(munmap(p + PAGE, PAGE) == 0);
    EXPECT_ERRNO(madvise(p, 3 * PAGE, MADV_DONTNEED), ENOMEM);
    EXPECT(p[2 * PAGE] == 0); /* done all the same, beyond the hole */
    /* Not for children, or empty there. */
    char *q = map(2, RW, ANON);
    q[0] = q[PAGE] = 5;
    EXPECT(madvise(q, PAGE, MADV_WIPEONFORK) == 0 && madvise(q + PAGE, PAGE, MADV_DONTFORK) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, on_fault);
        _exit(q[0] != 0 || can_read(q + PAGE));
    }
    EXPECT(check_child(pid) == 0 && q[0] == 5 && q[PAGE] == 5);
    char *s = map(2, RW, MAP_SHARED | MAP_ANONYMOUS);
    s[0] = 1;
    EXPECT(madvise(s, PAGE, MADV_DONTNEED) == 0 && s[0] == 1); /* shared memory keeps what it has */
    EXPECT(madvise(s, PAGE, MADV_REMOVE) == 0 && s[0] == 0);
}

static void test_fork(void)
{
    char *p = map(2, RW, ANON), *s = map(2, RW, MAP_SHARED | MAP_ANONYMOUS);
    p[0] = s[0] = 1;
    pid_t pid = fork();
    if (pid == 0) {
        int same = p[0] == 1 && s[0] == 1;
        p[0] = s[0] = 2;
        char *x = map(1, RW, ANON);
        x[0] = 1;
        munmap(p, 2 * PAGE);
        _exit(!same);
    }
    EXPECT(check_child(pid) == 0 && p[0] == 1 && s[0] == 2);
}

static void test_brk(void)
{
    signal(SIGSEGV, on_fault);
    char *start = sbrk(0);
    EXPECT(brk(start + 5 * PAGE) == 0 && sbrk(0) == start + 5 * PAGE && can_write(start + 5 * PAGE - 1));
    start[4 * PAGE] = 9;
    EXPECT(brk(start) == 0 && brk(start + 5 * PAGE) == 0 && start[4 * PAGE] == 0); /* given back, and fresh again */
    EXPECT((char *)syscall(SYS_brk, 0) == start + 5 * PAGE);
    EXPECT((char *)syscall(SYS_brk, 4096) == start + 5 * PAGE); /* below its start: unchanged */
    EXPECT((char *)syscall(SYS_brk, start + (1UL << 46)) == start + 5 * PAGE);
    char *top = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) & ~(PAGE - 1));
    if (mmap(top + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == top + 2 * PAGE) {
        EXPECT((char *)syscall(SYS_brk, top + 8 * PAGE) == start + 5 * PAGE); /* something is in the way */
        munmap(top + 2 * PAGE, PAGE);
    }
    pid_t pid = fork();
    if (pid == 0)
        _exit(sbrk(0) != start + 5 * PAGE || brk(start) != 0);
    EXPECT(check_child(pid) == 0 && can_write(start + 4 * PAGE));
}

static void test_mincore(void)
{
    unsigned char in[4];
    char *p = map(4, RW, ANON);
    p[0] = p[2 * PAGE] = 1;
    EXPECT(mincore(p, 4 * PAGE, in) == 0 && (in[0] & 1) && !(in[1] & 1) && (in[2] & 1));
    EXPECT_ERRNO(mincore(p + 1, PAGE, in), EINVAL);
    EXPECT_ERRNO(mincore(p, 4 * PAGE, (unsigned char *)8), EFAULT);
    CHECK(munmap(p + 3 * PAGE, PAGE) == 0);
    EXPECT_ERRNO(mincore(p, 4 * PAGE, in), ENOMEM);
}

static void test_mlock(void)
{
    char *p = map(64, RW, ANON);
    EXPECT(mlock(p, 4 * PAGE) == 0 && munlock(p, 4 * PAGE) == 0 && mlock2(p, PAGE, MLOCK_ONFAULT) == 0);
    EXPECT_ERRNO(mlock2(p, PAGE, 0x10), EINVAL);
    EXPECT_ERRNO(mlockall(0), EINVAL);
    EXPECT_ERRNO(mlockall(MCL_ONFAULT), EINVAL);
    EXPECT(munlockall() == 0);
    CHECK(munmap(p + 4 * PAGE, PAGE) == 0);
    EXPECT_ERRNO(mlock(p, 8 * PAGE), ENOMEM);
    struct rlimit r = {.rlim_cur = 4 * PAGE, .rlim_max = 4 * PAGE};
    CHECK(setrlimit(RLIMIT_MEMLOCK, &r) == 0 && munlockall() == 0);
    if (geteuid() == 0)
        CHECK(setresuid(1234, 1234, 1234) == 0);
    EXPECT(mlock(p, 4 * PAGE) == 0);
    EXPECT_ERRNO(mlock(p + 5 * PAGE, 4 * PAGE), ENOMEM);
    r.rlim_cur = r.rlim_max = 0;
    CHECK(munlockall() == 0 && setrlimit(RLIMIT_MEMLOCK, &r) == 0);
    EXPECT_ERRNO(mlock(p, PAGE), EPERM);
}

/* The kernel must notice bad addresses and half-mapped buffers. */
static void test_efault(void)
{
    int fds[2];
    char *p = map(2, RW, ANON), *volatile nowhere = (char *)8;
    CHECK(pipe(fds) == 0 && munmap(p + PAGE, PAGE) == 0);
    EXPECT_ERRNO(write(fds[1], nowhere, 10), EFAULT);
    EXPECT_ERRNO(write(fds[1], p + PAGE, 10), EFAULT);
    EXPECT(write(fds[1], "0123456789", 10) == 10);
    EXPECT_ERRNO(read(fds[0], nowhere, 10), EFAULT);
    EXPECT(mprotect(p, PAGE, PROT_READ) == 0);
    EXPECT_ERRNO(read(fds[0], p, 10), EFAULT);
    EXPECT_ERRNO(pipe((int *)p), EFAULT);
    EXPECT(mprotect(p, PAGE, PROT_NONE) == 0);
    EXPECT_ERRNO(write(fds[1], p, 1), EFAULT);
    EXPECT_ERRNO(chdir(p), EFAULT);
    EXPECT_ERRNO(syscall(SYS_nanosleep, p, NULL), EFAULT);
    EXPECT_ERRNO(syscall(SYS_getcwd, (char *)0xffff800000000000, 100), EFAULT);
}

int main(void)
{
    RUN(test_errors);
    RUN(test_split);
    RUN(test_hints);
    RUN(test_grows_down);
    RUN(test_mremap);
    RUN(test_madvise);
    RUN(test_fork);
    RUN(test_brk);
    RUN(test_mincore);
    RUN(test_mlock);
    RUN(test_efault);
    return check_end();
}
