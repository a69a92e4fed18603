/* The wire format, and the gofer's server as a plain 9P2000.L client knows it. */
#include "tests/unit/p9_client.h"

#include <sys/xattr.h>

/* ---- the wire format ---- */

START_TEST(wire)
{
    uint8_t bytes[16];
    struct wirebuf b;
    char s[4];

    wire_init(&b, bytes, sizeof(bytes));
    wire_put16(&b, 0x1234);
    wire_put64(&b, 0x1122334455667788);
    wire_put_str(&b, "abc", 3);
    ck_assert_uint_eq(b.pos, 15);
    ck_assert(!b.bad);
    ck_assert_uint_eq(bytes[0], 0x34);
    wire_put16(&b, 1);
    ck_assert(b.bad);
    ck_assert_uint_eq(b.pos, 15);
    wire_init(&b, bytes, 15);
    ck_assert_uint_eq(wire_get16(&b), 0x1234);
    ck_assert_uint_eq(wire_get64(&b), 0x1122334455667788);
    wire_get_str(&b, s, sizeof(s));
    ck_assert_str_eq(s, "abc");
    ck_assert_uint_eq(wire_get8(&b), 0);
    ck_assert(b.bad);
    /* A string that does not fit, is cut short, or has a NUL inside. */
    wire_init(&b, "\4\0abcd", 6);
    wire_get_str(&b, s, sizeof(s));
    ck_assert(b.bad);
    wire_init(&b, "\3\0ab", 4);
    wire_get_str(&b, s, sizeof(s));
    ck_assert(b.bad);
    wire_init(&b, "\3\0a\0b", 5);
    wire_get_str(&b, s, sizeof(s));
    ck_assert(b.bad);
    ck_assert_str_eq(s, "");
    wire_init(&b, bytes, 4);
    ck_assert_ptr_null(wire_take(&b, SIZE_MAX));
    ck_assert(b.bad);
}
END_TEST

START_TEST(attributes)
{
    const struct p9_attr a = {.dev = 5,
                              .ino = 1234567890123,
                              .mode = S_IFREG | 04755,
                              .uid = 1,
                              .gid = 2,
                              .blksize = 4096,
                              .nlink = 3,
                              .size = 1ULL << 40,
                              .blocks = 77,
                              .atime = {-5, 1},
                              .mtime = {2, 3},
                              .ctime = {4, 5},
                              .btime = {0, -1},
                              .xattrs = P9_XATTRS_SOME};
    uint8_t bytes[P9_ATTR_SIZE];
    struct p9_attr b;
    struct wirebuf w;

    wire_init(&w, bytes, sizeof(bytes));
    p9_put_attr(&w, &a);
    ck_assert(!w.bad);
    ck_assert_uint_eq(w.pos, sizeof(bytes));
    wire_init(&w, bytes, sizeof(bytes));
    p9_get_attr(&w, &b);
    ck_assert(!w.bad);
    ck_assert_mem_eq(&a, &b, sizeof(a));
    wire_init(&w, bytes, sizeof(bytes) - 1);
    p9_get_attr(&w, &b);
    ck_assert(w.bad);
    bytes[P9_ATTR_SIZE - 6] = 0x7f; /* nanoseconds beyond a second */
    wire_init(&w, bytes, sizeof(bytes));
    p9_get_attr(&w, &b);
    ck_assert(w.bad);
}
END_TEST

/* ---- a plain client ---- */

START_TEST(plain_reading)
{
    char buf[64] = "";

    start(P9_VERSION);
    begin();
    wire_put32(&req, 9);
    put_str("user");
    put_str("");
    wire_put32(&req, 0);
    ck_assert_int_eq(ask(P9_TAUTH), -ENOENT); /* as clients want to hear that there is no need to */
    ck_assert_int_eq(ask_walk(0, 1, "d/f"), 2);
    ck_assert_int_eq(ask_read(1, 0, buf, 10), -EBADF); /* not open */
    ck_assert_int_eq(ask_open(1, O_RDONLY), 0);
    ck_assert_int_eq(ask_open(1, O_RDONLY), -EBADF); /* twice */
    ck_assert_int_eq(ask_read(1, 0, buf, sizeof(buf)), 4);
    ck_assert_str_eq(buf, "deep");
    ck_assert_int_eq(ask_read(1, 4, buf, sizeof(buf)), 0);
    ck_assert_int_eq(ask_write(1, 0, "x"), -EBADF);
    ck_assert_int_eq(ask_fid(P9_TCLUNK, 1), 0);
    ck_assert_int_eq(ask_fid(P9_TCLUNK, 1), -EBADF);
    ck_assert_int_eq(ask_walk(0, 1, "d/nothing/x"), 1); /* as far as it went, and no fid */
    ck_assert_int_eq(ask_fid(P9_TCLUNK, 1), -EBADF);
    ck_assert_int_eq(ask_walk(0, 1, "nothing"), -ENOENT);
    ck_assert_int_eq(ask_walk(0, 1, ""), 0);
    ck_assert_int_eq(ask_walk(1, 1, "d"), 1); /* in place */
    ck_assert_int_eq(ask_open(1, O_RDONLY), 0);
    begin();
    wire_put32(&req, 1);
    wire_put64(&req, 0);
    wire_put32(&req, 4096);
    ck_assert_int_eq(ask(P9_TREADDIR), 0);
    ck_assert_uint_gt(wire_get32(&reply), 3 * 24);
    ck_assert_int_eq(ask_walk(0, 2, "etc"), 1);
    ck_assert_int_eq(ask_fid(P9_TREADLINK, 2), 0);
    wire_get_str(&reply, buf, sizeof(buf));
    ck_assert_str_eq(buf, "/etc");
    ck_assert_int_eq(ask_fid(P9_TSTATFS, 0), 0);
}
END_TEST

