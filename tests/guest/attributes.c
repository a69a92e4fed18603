/* stat, statx, times, sizes, modes and owners, permission checks as another user, extended attributes, statfs, holes.
 */
#include "scratch.h"

#include <linux/falloc.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>

#define USER 1234
#define GROUP 2345

static void test_statx(void)
{
    struct statx sx;
    struct stat st;
    scratch_enter();
    scratch_file("f", "12345", 0640);
    CHECK(symlink("f", "l") == 0 && stat("f", &st) == 0);
    EXPECT(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &sx) == 0 &&
           (sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    EXPECT(sx.stx_size == 5 && sx.stx_ino == st.st_ino && sx.stx_mode == st.st_mode && sx.stx_nlink == 1);
    EXPECT(makedev(sx.stx_dev_major, sx.stx_dev_minor) == st.st_dev && sx.stx_mtime.tv_sec == st.st_mtime);
    EXPECT(statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx) == 0 && S_ISLNK(sx.stx_mode));
    int fd = open("f", O_RDONLY);
    EXPECT(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx) == 0 && sx.stx_size == 5);
    EXPECT_ERRNO(statx(fd, "", 0, STATX_SIZE, &sx), ENOENT);
    EXPECT_ERRNO(statx(AT_FDCWD, "f", 0x8000, STATX_SIZE, &sx), EINVAL);
    EXPECT_ERRNO(statx(AT_FDCWD, "f", 0, 0x80000000U, &sx), EINVAL);
    EXPECT_ERRNO(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &sx), EINVAL);
    EXPECT_ERRNO(fstatat(AT_FDCWD, "f", &st, 0x8000), EINVAL);
    EXPECT_ERRNO(stat("f", (struct stat *)8), EFAULT);
    EXPECT_ERRNO(stat("f/", &st), ENOTDIR);
    EXPECT(fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 && fstat(fd, &st) == 0 && st.st_blksize > 0);
    EXPECT_ERRNO(fstat(99, &st), EBADF);
}

static int same(struct timespec a, time_t sec, long nsec)
{
    return a.tv_sec == sec && a.tv_nsec == nsec;
}

static void test_times(void)
{
    struct stat st, before;
    scratch_enter();
    scratch_file("f", "", 0600);
    CHECK(symlink("f", "l") == 0);
    struct timespec ts[2] = {{100, 1}, {200, 999999999}};
    EXPECT(utimensat(AT_FDCWD, "f", ts, 0) == 0 && stat("f", &st) == 0 && same(st.st_atim, 100, 1));
    EXPECT(same(st.st_mtim, 200, 999999999) && st.st_ctim.tv_sec > 200);
    ts[0].tv_nsec = UTIME_OMIT, ts[1] = (struct timespec){300, 0};
    EXPECT(utimensat(AT_FDCWD, "f", ts, 0) == 0 && stat("f", &st) == 0 && same(st.st_atim, 100, 1) &&
           same(st.st_mtim, 300, 0));
    ts[0].tv_nsec = UTIME_NOW, ts[1].tv_nsec = UTIME_OMIT;
    EXPECT(utimensat(AT_FDCWD, "f", ts, 0) == 0 && stat("f", &st) == 0 && st.st_atime > 1000 &&
           same(st.st_mtim, 300, 0));
    before = st;
    ts[0].tv_nsec = ts[1].tv_nsec = UTIME_OMIT;
    EXPECT(utimensat(AT_FDCWD, "f", ts, 0) == 0 && stat("f", &st) == 0 &&
           !memcmp(&st.st_ctim, &before.st_ctim, sizeof(st.st_ctim)));
    EXPECT(utimensat(AT_FDCWD, "f", NULL, 0) == 0 && stat("f", &st) == 0 && st.st_mtime > 1000);
    ts[0] = (struct timespec){1, 0}, ts[1] = (struct timespec){2, 0};
    EXPECT(utimensat(AT_FDCWD, "l", ts, AT_SYMLINK_NOFOLLOW) == 0 && lstat("l", &st) == 0 && st.st_mtime == 2);
    EXPECT(stat("l", &st) == 0 && st.st_mtime > 1000);
    int fd = open("f", O_RDWR);
    EXPECT(futimens(fd, ts) == 0 && fstat(fd, &st) == 0 && st.st_atime == 1);
    ts[0].tv_nsec = 1000000000;
    EXPECT_ERRNO(utimensat(AT_FDCWD, "f", ts, 0), EINVAL);
    EXPECT_ERRNO(utimensat(AT_FDCWD, "none", NULL, 0), ENOENT);
    struct timeval tv[2] = {{5, 6}, {7, 8}};
    EXPECT(utimes("f", tv) == 0 && stat("f", &st) == 0 && same(st.st_atim, 5, 6000) && same(st.st_mtim, 7, 8000));
    /* What changes which time. */
    EXPECT(write(fd, "x", 1) == 1 && fstat(fd, &st) == 0 && st.st_mtime > 1000);
    CHECK(utimes("f", tv) == 0 && utimes(".", tv) == 0);
    EXPECT(chmod("f", 0644) == 0 && stat("f", &st) == 0 && st.st_mtime == 7 && st.st_ctime > 1000);
    CHECK(stat(".", &st) == 0);
    EXPECT(st.st_mtime == 7 && link("f", "f2") == 0 && stat(".", &st) == 0 && st.st_mtime > 1000);
    EXPECT(ftruncate(fd, 10) == 0 && fstat(fd, &st) == 0 && st.st_mtime > 1000);
}

