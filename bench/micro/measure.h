/*
 * What all micro benchmarks share. A program defines op(count), which does its operation count times, and calls
 * measure() from main. The count is doubled until one batch takes long enough, then several batches run, and the median
 * is printed as nanoseconds for one operation: "ns_per_op 123.4". Whatever it takes to start the program is not in it.
 *
 * Arguments: milliseconds of one batch (default 100), number of batches (default 5).
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_BATCHES 64

/* Ends the program when a call that a benchmark rests on fails: a figure for failing calls would look splendid. */
#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            perror(#cond);                                                                                             \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static double batch_ns(void (*op)(long), long count)
{
    uint64_t start = now_ns();
    op(count);
    return (double)(now_ns() - start);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure(int argc, char **argv, void (*op)(long))
{
    double target = (argc > 1 ? atof(argv[1]) : 100) * 1e6, figures[MAX_BATCHES];
    int batches = argc > 2 ? atoi(argv[2]) : 5;
    long count = 1;
    if (batches < 1 || batches > MAX_BATCHES)
        batches = 5;
    double took = batch_ns(op, count); /* also warms up */
    while (took < target && count < 1L << 40) {
        count = took < target / 8 ? count * 4 : (long)((double)count * target / took * 1.1) + 1;
        took = batch_ns(op, count);
    }
    for (int i = 0; i < batches; i++)
        figures[i] = batch_ns(op, count) / (double)count;
    qsort(figures, (size_t)batches, sizeof(figures[0]), compare_doubles);
    printf("ns_per_op %.2f\n", figures[batches / 2]);
    return 0;
}
