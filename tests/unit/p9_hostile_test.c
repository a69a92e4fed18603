/* Clients of the gofer's server that want out of the tree, write where they must not, or send nonsense; and the
 * messages of the extension, which only the sentry sends. */
#include "tests/unit/p9_client.h"

/* ---- ways out ---- */

START_TEST(no_way_out)
{
    struct p9_attr a;

    start(P9_VERSION);
    ck_assert_int_eq(ask_walk(0, 1, ".."), -EINVAL);
    ck_assert_int_eq(ask_walk(0, 1, "."), -EINVAL);
    ck_assert_int_eq(ask_walk(0, 1, "etc/passwd"), 1);
    ck_assert_int_eq(ask_walk(0, 1, "etc"), 1);
    ck_assert_int_eq(ask_open(1, O_RDONLY), -ELOOP);
    ck_assert_int_eq(ask_walk(1, 2, "passwd"), -ENOTDIR);
    ck_assert_int_eq(ask_walk(0, 2, "up"), 1);
    ck_assert_int_eq(ask_open(2, O_RDONLY | O_DIRECTORY), -ELOOP);
    begin(); /* a name with a slash */
    wire_put32(&req, 0);
    wire_put32(&req, 3);
    wire_put16(&req, 1);
    put_str("d/f");
    ck_assert_int_eq(ask(P9_TWALK), -EINVAL);
    begin();
    wire_put32(&req, 0);
    put_str("../escaped");
    wire_put32(&req, 0755);
    wire_put32(&req, 0);
    ck_assert_int_eq(ask(P9_TMKDIR), -EINVAL);
    begin(); /* a device */
    wire_put32(&req, 0);
    put_str("null");
    wire_put32(&req, S_IFCHR | 0666);
    wire_put32(&req, 1);
    wire_put32(&req, 3);
    wire_put32(&req, 0);
    ck_assert_int_eq(ask(P9_TMKNOD), -EPERM);
    if (mknod(host("zero"), S_IFCHR | 0666, 0x105) == 0) {
        ck_assert_int_eq(ask_walk(0, 3, "zero"), 1);
        ck_assert_int_eq(ask_open(3, O_RDONLY), -EPERM);
    }
    ck_assert_int_eq(fd_attr(tree.root_fd, &a), 0);
}
END_TEST

START_TEST(readonly_tree)
{
    start(P9_VERSION);
    tree.readonly = true;
    ck_assert_int_eq(ask_walk(0, 1, "a"), 1);
    ck_assert_int_eq(ask_open(1, O_RDWR), -EROFS);
    ck_assert_int_eq(ask_open(1, O_RDONLY | P9_O_TRUNC), -EROFS);
    ck_assert_int_eq(ask_fid(P9_TREMOVE, 1), -EROFS);
    begin();
    wire_put32(&req, 0);
    put_str("dir");
    wire_put32(&req, 0755);
    wire_put32(&req, 0);
    ck_assert_int_eq(ask(P9_TMKDIR), -EROFS);
}
END_TEST

/* ---- nonsense ---- */

/* Messages out of order, unknown, too short, or with numbers that stand for nothing. */
START_TEST(nonsense)
{
    ck_assert_int_eq(ask_attach(0), -EPROTO);
    ck_assert_int_eq(ask_version(P9_VERSION, 100), -EPROTO);
    ck_assert_int_eq(ask_version("9P2000", 65536), 0);
    ck_assert_int_eq(ask_attach(0), -EPROTO);
    start(P9_VERSION);
    for (unsigned type = 0; type < 256; type++) {
        if (type == P9_TVERSION)
            continue;
        for (size_t len = 0; len < 64; len++) {
            begin();
            memset(wire_take(&req, len), (int)(type * 7 + len), len);
            ck_assert_int_ne(ask((uint8_t)type), 1);
        }
    }
    start(P9_VERSION_SBOX);
    ck_assert_int_eq(ask_walk(0, 1, "a"), -EOPNOTSUPP);
    begin(); /* the same new fid twice */
    wire_put32(&req, 0);
    wire_put32(&req, 0);
    wire_put16(&req, 2);
    wire_put32(&req, 5);
    put_str("d");
    wire_put32(&req, 5);
    put_str("f");
    ck_assert_int_eq(ask(P9_XWALK), -EBADF);
    begin(); /* no descriptor of a directory */
    wire_put32(&req, 0);
    wire_put32(&req, O_RDONLY);
    ck_assert_int_eq(ask(P9_XOPEN), -EISDIR);
    ck_assert_int_eq(conn->reply_fd, -1);
}
END_TEST

