/* User and group ids, their rules without privilege, capabilities over changes of ids and exec, set-user-ID programs.
 */
#include "scratch.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define USER 1234
#define GROUP 2345

static int is_ids(uid_t r, uid_t e, uid_t s)
{
    uid_t gr, ge, gs;
    return getresuid(&gr, &ge, &gs) == 0 && gr == r && ge == e && gs == s;
}

static int is_gids(gid_t r, gid_t e, gid_t s)
{
    gid_t gr, ge, gs;
    return getresgid(&gr, &ge, &gs) == 0 && gr == r && ge == e && gs == s;
}

static unsigned long long caps(int which)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    CHECK(syscall(SYS_capget, &head, data) == 0);
    if (which == 'e')
        return data[0].effective | (unsigned long long)data[1].effective << 32;
    return data[0].permitted | (unsigned long long)data[1].permitted << 32;
}

static void test_setresuid(void)
{
    EXPECT(is_ids(0, 0, 0) && setresuid(-1, USER, -1) == 0 && is_ids(0, USER, 0));
    EXPECT(setresuid(-1, 0, -1) == 0); /* back through the saved id */
    EXPECT(setresuid(1, 2, 3) == 0 && is_ids(1, 2, 3));
    EXPECT(setresuid(3, 1, 2) == 0 && is_ids(3, 1, 2));
    EXPECT_ERRNO(setresuid(0, -1, -1), EPERM);
    EXPECT_ERRNO(setresuid(-1, 9, -1), EPERM);
    EXPECT(setresuid(-1, -1, -1) == 0 && is_ids(3, 1, 2));
    EXPECT_ERRNO(setuid(0), EPERM);
    EXPECT(setuid(2) == 0 && is_ids(3, 2, 2)); /* only the effective one */
}

static void test_setreuid(void)
{
    EXPECT(setreuid(5, -1) == 0 && is_ids(5, 0, 0)); /* the saved one follows the effective one */
    EXPECT(setreuid(0, USER) == 0 && is_ids(0, USER, USER));
    EXPECT(setreuid(-1, 0) == 0 && is_ids(0, 0, USER));
    EXPECT(setuid(USER) == 0 && is_ids(USER, USER, USER));
    EXPECT_ERRNO(setreuid(7, -1), EPERM);
    EXPECT_ERRNO(setreuid(-1, 7), EPERM);
    EXPECT_ERRNO(setuid(0), EPERM);
    EXPECT_ERRNO(setuid(-1), EINVAL);
}

static void test_groups(void)
{
    gid_t list[4] = {9, 3, 7, 3}, got[8];
    EXPECT(setgroups(3, list) == 0 && getgroups(0, NULL) == 3 && getgroups(8, got) == 3);
    EXPECT(got[0] + got[1] + got[2] == 19);
    EXPECT_ERRNO(getgroups(2, got), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getgroups, -1, got), EINVAL);
    EXPECT_ERRNO(syscall(SYS_setgroups, 65537, list), EINVAL);
    EXPECT(setresgid(1, 2, 3) == 0 && is_gids(1, 2, 3)); /* still root */
    EXPECT(setregid(-1, GROUP) == 0 && is_gids(1, GROUP, GROUP));
    EXPECT(setgid(GROUP) == 0 && is_gids(GROUP, GROUP, GROUP));
    EXPECT(setgroups(0, NULL) == 0 && getgroups(0, NULL) == 0);
    EXPECT(setresuid(USER, USER, USER) == 0);
    EXPECT_ERRNO(setgroups(0, NULL), EPERM);
    EXPECT_ERRNO(setgid(5), EPERM);
    EXPECT_ERRNO(setresgid(-1, -1, 5), EPERM);
    EXPECT(setgid(GROUP) == 0);
}

static void test_fsuid(void)
{
    struct stat st;
    scratch_enter();
    CHECK(chmod(".", 0777) == 0);
    EXPECT(setfsuid(USER) == 0 && setfsuid(-1) == USER && setfsgid(GROUP) == 0 && setfsgid(-1) == GROUP);
    scratch_file("mine", "", 0600);
    EXPECT(stat("mine", &st) == 0 && st.st_uid == USER && st.st_gid == GROUP);
    scratch_file("closed", "", 0600);
    EXPECT(setfsuid(0) == USER && setfsgid(0) == GROUP);
    CHECK(chown("closed", 0, 0) == 0);
    setfsuid(USER);
    EXPECT_ERRNO(open("closed", O_RDONLY), EACCES);
    EXPECT(seteuid(0) == 0 && setfsuid(-1) == 0); /* follows the effective id */
}

