/* open in all its forms: flags that contradict, O_PATH, O_TMPFILE, O_APPEND, O_NOFOLLOW, trailing slashes, openat2,
 * dirfds. */
#include "scratch.h"

#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

static int opens(const char *name, int flags)
{
    int fd = open(name, flags, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : -errno;
}

static void test_matrix(void)
{
    scratch_enter();
    scratch_file("f", "text", 0644);
    CHECK(mkdir("d", 0755) == 0 && symlink("f", "lf") == 0 && symlink("d", "ld") == 0 &&
          symlink("no", "dangling") == 0);
    EXPECT(opens("f", O_RDONLY) == 0 && opens("f", O_DIRECTORY) == -ENOTDIR && opens("f", O_CREAT | O_EXCL) == -EEXIST);
    EXPECT(opens("d", O_RDONLY) == 0 && opens("d", O_WRONLY) == -EISDIR && opens("d", O_RDWR) == -EISDIR);
    EXPECT(opens("d", O_CREAT) == -EISDIR && opens("d", O_RDONLY | O_TRUNC) == -EISDIR);
    EXPECT(opens("d", O_CREAT | O_EXCL) == -EEXIST && opens("d", O_CREAT | O_DIRECTORY) == -EINVAL);
    EXPECT(opens("lf", O_NOFOLLOW) == -ELOOP && opens("lf", O_RDONLY) == 0 && opens("ld", O_NOFOLLOW) == -ELOOP);
    EXPECT(opens("ld", O_NOFOLLOW | O_DIRECTORY) == -ENOTDIR && opens("lf", O_CREAT | O_EXCL) == -EEXIST);
    EXPECT(opens("dangling", O_RDONLY) == -ENOENT && opens("dangling", O_CREAT | O_EXCL | O_WRONLY) == -EEXIST);
    EXPECT(opens("dangling", O_CREAT | O_WRONLY) == 0 && access("no", F_OK) == 0); /* made where the link points */
    EXPECT(opens("f/", O_RDONLY) == -ENOTDIR && opens("new/", O_CREAT | O_WRONLY) == -EISDIR);
    EXPECT(opens("d/", O_RDONLY) == 0 && opens("ld/", O_NOFOLLOW | O_RDONLY) == 0 &&
           opens("f/.", O_RDONLY) == -ENOTDIR);
    EXPECT(opens("f/../f", O_RDONLY) == -ENOTDIR && opens("no_d/x", O_CREAT | O_WRONLY) == -ENOENT);
    EXPECT(opens("", O_RDONLY) == -ENOENT && opens(".", O_RDONLY) == 0 && opens("..", O_RDONLY) == 0);
    EXPECT(opens("f", O_RDONLY | O_TRUNC) == 0); /* truncates even so */
    struct stat st;
    EXPECT(stat("f", &st) == 0 && st.st_size == 0);
    EXPECT(opens("f", O_RDWR | O_NOATIME | O_SYNC | O_NONBLOCK | O_NOCTTY | O_LARGEFILE) == 0);
    EXPECT(opens("f", 3) == 0 || errno == EINVAL || errno == EACCES); /* access mode 3: ioctl only */
}

static void test_getfl(void)
{
    scratch_enter();
    int fd = open("f", O_CREAT | O_EXCL | O_RDWR | O_APPEND | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600);
    CHECK(fd >= 0);
    int fl = fcntl(fd, F_GETFL);
    EXPECT((fl & O_ACCMODE) == O_RDWR && (fl & O_APPEND) && (fl & O_NONBLOCK) && !(fl & (O_CREAT | O_EXCL | O_TRUNC)));
    EXPECT(!(fl & O_CLOEXEC) && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    EXPECT(fcntl(fd, F_SETFL, O_RDONLY | O_CREAT) == 0); /* only some flags can change */
    fl = fcntl(fd, F_GETFL);
    EXPECT((fl & O_ACCMODE) == O_RDWR && !(fl & (O_APPEND | O_NONBLOCK)));
    EXPECT(write(fd, "abc", 3) == 3 && pwrite(fd, "X", 1, 0) == 1 && lseek(fd, 0, SEEK_CUR) == 3);
    CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    EXPECT(write(fd, "d", 1) == 1 && lseek(fd, 0, SEEK_CUR) == 4);
    EXPECT(pwrite(fd, "e", 1, 0) == 1); /* appends on Linux, whatever the offset says */
    char buf[8] = "";
    EXPECT(pread(fd, buf, 8, 0) == 5 && !strcmp(buf, "Xbcde"));
    /* Two openings append to one end; a dup shares its offset. */
    int a = open("f", O_WRONLY | O_APPEND), b = open("f", O_WRONLY | O_APPEND), c = dup(fd);
    EXPECT(write(a, "1", 1) == 1 && write(b, "2", 1) == 1 && write(a, "3", 1) == 1);
    EXPECT(pread(fd, buf, 8, 5) == 3 && !memcmp(buf, "123", 3));
    EXPECT(lseek(fd, 2, SEEK_SET) == 2 && lseek(c, 0, SEEK_CUR) == 2);
}

static void test_o_path(void)
{
    char buf[8];
    struct stat st;
    scratch_enter();
    scratch_file("f", "text", 0000);
    CHECK(mkdir("d", 0755) == 0 && symlink("f", "l") == 0);
    int fd = open("f", O_PATH);
    CHECK(fd >= 0);
    EXPECT_ERRNO(read(fd, buf, 1), EBADF);
    EXPECT_ERRNO(write(fd, buf, 1), EBADF);
    EXPECT_ERRNO(lseek(fd, 0, SEEK_SET), EBADF);
    EXPECT_ERRNO(fchmod(fd, 0600), EBADF);
    EXPECT_ERRNO(fchown(fd, 0, 0), EBADF);
    EXPECT_ERRNO(ftruncate(fd, 0), EBADF);
    EXPECT_ERRNO(ioctl(fd, 0x541b, buf), EBADF);
    EXPECT(fstat(fd, &st) == 0 && st.st_size == 4 && (fcntl(fd, F_GETFL) & O_PATH) && fcntl(dup(fd), F_GETFD) == 0);
    EXPECT(fstatat(fd, "", &st, AT_EMPTY_PATH) == 0);
    int link = open("l", O_PATH | O_NOFOLLOW);
    EXPECT(link >= 0 && fstat(link, &st) == 0 && S_ISLNK(st.st_mode) && readlinkat(link, "", buf, 8) == 1);
    int dir = open("d", O_PATH);
    EXPECT(dir >= 0 && fchdir(dir) == 0 && fchdir(open("..", O_PATH)) == 0);
    EXPECT(mkdirat(dir, "sub", 0700) == 0 && access("d/sub", F_OK) == 0);
    char name[64];
    CHECK(chmod("f", 0600) == 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    int again = open(name, O_RDWR); /* opened for real through its descriptor */
    EXPECT(again >= 0 && read(again, buf, 4) == 4 && !memcmp(buf, "text", 4));
}

static void test_tmpfile(void)
{
    struct stat st;
    char name[64];
    scratch_enter();
    int fd = open(".", O_TMPFILE | O_RDWR, 0640);
    CHECK(fd >= 0);
    EXPECT(write(fd, "hidden", 6) == 6 && fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 6);
    EXPECT((st.st_mode & 07777) == 0640);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    EXPECT(linkat(AT_FDCWD, name, AT_FDCWD, "shown", AT_SYMLINK_FOLLOW) == 0);
    EXPECT(stat("shown", &st) == 0 && st.st_size == 6 && st.st_nlink == 1 && fstat(fd, &st) == 0 && st.st_nlink == 1);
    int never = open(".", O_TMPFILE | O_EXCL | O_RDWR, 0600);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", never);
    EXPECT_ERRNO(linkat(AT_FDCWD, name, AT_FDCWD, "never", AT_SYMLINK_FOLLOW), ENOENT);
    EXPECT_ERRNO(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
    EXPECT_ERRNO(open("shown", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
}

static void test_openat(void)
{
    scratch_enter();
    scratch_file("f", "", 0644);
    CHECK(mkdir("d", 0755) == 0);
    int dir = open("d", O_RDONLY | O_DIRECTORY), file = open("f", O_RDONLY);
    EXPECT(openat(dir, "inside", O_CREAT | O_WRONLY, 0600) >= 0 && access("d/inside", F_OK) == 0);
    EXPECT(openat(dir, "../f", O_RDONLY) >= 0);
    EXPECT_ERRNO(openat(file, "x", O_RDONLY), ENOTDIR);
    EXPECT_ERRNO(openat(99, "x", O_RDONLY), EBADF);
    EXPECT(openat(99, "/etc/passwd", O_RDONLY) >= 0); /* not looked at */
    EXPECT_ERRNO(open((char *)8, O_RDONLY), EFAULT);
    CHECK(rmdir("d") == -1 && unlink("d/inside") == 0 && rmdir("d") == 0);
    EXPECT_ERRNO(openat(dir, "new", O_CREAT | O_WRONLY, 0600), ENOENT); /* in a folder that is gone */
}

static long openat2_(const char *name, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof(how));
}

static void test_openat2(void)
{
    scratch_enter();
    scratch_file("f", "", 0644);
    CHECK(mkdir("d", 0755) == 0 && symlink("../f", "d/up") == 0 && symlink("f", "l") == 0 &&
          symlink("/etc", "abs") == 0);
    EXPECT(openat2_("f", O_RDONLY, 0, 0) >= 0 && openat2_("new", O_CREAT | O_WRONLY, 0600, 0) >= 0);
    EXPECT_ERRNO(openat2_("f", O_RDONLY, 0600, 0), EINVAL);
    EXPECT_ERRNO(openat2_("f", 1ULL << 40, 0, 0), EINVAL);
    EXPECT_ERRNO(openat2_("f", O_RDONLY, 0, 1ULL << 20), EINVAL);
    EXPECT_ERRNO(openat2_("l", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
    EXPECT_ERRNO(openat2_("../x", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    EXPECT_ERRNO(openat2_("/etc/passwd", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    EXPECT_ERRNO(openat2_("abs/passwd", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    EXPECT(openat2_("d/up", O_RDONLY, 0, RESOLVE_BENEATH) >= 0);
    EXPECT(openat2_("/f", O_RDONLY, 0, RESOLVE_IN_ROOT) >= 0 && openat2_("../../f", O_RDONLY, 0, RESOLVE_IN_ROOT) >= 0);
    EXPECT_ERRNO(openat2_("/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS), ELOOP);
    EXPECT_ERRNO(openat2_("/proc/self/status", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
    struct open_how how = {.flags = O_RDONLY};
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "f", &how, 4), EINVAL);
    struct {
        struct open_how how;
        uint64_t more;
    } longer = {.how = {.flags = O_RDONLY}};
    EXPECT(syscall(SYS_openat2, AT_FDCWD, "f", &longer, sizeof(longer)) >= 0);
    longer.more = 1;
    EXPECT_ERRNO(syscall(SYS_openat2, AT_FDCWD, "f", &longer, sizeof(longer)), E2BIG);
}

static void test_names(void)
{
    char name[PATH_MAX + 10];
    scratch_enter();
    memset(name, 'x', sizeof(name));
    name[255] = 0;
    EXPECT(opens(name, O_CREAT | O_WRONLY) == 0);
    name[255] = 'x', name[256] = 0;
    EXPECT(opens(name, O_CREAT | O_WRONLY) == -ENAMETOOLONG);
    for (int i = 0; i < PATH_MAX + 9; i += 2)
        memcpy(name + i, "./", 2);
    strcpy(name + PATH_MAX - 2, ".");
    EXPECT(opens(name, O_RDONLY) == 0);
    strcpy(name + PATH_MAX - 2, "./");
    EXPECT(opens(name, O_RDONLY) == -ENAMETOOLONG);
    /* 40 links are followed, no more. */
    scratch_file("l0", "", 0600);
    for (int i = 1; i <= 41; i++) {
        char from[16], to[16];
        snprintf(from, sizeof(from), "l%d", i);
        snprintf(to, sizeof(to), "l%d", i - 1);
        CHECK(symlink(to, from) == 0);
    }
    EXPECT(opens("l40", O_RDONLY) == 0 && opens("l41", O_RDONLY) == -ELOOP);
    EXPECT(opens("odd \n\t\x01\xff name", O_CREAT | O_WRONLY) == 0 && access("odd \n\t\x01\xff name", F_OK) == 0);
}

int main(void)
{
    RUN(test_matrix);
    RUN(test_getfl);
    RUN(test_o_path);
    RUN(test_tmpfile);
    RUN(test_openat);
    RUN(test_openat2);
    RUN(test_names);
    return check_end();
}
