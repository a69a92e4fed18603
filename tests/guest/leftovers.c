/*
 * What used to be half done: RWF flags, epoll with a bad buffer, splice into a failing sink, mremap over several
 * mappings, affinity, counts and numbers in /proc, recursive binds and moves of mounts.
 */
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_rwf(void)
{
    struct iovec v = {"xy", 2};
    char buf[16];

    int fd = open("rwf", O_CREAT | O_RDWR, 0600);
    CHECK(fd >= 0 && write(fd, "hello", 5) == 5);
    CHECK(pwritev2(fd, &v, 1, 0, RWF_APPEND) == 2);
    CHECK(pread(fd, buf, sizeof(buf), 0) == 7 && !memcmp(buf, "helloxy", 7));
    CHECK(lseek(fd, 1, SEEK_SET) == 1 && pwritev2(fd, &v, 1, -1, RWF_APPEND) == 2 && lseek(fd, 0, SEEK_CUR) == 9);
    v.iov_base = buf;
    ssize_t n = preadv2(fd, &v, 1, 0, RWF_NOWAIT);
    CHECK((n == 2 && !memcmp(buf, "he", 2)) || errno == EOPNOTSUPP || errno == EAGAIN);
    CHECK_ERRNO(preadv2(fd, &v, 1, 0, 0x4000), EOPNOTSUPP);
    CHECK_ERRNO(preadv2(fd, &v, 1, -2, 0), EINVAL);
    close(fd);
}

/* An edge that could not be told is told later. */
static void test_epoll_fault(void)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET}, shot = {.events = EPOLLIN | EPOLLONESHOT};
    int ep = epoll_create1(0), a = eventfd(1, 0), b = eventfd(1, 0);

    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, b, &shot) == 0);
    struct epoll_event *volatile nowhere = (struct epoll_event *)16;
    CHECK_ERRNO(epoll_wait(ep, nowhere, 4, 0), EFAULT);
    struct epoll_event got[4];
    CHECK(epoll_wait(ep, got, 4, 0) == 2);
    CHECK(epoll_wait(ep, got, 4, 0) == 0);
    close(a);
    close(b);
    close(ep);
}

/* A sink that refuses leaves the bytes in the pipe. */
static void test_splice(void)
{
    char buf[64];
    int p[2];

    CHECK(pipe(p) == 0 && write(p[1], "0123456789", 10) == 10);
    int full = open("/dev/full", O_WRONLY);
    CHECK(full >= 0);
    CHECK(splice(p[0], NULL, full, NULL, 10, 0) == -1);
    close(full);
    CHECK(read(p[0], buf, sizeof(buf)) == 10 && !memcmp(buf, "0123456789", 10));
    close(p[0]);
    close(p[1]);
}

static void test_mremap(void)
{
    int fd = open("map", O_CREAT | O_RDWR, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 4 * 4096) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pwrite(fd, &(char){(char)('a' + i)}, 1, i * 4096) == 1);
    char *m = mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(m != MAP_FAILED);
    CHECK(mmap(m, 2 * 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == m);
    CHECK(mmap(m + 2 * 4096, 2 * 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 2 * 4096) == m + 2 * 4096);
    /* Neighbours in the file are one mapping, which shrinks, grows and moves as one. */
    CHECK(mremap(m, 4 * 4096, 3 * 4096, 0) == m && m[2 * 4096] == 'c');
    char *to = mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mremap(m, 3 * 4096, 4 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    CHECK(to[0] == 'a' && to[3 * 4096] == 'd');
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned long total = 0, start, end;
    while (fgets(line, sizeof(line), maps))
        if (strstr(line, "/map\n") && sscanf(line, "%lx-%lx", &start, &end) == 2)
            total += end - start;
    fclose(maps);
    CHECK(total == 4 * 4096);
    close(fd);
}

static void test_affinity(void)
{
    cpu_set_t all, one, now;
    int cpu = -1;

    CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all))
            cpu = i;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
    CHECK(sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&now, &one) && sched_getcpu() == cpu);
    CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
}

static unsigned long io_field(const char *name)
{
    char text[512] = "";
    int fd = open("/proc/self/io", O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && close(fd) == 0);
    char *at = strstr(text, name);
    CHECK(at);
    return strtoul(at + strlen(name), NULL, 10);
}

