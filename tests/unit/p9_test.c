/* The wire format, and the gofer's server spoken to in messages made by hand: a plain 9P2000.L client, and a hostile
 * one. */
#include "gofer/server.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

static char dir[] = "/tmp/p9-test-XXXXXX";
static struct gofer_tree tree;
static struct conn *conn;
static uint8_t request[P9_MSIZE_MAX];
static struct wirebuf req, reply;

static const char *host(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void host_write(const char *name, const char *text)
{
    FILE *f = fopen(host(name), "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void setup(void)
{
    strcpy(dir, "/tmp/p9-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    host_write("a", "hello");
    ck_assert_int_eq(mkdir(host("d"), 0755), 0);
    host_write("d/f", "deep");
    ck_assert_int_eq(symlink("/etc", host("etc")), 0);
    ck_assert_int_eq(symlink("..", host("up")), 0);
    tree = (struct gofer_tree){.root_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), .conn_fd = -1};
    conn = conn_new(-1, &tree, true);
    ck_assert_int_eq(gofer_enter_fd_dir(), 0);
}

static void teardown(void)
{
    char command[128];

    conn_free(conn);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

/* ---- talking ---- */

static void begin(void)
{
    p9_begin(&req, request, sizeof(request));
}

static void put_str(const char *s)
{
    wire_put_str(&req, s, strlen(s));
}

/* Sends what was put after begin(); reply is then at its body. 0, or the error that the server answers. */
static int ask(uint8_t type)
{
    p9_end(&req, type, 7);
    ssize_t len = conn_message(conn, request, req.pos);
    if (len <= 0)
        return (int)len;
    wire_init(&reply, conn->out, (size_t)len);
    ck_assert_uint_eq(wire_get32(&reply), (uint32_t)len);
    uint8_t got = wire_get8(&reply);
    ck_assert_uint_eq(wire_get16(&reply), 7);
    if (got == P9_RLERROR)
        return -(int)wire_get32(&reply);
    ck_assert_uint_eq(got, type + 1U);
    return 0;
}

static int ask_version(const char *version, uint32_t msize)
{
    begin();
    wire_put32(&req, msize);
    put_str(version);
    return ask(P9_TVERSION);
}

static int ask_attach(uint32_t fid)
{
    begin();
    wire_put32(&req, fid);
    wire_put32(&req, P9_NOFID);
    put_str("user");
    put_str("");
    wire_put32(&req, 0);
    return ask(P9_TATTACH);
}

static int ask_xattach(const char *version, uint32_t msize, uint32_t fid)
{
    begin();
    wire_put32(&req, msize);
    put_str(version);
    wire_put32(&req, fid);
    return ask(P9_XATTACH);
}

static int ask_getattr(uint32_t fid)
{
    begin();
    wire_put32(&req, fid);
    wire_put64(&req, ~0ULL);
    return ask(P9_TGETATTR);
}

static void start(const char *version)
{
    ck_assert_int_eq(ask_version(version, 65536), 0);
    ck_assert_uint_eq(wire_get32(&reply), 65536);
    ck_assert_int_eq(ask_attach(0), 0);
}

/* names: separated by '/'. The number of qids, or an error. */
static int ask_walk(uint32_t fid, uint32_t newfid, const char *names)
{
    char copy[256], *rest = copy, *name;
    uint16_t count = 0;

    begin();
    wire_put32(&req, fid);
    wire_put32(&req, newfid);
    size_t count_at = req.pos;
    wire_put16(&req, 0);
    snprintf(copy, sizeof(copy), "%s", names);
    while (*names && (name = strsep(&rest, "/"))) {
        put_str(name);
        count++;
    }
    request[count_at] = (uint8_t)count;
    int ret = ask(P9_TWALK);
    return ret < 0 ? ret : wire_get16(&reply);
}

static int ask_open(uint32_t fid, uint32_t flags)
{
    begin();
    wire_put32(&req, fid);
    wire_put32(&req, flags);
    return ask(P9_TLOPEN);
}

static int ask_fid(uint8_t type, uint32_t fid)
{
    begin();
    wire_put32(&req, fid);
    return ask(type);
}

static int ask_read(uint32_t fid, uint64_t offset, char *buf, size_t cap)
{
    begin();
    wire_put32(&req, fid);
    wire_put64(&req, offset);
    wire_put32(&req, (uint32_t)cap);
    int ret = ask(P9_TREAD);
    if (ret < 0)
        return ret;
    uint32_t n = wire_get32(&reply);
    ck_assert_uint_le(n, cap);
    const void *p = wire_take(&reply, n);
    ck_assert_ptr_nonnull(p);
    memcpy(buf, p, n);
    return (int)n;
}

static int ask_write(uint32_t fid, uint64_t offset, const char *text)
{
    begin();
    wire_put32(&req, fid);
    wire_put64(&req, offset);
    wire_put32(&req, (uint32_t)strlen(text));
    wire_put_bytes(&req, text, strlen(text));
    int ret = ask(P9_TWRITE);
    return ret < 0 ? ret : (int)wire_get32(&reply);
}

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

/* ---- a hostile client ---- */

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
    Suite *s = suite_create("p9");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, wire);
    tcase_add_test(c, attributes);
    tcase_add_test(c, attaching_at_once);
    tcase_add_test(c, plain_reading);
    tcase_add_test(c, plain_writing);
    tcase_add_test(c, plain_xattrs);
    tcase_add_test(c, no_way_out);
    tcase_add_test(c, readonly_tree);
    tcase_add_test(c, nonsense);
    tcase_add_test(c, listing);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
