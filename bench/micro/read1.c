/* Reads one byte of a file of the host. */
#include "data_file.h"
#include "measure.h"

static int fd;

static void op(long count)
{
    char c;
    while (count--)
        MUST(pread(fd, &c, 1, count & 0xffff) == 1);
}

int main(int argc, char **argv)
{
    fd = open_data_file();
    return measure(argc, argv, op);
}
