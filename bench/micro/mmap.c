/* Maps and unmaps one page, never touched. */
#include "measure.h"

#include <sys/mman.h>

static void op(long count)
{
    while (count--) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        MUST(p != MAP_FAILED);
        MUST(munmap(p, 4096) == 0);
    }
}

int main(int argc, char **argv)
{
    return measure(argc, argv, op);
}
