/* pread of 64 KiB of a file of the host, in its page cache. */
#include "data_file.h"
#include "measure.h"

static char buf[64 * 1024];
static int fd;

static void op(long count)
{
    off_t at = 0;
    while (count--) {
        MUST(pread(fd, buf, sizeof(buf), at) == (ssize_t)sizeof(buf));
        at = (at + (off_t)sizeof(buf)) % DATA_SIZE;
    }
}

int main(int argc, char **argv)
{
    fd = open_data_file();
    return measure(argc, argv, op);
}
