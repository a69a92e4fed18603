/* See stdio.h. */
#include "runtime/stdio.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

static bool was_open[3];

void stdio_claim(void)
{
    for (int fd = 0; fd < 3; fd++) {
        was_open[fd] = fcntl(fd, F_GETFD) >= 0;
        if (!was_open[fd] && open("/dev/null", O_RDWR) != fd)
            _exit(125);
    }
    close_range(3, UINT_MAX, 0);
}

void stdio_release(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return;
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    close(fd);
}

bool stdio_was_open(int fd)
{
    return was_open[fd];
}
