/* The gofer's client, driven through the VFS against a real gofer in a child process. */
#include "sentry/fs/gofer/gofer.h"
#include "tests/unit/fs_fixture.h"

static void mount_it(bool exclusive, bool readonly, bool jailed)
{
    struct dentry *d;

    make_host_dir();
    ck_assert_int_eq(gofer_mount(start_server(readonly, jailed), exclusive, readonly, &d), 0);
    make_task(d, readonly ? MNT_RDONLY : 0);
}

static void setup_exclusive(void)
{
    mount_it(true, false, false);
}

static void setup_shared(void)
{
    mount_it(false, false, false);
}

static void setup_jailed(void)
{
    mount_it(true, false, true);
}

static void setup_readonly(void)
{
    mount_it(true, true, true);
}

/* ---- tests ---- */

START_TEST(reading)
{
    host_write("a", "hello");
    ck_assert_int_eq(mkdir(host("d"), 0750), 0);
    ck_assert_int_eq(mkdir(host("d/e"), 0755), 0);
    host_write("d/e/f", "deep");
    ck_assert_int_eq(symlink("d/e", host("link")), 0);
    struct file *f = must_open("/a", O_RDONLY);
    expect(f, 0, "hello");
    expect(f, 3, "lo");
    expect(f, 9, "");
    struct uio u;
    uio_kernel(&u, "x", 1);
    ck_assert_int_eq(file_write(f, &u, NULL), -EBADF);
    file_put(f);
    f = must_open("/link/f", O_RDONLY);
    expect(f, 0, "deep");
    file_put(f);
    expect_open_error("/nothing", O_RDONLY, -ENOENT);
    expect_open_error("/a/b", O_RDONLY, -ENOTDIR);
    expect_open_error("/link", O_RDONLY | O_NOFOLLOW, -ELOOP);
    struct stat host_st;
    ck_assert_int_eq(stat(host("d/e/f"), &host_st), 0);
    struct kstat st = must_stat("/d/e/f");
    ck_assert_uint_eq(st.ino, host_st.st_ino);
    ck_assert_uint_eq(st.size, 4);
    ck_assert_uint_eq(st.mode, host_st.st_mode);
    ck_assert_int_eq(st.mtime.tv_nsec, host_st.st_mtim.tv_nsec);
    ck_assert_uint_eq(must_stat("/d").mode, S_IFDIR | 0750);
    expect_entries("/", 5, "link");
    expect_entries("/d", 3, "e");
    struct statfs fs;
    struct super_block *sb = dentry_inode(root.dentry)->sb;
    ck_assert_int_eq(sb->ops->statfs(sb, &fs), 0);
    ck_assert_uint_gt(fs.f_blocks, 0);
    ck_assert_int_eq(fs.f_namelen, 255);
    must_stat("/a");
}
END_TEST

START_TEST(writing)
{
    struct file *f = must_open("/new", O_RDWR | O_CREAT | O_EXCL);
    ck_assert_int_eq(put(f, "one "), 4);
    ck_assert_int_eq(put(f, "two"), 3);
    host_expect("new", "one two");
    ck_assert_uint_eq(must_stat("/new").size, 7);
    ck_assert_uint_eq(must_stat("/new").mode, S_IFREG | 0644);
    expect_open_error("/new", O_RDWR | O_CREAT | O_EXCL, -EEXIST);
    struct file *append = must_open("/new", O_WRONLY | O_APPEND);
    ck_assert_int_eq(put(append, "!"), 1);
    ck_assert_int_eq(append->pos, 8);
    host_expect("new", "one two!");
    file_put(append);
    file_put(f);
    f = must_open("/new", O_WRONLY | O_TRUNC);
    ck_assert_uint_eq(must_stat("/new").size, 0);
    file_put(f);
    host_write("there", "12345");
    f = must_open("/there", O_RDWR);
    ck_assert_int_eq(vfs_truncate(me, f->inode, 2), 0);
    host_expect("there", "12");
    ck_assert_int_eq(f->ops->fsync(f, false), 0);
    ck_assert_int_eq(f->ops->llseek(f, 0, SEEK_END), 2);
    int fd;
    uint64_t delta;
    ck_assert_int_eq(f->ops->mmap_fd(f, PROT_READ | PROT_WRITE, MAP_SHARED, &fd, &delta), 0);
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)delta);
    ck_assert_ptr_ne(p, MAP_FAILED);
    p[0] = 'X';
    expect(f, 0, "X2");
    file_put(f);
    f = must_open("/there", O_RDONLY);
    ck_assert_int_eq(f->ops->mmap_fd(f, PROT_READ, MAP_SHARED, &fd, &delta), 0);
    ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)delta), MAP_FAILED);
    file_put(f);
}
END_TEST

