/* futex: wait, wake, bitsets, requeue, wake-op, timeouts, words shared by processes, robust lists, priority
 * inheritance. */
#include "check.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static int *words; /* one shared page */

static long futex(int *word, int op, int value, const void *timeout_or_count, int *word2, int value3)
{
    return syscall(SYS_futex, word, op, value, timeout_or_count, word2, value3);
}

static void share(void)
{
    words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(words != MAP_FAILED);
}

/* A child that waits on a word and ends with 0 when woken. */
static pid_t waiter(int *word, int op, int bits)
{
    int value = *word;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        __atomic_add_fetch(&words[100], 1, __ATOMIC_SEQ_CST);
        _exit(futex(word, op, value, NULL, NULL, bits) == 0 ? 0 : errno);
    }
    return pid;
}

/* Wakes until `count` waiters have been woken; they may take a while to fall asleep. */
static int wake_all(int *word, int op, int count, int bits)
{
    int woken = 0;
    while (woken < count) {
        long n = futex(word, op, count - woken, NULL, NULL, bits);
        CHECK(n >= 0);
        woken += (int)n;
        sched_yield();
    }
    return woken;
}

static void test_errors(void)
{
    struct timespec now, bad = {.tv_nsec = 1000000000}, zero = {0};
    share();
    clock_gettime(CLOCK_MONOTONIC, &now);
    EXPECT_ERRNO(futex(words, FUTEX_WAIT, 1, NULL, NULL, 0), EAGAIN);
    EXPECT_ERRNO(futex(words, FUTEX_WAIT, 0, &zero, NULL, 0), ETIMEDOUT);
    EXPECT_ERRNO(futex(words, FUTEX_WAIT, 0, &bad, NULL, 0), EINVAL);
    EXPECT_ERRNO(futex((int *)((char *)words + 1), FUTEX_WAIT, 0, &zero, NULL, 0), EINVAL);
    EXPECT_ERRNO(futex((int *)8, FUTEX_WAIT, 0, &zero, NULL, 0), EFAULT);
    EXPECT_ERRNO(futex(words, 99, 0, NULL, NULL, 0), ENOSYS);
    EXPECT_ERRNO(futex(words, FUTEX_WAIT_BITSET, 0, &now, NULL, 0), EINVAL);
    EXPECT_ERRNO(futex(words, FUTEX_WAIT_BITSET, 0, &now, NULL, -1), ETIMEDOUT); /* absolute, monotonic */
    clock_gettime(CLOCK_REALTIME, &now);
    EXPECT_ERRNO(futex(words, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &now, NULL, -1), ETIMEDOUT);
    EXPECT_ERRNO(futex(words, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
    EXPECT(futex(words, FUTEX_WAKE, 1, NULL, NULL, 0) == 0 && futex(words, FUTEX_WAKE, INT_MAX, NULL, NULL, 0) == 0);
    struct timespec soon = {.tv_nsec = 20000000};
    EXPECT_ERRNO(futex(words, FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0), ETIMEDOUT);
}

static void test_shared(void)
{
    pid_t pids[5];
    share();
    for (int i = 0; i < 5; i++)
        pids[i] = waiter(words, FUTEX_WAIT, 0);
    EXPECT(wake_all(words, FUTEX_WAKE, 5, 0) == 5);
    for (int i = 0; i < 5; i++)
        EXPECT(check_child(pids[i]) == 0);
}

static void test_bitset(void)
{
    share();
    pid_t a = waiter(words, FUTEX_WAIT_BITSET, 1), b = waiter(words, FUTEX_WAIT_BITSET, 2);
    EXPECT(futex(words, FUTEX_WAKE_BITSET, 9, NULL, NULL, 4) == 0);
    EXPECT(wake_all(words, FUTEX_WAKE_BITSET, 1, 2) == 1 && check_child(b) == 0);
    EXPECT(waitpid(a, NULL, WNOHANG) == 0);
    EXPECT(wake_all(words, FUTEX_WAKE_BITSET, 1, -1) == 1 && check_child(a) == 0);
}

/* Waits until `count` tasks sleep on the words, by moving them from one to the other. */
static void test_requeue(void)
{
    pid_t pids[4];
    long moved = 0;
    share();
    EXPECT_ERRNO(futex(words, FUTEX_CMP_REQUEUE, 0, (void *)1, words + 1, 7), EAGAIN);
    EXPECT_ERRNO(futex(words, FUTEX_CMP_REQUEUE, -1, (void *)1, words + 1, 0), EINVAL);
    for (int i = 0; i < 4; i++)
        pids[i] = waiter(words, FUTEX_WAIT, 0);
    while (moved < 4) {
        long n = futex(words, FUTEX_CMP_REQUEUE, 0, (void *)4, words + 1, 0);
        CHECK(n >= 0);
        moved += n;
        sched_yield();
    }
    EXPECT(moved == 4 && futex(words, FUTEX_WAKE, 4, NULL, NULL, 0) == 0);
    EXPECT(futex(words + 1, FUTEX_REQUEUE, 1, (void *)1, words + 2, 0) == 2); /* one woken, one moved */
    EXPECT(futex(words + 2, FUTEX_WAKE, 9, NULL, NULL, 0) == 1 && futex(words + 1, FUTEX_WAKE, 9, NULL, NULL, 0) == 2);
    for (int i = 0; i < 4; i++)
        EXPECT(check_child(pids[i]) == 0);
}

static void test_wake_op(void)
{
    share();
    words[1] = 5;
    /* words[1] += 3. A count of nought wakes one all the same, so these name words that nobody waits for. */
    pid_t a = waiter(words, FUTEX_WAIT, 0), b = waiter(words + 2, FUTEX_WAIT, 0);
    EXPECT(futex(words + 9, FUTEX_WAKE_OP, 0, (void *)0, words + 1, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)) >=
           0);
    EXPECT(words[1] == 8);
    long woken = 0;
    while (woken < 2) { /* an operation that changes nothing, and a comparison that holds: both words are woken */
        long n = futex(words, FUTEX_WAKE_OP, 1, (void *)1, words + 2, FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_GE, 0));
        CHECK(n >= 0);
        woken += n;
        sched_yield();
    }
    EXPECT(check_child(a) == 0 && check_child(b) == 0);
    words[3] = 0xf0;
    futex(words + 9, FUTEX_WAKE_OP, 0, (void *)0, words + 3, FUTEX_OP(FUTEX_OP_OR, 0x0f, FUTEX_OP_CMP_EQ, 0));
    EXPECT(words[3] == 0xff);
    futex(words + 9, FUTEX_WAKE_OP, 0, (void *)0, words + 3, FUTEX_OP(FUTEX_OP_ANDN, 0x0f, FUTEX_OP_CMP_EQ, 0));
    EXPECT(words[3] == 0xf0);
    futex(words + 9, FUTEX_WAKE_OP, 0, (void *)0, words + 3, FUTEX_OP(FUTEX_OP_XOR, 0xff, FUTEX_OP_CMP_EQ, 0));
    EXPECT(words[3] == 0x0f);
    futex(words + 9, FUTEX_WAKE_OP, 0, (void *)0, words + 3,
          FUTEX_OP((FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT), 6, FUTEX_OP_CMP_EQ, 0));
    EXPECT(words[3] == 64);
}

