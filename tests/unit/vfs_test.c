/* The path walk, descriptor tables and tmpfs, with a task that has no guest behind it. */
#include "sentry/fs/fs.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/ops.h"
#include "sentry/vfs/vfs.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>

/* What the process tree would call; no process here ever gets a signal. */
__attribute__((weak)) int signal_send_pgrp_locked(struct pgrp *pg, int sig, const siginfo_t *info)
{
    (void)pg, (void)sig, (void)info;
    return 0;
}

static struct task *me;
static struct path root;

static void setup(void)
{
    struct dentry *d;

    me = calloc(1, sizeof(*me));
    me->tg = calloc(1, sizeof(*me->tg));
    me->tg->rlimits[RLIMIT_NOFILE] = (struct rlimit64){100, 100};
    me->tg->rlimits[RLIMIT_FSIZE] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
    me->cred = cred_new(0, 0, NULL, 0);
    ck_assert_int_eq(tmpfs_mount(1 << 20, 0755, &d), 0);
    ck_assert_int_eq(mount_root(d, 0, "none", &root), 0);
    me->fs = fs_context_new(&root, &root, 022);
    me->files = files_new();
}

static int open_at(const char *name, int flags)
{
    struct file *f;

    int ret = vfs_open(me, AT_FDCWD, name, flags, 0644, 0, &f);
    return ret < 0 ? ret : fd_add(me, f, false);
}

static ssize_t put(int fd, const char *text)
{
    struct uio u;
    struct file *f = fd_get(me, fd);

    uio_kernel(&u, (void *)text, strlen(text));
    ssize_t n = file_write(f, &u, NULL);
    file_put(f);
    return n;
}

static ssize_t get(int fd, char *buf, size_t len, int64_t pos)
{
    struct uio u;
    struct file *f = fd_get(me, fd);

    uio_kernel(&u, buf, len);
    ssize_t n = file_read(f, &u, &pos);
    file_put(f);
    return n;
}

/* Makes a directory or a link through the file system's own operations. */
static void make(const char *dir, const char *name, const char *target)
{
    struct path p;
    struct inode *i;

    ck_assert_int_eq(path_lookup(me, AT_FDCWD, dir, LOOKUP_FOLLOW, &p), 0);
    struct inode *di = dentry_inode(p.dentry);
    lock(&di->lock);
    int ret = target ? di->ops->symlink(di, name, target, me->cred, &i) : di->ops->mkdir(di, name, 0755, me->cred, &i);
    unlock(&di->lock);
    ck_assert_int_eq(ret, 0);
    inode_put(i);
    path_put(&p);
}

START_TEST(files)
{
    char buf[32] = "";

    ck_assert_int_eq(open_at("/a", O_RDONLY), -ENOENT);
    int fd = open_at("/a", O_RDWR | O_CREAT);
    ck_assert_int_eq(fd, 0);
    ck_assert_int_eq(put(fd, "hello "), 6);
    ck_assert_int_eq(put(fd, "world"), 5);
    ck_assert_int_eq(get(fd, buf, sizeof(buf), 3), 8);
    ck_assert_str_eq(buf, "lo world");
    ck_assert_int_eq(open_at("/a", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    ck_assert_int_eq(open_at("/a/b", O_RDONLY), -ENOTDIR);
    ck_assert_int_eq(open_at("/a/", O_RDONLY), -ENOTDIR);
    ck_assert_int_eq(open_at("/", O_RDWR), -EISDIR);
    int append = open_at("/a", O_WRONLY | O_APPEND);
    ck_assert_int_eq(append, 1);
    ck_assert_int_eq(put(append, "!"), 1);
    ck_assert_int_eq(get(fd, buf, 1, 11), 1);
    ck_assert_int_eq(fd_close(me, fd), 0);
    ck_assert_int_eq(fd_close(me, fd), -EBADF);
    ck_assert_int_eq(open_at("/a", O_RDONLY | O_TRUNC), 0);
    ck_assert_int_eq(get(0, buf, 1, 0), 0);
}
END_TEST

START_TEST(walk)
{
    char buf[PATH_MAX];
    struct path p;

    make("/", "d", NULL);
    make("/d", "e", NULL);
    make("/d", "up", "../d/e");
    make("/d", "abs", "/d/up");
    make("/d", "loop", "loop");
    make("/d", "dangling", "nowhere");
    ck_assert_int_ge(open_at("/d/abs/f", O_RDWR | O_CREAT), 0);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "d//e/../e/./f", LOOKUP_FOLLOW, &p), 0);
    ck_assert_int_eq(path_to_string(me, &p, buf, sizeof(buf)), 6);
    ck_assert_str_eq(buf, "/d/e/f");
    path_put(&p);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/../../d", 0, &p), 0);
    path_put(&p);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/d/loop", LOOKUP_FOLLOW, &p), -ELOOP);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/d/loop", 0, &p), 0);
    path_put(&p);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/d/up", LOOKUP_FOLLOW | LOOKUP_NO_SYMLINKS, &p), -ELOOP);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "", 0, &p), -ENOENT);
    ck_assert_int_eq(open_at("/d/up", O_RDONLY | O_NOFOLLOW), -ELOOP);
    /* O_CREAT makes what a dangling link names. */
    ck_assert_int_ge(open_at("/d/dangling", O_RDWR | O_CREAT), 0);
    ck_assert_int_ge(open_at("/d/nowhere", O_RDONLY), 0);
    memset(buf, 'x', 300);
    buf[300] = '\0';
    ck_assert_int_eq(open_at(buf, O_RDWR | O_CREAT), -ENAMETOOLONG);
}
END_TEST

