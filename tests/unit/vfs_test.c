/* The path walk, descriptor tables and tmpfs, with a task that has no guest behind it. */
#include "sentry/fs/fs.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
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
    for (size_t i = 0; i < ARRAY_SIZE(pile); i++)
        ck_assert_int_eq(mount_detach(&pile[i], true), 0);
    ck_assert_int_eq(path_lookup(me, AT_FDCWD, "/dir", 0, &p), 0);
    ck_assert_ptr_eq(p.mnt, root.mnt);
    path_put(&p);
    for (size_t i = 0; i < ARRAY_SIZE(pile); i++)
        path_put(&pile[i]);
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
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
