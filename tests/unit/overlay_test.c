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
    ck_assert_int_eq(setxattr(host("dir/sub/deep"), "user.lower", "value", 5, 0), 0);
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

/* The host breaks its word: an entry that was only listed is what its name leads to when it is first used. */
START_TEST(replaced)
{
    char other[PATH_MAX];

    expect_entries("/dir", 5, "b");
    ck_assert_uint_eq(must_stat("/dir/a").size, 7);
    ck_assert_uint_eq(must_stat("/dir/b").size, 7);
    host_write("dir/other", "newer and longer");
    strcpy(other, host("dir/other"));
    ck_assert_int_eq(rename(other, host("dir/a")), 0);
    struct file *f = must_open("/dir/a", O_RDONLY);
    expect(f, 0, "newer and longer");
    file_put(f);
    ck_assert_int_eq(unlink(host("dir/b")), 0);
    expect_open_error("/dir/b", O_RDONLY, -ENOENT);
    expect_open_error("/dir/b", O_RDWR, -ENOENT);
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

/* One who had the file open for reading sees what is written through another. */
START_TEST(reader_follows)
{
    struct file *reader = must_open("/dir/a", O_RDONLY), *writer = must_open("/dir/a", O_RDWR);
    ck_assert_int_eq(put(writer, "UPPER"), 5);
    expect(reader, 0, "UPPER a");
    ck_assert_int_eq(reader->ops->llseek(reader, 0, SEEK_END), 7);
    ck_assert_int_eq(put(writer, " and more"), 9);
    ck_assert_int_eq(reader->ops->llseek(reader, -4, SEEK_END), 10);
    expect(reader, 10, "more");
    file_put(writer);
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/dir/a"), 0);
    expect(reader, 10, "more");
    file_put(reader);
}
END_TEST

/* A file that has lost its name can still be changed through those who have it open. */
START_TEST(nameless)
{
    struct file *f = must_open("/dir/a", O_RDONLY);
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/dir/a"), 0);
    const struct path p = {f->mnt, f->dentry};
    ck_assert_int_eq(vfs_chmod(me, &p, 0600), 0);
    struct kstat st;
    ck_assert_int_eq(inode_getattr(dentry_inode(f->dentry), &st), 0);
    ck_assert_uint_eq(st.mode, S_IFREG | 0600);
    ck_assert_uint_eq(st.nlink, 0);
    struct file *again;
    ck_assert_int_eq(vfs_open_path(me, &p, O_RDWR, &again), 0);
    ck_assert_int_eq(put(again, "X"), 1);
    expect(f, 0, "Xower a");
    file_put(again);
    file_put(f);
    ck_assert_int_eq(stat_of("/dir/a", &st), -ENOENT);
}
END_TEST

START_TEST(truncation)
{
    file_put(must_open("/dir/a", O_WRONLY | O_TRUNC));
    ck_assert_uint_eq(must_stat("/dir/a").size, 0);
    ck_assert_uint_eq(must_stat("/dir/a").uid, 3);
    struct path p;
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/dir/b", 0, &p), 0);
    ck_assert_int_eq(vfs_truncate(me, dentry_inode(p.dentry), 3), 0);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/dir/sub/deep", 0, &p), 0);
    ck_assert_int_eq(vfs_truncate(me, dentry_inode(p.dentry), 6), 0);
    struct file *f = must_open("/dir/b", O_RDONLY);
    expect(f, 0, "low");
    file_put(f);
    ck_assert_uint_eq(must_stat("/dir/sub/deep").size, 6);
}
END_TEST

START_TEST(attributes)
{
    char buf[64] = "";
    struct path p;

    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/dir/sub/deep", 0, &p), 0);
    struct inode *i = dentry_inode(p.dentry);
    ck_assert_int_eq(i->ops->getxattr(i, "user.lower", buf, sizeof(buf)), 5);
    ck_assert_int_eq(i->ops->setxattr(i, "user.upper", "new", 3, 0), 0);
    ck_assert_int_eq(i->ops->getxattr(i, "user.lower", buf, sizeof(buf)), 5);
    ck_assert_str_eq(buf, "value");
    ck_assert_int_eq(i->ops->getxattr(i, "user.upper", buf, sizeof(buf)), 3);
    path_put(&p);
    ck_assert_int_lt(getxattr(host("dir/sub/deep"), "user.upper", buf, sizeof(buf)), 0);
    struct kstat before = must_stat("/link");
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 2}};
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/link", 0, &p), 0);
    ck_assert_int_eq(vfs_utimes(me, &p, times), 0);
    path_put(&p);
    ck_assert_uint_eq(must_stat("/link").ino, before.ino);
    ck_assert_int_eq(must_stat("/link").mtime.tv_sec, 2);
    file_put(must_open("/link", O_RDONLY));
}
END_TEST

