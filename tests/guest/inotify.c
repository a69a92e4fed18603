/* inotify(7): what each change reports, to a file's own watches and to its directory's; masks, merging, limits. */
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int in;          /* the instance */
static char seen[8000]; /* what came, as text */
static uint32_t cookies[2];

static const struct {
    uint32_t bit;
    const char *name;
} names[] = {
    {IN_ACCESS, "ACCESS"},       {IN_MODIFY, "MODIFY"},   {IN_ATTRIB, "ATTRIB"},    {IN_CLOSE_WRITE, "CLOSE_WRITE"},
    {IN_CLOSE_NOWRITE, "CLOSE"}, {IN_OPEN, "OPEN"},       {IN_MOVED_FROM, "FROM"},  {IN_MOVED_TO, "TO"},
    {IN_CREATE, "CREATE"},       {IN_DELETE, "DELETE"},   {IN_DELETE_SELF, "GONE"}, {IN_MOVE_SELF, "MOVED"},
    {IN_Q_OVERFLOW, "OVERFLOW"}, {IN_IGNORED, "IGNORED"}, {IN_ISDIR, "DIR"},
};

/* Reads all there is: "wd:EVENT|EVENT:name " each. */
static const char *events(void)
{
    static char buf[65536] __attribute__((aligned(8)));
    size_t at = 0;
    ssize_t n;
    int moves = 0;
    seen[0] = '\0';
    while ((n = read(in, buf, sizeof(buf))) > 0) {
        for (char *p = buf; p < buf + n;) {
            struct inotify_event *e = (void *)p;
            if (at + 300 < sizeof(seen)) {
                at += (size_t)snprintf(seen + at, sizeof(seen) - at, "%d", e->wd);
                for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                    if (e->mask & names[i].bit)
                        at += (size_t)snprintf(seen + at, sizeof(seen) - at, ":%s", names[i].name);
                at += (size_t)snprintf(seen + at, sizeof(seen) - at, e->len ? ":%s " : " ", e->name);
            }
            if (e->mask & (IN_MOVED_FROM | IN_MOVED_TO))
                cookies[moves++ % 2] = e->cookie;
            else
                CHECK(e->cookie == 0);
            CHECK(e->len % sizeof(*e) == 0);
            p += sizeof(*e) + e->len;
        }
    }
    CHECK(n == -1 && errno == EAGAIN);
    if (at)
        seen[at - 1] = '\0';
    return seen;
}