START_TEST(permissions)
{
    ck_assert_int_ge(open_at("/secret", O_RDWR | O_CREAT), 0);
    struct path p;
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/secret", 0, &p), 0);
    const struct iattr a = {.valid = ATTR_MODE, .mode = 0600};
    struct inode *i = dentry_inode(p.dentry);
    ck_assert_int_eq(i->ops->setattr(i, &a), 0);
    path_put(&p);
    me->cred = cred_new(1000, 1000, NULL, 0);
    ck_assert_int_eq(open_at("/secret", O_RDONLY), -EACCES);
    ck_assert_int_eq(open_at("/mine", O_RDWR | O_CREAT), -EACCES);
}
END_TEST

START_TEST(descriptors)
{
    int fd = open_at("/a", O_RDWR | O_CREAT);

    for (int i = 1; i < 100; i++)
        ck_assert_int_eq(fd_add(me, fd_get(me, fd), i % 2), i);
    ck_assert_int_eq(fd_reserve(me, 0), -EMFILE);
    ck_assert_int_eq(fd_close(me, 50), 0);
    ck_assert_int_eq(fd_close(me, 7), 0);
    ck_assert_int_eq(fd_reserve(me, 8), 50);
    ck_assert_int_eq(fd_reserve(me, 0), 7);
    ck_assert_ptr_null(fd_get(me, 7)); /* only reserved */
    ck_assert_int_eq(fd_replace(me, 7, fd_get(me, fd), false), -EBUSY);
    fd_unreserve(me, 7);
    ck_assert_int_eq(fd_replace(me, 7, fd_get(me, fd), false), 7);
    ck_assert_int_eq(fd_replace(me, 100, fd_get(me, fd), false), -EBADF);
    struct files *copy = files_clone(me->files);
    files_close_on_exec(me);
    ck_assert_int_eq(fd_get_cloexec(me, 9), -EBADF);
    ck_assert_int_eq(fd_get_cloexec(me, 10), 0);
    ck_assert_int_eq(fd_close_range(me, 0, ~0U, false), 0);
    ck_assert_int_eq(files_next(me->files, 0), -1);
    ck_assert_int_eq(files_next(copy, 8), 8);
    files_put(copy, me);
}
END_TEST

