/* O_TMPFILE and openat2(2): files without a name, and walks that may not leave a directory, cross a mount or a link. */
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open2(int dirfd, const char *name, unsigned long long flags, unsigned mode, unsigned long long resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};

    return (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
}

static void test_tmpfile(void)
{
    char proc[64], text[PATH_MAX] = "";
    struct stat st;

    int fd = open(".", O_TMPFILE | O_RDWR, 0640);
    CHECK(fd >= 0);
    CHECK(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0 && st.st_size == 0);
    CHECK(write(fd, "hello", 5) == 5);
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    CHECK(readlink(proc, text, sizeof(text) - 1) > 0 && strstr(text, " (deleted)"));
    CHECK_ERRNO(linkat(AT_FDCWD, proc, AT_FDCWD, "named", 0), EXDEV);
    CHECK(linkat(AT_FDCWD, proc, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0);
    CHECK(stat("named", &st) == 0 && st.st_nlink == 1 && st.st_size == 5 && (st.st_mode & 0777) == (0640 & ~022));
    CHECK(unlink("named") == 0 && fstat(fd, &st) == 0 && st.st_nlink == 0);
    CHECK_ERRNO(linkat(AT_FDCWD, proc, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), ENOENT);
    CHECK(close(fd) == 0);

    fd = open(".", O_TMPFILE | O_WRONLY | O_EXCL, 0600);
    CHECK(fd >= 0);
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    CHECK_ERRNO(linkat(AT_FDCWD, proc, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), ENOENT);
    close(fd);
    CHECK_ERRNO(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
    CHECK_ERRNO(open("none", O_TMPFILE | O_RDWR, 0600), ENOENT);
}

static void test_resolve(int dir)
{
    int fd = open2(dir, "made", O_CREAT | O_RDWR | O_EXCL, 0600, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK(access("d/made", F_OK) == 0);
    CHECK_ERRNO(open2(dir, "../out", O_CREAT | O_RDWR, 0600, RESOLVE_BENEATH), EXDEV);
    CHECK_ERRNO(open2(dir, "/made", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    CHECK_ERRNO(open2(dir, "/made", O_CREAT | O_RDWR, 0600, RESOLVE_BENEATH), EXDEV);
    fd = open2(dir, "/../../made2", O_CREAT | O_RDWR, 0600, RESOLVE_IN_ROOT);
    CHECK(fd >= 0 && close(fd) == 0 && access("d/made2", F_OK) == 0);

    CHECK(symlink("/made3", "d/abs") == 0 && symlink("made", "d/rel") == 0 && symlink("../out", "d/up") == 0);
    CHECK_ERRNO(open2(dir, "abs", O_CREAT | O_RDWR, 0600, RESOLVE_BENEATH), EXDEV);
    fd = open2(dir, "abs", O_CREAT | O_RDWR, 0600, RESOLVE_IN_ROOT);
    CHECK(fd >= 0 && close(fd) == 0 && access("d/made3", F_OK) == 0);
    CHECK_ERRNO(open2(dir, "up", O_CREAT | O_RDWR, 0600, RESOLVE_BENEATH), EXDEV);
    fd = open2(dir, "up", O_CREAT | O_RDWR, 0600, RESOLVE_IN_ROOT);
    CHECK(fd >= 0 && close(fd) == 0 && access("d/out", F_OK) == 0 && access("out", F_OK) == -1);
    CHECK_ERRNO(open2(dir, "rel", O_CREAT | O_RDWR, 0600, RESOLVE_NO_SYMLINKS), ELOOP);
    CHECK_ERRNO(open2(dir, "rel", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
    fd = open2(dir, "rel", O_CREAT | O_RDWR, 0600, RESOLVE_BENEATH);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_ERRNO(open2(AT_FDCWD, "/proc/self/fd/0", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS), ELOOP);
    CHECK_ERRNO(open2(AT_FDCWD, "/proc/uptime", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
    CHECK(mkdir("d/sub", 0700) == 0);
    fd = open2(dir, "sub/../made", O_RDONLY, 0, RESOLVE_BENEATH);
    CHECK(fd >= 0 && close(fd) == 0);
}

static void test_how(int dir)
{
    struct {
        struct open_how how;
        unsigned long long more;
    } big = {.how = {.flags = O_RDONLY}};

    CHECK_ERRNO(open2(dir, "made", O_RDONLY, 0600, 0), EINVAL);
    CHECK_ERRNO(open2(dir, "made", 1ULL << 40, 0, 0), EINVAL);
    CHECK_ERRNO(open2(dir, "made", O_RDONLY, 0, 1ULL << 20), EINVAL);
    CHECK_ERRNO(open2(dir, "made", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL);
    CHECK_ERRNO(open2(-1, "made", O_RDONLY, 0, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_openat2, dir, "made", &big, 8L), EINVAL);
    int fd = (int)syscall(SYS_openat2, dir, "made", &big, sizeof(big));
    CHECK(fd >= 0 && close(fd) == 0);
    big.more = 1;
    CHECK_ERRNO(syscall(SYS_openat2, dir, "made", &big, sizeof(big)), E2BIG);
}

/* Opening a magic link for writing with O_CREAT, as a shell does for "> /dev/stdout". */
static void test_magic_create(void)
{
    char proc[64], buf[8];
    struct stat a, b;
    int p[2];

    CHECK(pipe(p) == 0);
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", p[1]);
    int fd = open(proc, O_CREAT | O_WRONLY | O_TRUNC, 0666);
    CHECK(fd >= 0 && write(fd, "hi", 2) == 2);
    CHECK(read(p[0], buf, sizeof(buf)) == 2 && !memcmp(buf, "hi", 2));
    close(fd);
    CHECK(fstat(p[0], &a) == 0 && fstat(p[1], &b) == 0 && a.st_ino == b.st_ino);
    snprintf(proc, sizeof(proc), "pipe:[%llu]", (unsigned long long)a.st_ino);
    char link[64] = "", name[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", p[0]);
    CHECK(readlink(name, link, sizeof(link) - 1) > 0 && !strcmp(link, proc));
    close(p[0]);
    close(p[1]);
    int ev = eventfd(0, 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", ev);
    CHECK_ERRNO(open(name, O_RDWR), ENXIO);
    close(ev);
    CHECK(fstat(1, &a) == 0);
    if (!S_ISSOCK(a.st_mode)) {
        fd = open("/dev/stdout", O_WRONLY | O_CREAT | O_APPEND, 0666);
        CHECK(fd >= 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino && a.st_mode == b.st_mode && close(fd) == 0);
    }
}

int main(void)
{
    char dir[] = "/tmp/open_special.XXXXXX";

    umask(022);
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    CHECK(mkdir("d", 0700) == 0);
    int d = open("d", O_RDONLY | O_DIRECTORY);
    CHECK(d >= 0);
    test_tmpfile();
    test_resolve(d);
    test_how(d);
    test_magic_create();
    return 0;
}
