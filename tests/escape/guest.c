/*
 * What a hostile guest can try against the stub that shares its address space, from inside: find it, take it away, and
 * use its system call instructions for calls of its own. Each act runs in a child. Only runs in a sandbox: natively
 * there is no stub, and the program says so and exits with 2.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define REACH (4UL << 30) /* how far below the heap to look */
#define MAX_SITES 64
#define ESCAPED 77
#define STUB_REPORT 0x00535542L /* the stub's own call, as its code shows */

static int pipe_fds[2];
static uint64_t stub_page; /* one that belongs to the stub */
static uint64_t sites[MAX_SITES];
static size_t site_count;
static int failures, tried;

/* Can the kernel read the byte at addr for us? */
static int readable(uint64_t addr)
{
    char c;

    if (write(pipe_fds[1], (void *)addr, 1) != 1)
        return 0;
    return read(pipe_fds[0], &c, 1) == 1;
}

/* True if /proc/self/maps speaks of addr. */
static int listed(uint64_t addr)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    int found = 0;

    while (f && fgets(line, sizeof(line), f)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && addr >= start && addr < end)
            found = 1;
    }
    if (f)
        fclose(f);
    return found;
}

/* Looks through [from, to) for readable memory that is not listed, which can only be the stub. */
static void look_for_stub(uint64_t from, uint64_t to, uint64_t step)
{
    for (uint64_t at = from; at < to && !stub_page; at += step)
        if (readable(at) && !listed(at))
            stub_page = at;
}

static void find_stub(void)
{
    uint64_t heap = (uint64_t)sbrk(0) & ~(PAGE - 1);

    look_for_stub(heap > REACH ? heap - REACH : 0, heap, 1UL << 16);
    for (FILE *f = fopen("/proc/self/maps", "r"); f && !stub_page;) {
        char line[512];
        unsigned long start, end;
        while (!stub_page && fgets(line, sizeof(line), f))
            if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start > 64 * PAGE && end < 0xffff000000000000UL) {
                look_for_stub(start - 64 * PAGE, start, PAGE);
                look_for_stub(end, end + 64 * PAGE, PAGE);
            }
        fclose(f);
        break;
    }
}

/*
 * Collects the stub's system call instructions: below and above the page that was found, as far as can be read. Among
 * them are words of its data that look like one (in the filter, for example): whoever jumps there dies.
 */
static void find_sites(void)
{
    uint64_t at = stub_page;
    unsigned char page[PAGE + 1];

    while (readable(at - PAGE) && !listed(at - PAGE) && stub_page - at < (1UL << 30))
        at -= PAGE;
    for (int pages = 0; pages < 16 && readable(at) && site_count < MAX_SITES; pages++, at += PAGE) {
        if (write(pipe_fds[1], (void *)at, PAGE) != (ssize_t)PAGE || read(pipe_fds[0], page, PAGE) != (ssize_t)PAGE)
            continue;
        for (size_t i = 0; i + 1 < PAGE && site_count < MAX_SITES; i++)
#if defined(__x86_64__)
            if (page[i] == 0x0f && page[i + 1] == 0x05)
                sites[site_count++] = at + i;
#else
            if ((i & 3) == 0 && page[i] == 0x01 && page[i + 1] == 0 && page[i + 2] == 0 && page[i + 3] == 0xd4)
                sites[site_count++] = at + i;
#endif
    }
}

static long call_at(uint64_t site, long nr, const uint64_t a[6])
{
#if defined(__x86_64__)
    long ret;
    register uint64_t r10 __asm__("r10") = a[3];
    register uint64_t r8 __asm__("r8") = a[4];
    register uint64_t r9 __asm__("r9") = a[5];
    __asm__ volatile("call *%[site]"
                     : "=a"(ret)
                     : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9), [site] "r"(site)
                     : "rcx", "r11", "memory", "cc");
    return ret;
#else
    (void)site, (void)nr, (void)a;
    return -ENOSYS;
#endif
}

/* Runs act in a child. It has escaped if the child says so; being killed, or told no, is what should happen. */
static void attempt(const char *name, int (*act)(uint64_t arg, long nr), uint64_t arg, long nr)
{
    int status;
    pid_t pid = fork();

    tried++;
    if (pid == 0) {
        /* An act may well leave us stuck: that is our own loss. */
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_usec = 200000}}, NULL);
        _exit(act(arg, nr) ? ESCAPED : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        printf("FAILED  %s: no child: %s\n", name, strerror(errno));
        failures++;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == ESCAPED) {
        printf("FAILED  %s (%#lx, %ld) was not refused\n", name, (unsigned long)arg, nr);
        failures++;
    }
}

static int act_unmap(uint64_t page, long nr)
{
    (void)nr;
    return munmap((void *)page, PAGE) == 0;
}

static int act_unmap_all(uint64_t page, long nr)
{
    (void)nr;
    return munmap((void *)(page & ~((1UL << 30) - 1)), 1UL << 30) == 0;
}

static int act_protect(uint64_t page, long nr)
{
    (void)nr;
    return mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
}

static int act_map_over(uint64_t page, long nr)
{
    (void)nr;
    return mmap((void *)page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
           MAP_FAILED;
}

static int act_map_file_over(uint64_t page, long nr)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    (void)nr;
    return mmap((void *)page, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0) != MAP_FAILED;
}

