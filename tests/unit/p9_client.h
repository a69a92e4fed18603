/*
 * What tests of the gofer's server share: a fresh tree of files on the host, a connection to it, and messages made by
 * hand. The checks of one message read begin(), wire_put…(), ask(), wire_get…(&reply).
 */
#pragma once

#include "gofer/server.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char dir[] = "/tmp/p9-test-XXXXXX";
static struct gofer_tree tree;
static struct conn *conn;
static uint8_t request[P9_MSIZE_MAX];
static struct wirebuf req, reply;

static inline const char *host(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static inline void host_write(const char *name, const char *text)
{
    FILE *f = fopen(host(name), "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static inline void setup(void)
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

static inline void teardown(void)
{
    char command[128];

    conn_free(conn);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

/* ---- talking ---- */

static inline void begin(void)
{
    p9_begin(&req, request, sizeof(request));
}

static inline void put_str(const char *s)
{
    wire_put_str(&req, s, strlen(s));
}

/* Sends what was put after begin(); reply is then at its body. 0, or the error that the server answers. */
static inline int ask(uint8_t type)
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

static inline int ask_version(const char *version, uint32_t msize)
{
    begin();
    wire_put32(&req, msize);
    put_str(version);
    return ask(P9_TVERSION);
}

static inline int ask_attach(uint32_t fid)
{
    begin();
    wire_put32(&req, fid);
    wire_put32(&req, P9_NOFID);
    put_str("user");
    put_str("");
    wire_put32(&req, 0);
    return ask(P9_TATTACH);
}

static inline int ask_xattach(const char *version, uint32_t msize, uint32_t fid)
{
    begin();
    wire_put32(&req, msize);
    put_str(version);
    wire_put32(&req, fid);
    return ask(P9_XATTACH);
}

static inline int ask_getattr(uint32_t fid)
{
    begin();
    wire_put32(&req, fid);
    wire_put64(&req, ~0ULL);
    return ask(P9_TGETATTR);
}

static inline void start(const char *version)
{
    ck_assert_int_eq(ask_version(version, 65536), 0);
    ck_assert_uint_eq(wire_get32(&reply), 65536);
    ck_assert_int_eq(ask_attach(0), 0);
}

/* names: separated by '/'. The number of qids, or an error. */
static inline int ask_walk(uint32_t fid, uint32_t newfid, const char *names)
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

static inline int ask_open(uint32_t fid, uint32_t flags)
{
    begin();
    wire_put32(&req, fid);
    wire_put32(&req, flags);
    return ask(P9_TLOPEN);
}

static inline int ask_fid(uint8_t type, uint32_t fid)
{
    begin();
    wire_put32(&req, fid);
    return ask(type);
}

static inline int ask_read(uint32_t fid, uint64_t offset, char *buf, size_t cap)
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

static inline int ask_write(uint32_t fid, uint64_t offset, const char *text)
{
    begin();
    wire_put32(&req, fid);
    wire_put64(&req, offset);
    wire_put32(&req, (uint32_t)strlen(text));
    wire_put_bytes(&req, text, strlen(text));
    int ret = ask(P9_TWRITE);
    return ret < 0 ? ret : (int)wire_get32(&reply);
}
