/* lib/filter: what a loaded filter lets through, refuses and kills, each tried in a process of its own. */
#include "lib/filter.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DIED = -1000 };

/* errno of the call under a filter (0: it went through), or DIED. */
static int try_call(void (*build)(struct filter *f), long nr, long a0, long a1, long a2)
{
    static struct filter f;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        filter_begin(&f, SECCOMP_RET_KILL_PROCESS);
        build(&f);
        filter_plain(&f, (const int[]){SYS_exit_group}, 1, FILTER_ALLOW);
        if (filter_load(&f) < 0)
            _exit(255);
        /* Not _exit(), where a sanitizer would make calls of its own. */
        syscall(SYS_exit_group, syscall(nr, a0, a1, a2) < 0 ? errno : 0);
    }
    ck_assert(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status)) {
        ck_assert_int_eq(WTERMSIG(status), SIGSYS);
        return DIED;
    }
    return WEXITSTATUS(status);
}

static void some_plain(struct filter *f)
{
    filter_plain(f, (const int[]){SYS_getpid, SYS_getuid}, 2, FILTER_ALLOW);
    filter_plain(f, (const int[]){SYS_getgid}, 1, FILTER_ERRNO(EXDEV));
    filter_plain(f, NULL, 0, FILTER_ALLOW);
}

START_TEST(plain_calls)
{
    ck_assert_int_eq(try_call(some_plain, SYS_getpid, 0, 0, 0), 0);
    ck_assert_int_eq(try_call(some_plain, SYS_getuid, 0, 0, 0), 0);
    ck_assert_int_eq(try_call(some_plain, SYS_getgid, 0, 0, 0), EXDEV);
    ck_assert_int_eq(try_call(some_plain, SYS_getppid, 0, 0, 0), DIED);
    ck_assert_int_eq(try_call(some_plain, SYS_getpid | 0x40000000, 0, 0, 0), DIED);
    ck_assert_int_eq(try_call(some_plain, -1, 0, 0, 0), DIED);
}
END_TEST

static void many_plain(struct filter *f)
{
    int nrs[420];

    for (int i = 0; i < 420; i++)
        nrs[i] = 1000 + i;
    nrs[0] = SYS_getpid;
    nrs[199] = SYS_getuid;
    nrs[200] = SYS_getgid;
    nrs[419] = SYS_getppid;
    filter_plain(f, nrs, 420, FILTER_ALLOW);
}

START_TEST(long_lists)
{
    ck_assert_int_eq(try_call(many_plain, SYS_getpid, 0, 0, 0), 0);
    ck_assert_int_eq(try_call(many_plain, SYS_getuid, 0, 0, 0), 0);
    ck_assert_int_eq(try_call(many_plain, SYS_getgid, 0, 0, 0), 0);
    ck_assert_int_eq(try_call(many_plain, SYS_getppid, 0, 0, 0), 0);
    ck_assert_int_eq(try_call(many_plain, SYS_getegid, 0, 0, 0), DIED);
}
END_TEST

static void tested(struct filter *f)
{
    const struct filter_rule rules[] = {
        {SYS_fcntl, FILTER_ERRNO(EXDEV), {{1, ~0U, F_GETFL}, {0, ~0U, 0}}, 2},
        {SYS_fcntl, FILTER_ALLOW, {{1, ~0U, F_GETFL}}, 1},
        {SYS_fcntl, FILTER_ERRNO(ELOOP), {{1, ~0U, F_GETFD}}, 1},
    };
    const struct filter_rule map = {SYS_mprotect, FILTER_ALLOW, {{2, PROT_EXEC, 0}}, 1};

    filter_rules(f, rules, 3);
    filter_rules(f, &map, 1);
    some_plain(f);
}

START_TEST(arguments)
{
    ck_assert_int_eq(try_call(tested, SYS_fcntl, 0, F_GETFL, 0), EXDEV);
    ck_assert_int_eq(try_call(tested, SYS_fcntl, 1, F_GETFL, 0), 0);
    ck_assert_int_eq(try_call(tested, SYS_fcntl, 1, F_GETFD, 0), ELOOP);
    ck_assert_int_eq(try_call(tested, SYS_fcntl, 1, F_DUPFD, 0), DIED);
    ck_assert_int_eq(try_call(tested, SYS_mprotect, 0, 0, PROT_READ), 0);
    ck_assert_int_eq(try_call(tested, SYS_mprotect, 0, 0, PROT_READ | PROT_EXEC), DIED);
    ck_assert_int_eq(try_call(tested, SYS_getpid, 0, 0, 0), 0);
    ck_assert_int_eq(try_call(tested, SYS_getppid, 0, 0, 0), DIED);
}
END_TEST

START_TEST(too_long)
{
    static struct filter f;
    struct filter_rule rules[100];

    for (size_t i = 0; i < 100; i++)
        rules[i] = (struct filter_rule){SYS_ioctl, FILTER_ALLOW, {{1, ~0U, (uint32_t)i}}, 1};
    filter_begin(&f, SECCOMP_RET_KILL_PROCESS);
    filter_rules(&f, rules, 100); /* the jump over it does not reach */
    ck_assert_int_eq(filter_load(&f), -E2BIG);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("filter");
    TCase *tc = tcase_create("filter");

    tcase_add_test(tc, plain_calls);
    tcase_add_test(tc, long_lists);
    tcase_add_test(tc, arguments);
    tcase_add_test(tc, too_long);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