START_TEST(xattrs)
{
    char buf[64] = "";
    struct path p;

    ck_assert_int_ge(open_at("/a", O_RDWR | O_CREAT), 0);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/a", 0, &p), 0);
    struct inode *i = dentry_inode(p.dentry);
    ck_assert_int_eq(i->ops->getxattr(i, "user.x", buf, sizeof(buf)), -ENODATA);
    ck_assert_int_eq(i->ops->setxattr(i, "user.x", "one", 3, XATTR_REPLACE), -ENODATA);
    ck_assert_int_eq(i->ops->setxattr(i, "user.x", "one", 3, XATTR_CREATE), 0);
    ck_assert_int_eq(i->ops->setxattr(i, "user.x", "two!", 4, XATTR_CREATE), -EEXIST);
    ck_assert_int_eq(i->ops->setxattr(i, "user.x", "two!", 4, 0), 0);
    ck_assert_int_eq(i->ops->setxattr(i, "user.empty", "", 0, 0), 0);
    ck_assert_int_eq(i->ops->setxattr(i, "system.x", "", 0, 0), -EOPNOTSUPP);
    ck_assert_int_eq(i->ops->getxattr(i, "user.x", buf, 0), 4);
    ck_assert_int_eq(i->ops->getxattr(i, "user.x", buf, 3), -ERANGE);
    ck_assert_int_eq(i->ops->getxattr(i, "user.x", buf, sizeof(buf)), 4);
    ck_assert_str_eq(buf, "two!");
    ck_assert_int_eq(i->ops->listxattr(i, buf, 0), 18);
    ck_assert_int_eq(i->ops->listxattr(i, buf, 17), -ERANGE);
    ck_assert_int_eq(i->ops->removexattr(i, "user.x"), 0);
    ck_assert_int_eq(i->ops->removexattr(i, "user.x"), -ENODATA);
    ck_assert_int_eq(i->ops->listxattr(i, buf, sizeof(buf)), 11);
    ck_assert_str_eq(buf, "user.empty");
    path_put(&p);
}
END_TEST

/* Many mounts on one place, each found by a walk through all below it; then given up with the last of them. */
START_TEST(pile_of_mounts)
{
    static struct path pile[2000];
    struct path p;
    struct inode *made;

    ck_assert_int_eq(dentry_inode(root.dentry)->ops->mkdir(dentry_inode(root.dentry), "dir", 0755, me->cred, &made), 0);
    inode_put(made);
    for (size_t i = 0; i < ARRAY_SIZE(pile); i++) {
        ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/dir", 0, &p), 0);
        ck_assert_int_eq(mount_bind(&p, &p, false), 0);
        path_put(&p);
        ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/dir", 0, &pile[i]), 0);
        ck_assert(i == 0 || pile[i].mnt != pile[i - 1].mnt);
    }
    ck_assert_int_eq(mount_detach(&pile[0], false), -EBUSY);
    ck_assert_int_eq(mount_detach(&pile[ARRAY_SIZE(pile) - 1], true), 0);
    ck_assert_int_eq(mount_detach(&pile[0], true), 0); /* with all that are on it */
    ck_assert_int_eq(mount_detach(&pile[1], true), -EINVAL);
    ck_assert_int_eq(mount_bind(&root, &pile[1], false), -EINVAL);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/dir", 0, &p), 0);
    ck_assert_ptr_eq(p.mnt, root.mnt);
    path_put(&p);
    for (size_t i = 0; i < ARRAY_SIZE(pile); i++)
        path_put(&pile[i]);
}
END_TEST

static void mount_tmpfs(const char *name, uint64_t size)
{
    struct dentry *d;
    struct path at;

    make("/", name, NULL);
    ck_assert_int_eq(path_lookup_from(me, &root, name, 0, &at), 0);
    ck_assert_int_eq(tmpfs_mount(size, 0755, &d), 0);
    ck_assert_int_eq(mount_at(&at, d, 0, "none"), 0);
    path_put(&at);
}

