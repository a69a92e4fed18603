/* Names: rename and renameat2, links, symbolic links, mkdir and rmdir, readdir with seeks, getcwd, the *at calls. */
#include "scratch.h"

#include <dirent.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/syscall.h>

static ino_t inode_of(const char *name)
{
    struct stat st;
    return lstat(name, &st) == 0 ? st.st_ino : 0;
}

static void test_rename(void)
{
    scratch_enter();
    scratch_file("a", "a", 0600);
    scratch_file("b", "b", 0600);
    CHECK(mkdir("d", 0755) == 0 && mkdir("d/sub", 0755) == 0 && mkdir("e", 0755) == 0 && symlink("a", "l") == 0);
    ino_t a = inode_of("a"), d = inode_of("d");
    EXPECT(rename("a", "b") == 0 && inode_of("b") == a && access("a", F_OK) == -1);
    EXPECT(rename("b", "b") == 0 && rename("b", "d/sub/x") == 0 && inode_of("d/sub/x") == a);
    EXPECT_ERRNO(rename("none", "x"), ENOENT);
    EXPECT_ERRNO(rename("d", "d/sub/y"), EINVAL);
    EXPECT_ERRNO(rename("e", "d"), ENOTEMPTY);
    EXPECT_ERRNO(rename("d/sub/x", "e"), EISDIR);
    EXPECT_ERRNO(rename("e", "d/sub/x"), ENOTDIR);
    EXPECT_ERRNO(rename("d/sub/x", "d"), ENOTEMPTY); /* a folder above it */
    EXPECT_ERRNO(rename("d/.", "x"), EBUSY);
    EXPECT_ERRNO(rename("d/sub", "d/.."), EBUSY);
    EXPECT_ERRNO(rename("d/sub/x", "new/"), ENOTDIR);
    EXPECT(rename("d", "e") == 0 && inode_of("e") == d); /* over an empty one */
    EXPECT(rename("e", "f/") == 0 && inode_of("f") == d);
    EXPECT(rename("l", "l2") == 0 && inode_of("l2") && rename("f/sub/x", "l2") == 0 && inode_of("l2") == a);
    /* Two names of one file: nothing happens, both stay. */
    CHECK(link("l2", "twin") == 0);
    EXPECT(rename("l2", "twin") == 0 && inode_of("l2") == a && inode_of("twin") == a);
    EXPECT_ERRNO(rename("l2", "/proc/x"), EXDEV);
}

