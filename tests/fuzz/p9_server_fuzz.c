/*
 * The gofer's server with a hostile client: the input is a row of messages, each a type, a length and a body, handled
 * by one connection that serves a small tree. Whatever they say, what lies outside the tree must stay as it is.
 */
#include "gofer/server.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_FILE (1 << 20)

static char top[] = "/tmp/p9-fuzz-XXXXXX", inside[64], outside[64];
static struct gofer_tree tree;
static int home; /* where the fuzzer's own files are */

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    if (!f)
        abort();
    fputs(text, f);
    fclose(f);
}

static void make_tree(void)
{
    char path[128];

    if (mkdir(inside, 0755) < 0)
        abort();
    write_file(inside, "a", "hello");
    snprintf(path, sizeof(path), "%s/d", inside);
    if (mkdir(path, 0755) < 0)
        abort();
    write_file(path, "f", "deep");
    snprintf(path, sizeof(path), "%s/l", inside);
    if (symlink("../outside", path) < 0)
        abort();
    tree.root_fd = open(inside, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_tree(void)
{
    close(tree.root_fd);
    if (nftw(inside, remove_entry, 8, FTW_DEPTH | FTW_PHYS) < 0)
        abort();
}

static void remove_all(void)
{
    if (nftw(top, remove_entry, 8, FTW_DEPTH | FTW_PHYS) < 0)
        perror(top);
}

static void check_outside(void)
{
    char buf[16] = "";
    int fd = open(outside, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, buf, sizeof(buf)) != 6 || strcmp(buf, "secret") != 0)
        abort();
    close(fd);
}

static void start(void)
{
    const struct rlimit size = {MAX_FILE, MAX_FILE};

    home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!mkdtemp(top) || home < 0 || setrlimit(RLIMIT_FSIZE, &size) < 0)
        abort();
    signal(SIGXFSZ, SIG_IGN);
    snprintf(inside, sizeof(inside), "%s/inside", top);
    snprintf(outside, sizeof(outside), "%s/outside", top);
    write_file(top, "outside", "secret");
    atexit(remove_all);
}

static void send_message(struct conn *c, uint8_t type, const uint8_t *body, size_t len)
{
    uint8_t msg[P9_HEADER + 256];
    struct wirebuf b;

    p9_begin(&b, msg, sizeof(msg));
    wire_put_bytes(&b, body, len);
    p9_end(&b, type, 1);
    ssize_t n = conn_message(c, msg, b.pos);
    if (n > (ssize_t)c->msize)
        abort();
    if (c->reply_fd >= 0) {
        struct stat st;
        if (fstat(c->reply_fd, &st) < 0 || !S_ISREG(st.st_mode))
            abort(); /* never anything but a file's descriptor */
        if (c->reply_fd_owned)
            close(c->reply_fd);
        c->reply_fd = -1;
        c->reply_fd_owned = false;
    }
}

static void greet(struct conn *c, bool extended)
{
    static const uint8_t attach[] = {0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0};
    uint8_t version[64] = {0, 0, 1, 0};
    const char *name = extended ? P9_VERSION_SBOX : P9_VERSION;

    version[4] = (uint8_t)strlen(name);
    memcpy(version + 6, name, strlen(name));
    send_message(c, P9_TVERSION, version, 6 + strlen(name));
    send_message(c, P9_TATTACH, attach, sizeof(attach));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!*inside)
        start();
    if (size < 1)
        return 0;
    make_tree();
    if (gofer_enter_fd_dir() < 0)
        abort();
    tree.readonly = data[0] & 2;
    struct conn *c = conn_new(-1, &tree, true);
    if (!c)
        abort();
    greet(c, data[0] & 1);
    for (size_t at = 1; at + 2 <= size;) {
        size_t len = data[at + 1];
        if (len > size - at - 2)
            len = size - at - 2;
        send_message(c, data[at], data + at + 2, len);
        at += 2 + len;
    }
    conn_free(c);
    if (fchdir(home) < 0)
        abort();
    check_outside();
    remove_tree();
    return 0;
}