#define EVENTS(want)                                                                                                   \
    do {                                                                                                               \
        const char *got = events();                                                                                    \
        if (strcmp(got, want)) {                                                                                       \
            fprintf(stderr, "%s:%d: got  \"%s\"\n wanted \"%s\"\n", __FILE__, __LINE__, got, want);                    \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void touch(const char *name)
{
    CHECK(close(open(name, O_CREAT | O_WRONLY, 0644)) == 0);
}

static void test_arguments(void)
{
    CHECK_ERRNO(inotify_init1(1), EINVAL);
    in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    CHECK(in >= 0 && (fcntl(in, F_GETFL) & O_NONBLOCK) && fcntl(in, F_GETFD) == FD_CLOEXEC);
    CHECK_ERRNO(inotify_add_watch(in, "none", IN_OPEN), ENOENT);
    CHECK_ERRNO(inotify_add_watch(in, ".", 0), EINVAL);
    CHECK_ERRNO(inotify_add_watch(0x7fff, ".", IN_OPEN), EBADF);
    CHECK_ERRNO(inotify_add_watch(0, ".", IN_OPEN), EINVAL);
    touch("f");
    CHECK_ERRNO(inotify_add_watch(in, "f", IN_OPEN | IN_ONLYDIR), ENOTDIR);
    CHECK_ERRNO(inotify_add_watch(in, "f", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE), EINVAL);
    CHECK_ERRNO(inotify_rm_watch(in, 77), EINVAL);
    CHECK_ERRNO(write(in, "x", 1), EBADF);
    char c;
    CHECK_ERRNO(read(in, &c, 1), EAGAIN);
    CHECK(unlink("f") == 0);
    close(in);
}

static void start(void)
{
    in = inotify_init1(IN_NONBLOCK);
    CHECK(in >= 0);
}

static void test_directory(void)
{
    start();
    CHECK(inotify_add_watch(in, ".", IN_ALL_EVENTS) == 1);
    touch("a");
    EVENTS("1:CREATE:a 1:OPEN:a 1:CLOSE_WRITE:a");
    int fd = open("a", O_RDWR);
    char c;
    CHECK(write(fd, "xy", 2) == 2 && lseek(fd, 0, SEEK_SET) == 0 && read(fd, &c, 1) == 1 && read(fd, &c, 0) == 0);
    EVENTS("1:OPEN:a 1:MODIFY:a 1:ACCESS:a");
    CHECK(ftruncate(fd, 1) == 0 && fchmod(fd, 0600) == 0);
    EVENTS("1:MODIFY:a 1:ATTRIB:a");
    close(fd);
    CHECK(close(open("a", O_RDONLY)) == 0 && close(open("a", O_PATH)) == 0);
    EVENTS("1:CLOSE_WRITE:a 1:OPEN:a 1:CLOSE:a");
    CHECK(mkdir("d", 0755) == 0 && link("a", "b") == 0 && symlink("a", "s") == 0 && mkfifo("p", 0600) == 0);
    EVENTS("1:CREATE:DIR:d 1:CREATE:b 1:CREATE:s 1:CREATE:p");
    CHECK(rename("b", "c") == 0);
    EVENTS("1:FROM:b 1:TO:c");
    CHECK(cookies[0] == cookies[1] && cookies[0]);
    CHECK(rename("c", "d/c") == 0);
    EVENTS("1:FROM:c");
    touch("d/inside"); /* is the business of watches on d */
    CHECK(chmod("d", 0700) == 0);
    EVENTS("1:ATTRIB:DIR:d");
    CHECK(rename("d/c", "c") == 0);
    EVENTS("1:TO:c");
    CHECK(unlink("c") == 0 && unlink("s") == 0 && unlink("p") == 0 && unlink("d/inside") == 0 && rmdir("d") == 0);
    EVENTS("1:DELETE:c 1:DELETE:s 1:DELETE:p 1:DELETE:DIR:d");
    CHECK(truncate("a", 0) == 0);
    EVENTS("1:MODIFY:a");
    struct timespec ts[2] = {{.tv_sec = 1}, {.tv_sec = 2}};
    CHECK(utimensat(AT_FDCWD, "a", ts, 0) == 0);
    EVENTS("1:ATTRIB:a");
    CHECK(unlink("a") == 0);
    EVENTS("1:DELETE:a");
    close(in);
}

static void test_file(void)
{
    start();
    touch("f");
    int wd = inotify_add_watch(in, "f", IN_ALL_EVENTS);
    CHECK(wd == 1 && inotify_add_watch(in, "f", IN_ALL_EVENTS) == 1);
    CHECK_ERRNO(inotify_add_watch(in, "f", IN_OPEN | IN_MASK_CREATE), EEXIST);
    CHECK(rename("f", "g") == 0);
    EVENTS("1:MOVED");
    int fd = open("g", O_WRONLY | O_APPEND);
    CHECK(write(fd, "a", 1) == 1 && write(fd, "b", 1) == 1);
    EVENTS("1:OPEN 1:MODIFY"); /* two alike are one */
    CHECK(unlink("g") == 0);
    EVENTS("1:ATTRIB"); /* a link less, but it is still open */
    CHECK(write(fd, "c", 1) == 1);
    EVENTS("1:MODIFY");
    close(fd);
    EVENTS("1:CLOSE_WRITE 1:GONE 1:IGNORED");
    CHECK_ERRNO(inotify_rm_watch(in, 1), EINVAL);
    touch("f");
    CHECK(inotify_add_watch(in, "f", IN_ALL_EVENTS) == 2); /* numbers are not reused */
    CHECK(link("f", "h") == 0 && unlink("f") == 0);
    EVENTS("2:ATTRIB");
    touch("n");
    CHECK(rename("n", "h") == 0);
    EVENTS("2:ATTRIB 2:GONE 2:IGNORED");
    /* By a link's own name; and a directory's end. */
    CHECK(symlink("h", "s") == 0 && mkdir("d", 0700) == 0);
    CHECK(inotify_add_watch(in, "s", IN_ATTRIB | IN_DELETE_SELF | IN_DONT_FOLLOW) == 3);
    CHECK(inotify_add_watch(in, "d", IN_ALL_EVENTS | IN_ONLYDIR) == 4);
    CHECK(unlink("s") == 0 && rmdir("d") == 0);
    EVENTS("3:ATTRIB 3:GONE 3:IGNORED 4:GONE 4:IGNORED");
    CHECK(unlink("h") == 0);
    close(in);
}

static void test_masks(void)
{
    start();
    touch("f");
    CHECK(inotify_add_watch(in, "f", IN_OPEN) == 1);
    CHECK(inotify_add_watch(in, ".", IN_DELETE) == 2);
    touch("f");
    EVENTS("1:OPEN");
    CHECK(inotify_add_watch(in, "f", IN_CLOSE | IN_MASK_ADD) == 1);
    touch("f");
    EVENTS("1:OPEN 1:CLOSE_WRITE");
    CHECK(inotify_add_watch(in, "f", IN_CLOSE) == 1);
    touch("f");
    EVENTS("1:CLOSE_WRITE");
    CHECK(inotify_add_watch(in, "f", IN_OPEN | IN_ONESHOT) == 1);
    touch("f");
    EVENTS("1:OPEN 1:IGNORED");
    CHECK(inotify_add_watch(in, "f", IN_OPEN) == 3 && inotify_rm_watch(in, 3) == 0);
    touch("f");
    EVENTS("3:IGNORED");
    /* A file that has left the directory: reported there, or not. */
    CHECK(inotify_add_watch(in, ".", IN_MODIFY) == 2);
    int fd = open("f", O_WRONLY);
    CHECK(unlink("f") == 0 && write(fd, "x", 1) == 1);
    EVENTS("2:MODIFY:f");
    CHECK(inotify_add_watch(in, ".", IN_MODIFY | IN_EXCL_UNLINK) == 2 && write(fd, "x", 1) == 1);
    EVENTS("");
    close(fd);
    close(in);
}

static void test_reading(void)
{
    char buf[100], name[] = "a-name-of-23-characters";
    int n;
    start();
    CHECK(inotify_add_watch(in, ".", IN_CREATE) == 1);
    struct pollfd p = {.fd = in, .events = POLLIN};
    CHECK(poll(&p, 1, 0) == 0);
    touch("x");
    touch(name);
    CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
    CHECK(ioctl(in, FIONREAD, &n) == 0 && n == 32 + 48);
    CHECK_ERRNO(read(in, buf, 31), EINVAL);
    CHECK(read(in, buf, 60) == 32 && read(in, buf, 60) == 48);
    CHECK(unlink("x") == 0 && unlink(name) == 0);
    /* A reader that waits. */
    CHECK(fcntl(in, F_SETFL, 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(30000);
        touch("late");
        _exit(0);
    }
    CHECK(read(in, buf, 100) == 32);
    CHECK(waitpid(pid, NULL, 0) == pid && unlink("late") == 0);
    close(in);
}

static void test_overflow(void)
{
    int most = 16384;
    FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    if (f) {
        CHECK(fscanf(f, "%d", &most) == 1);
        fclose(f);
    }
    start();
    touch("a");
    CHECK(inotify_add_watch(in, "a", IN_OPEN | IN_CLOSE) == 1);
    for (int i = 0; i < most; i++)
        touch("a");
    int n, count = 0, over = 0;
    CHECK(ioctl(in, FIONREAD, &n) == 0 && n == (most + 1) * 16);
    static struct inotify_event e[1000];
    for (ssize_t got; (got = read(in, e, sizeof(e))) > 0;)
        for (int i = 0; i < got / 16; i++) {
            count++;
            over += e[i].wd == -1 && e[i].mask == IN_Q_OVERFLOW;
        }
    CHECK(count == most + 1 && over == 1);
    touch("a");
    EVENTS("1:OPEN 1:CLOSE_WRITE");
    CHECK(unlink("a") == 0);
    EVENTS("1:IGNORED");
    close(in);
}

static void test_others(void)
{
    /* Two instances, and an instance that goes while it watches. */
    int other = inotify_init1(IN_NONBLOCK);
    start();
    touch("a");
    CHECK(inotify_add_watch(in, "a", IN_OPEN) == 1 && inotify_add_watch(other, "a", IN_OPEN) == 1);
    close(other);
    touch("a");
    EVENTS("1:OPEN");
    CHECK(unlink("a") == 0);
    /* Directory reads, and attributes. */
    CHECK(inotify_add_watch(in, ".", IN_ACCESS | IN_ATTRIB) == 2);
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    char buf[1000];
    events();
    CHECK(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0);
    EVENTS("2:ACCESS:DIR");
    close(fd);
    if (geteuid() == 0) {
        touch("b");
        CHECK(chown("b", 1, 1) == 0);
        EVENTS("2:ATTRIB:b");
        CHECK(unlink("b") == 0);
    }
    close(in);
}

int main(void)
{
    char dir[] = "/tmp/inotifyXXXXXX";
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    test_arguments();
    test_directory();
    test_file();
    test_masks();
    test_reading();
    test_overflow();
    test_others();
    CHECK(chdir("/") == 0 && rmdir(dir) == 0);
    return 0;
}
