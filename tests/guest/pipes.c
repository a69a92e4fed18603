/* Pipes and FIFOs in detail: sizes, atomic writes, packets, EPIPE, when opening and reading block, poll states. */
#include "scratch.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

static int fds[2];
static char big[200000];

static void fresh(int flags)
{
    CHECK(pipe2(fds, flags) == 0);
}

static int fill(void)
{
    int total = 0;
    for (ssize_t n; (n = write(fds[1], big, 1000)) > 0;)
        total += (int)n;
    return total;
}

static void test_size(void)
{
    fresh(O_NONBLOCK);
    EXPECT(fcntl(fds[0], F_GETPIPE_SZ) == 65536 && fill() >= 64000);
    EXPECT_ERRNO(write(fds[1], "x", 4096), EAGAIN);
    EXPECT_ERRNO(fcntl(fds[0], F_SETPIPE_SZ, 4096), EBUSY);
    EXPECT(read(fds[0], big, 66000) >= 64000);
    EXPECT_ERRNO(read(fds[0], big, 1), EAGAIN);
    EXPECT(fcntl(fds[0], F_SETPIPE_SZ, 1000) == 4096 && fcntl(fds[1], F_GETPIPE_SZ) == 4096);
    EXPECT(fcntl(fds[0], F_SETPIPE_SZ, 100000) == 131072 && fill() >= 128000);
    EXPECT_ERRNO(fcntl(fds[0], F_SETPIPE_SZ, -1), EINVAL);
    EXPECT_ERRNO(fcntl(open("/dev/null", O_RDONLY), F_GETPIPE_SZ), EBADF);
    EXPECT_ERRNO(pipe2(fds, 0x1), EINVAL);
}

static void test_ends(void)
{
    fresh(0);
    EXPECT_ERRNO(write(fds[0], "x", 1), EBADF);
    EXPECT_ERRNO(read(fds[1], big, 1), EBADF);
    EXPECT_ERRNO(lseek(fds[0], 0, SEEK_CUR), ESPIPE);
    EXPECT(write(fds[1], "", 0) == 0 && write(fds[1], "abc", 3) == 3 && read(fds[0], big, 0) == 0);
    close(fds[1]);
    EXPECT(read(fds[0], big, 10) == 3 && read(fds[0], big, 10) == 0);
    fresh(0);
    close(fds[0]);
    signal(SIGPIPE, SIG_IGN);
    EXPECT_ERRNO(write(fds[1], "x", 1), EPIPE);
    signal(SIGPIPE, SIG_DFL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!write(fds[1], "x", 1);
        _exit(0);
    }
    EXPECT(check_child(pid) == 1000 + SIGPIPE);
}

/* Writes of up to PIPE_BUF bytes are never mixed, whoever writes. */
static void test_atomic(void)
{
    char block[PIPE_BUF];
    fresh(0);
    for (int w = 0; w < 4; w++)
        if (fork() == 0) {
            memset(block, 'a' + w, sizeof(block));
            for (int i = 0; i < 50; i++)
                CHECK(write(fds[1], block, sizeof(block)) == PIPE_BUF);
            _exit(0);
        }
    close(fds[1]);
    int blocks = 0;
    for (;;) {
        size_t got = 0;
        ssize_t n;
        while (got < sizeof(block) && (n = read(fds[0], block + got, sizeof(block) - got)) > 0)
            got += (size_t)n;
        if (!got)
            break;
        blocks++;
        for (size_t i = 1; i < got; i++)
            CHECK(block[i] == block[0]);
    }
    EXPECT(blocks == 200);
    while (wait(NULL) > 0)
        ;
    /* Without blocking, a small write is all or nothing; a large one may be partial. */
    fresh(O_NONBLOCK);
    fill();
    EXPECT(read(fds[0], big, 4096 * 2) == 8192);
    ssize_t part = write(fds[1], big, sizeof(big));
    EXPECT(part > 0 && part < 20000);
}

static void test_packets(void)
{
    fresh(O_DIRECT);
    EXPECT(write(fds[1], "one", 3) == 3 && write(fds[1], "two22", 5) == 5);
    EXPECT(read(fds[0], big, 100) == 3 && read(fds[0], big, 2) == 2); /* what does not fit is lost */
    EXPECT(write(fds[1], "three", 5) == 5 && read(fds[0], big, 100) == 5 && !memcmp(big, "three", 5));
    EXPECT(write(fds[1], big, 2 * PIPE_BUF) == 2 * PIPE_BUF && read(fds[0], big, sizeof(big)) == PIPE_BUF);
}

static void test_large(void)
{
    fresh(0);
    pid_t pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < sizeof(big); i++)
            big[i] = (char)(i * 7);
        _exit(write(fds[1], big, sizeof(big)) != (ssize_t)sizeof(big)); /* blocks until all is taken */
    }
    close(fds[1]);
    size_t got = 0;
    for (ssize_t n; (n = read(fds[0], big + got, 3333 < sizeof(big) - got ? 3333 : sizeof(big) - got)) > 0;)
        got += (size_t)n;
    EXPECT(got == sizeof(big) && check_child(pid) == 0);
    for (size_t i = 0; i < got; i++)
        CHECK(big[i] == (char)(i * 7));
}

static short state(int fd, short want)
{
    struct pollfd p = {.fd = fd, .events = want};
    CHECK(poll(&p, 1, 0) >= 0);
    return p.revents;
}