START_TEST(changing)
{
    ck_assert_int_eq(vfs_mkdir(me, AT_FDCWD, "/d", 0777), 0);
    ck_assert_uint_eq(must_stat("/d").mode, S_IFDIR | 0755);
    expect_entries("/d", 2, NULL);
    file_put(must_open("/d/f", O_RDWR | O_CREAT));
    expect_entries("/d", 3, "f");
    ck_assert_int_eq(vfs_rmdir(me, AT_FDCWD, "/d"), -ENOTEMPTY);
    ck_assert_int_eq(vfs_symlink(me, "f", AT_FDCWD, "/d/s"), 0);
    file_put(must_open("/d/s", O_RDONLY));
    ck_assert_int_eq(vfs_mknod(me, AT_FDCWD, "/d/fifo", S_IFIFO | 0600, 0), 0);
    ck_assert_uint_eq(must_stat("/d/fifo").mode, S_IFIFO | 0600);
    ck_assert_int_eq(vfs_mknod(me, AT_FDCWD, "/d/null", S_IFCHR | 0600, 0x103), -EPERM); /* the gofer says */
    struct path p;
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/d/f", 0, &p), 0);
    ck_assert_int_eq(vfs_link(me, &p, AT_FDCWD, "/hard"), 0);
    ck_assert_int_eq(vfs_chmod(me, &p, 04711), 0);
    const struct timespec times[2] = {{.tv_sec = 5, .tv_nsec = 6}, {.tv_sec = 7, .tv_nsec = 8}};
    ck_assert_int_eq(vfs_utimes(me, &p, times), 0);
    struct inode *f = dentry_inode(p.dentry);
    ck_assert_int_eq(f->ops->setxattr(f, "user.x", "value", 5, 0), 0);
    path_put(&p);
    struct kstat st = must_stat("/hard");
    ck_assert_uint_eq(st.nlink, 2);
    ck_assert_uint_eq(st.mode, S_IFREG | 04711);
    ck_assert_int_eq(st.atime.tv_nsec, 6);
    ck_assert_int_eq(st.mtime.tv_sec, 7);
    ck_assert_uint_eq(st.ino, must_stat("/d/f").ino);
    char value[16] = "";
    ck_assert_int_eq(getxattr(host("hard"), "user.x", value, sizeof(value)), 5);
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/d/f"), 0);
    ck_assert_uint_eq(must_stat("/hard").nlink, 1);
    ck_assert_int_eq(stat_of("/d/f", &st), -ENOENT);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/hard", AT_FDCWD, "/d/moved", 0), 0);
    ck_assert_int_eq(stat_of("/hard", &st), -ENOENT);
    ck_assert_int_eq(must_stat("/d/moved").mtime.tv_sec, 7);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/d", AT_FDCWD, "/d/moved/x", 0), -ENOTDIR);
    ck_assert_int_eq(vfs_mkdir(me, AT_FDCWD, "/d/sub", 0777), 0);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/d/sub", AT_FDCWD, "/sub2", RENAME_NOREPLACE), 0);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/sub2", AT_FDCWD, "/d", RENAME_EXCHANGE), 0);
    ck_assert_int_eq(must_stat("/sub2/moved").mtime.tv_sec, 7);
    ck_assert_int_eq(vfs_rmdir(me, AT_FDCWD, "/d"), 0);
    ck_assert_int_eq(access(host("d"), F_OK), -1);
}
END_TEST