static void test_sizes(void)
{
    struct stat st;
    char buf[20];
    scratch_enter();
    int fd = open("f", O_RDWR | O_CREAT, 0600), ro = open("f", O_RDONLY);
    EXPECT(write(fd, "0123456789", 10) == 10 && ftruncate(fd, 4) == 0 && ftruncate(fd, 8) == 0);
    EXPECT(pread(fd, buf, 20, 0) == 8 && !memcmp(buf, "0123\0\0\0\0", 8));
    EXPECT_ERRNO(ftruncate(fd, -1), EINVAL);
    EXPECT_ERRNO(ftruncate(ro, 1), EINVAL);
    EXPECT_ERRNO(truncate(".", 0), EISDIR);
    EXPECT_ERRNO(truncate("none", 0), ENOENT);
    EXPECT_ERRNO(ftruncate(99, 0), EBADF);
    EXPECT(truncate("f", 100) == 0 && pwrite(fd, "end", 3, 1 << 20) == 3 && fstat(fd, &st) == 0 &&
           st.st_size == (1 << 20) + 3);
    EXPECT_ERRNO(pwrite(fd, "x", 1, -1), EINVAL);
    EXPECT_ERRNO(write(ro, "x", 1), EBADF);
    EXPECT(lseek(fd, 5, SEEK_END) == (1 << 20) + 8 && lseek(fd, -5, SEEK_CUR) == (1 << 20) + 3);
    EXPECT_ERRNO(lseek(fd, 0, 99), EINVAL);
    EXPECT_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    EXPECT(read(fd, buf, 20) == 0);
}

static void test_fallocate(void)
{
    struct stat st;
    char buf[8192];
    scratch_enter();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    EXPECT(fallocate(fd, 0, 0, 8192) == 0 && fstat(fd, &st) == 0 && st.st_size == 8192);
    EXPECT(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 8192) == 0 && fstat(fd, &st) == 0 && st.st_size == 8192);
    memset(buf, 'x', sizeof(buf));
    CHECK(pwrite(fd, buf, 8192, 0) == 8192);
    EXPECT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 4000) == 0 &&
           pread(fd, buf, 8192, 0) == 8192);
    EXPECT(buf[99] == 'x' && buf[100] == 0 && buf[4099] == 0 && buf[4100] == 'x');
    EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 100), EOPNOTSUPP);
    EXPECT_ERRNO(fallocate(fd, 0, -1, 100), EINVAL);
    EXPECT_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(fallocate(99, 0, 0, 1), EBADF);
    int fds[2];
    CHECK(pipe(fds) == 0);
    EXPECT_ERRNO(fallocate(fds[1], 0, 0, 1), ESPIPE);
    EXPECT_ERRNO(fallocate(open("f", O_RDONLY), 0, 0, 1), EBADF);
}