static volatile int hits, word_of_handler;

static void count(int sig)
{
    (void)sig;
    hits++;
    words[0] = word_of_handler;
}

static void test_signal(void)
{
    share();
    struct sigaction sa = {.sa_handler = count};
    CHECK(sigaction(SIGALRM, &sa, NULL) == 0);
    check_alarms_begin();
    EXPECT_ERRNO(futex(words, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
    EXPECT(hits >= 1);
    sa.sa_flags = SA_RESTART; /* without a timeout the wait starts again, and sees what the handler wrote */
    CHECK(sigaction(SIGALRM, &sa, NULL) == 0);
    word_of_handler = 1;
    EXPECT_ERRNO(futex(words, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
    word_of_handler = 0;
    words[0] = 0;
    struct timespec ts = {.tv_sec = 50}; /* with one it does not */
    EXPECT_ERRNO(futex(words, FUTEX_WAIT, 0, &ts, NULL, 0), EINTR);
    check_alarms_end();
}

static char state_of(pid_t tid)
{
    char path[64], state = '?';
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
    FILE *f = fopen(path, "r");
    CHECK(f && fscanf(f, "%*d %*s %c", &state) == 1);
    fclose(f);
    return state;
}

static int gate;
static pid_t sleeper_tid;

static void *sleeper(void *new_word)
{
    sleeper_tid = (pid_t)syscall(SYS_gettid);
    EXPECT(syscall(SYS_set_tid_address, new_word) == sleeper_tid);
    __atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&gate, __ATOMIC_SEQ_CST) == 1)
        futex(&gate, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
    syscall(SYS_exit, 0);
    return NULL;
}

/* A thread that waits for a futex sleeps, as others see it; its end clears the word that it named last. */
static void test_thread(void)
{
    static int word = 7;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, sleeper, &word) == 0);
    while (__atomic_load_n(&gate, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    for (int i = 0; i < 5000 && state_of(sleeper_tid) != 'S'; i++)
        usleep(1000);
    EXPECT(state_of(sleeper_tid) == 'S' && state_of(getpid()) == 'R');
    gate = 2;
    EXPECT(futex(&gate, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 1);
    while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 7)
        futex(&word, FUTEX_WAIT, 7, NULL, NULL, 0); /* not private, as the kernel wakes */
    EXPECT(word == 0);
}

/* The main thread leaves; the word that set_tid_address(2) names is cleared for those who stay. */
static int main_word = 5;

static void *wait_for_main(void *unused)
{
    (void)unused;
    while (__atomic_load_n(&main_word, __ATOMIC_SEQ_CST) == 5)
        futex(&main_word, FUTEX_WAIT, 5, NULL, NULL, 0);
    _exit(main_word == 0 ? 33 : 1);
}

static void test_main_exit(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, wait_for_main, NULL) == 0);
        usleep(10000);
        syscall(SYS_set_tid_address, &main_word);
        syscall(SYS_exit, 0);
    }
    EXPECT(check_child(pid) == 33);
}

