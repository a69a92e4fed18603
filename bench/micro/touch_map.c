/* Writes one byte to every page of a fresh map of 1 MiB: page faults, and the map and unmap around them. */
#include "measure.h"

#include <sys/mman.h>

#define SIZE (1 << 20)

static void op(long count)
{
    while (count--) {
        volatile char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        MUST(p != MAP_FAILED);
        for (size_t i = 0; i < SIZE; i += 4096)
            p[i] = 1;
        MUST(munmap((void *)p, SIZE) == 0);
    }
}

int main(int argc, char **argv)
{
    return measure(argc, argv, op);
}