/* Host descriptors that this process has. */
static unsigned descriptors_used(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

#define MANY 400
#define MANY_BYTES 20000

static const char *many_name(int i)
{
    static char name[32];

    snprintf(name, sizeof(name), "/many/%d", i);
    return name;
}

/* A file of letters, with a hole, and mapped if the number is odd: what needs a host descriptor. */
static void make_one_of_many(int i)
{
    static char bytes[MANY_BYTES + 1];
    uint64_t delta;
    int host_fd, fd = open_at(many_name(i), O_RDWR | O_CREAT);

    ck_assert_int_eq(fd, 0);
    memset(bytes, 'a' + i % 26, MANY_BYTES);
    struct file *f = fd_get(me, fd);
    struct uio u;
    int64_t pos = i % 4 ? 0 : 50000;
    uio_kernel(&u, bytes, i % 2 ? 10 : MANY_BYTES);
    ck_assert_int_eq(file_write(f, &u, &pos), i % 2 ? 10 : MANY_BYTES);
    if (i % 2)
        ck_assert_int_eq(f->ops->mmap_fd(f, PROT_READ, MAP_SHARED, &host_fd, &delta), 0);
    file_put(f);
    ck_assert_int_eq(fd_close(me, fd), 0);
}

static void check_one_of_many(int i)
{
    static char bytes[MANY_BYTES];
    const int64_t start = i % 4 ? 0 : 50000, size = i % 2 ? 10 : MANY_BYTES;
    int fd = open_at(many_name(i), O_RDONLY);

    ck_assert_int_eq(fd, 0);
    ck_assert_int_eq(get(fd, bytes, sizeof(bytes), start), size);
    ck_assert_int_eq(bytes[0], 'a' + i % 26);
    ck_assert_int_eq(memcmp(bytes, bytes + 1, (size_t)size - 1), 0);
    ck_assert_int_eq(get(fd, bytes, sizeof(bytes), start + size), 0);
    if (start) {
        ck_assert_int_eq(get(fd, bytes, 1, start - 1), 1);
        ck_assert_int_eq(bytes[0], 0);
    }
    ck_assert_int_eq(fd_close(me, fd), 0);
}

/* More files than descriptors, each of which needs one for a while. */
START_TEST(many_files)
{
    const struct rlimit limit = {128, 128};

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    mount_tmpfs("many", 64 << 20);
    for (int i = 0; i < MANY; i++)
        make_one_of_many(i);
    ck_assert_uint_le(descriptors_used(), 64);
    for (int i = 0; i < MANY; i++)
        check_one_of_many(i);

    /* Cut off, grown and mapped again after its descriptor was taken away. */
    char byte = 1;
    int fd = open_at("/many/2", O_RDWR | O_TRUNC);
    ck_assert_int_eq(get(fd, &byte, 1, 0), 0);
    ck_assert_int_eq(put(fd, "new"), 3);
    ck_assert_int_eq(fd_close(me, fd), 0);
    fd = open_at("/many/4", O_RDWR);
    ck_assert_int_eq(put(fd, "new"), 3);
    struct file *f = fd_get(me, fd);
    const struct iattr grow = {.valid = ATTR_SIZE, .size = 100000};
    ck_assert_int_eq(f->inode->ops->setattr(f->inode, &grow), 0);
    ck_assert_int_eq(get(fd, &byte, 1, 2), 1);
    ck_assert_int_eq(byte, 'w');
    ck_assert_int_eq(get(fd, &byte, 1, 50000), 1);
    ck_assert_int_eq(byte, 'e');
    ck_assert_int_eq(get(fd, &byte, 1, 99999), 1);
    ck_assert_int_eq(byte, 0);
    file_put(f);
    ck_assert_int_eq(fd_close(me, fd), 0);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(vfs_unlink(me, AT_FDCWD, many_name(i)), 0);
}
END_TEST

/* What was mounted is gone with its last mount, though names in it were looked up. */
START_TEST(unmounted_is_freed)
{
    const uint64_t before = tmpfs_bytes();
    struct path p;

    mount_tmpfs("many", 64 << 20);
    for (int i = 0; i < 10; i++)
        make_one_of_many(i);
    ck_assert_uint_gt(tmpfs_bytes(), before);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/many", 0, &p), 0);
    ck_assert_int_eq(mount_detach(&p, false), 0);
    path_put(&p);
    ck_assert_uint_eq(tmpfs_bytes(), before);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vfs");
    TCase *c = tcase_create("all");

    lock_init(&tasks_lock, RANK_TASKS);
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, files);
    tcase_add_test(c, walk);
    tcase_add_test(c, permissions);
    tcase_add_test(c, descriptors);
    tcase_add_test(c, xattrs);
    tcase_add_test(c, pile_of_mounts);
    tcase_add_test(c, many_files);
    tcase_add_test(c, unmounted_is_freed);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