/* A file that has lost its name lives on in the files that are open on it. */
START_TEST(unlinked)
{
    struct file *f = must_open("/f", O_RDWR | O_CREAT);
    ck_assert_int_eq(put(f, "still here"), 10);
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/f"), 0);
    expect(f, 0, "still here");
    struct kstat st;
    ck_assert_int_eq(inode_getattr(f->inode, &st), 0);
    ck_assert_uint_eq(st.nlink, 0);
    ck_assert_uint_eq(st.size, 10);
    struct file *other = must_open("/f", O_RDWR | O_CREAT);
    expect(other, 0, "");
    ck_assert_ptr_ne(other->inode, f->inode);
    file_put(other);
    file_put(f);
}
END_TEST

/* O_TMPFILE: a file that may get its name later. And one that its own mode does not let anybody write. */
START_TEST(nameless)
{
    struct file *f;
    struct path p;

    ck_assert_int_eq(vfs_open_tmpfile(me, AT_FDCWD, "/", O_RDWR, 0444, 0, &f), 0);
    ck_assert_int_eq(put(f, "text"), 4);
    expect_entries("/", 2, NULL);
    p = (struct path){f->mnt, f->dentry};
    ck_assert_int_eq(vfs_link(me, &p, AT_FDCWD, "/named"), 0);
    file_put(f);
    host_expect("named", "text");
    ck_assert_uint_eq(must_stat("/named").nlink, 1);
    ck_assert_uint_eq(must_stat("/named").mode, S_IFREG | 0444);
    ck_assert_int_eq(vfs_open(me, AT_FDCWD, "/readonly", O_RDWR | O_CREAT, 0400, 0, &f), 0);
    ck_assert_int_eq(put(f, "text"), 4);
    file_put(f);
}
END_TEST

START_TEST(host_changes)
{
    struct kstat st;

    ck_assert_int_eq(stat_of("/f", &st), -ENOENT);
    host_write("f", "first");
    ck_assert_uint_eq(must_stat("/f").size, 5);
    struct file *f = must_open("/f", O_RDONLY);
    host_write("f", "changed");
    ck_assert_uint_eq(must_stat("/f").size, 7);
    expect(f, 0, "changed");
    ck_assert_int_eq(unlink(host("f")), 0);
    expect_open_error("/f", O_RDONLY, -ENOENT);
    ck_assert_int_eq(inode_getattr(f->inode, &st), 0);
    ck_assert_uint_eq(st.nlink, 0);
    file_put(f);
    expect_entries("/", 2, NULL);
    ck_assert_int_eq(mkdir(host("f"), 0700), 0);
    expect_entries("/", 3, "f");
    ck_assert_uint_eq(must_stat("/f").mode, S_IFDIR | 0700);
}
END_TEST

START_TEST(readonly)
{
    host_write("a", "text");
    struct file *f = must_open("/a", O_RDONLY);
    expect(f, 0, "text");
    file_put(f);
    expect_open_error("/a", O_RDWR, -EROFS);
    expect_open_error("/b", O_RDWR | O_CREAT, -EROFS);
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/a"), -EROFS);
    /* And the gofer by itself. */
    struct inode *i = dentry_inode(root.dentry), *out;
    ck_assert_int_eq(i->ops->mkdir(i, "x", 0755, me->cred, &out), -EROFS);
    const struct iattr a = {.valid = ATTR_MODE, .mode = 0700};
    ck_assert_int_eq(i->ops->setattr(i, &a), -EROFS);
}
END_TEST