static void test_holes(void)
{
    scratch_enter();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK(ftruncate(fd, 1 << 20) == 0 && pwrite(fd, "x", 1, 512 << 10) == 1);
    off_t data = lseek(fd, 0, SEEK_DATA), hole = lseek(fd, 512 << 10, SEEK_HOLE);
    EXPECT(data >= 0 && data <= 512 << 10 && hole > 512 << 10 && hole <= 1 << 20);
    EXPECT(lseek(fd, 512 << 10, SEEK_DATA) == 512 << 10);
    EXPECT_ERRNO(lseek(fd, 2 << 20, SEEK_DATA), ENXIO);
    EXPECT_ERRNO(lseek(fd, 2 << 20, SEEK_HOLE), ENXIO);
}

static void test_modes(void)
{
    struct stat st;
    scratch_enter();
    umask(027);
    int fd = open("f", O_CREAT | O_RDWR, 0777);
    EXPECT(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0750 && umask(022) == 027);
    EXPECT(chmod("f", 06711) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 06711);
    EXPECT(fchmod(fd, 0170600) == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0600);
    EXPECT_ERRNO(chmod("none", 0600), ENOENT);
    EXPECT(fchmodat(AT_FDCWD, "f", 0644, 0) == 0);
    if (geteuid() != 0)
        return;
    EXPECT(chown("f", 5, 6) == 0 && stat("f", &st) == 0 && st.st_uid == 5 && st.st_gid == 6);
    EXPECT(chown("f", -1, 7) == 0 && stat("f", &st) == 0 && st.st_uid == 5 && st.st_gid == 7 &&
           chown("f", -1, -1) == 0);
    CHECK(symlink("f", "l") == 0);
    EXPECT(lchown("l", 8, 9) == 0 && lstat("l", &st) == 0 && st.st_uid == 8 && stat("l", &st) == 0 && st.st_uid == 5);
    /* A set-group-ID folder passes its group on. */
    CHECK(mkdir("d", 0755) == 0 && chown("d", 0, GROUP) == 0 && chmod("d", 02777) == 0);
    EXPECT(mkdir("d/sub", 0755) == 0 && stat("d/sub", &st) == 0 && st.st_gid == GROUP && (st.st_mode & S_ISGID));
    scratch_file("d/file", "", 0600);
    EXPECT(stat("d/file", &st) == 0 && st.st_gid == GROUP && !(st.st_mode & S_ISGID));
}

static void as_user(void (*what)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        check_failures = 0;
        CHECK(setresgid(GROUP, GROUP, GROUP) == 0 && setresuid(USER, USER, USER) == 0);
        what();
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0);
}

static int hard_links_are_protected(void)
{
    char c = '0';
    int fd = open("/proc/sys/fs/protected_hardlinks", O_RDONLY);
    return fd >= 0 && read(fd, &c, 1) == 1 && c == '1';
}