static void test_caps_follow_ids(void)
{
    unsigned long long all = caps('p');
    EXPECT(all != 0 && caps('e') == all);
    EXPECT(seteuid(USER) == 0 && caps('e') == 0 && caps('p') == all);
    EXPECT(seteuid(0) == 0 && caps('e') == all);
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT(setuid(USER) == 0 && caps('e') == 0 && caps('p') == 0);
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0);
    EXPECT(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setuid(USER) == 0 && caps('p') == all && caps('e') == 0);
}

static void test_capset(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    CHECK(syscall(SYS_capget, &head, data) == 0);
    data[0].permitted &= ~(1u << CAP_CHOWN);
    EXPECT_ERRNO(syscall(SYS_capset, &head, data), EPERM); /* effective beyond permitted */
    data[0].effective &= ~(1u << CAP_CHOWN);
    EXPECT(syscall(SYS_capset, &head, data) == 0 && !(caps('p') & 1u << CAP_CHOWN));
    data[0].permitted |= 1u << CAP_CHOWN;
    EXPECT_ERRNO(syscall(SYS_capset, &head, data), EPERM);
    scratch_enter();
    scratch_file("f", "", 0644);
    EXPECT_ERRNO(chown("f", 5, 5), EPERM);
    head.version = 0x1234;
    EXPECT_ERRNO(syscall(SYS_capget, &head, data), EINVAL);
    EXPECT(head.version == _LINUX_CAPABILITY_VERSION_3);
    head.pid = 0x3fffff;
    EXPECT_ERRNO(syscall(SYS_capget, &head, data), ESRCH);
    EXPECT_ERRNO(syscall(SYS_capget, (void *)8, data), EFAULT);
}

/* The program again, as "ids": prints what it is through its exit status. */
static int report(void)
{
    unsigned status = 0;
    status |= (geteuid() == 0) << 0;
    status |= (getuid() == 0) << 1;
    status |= (caps('e') != 0) << 2;
    status |= (getegid() == GROUP) << 3;
    return (int)status;
}

static int run_self(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, "creds", "ids", NULL);
        _exit(100);
    }
    return check_child(pid);
}

static void test_exec(void)
{
    scratch_enter();
    CHECK(chmod(".", 0755) == 0);
    int fd = open("/proc/self/exe", O_RDONLY), to = open("program", O_CREAT | O_WRONLY, 0755);
    char buf[65536];
    for (ssize_t n; (n = read(fd, buf, sizeof(buf))) > 0;)
        CHECK(write(to, buf, (size_t)n) == n);
    CHECK(close(to) == 0 && chmod("program", 0755) == 0);
    EXPECT(run_self("./program") == 7); /* root, with capabilities */
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setresuid(USER, USER, USER) == 0);
        _exit(run_self("./program"));
    }
    EXPECT(check_child(pid) == 0);
    /* set-user-ID root gives back id and capabilities, unless no_new_privs. */
    CHECK(chown("program", 0, GROUP) == 0 && chmod("program", 06755) == 0);
    pid = fork();
    if (pid == 0) {
        CHECK(setresuid(USER, USER, USER) == 0);
        EXPECT(run_self("./program") == (1 | 4 | 8));
        CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        EXPECT(run_self("./program") == 0);
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0);
    /* Writing and chown take the bits away. */
    struct stat st;
    CHECK(chown("program", 1, 1) == 0);
    EXPECT(stat("program", &st) == 0 && (st.st_mode & 07777) == 0755);
}

/* Ambient capabilities reach a plain program that another user starts. */
static void test_ambient(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setresuid(USER, USER, USER) == 0);
    CHECK(syscall(SYS_capget, &head, data) == 0);
    data[0].inheritable = data[0].effective = 1u << CAP_KILL;
    data[1].inheritable = data[1].effective = 0;
    CHECK(syscall(SYS_capset, &head, data) == 0);
    EXPECT(run_self("/proc/self/exe") == 0);
    EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0);
    EXPECT(run_self("/proc/self/exe") == 4);
}

static void test_kill_permission(void)
{
    pid_t victim = fork();
    if (victim == 0)
        for (;;)
            pause();
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setresuid(USER, USER, USER) == 0);
        EXPECT_ERRNO(kill(victim, SIGTERM), EPERM);
        EXPECT_ERRNO(kill(victim, 0), EPERM);
        _exit(check_end());
    }
    EXPECT(check_child(pid) == 0);
    EXPECT(kill(victim, SIGKILL) == 0 && check_child(victim) == 1000 + SIGKILL);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "ids"))
        return report();
    if (geteuid() != 0)
        return 0;
    RUN(test_setresuid);
    RUN(test_setreuid);
    RUN(test_groups);
    RUN(test_fsuid);
    RUN(test_caps_follow_ids);
    RUN(test_capset);
    RUN(test_exec);
    RUN(test_ambient);
    RUN(test_kill_permission);
    return check_end();
}