static int rename2(const char *from, const char *to, unsigned flags)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void test_renameat2(void)
{
    scratch_enter();
    scratch_file("a", "a", 0600);
    CHECK(mkdir("d", 0755) == 0 && mkdir("d/in", 0755) == 0);
    ino_t a = inode_of("a"), d = inode_of("d");
    EXPECT_ERRNO(rename2("a", "d", RENAME_NOREPLACE), EEXIST);
    EXPECT(rename2("a", "b", RENAME_NOREPLACE) == 0 && inode_of("b") == a);
    EXPECT(rename2("b", "d", RENAME_EXCHANGE) == 0 && inode_of("d") == a && inode_of("b") == d);
    EXPECT(access("b/in", F_OK) == 0);
    EXPECT_ERRNO(rename2("b", "none", RENAME_EXCHANGE), ENOENT);
    EXPECT_ERRNO(rename2("b", "b/in", RENAME_EXCHANGE), EINVAL);
    EXPECT_ERRNO(rename2("d", "x", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
    EXPECT_ERRNO(rename2("d", "x", 0x100), EINVAL);
}

static void test_link(void)
{
    struct stat st;
    scratch_enter();
    scratch_file("f", "", 0600);
    CHECK(mkdir("d", 0755) == 0 && symlink("f", "l") == 0);
    EXPECT(link("f", "h") == 0 && stat("f", &st) == 0 && st.st_nlink == 2 && inode_of("h") == st.st_ino);
    EXPECT_ERRNO(link("f", "h"), EEXIST);
    EXPECT_ERRNO(link("d", "d2"), EPERM);
    EXPECT_ERRNO(link("none", "x"), ENOENT);
    EXPECT_ERRNO(link("f/x", "x"), ENOTDIR);
    EXPECT_ERRNO(link("f", "x/"), ENOENT);
    EXPECT(link("l", "l2") == 0 && inode_of("l2") == inode_of("l")); /* the link itself */
    EXPECT(linkat(AT_FDCWD, "l", AT_FDCWD, "f2", AT_SYMLINK_FOLLOW) == 0 && inode_of("f2") == st.st_ino);
    EXPECT_ERRNO(linkat(AT_FDCWD, "f", AT_FDCWD, "x", 0x1), EINVAL);
    int fd = open("f", O_RDONLY);
    CHECK(unlink("f") == 0 && unlink("h") == 0 && unlink("f2") == 0);
    EXPECT(fstat(fd, &st) == 0 && st.st_nlink == 0);
    char proc[64];
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    EXPECT_ERRNO(linkat(AT_FDCWD, proc, AT_FDCWD, "back", AT_SYMLINK_FOLLOW), ENOENT);
}

static void test_symlink(void)
{
    char buf[64], big[PATH_MAX + 1], *volatile nowhere = (char *)8;
    struct stat st;
    scratch_enter();
    EXPECT(symlink("some/where", "l") == 0 && readlink("l", buf, 4) == 4 && !memcmp(buf, "some", 4));
    EXPECT(lstat("l", &st) == 0 && st.st_size == 10 && (st.st_mode & 0777) == 0777);
    EXPECT_ERRNO(symlink("x", "l"), EEXIST);
    EXPECT_ERRNO(symlink("", "e"), ENOENT);
    EXPECT_ERRNO(symlink("x", ""), ENOENT);
    EXPECT_ERRNO(symlink("x", "none/l"), ENOENT);
    EXPECT_ERRNO(symlink("x", "new/"), ENOENT);
    EXPECT_ERRNO(readlink(".", buf, 64), EINVAL);
    EXPECT_ERRNO(readlink("none", buf, 64), ENOENT);
    EXPECT_ERRNO(readlink("l", buf, 0), EINVAL);
    EXPECT_ERRNO(readlink("l", nowhere, 10), EFAULT);
    memset(big, 'x', PATH_MAX);
    big[PATH_MAX] = 0;
    EXPECT_ERRNO(symlink(big, "big"), ENAMETOOLONG);
    big[PATH_MAX - 1] = 0;
    EXPECT(symlink(big, "big") == 0 && lstat("big", &st) == 0 && st.st_size == PATH_MAX - 1);
    CHECK(mkdir("d", 0755) == 0 && symlink("d", "ld") == 0 && symlink("../l3", "d/l3") == 0 &&
          symlink("d/../d", "l3") == 0);
    EXPECT(stat("d/l3", &st) == 0 && S_ISDIR(st.st_mode) && lstat("ld/", &st) == 0 && S_ISDIR(st.st_mode));
    EXPECT_ERRNO(unlink("ld/"), ENOTDIR);
    EXPECT_ERRNO(rmdir("ld"), ENOTDIR);
    EXPECT_ERRNO(rmdir("ld/"), ENOTDIR);
    EXPECT_ERRNO(chdir("l"), ENOENT);
}

static void test_mkdir(void)
{
    struct stat st;
    scratch_enter();
    EXPECT(mkdir("d/", 0755) == 0 && stat("d", &st) == 0 && st.st_nlink == 2);
    EXPECT(mkdir("d/a", 0755) == 0 && mkdir("d/b", 0755) == 0 && stat("d", &st) == 0 && st.st_nlink == 4);
    EXPECT_ERRNO(mkdir("d", 0755), EEXIST);
    EXPECT_ERRNO(mkdir("", 0755), ENOENT);
    EXPECT_ERRNO(mkdir("/", 0755), EEXIST);
    EXPECT_ERRNO(mkdir("x/y", 0755), ENOENT);
    CHECK(symlink("nowhere", "l") == 0);
    EXPECT_ERRNO(mkdir("l", 0755), EEXIST);
    EXPECT_ERRNO(mkdir("l/", 0755), EEXIST);
    EXPECT_ERRNO(rmdir("d"), ENOTEMPTY);
    EXPECT_ERRNO(rmdir("d/."), EINVAL);
    EXPECT_ERRNO(rmdir("d/a/.."), ENOTEMPTY);
    EXPECT_ERRNO(rmdir("none"), ENOENT);
    EXPECT_ERRNO(rmdir("/"), EBUSY);
    EXPECT_ERRNO(unlink("d"), EISDIR);
    EXPECT_ERRNO(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR), ENOTEMPTY);
    EXPECT_ERRNO(unlinkat(AT_FDCWD, "d", 0x100), EINVAL);
    EXPECT(unlinkat(AT_FDCWD, "d/a/", AT_REMOVEDIR) == 0 && rmdir("d/b/") == 0);
    umask(022);
    EXPECT(mkdir("s", 01777) == 0 && stat("s", &st) == 0 && (st.st_mode & 07777) == 01755);
}

static void test_getcwd(void)
{
    char buf[PATH_MAX], want[128];
    scratch_enter();
    CHECK(mkdir("d", 0755) == 0 && chdir("d") == 0);
    snprintf(want, sizeof(want), "%s/d", scratch_path);
    EXPECT(getcwd(buf, sizeof(buf)) && !strcmp(buf, want));
    EXPECT(syscall(SYS_getcwd, buf, sizeof(buf)) == (long)strlen(want) + 1);
    EXPECT_ERRNO(syscall(SYS_getcwd, buf, 3), ERANGE);
    snprintf(want, sizeof(want), "%s/moved", scratch_path);
    EXPECT(rename("../d", "../moved") == 0 && getcwd(buf, sizeof(buf)) && !strcmp(buf, want));
    EXPECT(rmdir("../moved") == 0);
    EXPECT_ERRNO(syscall(SYS_getcwd, buf, sizeof(buf)), ENOENT);
    EXPECT_ERRNO(mkdir("x", 0755), ENOENT);
    EXPECT_ERRNO(open("x", O_CREAT | O_WRONLY, 0600), ENOENT);
    EXPECT(open(".", O_RDONLY) >= 0 && chdir("..") == 0);
    strcat(want, " (deleted)");
    EXPECT(readlink("/proc/self/cwd", buf, sizeof(buf)) == (ssize_t)strlen(scratch_path));
    scratch_file("f", "", 0600);
    EXPECT_ERRNO(chdir("f"), ENOTDIR);
    EXPECT_ERRNO(fchdir(open("f", O_RDONLY)), ENOTDIR);
    EXPECT_ERRNO(fchdir(99), EBADF);
}

static void test_readdir(void)
{
    char name[16], first[256];
    scratch_enter();
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        scratch_file(name, "", 0600);
    }
    DIR *d = opendir(".");
    struct dirent *e;
    long places[60];
    int count = 0, dots = 0;
    for (places[0] = telldir(d); (e = readdir(d)); places[count] = telldir(d)) {
        dots += !strcmp(e->d_name, ".") + !strcmp(e->d_name, "..");
        if (count == 20)
            strcpy(first, e->d_name);
        count++;
        CHECK(count < 60);
    }
    EXPECT(count == 52 && dots == 2);
    seekdir(d, places[20]);
    EXPECT((e = readdir(d)) && !strcmp(e->d_name, first));
    rewinddir(d);
    for (count = 0; (e = readdir(d)); count++)
        if (e->d_name[0] == 'f')
            CHECK(unlink(e->d_name) == 0);
    EXPECT(count == 52);
    rewinddir(d);
    for (count = 0; readdir(d); count++)
        ;
    EXPECT(count == 2);
    scratch_file("late", "", 0600);
    rewinddir(d);
    for (count = 0; (e = readdir(d));)
        count += !strcmp(e->d_name, "late");
    EXPECT(count == 1);
    char buf[512];
    int fd = open(".", O_RDONLY), file = open("late", O_RDONLY);
    EXPECT_ERRNO(syscall(SYS_getdents64, file, buf, sizeof(buf)), ENOTDIR);
    EXPECT_ERRNO(syscall(SYS_getdents64, fd, buf, 10), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getdents64, 99, buf, sizeof(buf)), EBADF);
    EXPECT(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0 && syscall(SYS_getdents64, fd, buf, sizeof(buf)) == 0);
    EXPECT(lseek(fd, 0, SEEK_SET) == 0 && syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0);
    EXPECT(read(fd, buf, 10) == -1 && (errno == EISDIR || errno == EINVAL));
    CHECK(mkdir("gone", 0755) == 0);
    fd = open("gone", O_RDONLY);
    CHECK(rmdir("gone") == 0);
    EXPECT_ERRNO(syscall(SYS_getdents64, fd, buf, sizeof(buf)), ENOENT);
}