static void user_part(void)
{
    struct stat st;
    EXPECT_ERRNO(open("secret", O_RDONLY), EACCES);
    EXPECT_ERRNO(access("secret", R_OK), EACCES);
    EXPECT(access("secret", F_OK) == 0);
    EXPECT(open("grouped", O_RDONLY) >= 0);
    EXPECT_ERRNO(open("grouped", O_WRONLY), EACCES);
    EXPECT_ERRNO(stat("closed/in", &st), EACCES);
    EXPECT_ERRNO(open("closed", O_RDONLY), EACCES);
    EXPECT(stat("blind/in", &st) == 0); /* may pass, not read */
    EXPECT_ERRNO(open("blind", O_RDONLY), EACCES);
    EXPECT_ERRNO(open("blind/new", O_CREAT | O_WRONLY, 0600), EACCES);
    EXPECT_ERRNO(unlink("blind/in"), EACCES);
    EXPECT_ERRNO(chmod("secret", 0777), EPERM);
    EXPECT_ERRNO(chown("mine", 0, -1), EPERM);
    EXPECT_ERRNO(chown("mine", -1, 77), EPERM);
    EXPECT(chown("mine", USER, GROUP) == 0 && chmod("mine", 0) == 0);
    EXPECT_ERRNO(open("mine", O_RDONLY), EACCES);
    EXPECT_ERRNO(unlink("sticky/other"), EPERM);
    EXPECT_ERRNO(rename("sticky/other", "sticky/x"), EPERM);
    EXPECT(unlink("sticky/mine") == 0);
    EXPECT_ERRNO(utimensat(AT_FDCWD, "open", (struct timespec[2]){{1, 1}, {1, 1}}, 0), EPERM);
    EXPECT(utimensat(AT_FDCWD, "open", NULL, 0) == 0); /* now: writing is enough */
    EXPECT_ERRNO(utimensat(AT_FDCWD, "grouped", NULL, 0), EACCES);
    EXPECT_ERRNO(truncate("grouped", 0), EACCES);
    EXPECT_ERRNO(mknod("sticky/dev", S_IFCHR | 0600, makedev(1, 3)), EPERM);
    EXPECT_ERRNO(chroot("."), EPERM);
    EXPECT_ERRNO(open("open", O_RDONLY | O_NOATIME), EPERM);
    if (hard_links_are_protected())
        EXPECT_ERRNO(link("secret", "sticky/hard"), EPERM);
    EXPECT_ERRNO(execl("open", "open", NULL), EACCES);
    EXPECT(chmod("setgid", 02755) == 0 && stat("setgid", &st) == 0 && !(st.st_mode & S_ISGID)); /* not of that group */
}

static void test_permissions(void)
{
    if (geteuid() != 0)
        return;
    scratch_enter();
    CHECK(chmod(".", 0755) == 0);
    scratch_file("secret", "", 0600);
    scratch_file("grouped", "", 0640);
    scratch_file("open", "", 0666);
    scratch_file("mine", "", 0600);
    scratch_file("setgid", "", 0755);
    CHECK(chown("grouped", 0, GROUP) == 0 && chown("mine", USER, GROUP) == 0 && chown("setgid", USER, 99) == 0);
    CHECK(mkdir("closed", 0700) == 0 && mkdir("blind", 0755) == 0 && mkdir("sticky", 0777) == 0);
    scratch_file("closed/in", "", 0666);
    scratch_file("blind/in", "", 0666);
    CHECK(chmod("blind", 0711) == 0 && chmod("sticky", 01777) == 0);
    scratch_file("sticky/other", "", 0666);
    scratch_file("sticky/mine", "", 0666);
    CHECK(chown("sticky/mine", USER, GROUP) == 0);
    as_user(user_part);
    EXPECT(open("secret", O_RDWR) >= 0 && access("secret", W_OK) == 0);
    EXPECT_ERRNO(access("secret", X_OK), EACCES); /* root too needs one x */
    EXPECT_ERRNO(access("secret", 0x10), EINVAL);
    CHECK(seteuid(USER) == 0);
    EXPECT(access("secret", R_OK) == 0); /* by the real id */
    EXPECT_ERRNO(faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS), EACCES);
}

