/* A file of half a MiB or more that comes from the host in every sandbox, and that every machine has. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA_SIZE (512 * 1024)

static int open_data_file(void)
{
    static const char *const names[] = {"/bin/bash", "/usr/bin/python3", "/usr/bin/perl", "/proc/self/exe"};
    struct stat st;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int fd = open(names[i], O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= DATA_SIZE)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    fprintf(stderr, "no file of %d bytes to read\n", DATA_SIZE);
    exit(1);
}