/* Names made, found, moved and removed by several at once, in the same directories. */
static void *stir(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    char a[32], b[32];
    struct kstat st;
    struct file *f;

    for (int i = 0; i < 400; i++) {
        unsigned r = (unsigned)rand_r(&seed);
        snprintf(a, sizeof(a), "/d%u/e/f%u", r % 2, r / 2 % 10);
        snprintf(b, sizeof(b), "/d%u/e/f%u", r / 32 % 2, r / 64 % 10);
        int ret;
        switch (r / 1024 % 6) {
        case 0:
            ret = open_at(a, O_RDWR | O_CREAT, &f);
            if (ret == 0) {
                ck_assert_int_eq(put(f, "x"), 1);
                file_put(f);
            }
            break;
        case 1:
            ret = vfs_unlink(me, AT_FDCWD, a);
            break;
        case 2:
            ret = vfs_rename(me, AT_FDCWD, a, AT_FDCWD, b, 0);
            break;
        case 3:
            ret = open_at("/d0/e", O_RDONLY | O_DIRECTORY, &f);
            if (ret == 0) {
                struct names n = {.limit = 100};
                int64_t pos = 0;
                ret = f->ops->iterate(f, &pos, add_name, &n);
                file_put(f);
            }
            break;
        default:
            ret = stat_of(a, &st);
        }
        ck_assert(ret == 0 || ret == -ENOENT);
    }
    return NULL;
}

/* Afterwards the guest must see what is there: the sizes, and nothing else. */
static void compare(const char *name)
{
    struct kstat st;
    struct stat host_st;

    int ret = stat_of(name, &st), host_ret = stat(host(name + 1), &host_st);
    ck_assert_int_eq(ret == 0, host_ret == 0);
    if (ret == 0) {
        ck_assert_uint_eq(st.ino, host_st.st_ino);
        ck_assert_uint_eq(st.size, (uint64_t)host_st.st_size);
        ck_assert_uint_eq(st.nlink, host_st.st_nlink);
    }
}

START_TEST(concurrent)
{
    pthread_t threads[4];
    unsigned seeds[4];
    char name[32];

    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        ck_assert_int_eq(mkdir(host(name), 0755), 0);
        strcat(name, "/e");
        ck_assert_int_eq(mkdir(host(name), 0755), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        seeds[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, stir, &seeds[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "/d%d/e/f%d", i % 2, i / 2);
        compare(name);
    }
}
END_TEST

/* ---- how many messages ---- */

static uint64_t sent(void)
{
    static uint64_t last;
    uint64_t now = gofer_sb(dentry_inode(root.dentry))->conn.exchanges, since = now - last;

    last = now;
    return since;
}

static void make_deep(void)
{
    ck_assert_int_eq(mkdir(host("d"), 0755), 0);
    ck_assert_int_eq(mkdir(host("d/e"), 0755), 0);
    host_write("d/e/f", "deep");
    ck_assert_int_eq(symlink("e/f", host("d/link")), 0);
    sent();
}

START_TEST(messages_exclusive)
{
    struct kstat st;

    make_deep();
    struct file *f = must_open("/d/e/f", O_RDONLY);
    expect(f, 0, "deep");
    file_put(f);
    ck_assert_uint_eq(sent(), 1);
    file_put(must_open("/d/e/f", O_RDONLY));
    must_stat("/d/e/f");
    must_stat("/d/e");
    ck_assert_uint_eq(sent(), 0);
    must_stat("/d/link");
    ck_assert_uint_eq(sent(), 1);
    file_put(must_open("/d/link", O_RDONLY));
    ck_assert_uint_eq(sent(), 0);
    ck_assert_int_eq(stat_of("/d/e/nothing", &st), -ENOENT);
    ck_assert_uint_eq(sent(), 1);
    ck_assert_int_eq(stat_of("/d/e/nothing", &st), -ENOENT);
    ck_assert_uint_eq(sent(), 0);
    ck_assert_int_eq(stat_of("/x/y/z", &st), -ENOENT);
    ck_assert_uint_eq(sent(), 1);
    expect_entries("/d", 4, "e");
    ck_assert_uint_eq(sent(), 1);
    expect_entries("/d", 4, "e");
    ck_assert_int_eq(stat_of("/d/nothing", &st), -ENOENT);
    ck_assert_uint_eq(sent(), 0);
    f = must_open("/d/new", O_RDWR | O_CREAT);
    ck_assert_uint_eq(sent(), 1); /* the listing says that it is not there */
    ck_assert_int_eq(put(f, "text"), 4);
    ck_assert_uint_eq(must_stat("/d/new").size, 4);
    file_put(f);
    f = must_open("/d/new", O_RDWR | O_TRUNC);
    ck_assert_uint_eq(must_stat("/d/new").size, 0);
    file_put(f);
    ck_assert_uint_eq(sent(), 0);
}
END_TEST

START_TEST(messages_shared)
{
    struct kstat st;

    make_deep();
    struct file *f = must_open("/d/e/f", O_RDONLY);
    ck_assert_uint_eq(sent(), 1);
    must_stat("/d/e/f");
    ck_assert_uint_eq(sent(), 1);
    ck_assert_int_eq(inode_getattr(f->inode, &st), 0);
    ck_assert_uint_eq(sent(), 0);
    ck_assert_int_eq(stat_of("/d/e/nothing", &st), -ENOENT);
    ck_assert_uint_eq(sent(), 1);
    file_put(f);
}
END_TEST

/* As ls -l does it: read the directory, then ask for each name. */
START_TEST(messages_batch)
{
    char name[32];

    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "file-%d", i);
        host_write(name, "x");
    }
    sent();
    expect_entries("/", 502, "file-");
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "/file-%d", i);
        ck_assert_uint_eq(must_stat(name).size, 1);
    }
    ck_assert_uint_le(sent(), 4); /* the attributes come with the entries */
    ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, "/file-7"), 0);
    struct kstat st;
    ck_assert_int_eq(stat_of("/file-7", &st), -ENOENT);
    must_stat("/file-8");
}
END_TEST