static int act_move(uint64_t page, long nr)
{
    (void)nr;
    return mremap((void *)page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x100000000UL) != MAP_FAILED;
}

static int act_move_over(uint64_t page, long nr)
{
    void *own = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)nr;
    return mremap(own, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)page) != MAP_FAILED;
}

static int act_discard(uint64_t page, long nr)
{
    (void)nr;
    return madvise((void *)page, PAGE, MADV_DONTNEED) == 0;
}

/* Keeping the stub from a forked child would leave that child without a way to be stopped. */
static int act_keep_from_children(uint64_t page, long nr)
{
    (void)nr;
    return madvise((void *)page, PAGE, MADV_DONTFORK) == 0 || madvise((void *)page, PAGE, MADV_WIPEONFORK) == 0;
}

static const char new_name[] = "escaped";

static void arguments(long nr, uint64_t args[6])
{
    switch (nr) {
    case SYS_openat:
        args[0] = (uint64_t)AT_FDCWD, args[1] = (uint64_t) "/etc/passwd";
        break;
    case SYS_execve:
        args[0] = (uint64_t) "/bin/true";
        break;
    case SYS_socket:
        args[0] = 1, args[1] = 1;
        break;
    case SYS_clone:
        args[0] = SIGCHLD;
        break;
    case SYS_prctl:
        args[0] = PR_SET_NAME, args[1] = (uint64_t)new_name;
        break;
    case SYS_mmap:
        args[1] = PAGE, args[2] = 7, args[3] = MAP_PRIVATE | MAP_ANONYMOUS, args[4] = (uint64_t)-1;
        break;
    case STUB_REPORT:
        args[0] = stub_page, args[1] = 0x101, args[4] = 1;
        break;
    default:
        break;
    }
}

/* Was it the sandbox's kernel that answered nr with ret, as it may, or the host's? */
static int served_inside(long nr, long ret)
{
    char name[16] = "";

    switch (nr) {
    case SYS_openat:
    case SYS_socket:
        return fcntl((int)ret, F_GETFD) >= 0;
    case SYS_clone:
        if (ret == 0)
            _exit(0);
        return waitpid((pid_t)ret, NULL, 0) == ret;
    case SYS_prctl:
        return prctl(PR_GET_NAME, name) == 0 && !strcmp(name, new_name);
    case SYS_mmap:
        return listed((uint64_t)ret);
    case SYS_getppid:
        return ret == getppid();
    case SYS_getpid:
        return ret == getpid();
    case SYS_setsid:
        return ret == getpid();
    default:
        return nr == STUB_REPORT; /* its answer means nothing to us */
    }
}

static int act_call(uint64_t site, long nr)
{
    uint64_t args[6] = {0};

    arguments(nr, args);
    long ret = call_at(site, nr, args);
    return ret >= 0 && !served_inside(nr, ret);
}

#if defined(__x86_64__)
static int act_int80(uint64_t arg, long nr)
{
    long ret;
    (void)arg;
    __asm__ volatile("int $0x80" : "=a"(ret) : "0"(nr), "b"(0L), "c"(0L), "d"(0L) : "memory", "r8", "r9", "r10", "r11");
    return ret > 0; /* 20 is getpid there */
}

static int act_x32(uint64_t arg, long nr)
{
    (void)arg;
    return syscall(0x40000000L | nr) > 0;
}
#endif

static void try_memory(void)
{
    attempt("unmap the stub", act_unmap, stub_page, 0);
    attempt("unmap all around the stub", act_unmap_all, stub_page, 0);
    attempt("protect the stub", act_protect, stub_page, 0);
    attempt("map over the stub", act_map_over, stub_page, 0);
    attempt("map a file over the stub", act_map_file_over, stub_page, 0);
    attempt("move the stub", act_move, stub_page, 0);
    attempt("move memory over the stub", act_move_over, stub_page, 0);
    attempt("discard the stub", act_discard, stub_page, 0);
    attempt("keep the stub from children", act_keep_from_children, stub_page, 0);
}

static void try_calls(void)
{
    static const long calls[] = {SYS_openat, SYS_execve,  SYS_socket, SYS_clone,  SYS_prctl,
                                 SYS_mmap,   SYS_getppid, SYS_getpid, SYS_setsid, STUB_REPORT};

    for (size_t s = 0; s < site_count; s++)
        for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
            attempt("use a call instruction of the stub", act_call, sites[s], calls[c]);
#if defined(__x86_64__)
    attempt("a 32-bit system call", act_int80, 0, 20);
    attempt("an x32 system call", act_x32, 0, SYS_getpid);
#endif
}

int main(void)
{
    if (pipe(pipe_fds) < 0)
        return 1;
    find_stub();
    if (!stub_page) {
        printf("there is no stub here: not in a sandbox, or it hides too well for this test\n");
        return 2;
    }
    find_sites();
    try_memory();
    try_calls();
    if (!site_count) {
        printf("FAILED  no system call instruction of the stub was found\n");
        failures++;
    }
    printf("%d acts refused, %d failed\n", tried - failures, failures);
    return failures ? 1 : 0;
}