START_TEST(plain_writing)
{
    char buf[64] = "";

    start(P9_VERSION);
    ck_assert_int_eq(ask_walk(0, 1, ""), 0);
    begin();
    wire_put32(&req, 1);
    put_str("new");
    wire_put32(&req, O_RDWR);
    wire_put32(&req, 0640);
    wire_put32(&req, 0);
    ck_assert_int_eq(ask(P9_TLCREATE), 0);
    ck_assert_int_eq(ask_write(1, 0, "text"), 4);
    ck_assert_int_eq(ask_write(1, 2, "st"), 2);
    ck_assert_int_eq(ask_read(1, 0, buf, sizeof(buf)), 4);
    ck_assert_str_eq(buf, "test");
    begin();
    wire_put32(&req, 0);
    put_str("dir");
    wire_put32(&req, 0755);
    wire_put32(&req, 0);
    ck_assert_int_eq(ask(P9_TMKDIR), 0);
    ck_assert_int_eq(ask_walk(0, 2, "dir"), 1);
    begin();
    wire_put32(&req, 1);
    wire_put32(&req, 2);
    put_str("moved");
    ck_assert_int_eq(ask(P9_TRENAME), 0);
    ck_assert_int_eq(access(host("dir/moved"), F_OK), 0);
    begin();
    wire_put32(&req, 2);
    put_str("link");
    put_str("moved");
    wire_put32(&req, 0);
    ck_assert_int_eq(ask(P9_TSYMLINK), 0);
    begin();
    wire_put32(&req, 2);
    put_str("fifo");
    wire_put32(&req, S_IFIFO | 0600);
    wire_put32(&req, 0);
    wire_put32(&req, 0);
    wire_put32(&req, 0);
    ck_assert_int_eq(ask(P9_TMKNOD), 0);
    begin();
    wire_put32(&req, 2);
    put_str("fifo");
    wire_put32(&req, 0);
    put_str("fifo2");
    ck_assert_int_eq(ask(P9_TRENAMEAT), 0);
    ck_assert_int_eq(access(host("fifo2"), F_OK), 0);
    ck_assert_int_eq(unlink(host("dir/moved")), 0); /* behind its back */
    ck_assert_int_eq(ask_fid(P9_TREMOVE, 1), -ENOENT);
    ck_assert_int_eq(ask_fid(P9_TCLUNK, 1), -EBADF); /* gone all the same */
    ck_assert_int_eq(ask_fid(P9_TREMOVE, 2), -ENOTEMPTY);
    ck_assert_int_eq(ask_fid(P9_TREMOVE, 0), -EBUSY);
}
END_TEST

START_TEST(plain_xattrs)
{
    char buf[64] = "";

    start(P9_VERSION);
    ck_assert_int_eq(ask_walk(0, 1, "a"), 1);
    begin();
    wire_put32(&req, 1);
    put_str("user.x");
    wire_put64(&req, 5);
    wire_put32(&req, 0);
    ck_assert_int_eq(ask(P9_TXATTRCREATE), 0);
    ck_assert_int_eq(ask_write(1, 0, "val"), 3);
    ck_assert_int_eq(ask_write(1, 3, "ues"), -ENOSPC);
    ck_assert_int_eq(ask_write(1, 3, "ue"), 2);
    ck_assert_int_eq(ask_fid(P9_TCLUNK, 1), 0);
    ck_assert_int_eq(getxattr(host("a"), "user.x", buf, sizeof(buf)), 5);
    ck_assert_str_eq(buf, "value");
    ck_assert_int_eq(ask_walk(0, 1, "a"), 1);
    begin();
    wire_put32(&req, 1);
    wire_put32(&req, 2);
    put_str("user.x");
    ck_assert_int_eq(ask(P9_TXATTRWALK), 0);
    ck_assert_uint_eq(wire_get64(&reply), 5);
    ck_assert_int_eq(ask_read(2, 1, buf, sizeof(buf)), 4);
    ck_assert_int_eq(ask_fid(P9_TCLUNK, 2), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("p9");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, wire);
    tcase_add_test(c, attributes);
    tcase_add_test(c, plain_reading);
    tcase_add_test(c, plain_writing);
    tcase_add_test(c, plain_xattrs);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