/* ---- the extension ---- */

START_TEST(attaching_at_once)
{
    struct p9_attr a;

    ck_assert_int_eq(ask_xattach(P9_VERSION, 65536, 0), -EPROTO);
    ck_assert_int_eq(ask_xattach(P9_VERSION_SBOX, 100, 0), -EPROTO);
    ck_assert_int_eq(ask_xattach(P9_VERSION_SBOX, 65536, 0), 0);
    ck_assert_uint_eq(wire_get32(&reply), 65536);
    p9_get_attr(&reply, &a);
    ck_assert(!reply.bad && S_ISDIR(a.mode));
    ck_assert_int_eq(ask_getattr(0), 0);
    ck_assert_int_eq(ask_xattach(P9_VERSION_SBOX, 65536, 1), 0); /* a new session: nothing is left of the old one */
    ck_assert_int_eq(ask_getattr(0), -EBADF);
    ck_assert_int_eq(ask_getattr(1), 0);
}
END_TEST

static int ask_readdir(uint32_t fid, uint32_t newfid, const char *name)
{
    begin();
    wire_put32(&req, fid);
    wire_put32(&req, newfid);
    put_str(name);
    wire_put64(&req, 0);
    wire_put32(&req, P9_READDIR_ATTRS);
    return ask(P9_XREADDIR);
}

static int ask_look(uint32_t fid, const char *name)
{
    begin();
    wire_put32(&req, fid);
    wire_put32(&req, 0);
    wire_put16(&req, 1);
    put_str(name);
    ck_assert_int_eq(ask(P9_XLOOK), 0);
    return -(int)wire_get32(&reply);
}

/* What a directory holds, with attributes: no name leads out of it, and no symbolic link is followed. */
START_TEST(listing)
{
    char name[NAME_MAX + 1];
    struct p9_attr a;

    start(P9_VERSION_SBOX);
    ck_assert_int_eq(ask_readdir(0, 1, "d"), 0);
    p9_get_attr(&reply, &a);
    ck_assert(S_ISDIR(a.mode));
    ck_assert_uint_eq(wire_get8(&reply), 1);
    uint64_t ino = wire_get64(&reply);
    wire_get64(&reply);
    wire_get8(&reply);
    wire_get_str(&reply, name, sizeof(name));
    ck_assert_str_eq(name, "f");
    ck_assert_uint_eq(wire_get8(&reply), 1);
    p9_get_attr(&reply, &a);
    ck_assert(S_ISREG(a.mode) && a.ino == ino && a.size == 4);
    ck_assert(!reply.bad && reply.pos == reply.cap);
    ck_assert_int_eq(ask_readdir(1, P9_NOFID, ""), 0);
    ck_assert_int_eq(ask_readdir(0, 1, "d"), -EBADF); /* taken */
    ck_assert_int_eq(ask_readdir(0, 2, "a"), -ENOTDIR);
    ck_assert_int_eq(ask_getattr(2), -EBADF); /* and made no fid */
    ck_assert_int_eq(ask_readdir(0, 2, "etc"), -ELOOP);
    ck_assert_int_eq(ask_readdir(0, 2, ".."), -EINVAL);
    ck_assert_int_eq(ask_readdir(0, 2, "d/f"), -EINVAL);
    ck_assert_int_eq(ask_readdir(0, 2, "none"), -ENOENT);
    ck_assert_int_eq(ask_look(0, "up"), 0);
    p9_get_attr(&reply, &a);
    ck_assert(S_ISLNK(a.mode));
    ck_assert_int_eq(ask_look(0, ".."), -EINVAL);
    ck_assert_int_eq(ask_look(1, "../a"), -EINVAL);
    ck_assert_int_eq(ask_look(1, "a"), -ENOENT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("p9_hostile");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, no_way_out);
    tcase_add_test(c, readonly_tree);
    tcase_add_test(c, nonsense);
    tcase_add_test(c, attaching_at_once);
    tcase_add_test(c, listing);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