static void test_poll(void)
{
    fresh(O_NONBLOCK);
    EXPECT(state(fds[0], POLLIN) == 0 && state(fds[1], POLLOUT) == POLLOUT);
    CHECK(write(fds[1], "x", 1) == 1);
    EXPECT(state(fds[0], POLLIN | POLLRDNORM) == (POLLIN | POLLRDNORM));
    fill();
    while (write(fds[1], "x", 1) == 1)
        ;
    EXPECT(state(fds[1], POLLOUT) == 0);
    close(fds[1]);
    EXPECT(state(fds[0], POLLIN) == (POLLIN | POLLHUP));
    fresh(O_NONBLOCK);
    close(fds[0]);
    EXPECT(state(fds[1], POLLOUT) == (POLLOUT | POLLERR));
}

static void test_fifo_open(void)
{
    char c;
    scratch_enter();
    CHECK(mkfifo("p", 0600) == 0);
    EXPECT_ERRNO(mkfifo("p", 0600), EEXIST);
    EXPECT_ERRNO(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
    int r = open("p", O_RDONLY | O_NONBLOCK), w = open("p", O_WRONLY | O_NONBLOCK);
    EXPECT(r >= 0 && w >= 0 && write(w, "a", 1) == 1 && read(r, &c, 1) == 1);
    EXPECT_ERRNO(read(r, &c, 1), EAGAIN);
    close(w);
    EXPECT(read(r, &c, 1) == 0 && state(r, POLLIN) == POLLHUP);
    w = open("p", O_WRONLY);
    EXPECT(w >= 0 && state(r, POLLIN) == 0 && write(w, "b", 1) == 1);
    close(r);
    close(w);
    int both = open("p", O_RDWR); /* never blocks */
    EXPECT(both >= 0 && write(both, "c", 1) == 1 && read(both, &c, 1) == 1 && c == 'c');
    close(both);
    /* What was in it is gone with the last one that had it open. */
    both = open("p", O_RDWR);
    CHECK(write(both, "old", 3) == 3 && close(both) == 0);
    r = open("p", O_RDONLY | O_NONBLOCK);
    EXPECT(read(r, &c, 1) == 0);
    close(r);
    struct stat st;
    EXPECT(stat("p", &st) == 0 && S_ISFIFO(st.st_mode) && st.st_size == 0);
}

static void on_alarm(int sig)
{
    (void)sig;
}

static void test_fifo_blocking(void)
{
    char buf[8];
    scratch_enter();
    CHECK(mkfifo("p", 0600) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int w = open("p", O_WRONLY);
        _exit(w < 0 || write(w, "hello", 5) != 5);
    }
    int r = open("p", O_RDONLY);
    EXPECT(r >= 0 && read(r, buf, 8) == 5 && check_child(pid) == 0 && read(r, buf, 8) == 0);
    close(r);
    struct sigaction sa = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &sa, NULL);
    check_alarms_begin();
    EXPECT_ERRNO(open("p", O_RDONLY), EINTR);
    EXPECT_ERRNO(open("p", O_WRONLY), EINTR);
    check_alarms_end();
    EXPECT_ERRNO(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
}

static pthread_barrier_t round_begins;

static void *write_and_go(void *rounds)
{
    for (int i = 0; i < *(int *)rounds; i++) {
        pthread_barrier_wait(&round_begins);
        int w = open("p", O_WRONLY);
        EXPECT(w >= 0 && write(w, "x", 1) == 1 && close(w) == 0);
    }
    return NULL;
}

/* A writer that has gone again before the reader's open(2) is done was a partner all the same. */
static void test_fifo_short_writer(void)
{
    int rounds = 1000, good = 0;
    pthread_t writer;
    char buf[8];
    scratch_enter();
    CHECK(mkfifo("p", 0600) == 0 && pthread_barrier_init(&round_begins, NULL, 2) == 0);
    CHECK(pthread_create(&writer, NULL, write_and_go, &rounds) == 0);
    for (int i = 0; i < rounds; i++) {
        pthread_barrier_wait(&round_begins);
        int r = open("p", O_RDONLY);
        good += r >= 0 && read(r, buf, 8) == 1 && read(r, buf, 8) == 0 && close(r) == 0;
    }
    pthread_join(writer, NULL);
    EXPECT(good == rounds);
}

/* So was one that waited for the reader, wrote and went while the reader was on its way back. */
static void test_fifo_waiting_writer(void)
{
    char buf[8];

    scratch_enter();
    CHECK(mkfifo("p", 0600) == 0);
    for (int i = 0; i < 200; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            int w = open("p", O_WRONLY);
            _exit(w < 0 || write(w, "x", 1) != 1);
        }
        check_until_asleep(pid);
        int r = open("p", O_RDONLY);
        CHECK(r >= 0 && read(r, buf, 8) == 1 && read(r, buf, 8) == 0 && close(r) == 0);
        CHECK(check_child(pid) == 0);
    }
}

int main(void)
{
    RUN(test_size);
    RUN(test_ends);
    RUN(test_atomic);
    RUN(test_packets);
    RUN(test_large);
    RUN(test_poll);
    RUN(test_fifo_open);
    RUN(test_fifo_blocking);
    RUN(test_fifo_short_writer);
    RUN(test_fifo_waiting_writer);
    return check_end();
}