/* Many at once, of different files and of the same. */
static void *copy_some(void *arg)
{
    char name[32];

    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "/many/%d", (i * 7 + *(int *)arg) % 50);
        struct file *f = must_open(name, O_RDWR);
        expect(f, 0, "lower");
        file_put(f);
    }
    return NULL;
}

START_TEST(concurrent)
{
    pthread_t threads[4];
    int args[4];
    char name[32];

    ck_assert_int_eq(mkdir(host("many"), 0755), 0);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "many/%d", i);
        host_write(name, "lower");
    }
    for (int i = 0; i < 4; i++) {
        args[i] = i * 13;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, copy_some, &args[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    expect_entries("/many", 52, "7");
}
END_TEST

/* A read that goes on after names have come and gone repeats nothing and skips none that stayed. */
START_TEST(seeking)
{
    struct names n = {.limit = 3};
    struct file *f = must_open("/dir", O_RDONLY | O_DIRECTORY);
    int64_t pos = 0, third;

    ck_assert_int_eq(f->ops->iterate(f, &pos, add_name, &n), 0);
    ck_assert_int_eq(pos, 3);
    third = pos;
    n.limit = 100;
    ck_assert_int_eq(f->ops->iterate(f, &pos, add_name, &n), 0);
    ck_assert_uint_eq(n.count, 5);
    file_put(must_open("/dir/new", O_RDWR | O_CREAT));
    n = (struct names){.limit = 100};
    ck_assert_int_eq(f->ops->iterate(f, &third, add_name, &n), 0);
    ck_assert_uint_eq(n.count, 2);
    pos = 0; /* rewinddir(3) */
    n = (struct names){.limit = 100};
    ck_assert_int_eq(f->ops->iterate(f, &pos, add_name, &n), 0);
    ck_assert_uint_eq(n.count, 6);
    file_put(f);
}
END_TEST

START_TEST(opaque)
{
    struct kstat st;

    ck_assert_int_eq(vfs_mkdir(me, AT_FDCWD, "/new", 0755), 0);
    file_put(must_open("/new/x", O_RDWR | O_CREAT));
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/new", AT_FDCWD, "/dir/sub", 0), -ENOTEMPTY);
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/dir/sub/deep"), 0);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/new", AT_FDCWD, "/dir/sub", 0), 0);
    expect_entries("/dir/sub", 3, "x");
    ck_assert_int_eq(stat_of("/dir/sub/deep", &st), -ENOENT);
    ck_assert_int_eq(stat_of("/new", &st), -ENOENT);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/dir/sub/x", AT_FDCWD, "/dir/sub/deep", 0), 0);
    ck_assert_uint_eq(must_stat("/dir/sub/deep").size, 0);
    ck_assert_int_eq(vfs_mknod(me, AT_FDCWD, "/dir/w", S_IFCHR | 0600, 0), -EPERM);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("overlay");
    TCase *c = tcase_create("all");

    lock_init(&tasks_lock, RANK_TASKS);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, shines_through);
    tcase_add_test(c, replaced);
    tcase_add_test(c, copy_up);
    tcase_add_test(c, whiteouts);
    tcase_add_test(c, renaming);
    tcase_add_test(c, hard_links);
    tcase_add_test(c, reader_follows);
    tcase_add_test(c, nameless);
    tcase_add_test(c, truncation);
    tcase_add_test(c, attributes);
    tcase_add_test(c, concurrent);
    tcase_add_test(c, seeking);
    tcase_add_test(c, opaque);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
