/* Descriptors: dup in all forms, close_range, fcntl, ioctl on what cannot, chroot, device files, /proc/self/fd. */
#include "scratch.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>

static void test_dup(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    int a = dup(fd);
    EXPECT(a > fd && fcntl(a, F_GETFD) == 0 && dup2(fd, fd) == fd && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    EXPECT(dup2(fd, 100) == 100 && fcntl(100, F_GETFD) == 0 && dup3(fd, 100, O_CLOEXEC) == 100);
    EXPECT(fcntl(100, F_GETFD) == FD_CLOEXEC);
    EXPECT_ERRNO(dup3(fd, fd, 0), EINVAL);
    EXPECT_ERRNO(dup3(fd, 101, O_APPEND), EINVAL);
    EXPECT_ERRNO(dup2(77, 78), EBADF);
    EXPECT_ERRNO(dup2(fd, -1), EBADF);
    EXPECT_ERRNO(dup2(77, 77), EBADF);
    EXPECT_ERRNO(dup(77), EBADF);
    EXPECT(fcntl(fd, F_DUPFD, 50) == 50 && fcntl(fd, F_DUPFD_CLOEXEC, 50) == 51 && fcntl(51, F_GETFD) == FD_CLOEXEC);
    EXPECT_ERRNO(fcntl(fd, F_DUPFD, -1), EINVAL);
    EXPECT_ERRNO(fcntl(fd, 9999, 0), EINVAL);
    EXPECT(close(a) == 0 && dup(fd) == a); /* the lowest is taken */
    EXPECT(fcntl(fd, F_SETFD, 0) == 0 && fcntl(fd, F_GETFD) == 0);
}

static void test_close_range(void)
{
    for (int i = 50; i < 60; i++)
        CHECK(dup2(0, i) == i);
    EXPECT(close_range(52, 54, 0) == 0 && fcntl(51, F_GETFD) == 0 && fcntl(55, F_GETFD) == 0);
    EXPECT_ERRNO(fcntl(53, F_GETFD), EBADF);
    EXPECT(close_range(55, 56, CLOSE_RANGE_CLOEXEC) == 0 && fcntl(56, F_GETFD) == FD_CLOEXEC);
    EXPECT_ERRNO(close_range(5, 4, 0), EINVAL);
    EXPECT_ERRNO(close_range(5, 6, 0x100), EINVAL);
    EXPECT(close_range(58, ~0U, 0) == 0);
    EXPECT_ERRNO(fcntl(59, F_GETFD), EBADF);
    EXPECT(fcntl(57, F_GETFD) == 0 && close_range(57, ~0U, CLOSE_RANGE_UNSHARE) == 0);
}

static void *close_one(void *arg)
{
    if (syscall(SYS_unshare, CLONE_FILES) == 0)
        close((int)(long)arg);
    return NULL;
}

static void test_unshare(void)
{
    pthread_t t;
    long fd = dup(0);
    CHECK(pthread_create(&t, NULL, close_one, (void *)fd) == 0 && pthread_join(t, NULL) == 0);
    EXPECT(fcntl((int)fd, F_GETFD) == 0);
}

static void test_ioctl(void)
{
    int fds[2], n = -1, one = 1;
    struct winsize ws;
    struct termios tio;
    scratch_enter();
    scratch_file("f", "12345", 0600);
    int fd = open("f", O_RDWR);
    CHECK(pipe(fds) == 0 && write(fds[1], "123", 3) == 3);
    EXPECT(ioctl(fds[0], FIONREAD, &n) == 0 && n == 3);
    EXPECT(lseek(fd, 2, SEEK_SET) == 2 && ioctl(fd, FIONREAD, &n) == 0 && n == 3);
    EXPECT_ERRNO(ioctl(fd, TIOCGWINSZ, &ws), ENOTTY);
    EXPECT_ERRNO(ioctl(fds[0], TCGETS, &tio), ENOTTY);
    EXPECT_ERRNO(ioctl(fd, 0xdeadbeef, &n), ENOTTY);
    EXPECT_ERRNO(ioctl(99, FIONREAD, &n), EBADF);
    EXPECT_ERRNO(ioctl(fds[0], FIONREAD, (void *)8), EFAULT);
    EXPECT(!isatty(fd) && errno == ENOTTY);
    EXPECT(ioctl(fds[0], FIONBIO, &one) == 0 && (fcntl(fds[0], F_GETFL) & O_NONBLOCK));
    EXPECT(ioctl(fds[0], FIOCLEX) == 0 && fcntl(fds[0], F_GETFD) == FD_CLOEXEC && ioctl(fds[0], FIONCLEX) == 0);
}

static void test_devices(void)
{
    char buf[64];
    struct stat st;
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR);
    int random = open("/dev/urandom", O_RDONLY);
    EXPECT(read(null, buf, 10) == 0 && write(null, buf, 10) == 10 && lseek(null, 0, SEEK_END) == 0);
    memset(buf, 1, sizeof(buf));
    EXPECT(read(zero, buf, 64) == 64 && buf[0] == 0 && buf[63] == 0 && write(zero, buf, 5) == 5);
    EXPECT_ERRNO(write(full, buf, 1), ENOSPC);
    EXPECT(read(full, buf, 4) == 4 && read(random, buf, 64) == 64);
    EXPECT(fstat(null, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
    EXPECT(stat("/dev/zero", &st) == 0 && st.st_rdev == makedev(1, 5) && stat("/dev/stdin", &st) == 0);
    EXPECT(ftruncate(null, 0) == -1 && errno == EINVAL);
    EXPECT(syscall(SYS_getrandom, buf, 16, 0) == 16 && syscall(SYS_getrandom, buf, 16, 1) == 16);
    EXPECT_ERRNO(syscall(SYS_getrandom, buf, 16, 0x100), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getrandom, (void *)8, 16, 0), EFAULT);
}

static void test_proc_fd(void)
{
    char target[256] = "", name[64];
    struct stat a, b;
    scratch_enter();
    scratch_file("f", "text", 0600);
    int fd = open("f", O_RDONLY), fds[2];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, target, sizeof(target));
    EXPECT(n > 2 && !strcmp(target + n - 2, "/f"));
    EXPECT(stat(name, &a) == 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino && lstat(name, &a) == 0 &&
           S_ISLNK(a.st_mode));
    CHECK(unlink("f") == 0);
    memset(target, 0, sizeof(target));
    EXPECT(readlink(name, target, sizeof(target)) > 0 && strstr(target, "/f (deleted)"));
    int again = open(name, O_RDONLY);
    EXPECT(again >= 0 && read(again, target, 4) == 4 && lseek(fd, 0, SEEK_CUR) == 0);
    CHECK(pipe(fds) == 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fds[0]);
    memset(target, 0, sizeof(target));
    EXPECT(readlink(name, target, sizeof(target)) > 0 && !strncmp(target, "pipe:[", 6));
    EXPECT_ERRNO(open("/proc/self/fd/99", O_RDONLY), ENOENT);
}

