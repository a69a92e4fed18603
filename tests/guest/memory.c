/* mmap, munmap, mprotect, mremap, brk, madvise and /proc/self/maps. */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf jump;

static void on_fault(int sig)
{
    (void)sig;
    siglongjmp(jump, 1);
}

static int faults(volatile char *p)
{
    if (sigsetjmp(jump, 1))
        return 1;
    *p = 1;
    return 0;
}

static int in_maps(const void *addr, const char *perms)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512], got[8];
    unsigned long start, end;
    int found = 0;
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "%lx-%lx %7s", &start, &end, got) == 3 && (uintptr_t)addr >= start && (uintptr_t)addr < end)
            found = !strcmp(got, perms);
    fclose(f);
    return found;
}

int main(void)
{
    signal(SIGSEGV, on_fault);
    char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && p[0] == 0);
    p[4096] = 5;
    CHECK(in_maps(p, "rw-p"));
    CHECK(mprotect(p, 4096, PROT_READ) == 0 && faults(p) && !faults(p + 4096));
    CHECK(in_maps(p, "r--p"));
    CHECK(munmap(p + 8192, 4096) == 0 && faults(p + 8192) && !faults(p + 3 * 4096));
    CHECK(mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
    CHECK(errno == EEXIST);
    CHECK(mmap(p, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p && !faults(p));
    CHECK(madvise(p, 4096, MADV_DONTNEED) == 0 && p[0] == 0);
    CHECK_ERRNO(madvise(p, 4096, 9999), EINVAL);
    CHECK_ERRNO(munmap(p + 1, 4096), EINVAL);
    CHECK(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED && errno == EBADF);

    char *q = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(q, "moved");
    char *r = mremap(q, 4096, 1 << 20, MREMAP_MAYMOVE);
    CHECK(r != MAP_FAILED && !strcmp(r, "moved") && !faults(r + (1 << 20) - 1));

    char *b = sbrk(0);
    CHECK(sbrk(1 << 20) == b && !faults(b) && !faults(b + (1 << 20) - 1));
    CHECK(sbrk(-(1 << 20)) == b + (1 << 20));

    int mfd = memfd_create("m", MFD_CLOEXEC);
    CHECK(mfd >= 0 && ftruncate(mfd, 4096) == 0);
    char *m1 = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
    char *m2 = mmap(NULL, 4096, PROT_READ, MAP_SHARED, mfd, 0);
    CHECK(m1 != MAP_FAILED && m2 != MAP_FAILED);
    strcpy(m1, "both");
    CHECK(!strcmp(m2, "both") && in_maps(m1, "rw-s"));
    return 0;
}