static void test_types(void)
{
    scratch_enter();
    scratch_file("f", "", 0600);
    CHECK(mkdir("d", 0700) == 0 && symlink("f", "l") == 0 && mkfifo("p", 0600) == 0);
    DIR *d = opendir(".");
    int right = 0;
    for (struct dirent *e; (e = readdir(d));) {
        right += e->d_name[0] == 'f' && e->d_type == DT_REG && e->d_ino == inode_of("f");
        right += e->d_name[0] == 'd' && e->d_type == DT_DIR && e->d_ino == inode_of("d");
        right += e->d_name[0] == 'l' && e->d_type == DT_LNK && e->d_ino == inode_of("l");
        right += e->d_name[0] == 'p' && e->d_type == DT_FIFO && e->d_ino == inode_of("p");
    }
    EXPECT(right == 4);
    struct stat st;
    EXPECT(mknod("reg", S_IFREG | 0640, 0) == 0 && stat("reg", &st) == 0 && S_ISREG(st.st_mode));
    EXPECT(mknod("plain", 0600, 0) == 0 && stat("plain", &st) == 0 && S_ISREG(st.st_mode));
    EXPECT(mknod("sock", S_IFSOCK | 0600, 0) == 0 && stat("sock", &st) == 0 && S_ISSOCK(st.st_mode));
    EXPECT_ERRNO(mknod("dir", S_IFDIR | 0700, 0), EPERM);
    EXPECT_ERRNO(mknod("f", S_IFREG | 0600, 0), EEXIST);
    EXPECT_ERRNO(open("sock", O_RDONLY), ENXIO);
}

int main(void)
{
    RUN(test_rename);
    RUN(test_renameat2);
    RUN(test_link);
    RUN(test_symlink);
    RUN(test_mkdir);
    RUN(test_getcwd);
    RUN(test_readdir);
    RUN(test_types);
    return check_end();
}
