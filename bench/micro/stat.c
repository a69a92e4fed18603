/* stat of a file of the host whose name is cached. */
#include "measure.h"

#include <sys/stat.h>

static void op(long count)
{
    struct stat st;
    while (count--)
        MUST(stat("/etc/passwd", &st) == 0);
}

int main(int argc, char **argv)
{
    return measure(argc, argv, op);
}
