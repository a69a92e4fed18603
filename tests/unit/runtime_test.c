/* What the runtime reads from its command line: units, paths, options. */
#include "runtime/error.h"
#include "runtime/options.h"
#include "runtime/units.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t size_of(const char *text)
{
    uint64_t n;

    return parse_size(text, &n) ? n : UINT64_MAX;
}

START_TEST(sizes)
{
    ck_assert_uint_eq(size_of("512"), 512);
    ck_assert_uint_eq(size_of("64k"), 65536);
    ck_assert_uint_eq(size_of("1.5M"), 3U << 19);
    ck_assert_uint_eq(size_of("2GiB"), 2ULL << 30);
    ck_assert_uint_eq(size_of("1tb"), 1ULL << 40);
    const char *const bad[] = {"", "M", "-1", "1x", "1..5", "1 M", "0x10", "99999999999999999999", "20000000t"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ck_assert_msg(size_of(bad[i]) == UINT64_MAX, "%s", bad[i]);
}
END_TEST

START_TEST(durations_and_counts)
{
    uint64_t ns;
    unsigned n;

    ck_assert(parse_duration("10", &ns) && ns == 10000000000ULL);
    ck_assert(parse_duration("1.5s", &ns) && ns == 1500000000ULL);
    ck_assert(parse_duration("200ms", &ns) && ns == 200000000ULL);
    ck_assert(parse_duration("2h", &ns) && ns == 7200000000000ULL);
    ck_assert(!parse_duration("0", &ns) && !parse_duration("5y", &ns) && !parse_duration("", &ns));
    ck_assert(!parse_duration("99999999999d", &ns));
    ck_assert(parse_count("7", 10, &n) && n == 7);
    ck_assert(!parse_count("0", 10, &n) && !parse_count("11", 10, &n) && !parse_count("1.5", 10, &n));
    ck_assert(parse_cpus("0.5", &n) && n == 500);
    ck_assert(parse_cpus("3", &n) && n == 3000);
    ck_assert(!parse_cpus("0", &n) && !parse_cpus("two", &n));
}
END_TEST

/* Parses words; the options are to be freed. */
static int parse(struct run_options *o, const char *const words[], struct error *e)
{
    *o = (struct run_options){0};
    return options_parse(o, (char **)(uintptr_t)words, e);
}

START_TEST(good_options)
{
    struct run_options o;
    struct error e;
    char cwd[4096], wanted[8192];
    const char *const words[] = {"--memory=64M", "--pids", "5",     "--rw", "./a//b/.", "--ro", "/x/:/y//z",
                                 "--env",        "A=1",    "--env", "B",    "--",       "-x",   NULL};

    ck_assert_int_eq(parse(&o, words, &e), 0);
    ck_assert_uint_eq(o.memory, 64 << 20);
    ck_assert_uint_eq(o.pids, 5);
    ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
    snprintf(wanted, sizeof(wanted), "%s/a/b", cwd);
    ck_assert_uint_eq(o.path_count, 2);
    ck_assert_str_eq(o.paths[0].host, wanted);
    ck_assert_str_eq(o.paths[0].guest, wanted);
    ck_assert(o.paths[0].writable && !o.paths[1].writable);
    ck_assert_str_eq(o.paths[1].host, "/x");
    ck_assert_str_eq(o.paths[1].guest, "/y/z");
    ck_assert_uint_eq(o.env_count, 2);
    ck_assert_str_eq(o.argv[0], "-x");
    options_free(&o);
}
END_TEST

START_TEST(bad_options)
{
    static const char *const lines[][3] = {
        {"--nothing", "x"},    {"--memory"},       {"--memory", "1"},      {"--rw", "a:b"},
        {"--rw", ":/b"},       {"--ro", "/a:/"},   {"--ro", "/a:/b/../c"}, {"--debug=1", "x"},
        {"--rw", ""},          {"--cwd", "x"},     {"--net", "host"},      {NULL},
        {"--platform", "kvm"}, {"--hostname", ""}, {"--env", "=x"},        {"-", "x"},
        {"--ro=/no/../such"},  {"--report", ""}};

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        const char *const words[] = {lines[i][0], lines[i][0] ? lines[i][1] : NULL, NULL};
        struct run_options o;
        struct error e = {0};
        ck_assert_msg(parse(&o, words, &e) == -1, "line %zu", i);
        ck_assert_int_eq(e.code, EXIT_SBOX);
        ck_assert(e.text[0]);
        options_free(&o);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime");
    TCase *tc = tcase_create("runtime");

    tcase_add_test(tc, sizes);
    tcase_add_test(tc, durations_and_counts);
    tcase_add_test(tc, good_options);
    tcase_add_test(tc, bad_options);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