static void test_proc(void)
{
    char buf[100] = "", text[16];

    if (access("/proc/self/io", R_OK) == 0) {
        unsigned long wrote = io_field("wchar: "), calls = io_field("syscw: ");
        int fd = open("/dev/null", O_WRONLY);
        CHECK(write(fd, buf, 100) == 100 && close(fd) == 0);
        CHECK(io_field("wchar: ") >= wrote + 100 && io_field("syscw: ") >= calls + 1);
    }
    int adj = open("/proc/self/oom_score_adj", O_RDWR);
    CHECK(adj >= 0 && write(adj, "17", 2) == 2);
    pid_t pid = fork();
    if (pid == 0) {
        int own = open("/proc/self/oom_score_adj", O_RDWR);
        CHECK(read(own, text, sizeof(text)) > 0 && atoi(text) == 17);
        CHECK(pwrite(own, "20", 2, 0) == 2);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(pread(adj, text, sizeof(text), 0) > 0 && atoi(text) == 17);
    CHECK_ERRNO(pwrite(adj, "2000", 4, 0), EINVAL);
    CHECK(pwrite(adj, "0", 1, 0) == 1 || errno == EACCES);
    close(adj);
}

static void test_mounts(void)
{
    if (mount("t", "m1", "tmpfs", 0, NULL) < 0) {
        CHECK(errno == EPERM || errno == ENOENT);
        return;
    }
    CHECK(mkdir("m1/sub", 0700) == 0 && mount("t2", "m1/sub", "tmpfs", 0, NULL) == 0);
    CHECK(close(open("m1/sub/deep", O_CREAT | O_WRONLY, 0600)) == 0);
    CHECK(mount("m1", "m2", NULL, MS_BIND, NULL) == 0 && access("m2/sub/deep", F_OK) == -1);
    CHECK(umount("m2") == 0);
    CHECK(mount("m1", "m2", NULL, MS_BIND | MS_REC, NULL) == 0 && access("m2/sub/deep", F_OK) == 0);
    CHECK(mount("m2", "m3", NULL, MS_MOVE, NULL) == 0);
    CHECK(access("m3/sub/deep", F_OK) == 0 && access("m2/sub", F_OK) == -1);
    CHECK_ERRNO(mount("m3", "m3/sub", NULL, MS_MOVE, NULL), ELOOP);
    CHECK_ERRNO(mount("m2", "m1", NULL, MS_MOVE, NULL), EINVAL);
    CHECK_ERRNO(umount("m3"), EBUSY);
    CHECK(umount("m3/sub") == 0 && umount("m3") == 0);
    CHECK(access("m1/sub/deep", F_OK) == 0 && umount("m1/sub") == 0 && umount("m1") == 0);
}

static bool is_mounted(const char *source)
{
    char text[65536];
    int fd = open("/proc/self/mounts", O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    CHECK(n > 0 && close(fd) == 0);
    text[n] = '\0';
    return strstr(text, source) != NULL;
}

/* MNT_DETACH takes off what is mounted below, too; who is in it sees it bare, and can mount nothing there. */
static void test_lazy_umount(void)
{
    if (mount("lazy-outer", "m1", "tmpfs", 0, NULL) < 0)
        return;
    CHECK(mkdir("m1/sub", 0700) == 0 && mount("lazy-inner", "m1/sub", "tmpfs", 0, NULL) == 0);
    CHECK(mkdir("m1/sub/deep", 0700) == 0 && is_mounted("lazy-inner"));
    int in = open("m1", O_RDONLY | O_DIRECTORY), back = open(".", O_RDONLY | O_DIRECTORY);
    CHECK_ERRNO(umount("m1"), EBUSY);
    CHECK(umount2("m1", MNT_DETACH) == 0 && !is_mounted("lazy-outer") && !is_mounted("lazy-inner"));
    CHECK(faccessat(in, "sub", F_OK, 0) == 0 && faccessat(in, "sub/deep", F_OK, 0) == -1);
    CHECK(fchdir(in) == 0);
    CHECK(mount("lazy-late", "sub", "tmpfs", 0, NULL) == -1 && (errno == EINVAL || errno == ENOENT)); /* by version */
    CHECK(fchdir(back) == 0 && close(in) == 0 && close(back) == 0);
}

int main(void)
{
    char dir[] = "/tmp/leftovers.XXXXXX";

    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    CHECK(mkdir("m1", 0700) == 0 && mkdir("m2", 0700) == 0 && mkdir("m3", 0700) == 0);
    test_rwf();
    test_epoll_fault();
    test_splice();
    test_mremap();
    test_affinity();
    test_proc();
    if (unshare(CLONE_NEWNS) == 0) /* natively: in a place of its own, where nothing spreads */
        CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    test_mounts();
    test_lazy_umount();
    return 0;
}