/* Stopping and continuing leaves a wait without timeout as it was; killing ends it. */
static void test_stop(void)
{
    int status;
    share();
    pid_t pid = waiter(words, FUTEX_WAIT, 0);
    while (__atomic_load_n(&words[100], __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    usleep(10000);
    EXPECT(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    EXPECT(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    usleep(10000);
    EXPECT(wake_all(words, FUTEX_WAKE, 1, 0) == 1 && check_child(pid) == 0);
    pid = waiter(words, FUTEX_WAIT, 0);
    usleep(10000);
    EXPECT(kill(pid, SIGTERM) == 0 && check_child(pid) == 1000 + SIGTERM);
}

/* Private words at the same address of two processes are two words; a shared file page is one at any address. */
static void test_keys(void)
{
    static int mine;
    share();
    int fd = memfd_create("words", 0);
    CHECK(fd >= 0 && ftruncate(fd, 8192) == 0);
    int *a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
    int *b = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    pid_t pid = waiter(a, FUTEX_WAIT, 0);
    EXPECT(wake_all(b + 1024, FUTEX_WAKE, 1, 0) == 1 && check_child(pid) == 0);
    pid = waiter(&mine, FUTEX_WAIT_PRIVATE, 0);
    usleep(20000);
    EXPECT(futex(&mine, FUTEX_WAKE, 1, NULL, NULL, 0) == 0);
    EXPECT(kill(pid, SIGKILL) == 0 && check_child(pid) == 1000 + SIGKILL);
}

/* A process that ends with locks of its robust list: their words get OWNER_DIED and a waiter wakes. */
static void test_robust(void)
{
    struct node {
        struct robust_list list;
        int word;
    } * nodes;
    struct robust_list_head *head;
    size_t size;
    share();
    nodes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    head = (struct robust_list_head *)(nodes + 10);
    pid_t pid = fork();
    if (pid == 0) {
        pid_t me = getpid();
        head->list.next = &nodes[0].list;
        nodes[0].list.next = &nodes[1].list;
        nodes[1].list.next = &nodes[2].list;
        nodes[2].list.next = &head->list;
        head->futex_offset = offsetof(struct node, word);
        head->list_op_pending = NULL;
        nodes[0].word = me;
        nodes[1].word = me | FUTEX_WAITERS;
        nodes[2].word = me + 1; /* not ours */
        _exit(syscall(SYS_set_robust_list, head, sizeof(*head)) != 0);
    }
    EXPECT(check_child(pid) == 0);
    EXPECT((unsigned)nodes[0].word == FUTEX_OWNER_DIED);
    EXPECT((unsigned)nodes[1].word == (FUTEX_OWNER_DIED | FUTEX_WAITERS) && nodes[2].word == pid + 1);
    EXPECT_ERRNO(syscall(SYS_set_robust_list, head, 7), EINVAL);
    struct robust_list_head *got = NULL;
    EXPECT(syscall(SYS_get_robust_list, 0, &got, &size) == 0 && size == sizeof(*head));
}

static void *hold(void *arg)
{
    pthread_mutex_lock(arg);
    return NULL;
}

static void test_robust_mutex(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t *m;
    pthread_t t;
    share();
    m = (pthread_mutex_t *)words;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    CHECK(pthread_mutex_init(m, &attr) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(m);
        raise(SIGKILL);
    }
    EXPECT(check_child(pid) == 1000 + SIGKILL && pthread_mutex_lock(m) == EOWNERDEAD);
    EXPECT(pthread_mutex_consistent(m) == 0 && pthread_mutex_unlock(m) == 0);
    CHECK(pthread_create(&t, NULL, hold, m) == 0 && pthread_join(t, NULL) == 0);
    EXPECT(pthread_mutex_lock(m) == EOWNERDEAD);
}

static int pi_counter;
static pthread_mutex_t pi;

static void *pi_add(void *arg)
{
    for (int i = 0; i < 500; i++) {
        CHECK(pthread_mutex_lock(&pi) == 0);
        pi_counter++;
        CHECK(pthread_mutex_unlock(&pi) == 0);
    }
    return arg;
}

static void test_pi(void)
{
    pthread_mutexattr_t attr;
    pthread_t t[4];
    pthread_mutexattr_init(&attr);
    CHECK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT) == 0);
    if (pthread_mutex_init(&pi, &attr) == ENOTSUP) { /* a kernel without them has to say so in one way */
        EXPECT_ERRNO(futex(words, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ENOSYS);
        EXPECT_ERRNO(futex(words, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), ENOSYS);
        return;
    }
    CHECK(pthread_mutex_init(&pi, &attr) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, pi_add, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    EXPECT(pi_counter == 2000);
    share();
    EXPECT(futex(words, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == 0 && words[0] == getpid());
    EXPECT_ERRNO(futex(words, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
    EXPECT_ERRNO(futex(words, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EDEADLK);
    EXPECT(futex(words, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0 && words[0] == 0);
    EXPECT_ERRNO(futex(words, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
}

int main(void)
{
    RUN(test_errors);
    RUN(test_shared);
    RUN(test_bitset);
    RUN(test_requeue);
    RUN(test_wake_op);
    RUN(test_signal);
    RUN(test_thread);
    RUN(test_main_exit);
    RUN(test_stop);
    RUN(test_keys);
    RUN(test_robust);
    RUN(test_robust_mutex);
    RUN(test_pi);
    return check_end();
}
