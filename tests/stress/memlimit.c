/*
 * Takes memory until it is refused or killed: children touch more and more, one kind after the other (anonymous,
 * shared, files in /tmp, memfd). A child may be refused or killed; this parent, which needs little, must go on and be
 * served. Argument: MiB that each child tries to take (default 4096).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1L << 20)

static int touch_map(int flags, int fd, long mib)
{
    char *p = mmap(NULL, (size_t)(mib * MIB), PROT_READ | PROT_WRITE, flags, fd, 0);
    if (p == MAP_FAILED)
        return 1;
    for (long i = 0; i < mib * MIB; i += 4096)
        p[i] = 1;
    return 0;
}

static int fill_file(int fd, long mib)
{
    char *block = calloc(1, MIB);
    for (long i = 0; i < mib; i++)
        if (!block || write(fd, block, MIB) != MIB)
            return 1;
    return 0;
}

static int take(int kind, long mib)
{
    switch (kind) {
    case 0:
        return touch_map(MAP_PRIVATE | MAP_ANONYMOUS, -1, mib);
    case 1:
        return touch_map(MAP_SHARED | MAP_ANONYMOUS, -1, mib);
    case 2:
        return fill_file(open("/tmp", O_TMPFILE | O_RDWR, 0600), mib);
    default:
        return fill_file(memfd_create("fill", 0), mib);
    }
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"anonymous", "shared", "file in /tmp", "memfd"};
    long mib = argc > 1 ? atol(argv[1]) : 4096;
    for (int kind = 0; kind < 4; kind++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            _exit(take(kind, mib));
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return 1;
        printf("%s: %s\n", names[kind], WIFSIGNALED(status) ? "killed" : WEXITSTATUS(status) ? "refused" : "all taken");
        fflush(stdout);
    }
    return 0;
}
