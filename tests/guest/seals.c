/* memfd_create(2) and file seals: what each seal forbids to write, truncate, fallocate and mmap; read-only mappings. */
#include "check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_plain(void)
{
    char link[64] = "", proc[32];
    struct stat st;

    int fd = memfd_create("plain", 0);
    CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 07777) == 0777);
    CHECK(fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL);
    CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    CHECK(readlink(proc, link, sizeof(link) - 1) > 0 && !strcmp(link, "/memfd:plain (deleted)"));
    close(fd);
    CHECK_ERRNO(memfd_create("bad", 0x8000), EINVAL);
    int p[2];
    CHECK(pipe(p) == 0);
    CHECK_ERRNO(fcntl(p[0], F_GET_SEALS), EINVAL);
    close(p[0]);
    close(p[1]);
}

static int sealed(int seals)
{
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GET_SEALS) == 0);
    CHECK(ftruncate(fd, 8192) == 0 && write(fd, "hello", 5) == 5);
    CHECK(fcntl(fd, F_ADD_SEALS, seals) == 0 && fcntl(fd, F_GET_SEALS) == seals);
    return fd;
}

static void test_size(void)
{
    char buf[16384] = "";

    int fd = sealed(F_SEAL_SHRINK);
    CHECK_ERRNO(ftruncate(fd, 4096), EPERM);
    CHECK(ftruncate(fd, 16384) == 0 && close(fd) == 0);
    fd = sealed(F_SEAL_GROW);
    CHECK_ERRNO(ftruncate(fd, 16384), EPERM);
    CHECK_ERRNO(fallocate(fd, 0, 0, 16384), EPERM);
    CHECK(pwrite(fd, buf, sizeof(buf), 4096) == 4096);
    CHECK_ERRNO(pwrite(fd, buf, 10, 8192), EPERM);
    CHECK(ftruncate(fd, 4096) == 0 && close(fd) == 0);
    fd = sealed(F_SEAL_SEAL | F_SEAL_GROW);
    CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    close(fd);
}

static void test_write(void)
{
    char buf[8];

    int fd = memfd_create("busy", MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(m != MAP_FAILED);
    CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
    m[0] = 'x'; /* what is mapped stays writable */
    CHECK_ERRNO(write(fd, "y", 1), EPERM);
    CHECK(pread(fd, buf, 1, 0) == 1 && buf[0] == 'x');
    CHECK_ERRNO((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
    CHECK(munmap(m, 4096) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 && close(fd) == 0);

    fd = sealed(F_SEAL_WRITE);
    CHECK_ERRNO(write(fd, "x", 1), EPERM);
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EPERM);
    CHECK_ERRNO((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
    m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(m != MAP_FAILED && !memcmp(m, "hello", 5));
    m[0] = 'j';
    CHECK(pread(fd, buf, 5, 0) == 5 && !memcmp(buf, "hello", 5));
    CHECK(munmap(m, 4096) == 0 && close(fd) == 0);
}

/* A file that is open for reading only cannot be mapped writable, nor become so. */
static void test_readonly_map(void)
{
    char proc[32];

    int fd = memfd_create("ro", 0);
    CHECK(fd >= 0 && write(fd, "abc", 3) == 3);
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    int ro = open(proc, O_RDONLY);
    CHECK(ro >= 0);
    CHECK_ERRNO(fcntl(ro, F_ADD_SEALS, F_SEAL_GROW), EPERM);
    CHECK_ERRNO((long)mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, ro, 0), EACCES);
    char *m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, ro, 0);
    CHECK(m != MAP_FAILED && !memcmp(m, "abc", 3));
    CHECK_ERRNO(mprotect(m, 4096, PROT_READ | PROT_WRITE), EACCES);
    CHECK(pwrite(fd, "xyz", 3, 0) == 3 && !memcmp(m, "xyz", 3));
    CHECK(munmap(m, 4096) == 0 && close(ro) == 0 && close(fd) == 0);
}

int main(void)
{
    test_plain();
    test_size();
    test_write();
    test_readonly_map();
    return 0;
}
