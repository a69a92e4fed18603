/* Locks of files: POSIX, of open file descriptions, and flock: conflicts, ranges, deadlock, inheritance, close, exec.
 */
#include "scratch.h"

#include <sys/file.h>

static int lock_op(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return fcntl(fd, cmd, &l);
}

/* What F_GETLK says to a child: the type of a lock in its way, and its place. */
static int probe(int fd, short type, off_t start, off_t len, struct flock *out)
{
    int fds[2];
    *out = (struct flock){.l_type = type, .l_start = start, .l_len = len};
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(fcntl(fd, F_GETLK, out) == 0);
        _exit(write(fds[1], out, sizeof(*out)) != sizeof(*out));
    }
    CHECK(check_child(pid) == 0 && read(fds[0], out, sizeof(*out)) == sizeof(*out));
    close(fds[0]);
    close(fds[1]);
    return out->l_type;
}

static int make(void)
{
    scratch_enter();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    return fd;
}

static void test_posix(void)
{
    struct flock l;
    int fd = make();
    EXPECT(lock_op(fd, F_SETLK, F_WRLCK, 10, 10) == 0 && lock_op(fd, F_SETLK, F_RDLCK, 30, 0) == 0);
    EXPECT(probe(fd, F_RDLCK, 0, 0, &l) == F_WRLCK && l.l_start == 10 && l.l_len == 10 && l.l_pid == getpid());
    EXPECT(probe(fd, F_WRLCK, 20, 0, &l) == F_RDLCK && l.l_start == 30 && l.l_len == 0);
    EXPECT(probe(fd, F_RDLCK, 30, 5, &l) == F_UNLCK && probe(fd, F_WRLCK, 0, 10, &l) == F_UNLCK);
    /* Splitting, joining and changing. */
    EXPECT(lock_op(fd, F_SETLK, F_UNLCK, 14, 2) == 0 && probe(fd, F_WRLCK, 14, 2, &l) == F_UNLCK);
    EXPECT(probe(fd, F_WRLCK, 14, 10, &l) == F_WRLCK && l.l_start == 16 && l.l_len == 4);
    EXPECT(lock_op(fd, F_SETLK, F_RDLCK, 0, 20) == 0 && probe(fd, F_RDLCK, 0, 20, &l) == F_UNLCK);
    EXPECT(probe(fd, F_WRLCK, 0, 20, &l) == F_RDLCK && l.l_start == 0 && l.l_len == 20);
    pid_t pid = fork();
    if (pid == 0) { /* not inherited */
        EXPECT_ERRNO(lock_op(fd, F_SETLK, F_WRLCK, 5, 1), EAGAIN);
        EXPECT(lock_op(fd, F_SETLK, F_RDLCK, 5, 1) == 0);
        EXPECT(lock_op(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0 && probe(fd, F_WRLCK, 0, 0, &l) == F_RDLCK);
    /* Closing any descriptor of the file drops them all. */
    close(open("f", O_RDONLY));
    EXPECT(probe(fd, F_WRLCK, 0, 0, &l) == F_UNLCK);
    int ro = open("f", O_RDONLY), wo = open("f", O_WRONLY);
    EXPECT_ERRNO(lock_op(ro, F_SETLK, F_WRLCK, 0, 1), EBADF);
    EXPECT_ERRNO(lock_op(wo, F_SETLK, F_RDLCK, 0, 1), EBADF);
    EXPECT_ERRNO(lock_op(fd, F_SETLK, 99, 0, 1), EINVAL);
    EXPECT_ERRNO(lock_op(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL);
    EXPECT_ERRNO(fcntl(fd, F_SETLK, (void *)8), EFAULT);
    EXPECT(lock_op(fd, F_SETLK, F_WRLCK, 100, -50) == 0 && probe(fd, F_WRLCK, 0, 0, &l) == F_WRLCK);
    EXPECT(l.l_start == 50 && l.l_len == 50);
    struct flock end = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = 5, .l_len = 5};
    EXPECT(write(fd, "0123456789", 10) == 10 && fcntl(fd, F_SETLK, &end) == 0);
    EXPECT(probe(fd, F_WRLCK, 0, 20, &l) == F_WRLCK && l.l_start == 15);
}

static void test_wait(void)
{
    int fd = make(), ready[2];
    char c;
    CHECK(pipe(ready) == 0 && lock_op(fd, F_SETLK, F_WRLCK, 0, 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(write(ready[1], "r", 1) == 1);
        _exit(lock_op(fd, F_SETLKW, F_WRLCK, 0, 0) != 0);
    }
    CHECK(read(ready[0], &c, 1) == 1);
    usleep(20000);
    EXPECT(waitpid(pid, NULL, WNOHANG) == 0);
    EXPECT(lock_op(fd, F_SETLK, F_UNLCK, 0, 0) == 0 && check_child(pid) == 0);
    /* The end of a process gives back what it held. */
    EXPECT(lock_op(fd, F_SETLK, F_WRLCK, 0, 0) == 0);
}

static void test_deadlock(void)
{
    int fd = make(), ready[2];
    char c;
    CHECK(pipe(ready) == 0 && lock_op(fd, F_SETLK, F_WRLCK, 0, 1) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(lock_op(fd, F_SETLK, F_WRLCK, 1, 1) == 0 && write(ready[1], "r", 1) == 1);
        int ret = lock_op(fd, F_SETLKW, F_WRLCK, 0, 1);
        _exit(ret == 0 ? 0 : errno);
    }
    CHECK(read(ready[0], &c, 1) == 1);
    usleep(50000);
    /* Either of the two may be told. */
    int ret = lock_op(fd, F_SETLKW, F_WRLCK, 1, 1), error = errno;
    EXPECT(ret == 0 || error == EDEADLK);
    lock_op(fd, F_SETLK, F_UNLCK, 0, 0);
    int child = check_child(pid);
    EXPECT((ret == -1 && child == 0) || (ret == 0 && child == EDEADLK));
}

static void test_ofd(void)
{
    int fd = make(), other = open("f", O_RDWR), copy = dup(fd);
    struct flock l;
    EXPECT(lock_op(fd, F_OFD_SETLK, F_WRLCK, 0, 10) == 0);
    EXPECT_ERRNO(lock_op(other, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN); /* even of the same process */
    EXPECT(lock_op(copy, F_OFD_SETLK, F_RDLCK, 5, 1) == 0);           /* the same description */
    EXPECT(probe(other, F_WRLCK, 0, 5, &l) == F_WRLCK && l.l_pid == -1);
    EXPECT_ERRNO(lock_op(other, F_SETLK, F_WRLCK, 0, 1), EAGAIN);
    pid_t pid = fork();
    if (pid == 0)
        _exit(lock_op(fd, F_OFD_SETLK, F_WRLCK, 0, 20)); /* inherited with the description */
    EXPECT(check_child(pid) == 0);
    close(open("f", O_RDONLY));
    EXPECT_ERRNO(lock_op(other, F_OFD_SETLK, F_WRLCK, 0, 1), EAGAIN);
    close(fd);
    EXPECT_ERRNO(lock_op(other, F_OFD_SETLK, F_WRLCK, 0, 1), EAGAIN);
    close(copy);
    EXPECT(lock_op(other, F_OFD_SETLK, F_WRLCK, 0, 1) == 0);
    l = (struct flock){.l_type = F_WRLCK, .l_pid = 5};
    EXPECT_ERRNO(fcntl(other, F_OFD_SETLK, &l), EINVAL);
}

static void test_flock(void)
{
    int a = make(), b = open("f", O_RDONLY), c = dup(a);
    EXPECT(flock(a, LOCK_SH) == 0 && flock(b, LOCK_SH | LOCK_NB) == 0);
    EXPECT_ERRNO(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    /* A failed change gives up what was held. */
    EXPECT(flock(b, LOCK_UN) == 0 && flock(c, LOCK_EX | LOCK_NB) == 0);
    EXPECT_ERRNO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    EXPECT(lock_op(a, F_SETLK, F_WRLCK, 0, 0) == 0); /* another kind: no conflict */
    close(a);
    EXPECT_ERRNO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    pid_t pid = fork();
    if (pid == 0)
        _exit(flock(c, LOCK_UN)); /* a child shares it, and may give it up */
    EXPECT(check_child(pid) == 0 && flock(b, LOCK_EX | LOCK_NB) == 0);
    EXPECT_ERRNO(flock(b, 0), EINVAL);
    EXPECT_ERRNO(flock(99, LOCK_SH), EBADF);
    pid = fork();
    if (pid == 0) {
        close(b);
        int fd = open("f", O_RDONLY);
        _exit(flock(fd, LOCK_SH));
    }
    usleep(20000);
    EXPECT(waitpid(pid, NULL, WNOHANG) == 0 && close(b) == 0 && check_child(pid) == 0);
}

static void test_exec(void)
{
    int fd = make();
    struct flock l;
    CHECK(lock_op(fd, F_SETLK, F_WRLCK, 0, 0) == 0);
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(lock_op(fd, F_SETLKW, F_WRLCK, 0, 0) == 0);
        execl("/bin/sh", "sh", "-c", "exec sleep 100", NULL);
        _exit(1);
    }
    CHECK(lock_op(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
    for (int i = 0; i < 5000; i++) { /* a lock outlives an exec */
        l = (struct flock){.l_type = F_WRLCK};
        CHECK(fcntl(fd, F_GETLK, &l) == 0);
        char comm[64], name[32] = "";
        snprintf(comm, sizeof(comm), "/proc/%d/comm", (int)pid);
        FILE *f = fopen(comm, "r");
        if (f && fgets(name, sizeof(name), f) && !strcmp(name, "sleep\n"))
            break;
        if (f)
            fclose(f);
        usleep(1000);
    }
    l = (struct flock){.l_type = F_WRLCK};
    EXPECT(fcntl(fd, F_GETLK, &l) == 0 && l.l_type == F_WRLCK && l.l_pid == pid);
    EXPECT(kill(pid, SIGKILL) == 0 && check_child(pid) == 1000 + SIGKILL);
    EXPECT(lock_op(fd, F_SETLK, F_WRLCK, 0, 0) == 0);
}

static void test_lease(void)
{
    int fd = make();
    EXPECT(fcntl(fd, F_GETLEASE) == F_UNLCK || errno == EINVAL);
    EXPECT_ERRNO(fcntl(fd, F_SETLEASE, 99), EINVAL);
}

int main(void)
{
    RUN(test_posix);
    RUN(test_wait);
    RUN(test_deadlock);
    RUN(test_ofd);
    RUN(test_flock);
    RUN(test_exec);
    RUN(test_lease);
    return check_end();
}
