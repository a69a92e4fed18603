/* The overlay, over a gofer's tree. */
#include "tests/unit/fs_fixture.h"

#include <sys/sysmacros.h>

static void setup(void)
{
    struct dentry *lower, *d;

    make_host_dir();
    ck_assert_int_eq(mkdir(host("dir"), 0751), 0);
    ck_assert_int_eq(mkdir(host("dir/sub"), 0755), 0);
    host_write("dir/a", "lower a");
    host_write("dir/b", "lower b");
    host_write("dir/sub/deep", "deep");
    ck_assert_int_eq(symlink("dir/a", host("link")), 0);
    ck_assert_int_eq(chown(host("dir/a"), 3, 4), 0);
    ck_assert_int_eq(chmod(host("dir/a"), 04755), 0);
    ck_assert_int_eq(gofer_mount(start_server(true, true), true, true, &lower), 0);
    ck_assert_int_eq(overlay_mount(lower, &d), 0);
    make_task(d, 0);
}

START_TEST(shines_through)
{
    struct file *f = must_open("/link", O_RDONLY);
    expect(f, 0, "lower a");
    file_put(f);
    expect_entries("/dir", 5, "sub");
    ck_assert_uint_eq(must_stat("/dir").mode, S_IFDIR | 0751);
    ck_assert_uint_eq(must_stat("/dir/a").uid, 3);
}
END_TEST

START_TEST(copy_up)
{
    struct kstat before = must_stat("/dir/a"), dir_before = must_stat("/dir");
    struct file *f = must_open("/dir/a", O_RDWR);
    ck_assert_int_eq(put(f, "UPPER"), 5);
    expect(f, 0, "UPPER a");
    file_put(f);
    host_expect("dir/a", "lower a");
    struct kstat after = must_stat("/dir/a"), dir_after = must_stat("/dir");
    ck_assert_uint_eq(before.ino, after.ino);
    ck_assert_uint_eq(before.dev, after.dev);
    ck_assert_uint_eq(after.uid, 3);
    ck_assert_uint_eq(after.gid, 4);
    ck_assert_uint_eq(dir_before.ino, dir_after.ino);
    ck_assert_uint_eq(dir_before.mode, dir_after.mode);
    ck_assert_int_eq(dir_before.mtime.tv_nsec, dir_after.mtime.tv_nsec);
    expect_entries("/dir", 5, "a");
}
END_TEST

START_TEST(whiteouts)
{
    struct kstat st;

    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/dir/a"), 0);
    ck_assert_int_eq(stat_of("/dir/a", &st), -ENOENT);
    expect_entries("/dir", 4, "b");
    ck_assert_int_eq(vfs_rmdir(me, AT_FDCWD, "/dir"), -ENOTEMPTY);
    file_put(must_open("/dir/a", O_RDWR | O_CREAT | O_EXCL));
    ck_assert_uint_eq(must_stat("/dir/a").size, 0);
    expect_entries("/dir", 5, "a");
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/dir/a"), 0);
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/dir/b"), 0);
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/dir/sub/deep"), 0);
    ck_assert_int_eq(vfs_rmdir(me, AT_FDCWD, "/dir/sub"), 0);
    expect_entries("/dir", 2, NULL);
    ck_assert_int_eq(vfs_rmdir(me, AT_FDCWD, "/dir"), 0);
    ck_assert_int_eq(stat_of("/dir", &st), -ENOENT);
    /* A new directory of that name is empty. */
    ck_assert_int_eq(vfs_mkdir(me, AT_FDCWD, "/dir", 0755), 0);
    expect_entries("/dir", 2, NULL);
    ck_assert_int_eq(stat_of("/dir/a", &st), -ENOENT);
    host_expect("dir/a", "lower a");
}
END_TEST

START_TEST(renaming)
{
    struct kstat st, before = must_stat("/dir/a");

    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/dir/a", AT_FDCWD, "/moved", 0), 0);
    ck_assert_uint_eq(must_stat("/moved").ino, before.ino);
    ck_assert_int_eq(stat_of("/dir/a", &st), -ENOENT);
    struct file *f = must_open("/moved", O_RDONLY);
    expect(f, 0, "lower a");
    file_put(f);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/dir", AT_FDCWD, "/dir2", 0), -EXDEV);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/moved", AT_FDCWD, "/dir/b", 0), 0);
    f = must_open("/dir/b", O_RDONLY);
    expect(f, 0, "lower a");
    file_put(f);
    expect_entries("/dir", 4, "b");
    ck_assert_int_eq(vfs_mkdir(me, AT_FDCWD, "/new", 0755), 0);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/new", AT_FDCWD, "/newer", 0), 0);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/dir/b", AT_FDCWD, "/dir/sub/deep", RENAME_EXCHANGE), 0);
    f = must_open("/dir/b", O_RDONLY);
    expect(f, 0, "deep");
    file_put(f);
}
END_TEST

START_TEST(hard_links)
{
    struct path p;

    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/dir/a", 0, &p), 0);
    ck_assert_int_eq(vfs_link(me, &p, AT_FDCWD, "/second"), 0);
    path_put(&p);
    ck_assert_uint_eq(must_stat("/second").nlink, 2);
    ck_assert_uint_eq(must_stat("/second").ino, must_stat("/dir/a").ino);
    struct file *f = must_open("/second", O_WRONLY);
    ck_assert_int_eq(put(f, "LOWER"), 5);
    file_put(f);
    f = must_open("/dir/a", O_RDONLY);
    expect(f, 0, "LOWER a");
    file_put(f);
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/dir/a"), 0);
    ck_assert_uint_eq(must_stat("/second").nlink, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("overlay");
    TCase *c = tcase_create("all");

    lock_init(&tasks_lock, RANK_TASKS);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, shines_through);
    tcase_add_test(c, copy_up);
    tcase_add_test(c, whiteouts);
    tcase_add_test(c, renaming);
    tcase_add_test(c, hard_links);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