/* As tar and rm -r do it: one message a file, and no more. */
START_TEST(messages_change)
{
    char name[32];

    sent();
    ck_assert_int_eq(vfs_mkdir(me, AT_FDCWD, "/new", 0755), 0);
    sent();
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "/new/%d", i);
        file_put(must_open(name, O_WRONLY | O_CREAT | O_EXCL));
    }
    ck_assert_uint_eq(sent(), 100);
    expect_entries("/new", 102, "99");
    struct file *f = must_open("/new", O_RDONLY | O_DIRECTORY);
    struct names n = {.limit = 1000};
    int64_t pos = 0;
    ck_assert_int_eq(f->ops->iterate(f, &pos, add_name, &n), 0);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/new/7", AT_FDCWD, "/new/8", 0), 0);
    ck_assert_int_eq(vfs_rename(me, AT_FDCWD, "/new/9", AT_FDCWD, "/new/x", 0), 0);
    for (int i = 10; i < 100; i++) {
        snprintf(name, sizeof(name), "/new/%d", i);
        ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, name), 0);
    }
    ck_assert_uint_eq(sent(), 92);
    file_put(f);
    expect_entries("/new", 11, "x");
    ck_assert_uint_eq(sent(), 0);
    struct kstat st;
    ck_assert_int_eq(stat_of("/new/50", &st), -ENOENT);
    must_stat("/new/8");
}
END_TEST

/* A directory in which names are often missing is read once. */
START_TEST(messages_absent)
{
    struct kstat st;
    char name[32];

    sent();
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "/missing-%d", i);
        ck_assert_int_eq(stat_of(name, &st), -ENOENT);
    }
    ck_assert_uint_le(sent(), 4);
    file_put(must_open("/missing-1", O_WRONLY | O_CREAT));
    must_stat("/missing-1");
}
END_TEST

static const char *numbered(const char *prefix, int i)
{
    static char name[32];

    snprintf(name, sizeof(name), "%s%d", prefix, i);
    return name;
}

