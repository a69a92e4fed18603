/* Files and directories in /tmp: open flags, rename, links, readdir, attributes, holes, mmap of files, errors. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_file(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(close(fd) == 0);
}

static void test_open(void)
{
    char buf[32];
    write_file("a", "hello world");
    CHECK_ERRNO(open("a", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
    CHECK_ERRNO(open("none", O_RDONLY), ENOENT);
    CHECK_ERRNO(open("a/b", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(open("a", O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(open(".", O_WRONLY), EISDIR);
    int fd = open("a", O_RDWR | O_APPEND);
    CHECK(fd >= 0 && write(fd, "!", 1) == 1);
    CHECK(pread(fd, buf, sizeof(buf), 6) == 6 && !memcmp(buf, "world!", 6));
    CHECK(lseek(fd, 0, SEEK_END) == 12 && lseek(fd, -2, SEEK_CUR) == 10);
    CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK(ftruncate(fd, 100000) == 0);
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && st.st_size == 100000 && S_ISREG(st.st_mode) && st.st_nlink == 1);
    struct iovec iov[2] = {{"ab", 2}, {"cd", 2}};
    CHECK(pwritev(fd, iov, 2, 0) >= 0);
    CHECK(close(fd) == 0);
    CHECK_ERRNO(close(fd), EBADF);
    CHECK_ERRNO(write(fd, "x", 1), EBADF);
}

static void test_names(void)
{
    struct stat st;
    char buf[PATH_MAX];
    CHECK(mkdir("d", 0755) == 0);
    CHECK_ERRNO(mkdir("d", 0755), EEXIST);
    write_file("d/x", "1");
    CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
    CHECK(rename("d/x", "d/y") == 0 && access("d/x", F_OK) == -1);
    CHECK(symlink("d/y", "l") == 0);
    CHECK(readlink("l", buf, sizeof(buf)) == 3 && !memcmp(buf, "d/y", 3));
    CHECK(lstat("l", &st) == 0 && S_ISLNK(st.st_mode) && stat("l", &st) == 0 && S_ISREG(st.st_mode));
    CHECK_ERRNO(open("l", O_NOFOLLOW), ELOOP);
    CHECK(link("d/y", "hard") == 0 && stat("hard", &st) == 0 && st.st_nlink == 2);
    CHECK(symlink("loop", "loop") == 0);
    CHECK_ERRNO(stat("loop", &st), ELOOP);
    CHECK_ERRNO(rename("d", "d/sub"), EINVAL);
    CHECK_ERRNO(unlink("d"), EISDIR);
    CHECK_ERRNO(rmdir("hard"), ENOTDIR);
    CHECK(unlink("hard") == 0 && unlink("loop") == 0 && unlink("l") == 0);
    CHECK(mkdir("e", 0755) == 0 && rename("d", "e") == 0 && access("e/y", F_OK) == 0);
    CHECK(chdir("e") == 0 && getcwd(buf, sizeof(buf)) && !strcmp(strrchr(buf, '/'), "/e") && chdir("..") == 0);
    memset(buf, 'n', 300);
    buf[300] = 0;
    CHECK_ERRNO(mkdir(buf, 0755), ENAMETOOLONG);
    CHECK(unlink("e/y") == 0 && rmdir("e") == 0);
}

static void test_readdir(void)
{
    char name[32];
    CHECK(mkdir("many", 0755) == 0);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "many/file%d", i);
        write_file(name, "");
    }
    DIR *d = opendir("many");
    int seen = 0;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            seen++;
            CHECK(e->d_type == DT_REG && unlinkat(dirfd(d), e->d_name, 0) == 0);
        }
    CHECK(seen == 300 && closedir(d) == 0 && rmdir("many") == 0);
}

static void test_attributes(void)
{
    struct stat st;
    CHECK(chmod("a", 0600) == 0 && stat("a", &st) == 0 && (st.st_mode & 07777) == 0600);
    struct timespec ts[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 7}};
    CHECK(utimensat(AT_FDCWD, "a", ts, 0) == 0 && stat("a", &st) == 0);
    CHECK(st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7);
    mode_t old = umask(077);
    write_file("m", "");
    CHECK(stat("m", &st) == 0 && (st.st_mode & 0777) == 0600);
    umask(old);
    CHECK(unlink("m") == 0);
}

static void test_mmap(void)
{
    int fd = open("map", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 8192) == 0);
    char *s = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(s != MAP_FAILED && p != MAP_FAILED);
    strcpy(s, "shared");
    strcpy(p + 4096, "private");
    char buf[8] = "";
    CHECK(pread(fd, buf, 6, 0) == 6 && !strcmp(buf, "shared") && !strcmp(p, "shared"));
    CHECK(pread(fd, buf, 7, 4096) == 7 && buf[0] == 0);
    pid_t pid = fork();
    if (pid == 0) {
        strcpy(s, "child");
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid && !strcmp(s, "child"));
    CHECK(munmap(s, 8192) == 0 && munmap(p, 8192) == 0);
    int ro = open("map", O_RDONLY);
    CHECK(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED && errno == EACCES);
    close(ro);
    close(fd);
    CHECK(unlink("map") == 0);
}

int main(void)
{
    char dir[] = "/tmp/filesXXXXXX";
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    test_open();
    test_names();
    test_readdir();
    test_attributes();
    test_mmap();
    CHECK(unlink("a") == 0 && chdir("/") == 0 && rmdir(dir) == 0);
    return 0;
}