static void test_xattr(void)
{
    char buf[64];
    scratch_enter();
    scratch_file("f", "", 0600);
    if (setxattr("f", "user.one", "value", 5, 0) < 0) {
        EXPECT(errno == EOPNOTSUPP); /* this tmpfs has no user attributes */
        return;
    }
    EXPECT(getxattr("f", "user.one", buf, sizeof(buf)) == 5 && !memcmp(buf, "value", 5));
    EXPECT(getxattr("f", "user.one", NULL, 0) == 5);
    EXPECT_ERRNO(getxattr("f", "user.one", buf, 2), ERANGE);
    EXPECT_ERRNO(getxattr("f", "user.two", buf, 2), ENODATA);
    EXPECT_ERRNO(setxattr("f", "user.one", "x", 1, XATTR_CREATE), EEXIST);
    EXPECT_ERRNO(setxattr("f", "user.two", "x", 1, XATTR_REPLACE), ENODATA);
    EXPECT(setxattr("f", "user.two", "", 0, 0) == 0);
    ssize_t n = listxattr("f", buf, sizeof(buf));
    EXPECT(n == 18 && memmem(buf, (size_t)n, "user.one", 9) && memmem(buf, (size_t)n, "user.two", 9));
    EXPECT(removexattr("f", "user.one") == 0);
    EXPECT_ERRNO(removexattr("f", "user.one"), ENODATA);
    EXPECT_ERRNO(setxattr("f", "nonsense", "x", 1, 0), EOPNOTSUPP);
    EXPECT_ERRNO(setxattr("f", "", "x", 1, 0), ERANGE);
    int fd = open("f", O_RDONLY);
    EXPECT(fsetxattr(fd, "user.three", "3", 1, 0) == 0 && fgetxattr(fd, "user.three", buf, 8) == 1);
    CHECK(symlink("f", "l") == 0);
    EXPECT_ERRNO(lsetxattr("l", "user.x", "x", 1, 0), EPERM);
}

static void test_statfs(void)
{
    struct statfs fs;
    EXPECT(statfs("/tmp", &fs) == 0 && fs.f_bsize > 0 && fs.f_namelen == 255 && fs.f_blocks > 0);
    EXPECT(statfs("/proc", &fs) == 0 && fs.f_type == 0x9fa0);
    EXPECT(fstatfs(0, &fs) == 0 || errno == EBADF);
    EXPECT_ERRNO(statfs("/nonexistent", &fs), ENOENT);
    EXPECT_ERRNO(fstatfs(99, &fs), EBADF);
}

/* Pipes and sockets have attributes too; ksh takes a socket's modes away to make a pipe of it. */
static void test_nameless(void)
{
    const struct timespec times[2] = {{5, 0}, {6, 0}};
    struct stat st;
    int ends[2], pair[2];

    CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    EXPECT(fchmod(ends[0], 0640) == 0 && fstat(ends[1], &st) == 0 && st.st_mode == (S_IFIFO | 0640));
    EXPECT(futimens(ends[0], times) == 0 && fstat(ends[0], &st) == 0 && st.st_mtime == 6 && st.st_atime == 5);
    EXPECT(fchmod(pair[0], 0200) == 0 && fstat(pair[0], &st) == 0 && st.st_mode == (S_IFSOCK | 0200));
    EXPECT(fstat(pair[1], &st) == 0 && st.st_mode == (S_IFSOCK | 0777));
    EXPECT(fchown(pair[0], getuid(), getgid()) == 0 && fchown(ends[0], getuid(), getgid()) == 0);
    EXPECT_ERRNO(ftruncate(pair[0], 0), EINVAL);
    EXPECT(write(ends[1], "x", 1) == 1 && write(pair[0], "y", 1) == 1);
}

int main(void)
{
    RUN(test_statx);
    RUN(test_times);
    RUN(test_sizes);
    RUN(test_fallocate);
    RUN(test_holes);
    RUN(test_modes);
    RUN(test_permissions);
    RUN(test_xattr);
    RUN(test_statfs);
    RUN(test_nameless);
    return check_end();
}