START_TEST(many)
{
    ck_assert_int_eq(vfs_mkdir(me, AT_FDCWD, "/many", 0755), 0);
    for (int i = 0; i < 5000; i++)
        file_put(must_open(numbered("/many/a-file-", i), O_WRONLY | O_CREAT));
    struct file *f = must_open("/many", O_RDONLY);
    int64_t pos = 0;
    ck_assert_int_eq(f->ops->iterate(f, &pos, add_name, &(struct names){.limit = 8}), 0);
    ck_assert_int_eq(pos, 8);
    file_put(f);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, numbered("/many/a-file-", i)), 0);
    ck_assert_int_eq(vfs_rmdir(me, AT_FDCWD, "/many"), 0);
}
END_TEST

static void make_files(int count)
{
    for (int i = 0; i < count; i++)
        host_write(numbered("f", i), "x");
}

static void open_files(int count)
{
    for (int i = 0; i < count; i++) {
        struct file *f = must_open(numbered("/f", i), i % 3 ? O_RDONLY : O_RDWR);
        expect(f, 0, "x");
        file_put(f);
    }
}

/* More files than the gofer may have descriptors. */
START_TEST(few_descriptors)
{
    make_files(500);
    ck_assert_int_eq(prlimit(server, RLIMIT_NOFILE, &(struct rlimit){64, 64}, NULL), 0);
    open_files(500);
    open_files(500);
    file_put(must_open("/new", O_RDWR | O_CREAT));
    expect_entries("/", 503, NULL);
    for (int i = 0; i < 500; i++)
        must_stat(numbered("/f", i));
}
END_TEST

/* A quarter of our descriptors is for files that nobody uses. Who opens more than that, again and again, finds most. */
START_TEST(idle_descriptors)
{
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){400, 400}), 0);
    make_files(120);
    open_files(120);
    sent();
    for (int pass = 0; pass < 4; pass++)
        open_files(120);
    ck_assert_uint_lt(sent(), 4 * 120 / 2);
    const int fd = dup(0); /* the lowest that is free */
    ck_assert_int_lt(fd, 100 + 32);
    close(fd);
}
END_TEST

START_TEST(dead_gofer)
{
    struct kstat st;

    host_write("a", "text");
    struct file *f = must_open("/a", O_RDONLY);
    kill(server, SIGKILL);
    ck_assert_int_eq(stat_of("/other", &st), -EIO);
    expect_open_error("/another", O_RDWR | O_CREAT, -EIO);
    expect(f, 0, "text");
    file_put(f);
}
END_TEST

static TCase *add_case(Suite *s, const char *name, void (*setup)(void))
{
    TCase *c = tcase_create(name);

    tcase_add_checked_fixture(c, setup, teardown);
    suite_add_tcase(s, c);
    tcase_set_timeout(c, 60);
    return c;
}

static void add_common(TCase *c)
{
    tcase_add_test(c, reading);
    tcase_add_test(c, writing);
    tcase_add_test(c, changing);
    tcase_add_test(c, unlinked);
    tcase_add_test(c, nameless);
    tcase_add_test(c, concurrent);
}

int main(void)
{
    Suite *s = suite_create("goferfs");

    lock_init(&tasks_lock, RANK_TASKS);
    TCase *c = add_case(s, "exclusive", setup_exclusive);
    add_common(c);
    tcase_add_test(c, many);
    tcase_add_test(c, messages_exclusive);
    tcase_add_test(c, messages_batch);
    tcase_add_test(c, messages_change);
    tcase_add_test(c, messages_absent);
    tcase_add_test(c, few_descriptors);
    tcase_add_test(c, idle_descriptors);
    tcase_add_test(c, dead_gofer);
    c = add_case(s, "shared", setup_shared);
    add_common(c);
    tcase_add_test(c, host_changes);
    tcase_add_test(c, messages_shared);
    c = add_case(s, "jailed", setup_jailed);
    add_common(c);
    c = add_case(s, "readonly", setup_readonly);
    tcase_add_test(c, readonly);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
