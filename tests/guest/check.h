/*
 * Guest tests check themselves: each is a small program that must succeed natively and then inside, on every platform.
 * CHECK prints the failed condition with errno and ends the program with status 1; a test that returns 0 has passed.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: failed: %s (errno %d: %s)\n", __FILE__, __LINE__, #cond, errno, strerror(errno));  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The call fails, and with this errno. */
#define CHECK_ERRNO(call, want)                                                                                        \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        long check_result = (long)(call);                                                                              \
        if (check_result != -1 || errno != (want)) {                                                                   \
            fprintf(stderr, "%s:%d: %s gave %ld, errno %d (%s); wanted errno %d (%s)\n", __FILE__, __LINE__, #call,    \
                    check_result, errno, strerror(errno), (want), strerror(want));                                     \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