static void test_chroot(void)
{
    char buf[256];
    if (geteuid() != 0)
        return;
    scratch_enter();
    CHECK(mkdir("root", 0755) == 0 && mkdir("root/in", 0755) == 0 && symlink("/in", "root/abs") == 0);
    scratch_file("outside", "", 0600);
    int out = open(".", O_RDONLY);
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT_ERRNO(chroot("outside"), ENOTDIR);
        EXPECT_ERRNO(chroot("none"), ENOENT);
        EXPECT(chroot("root") == 0 && access("/in", F_OK) == 0 && access("outside", F_OK) == 0);
        EXPECT(chdir("/") == 0 && getcwd(buf, sizeof(buf)) && !strcmp(buf, "/"));
        EXPECT(chdir("../../..") == 0 && access("in", F_OK) == 0 && access("/abs/.", F_OK) == 0);
        EXPECT(fchdir(out) == 0 && access("outside", F_OK) == 0);
        EXPECT(syscall(SYS_getcwd, buf, sizeof(buf)) > 0 && !strncmp(buf, "(unreachable)/", 14));
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0 && access("outside", F_OK) == 0);
}

int main(void)
{
    RUN(test_dup);
    RUN(test_close_range);
    RUN(test_unshare);
    RUN(test_ioctl);
    RUN(test_devices);
    RUN(test_proc_fd);
    RUN(test_chroot);
    return check_end();
}
