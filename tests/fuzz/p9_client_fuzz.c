/*
 * The gofer's client with a hostile gofer. The input drives both ends: which file operations the guest makes, and what
 * is answered. Answers are mostly of the right shape, with contents and faults from the input. The two functions that
 * move messages are defined here, in place of the library's, so there is neither a socket nor a second process.
 */
#include "include/p9.h"
#include "lib/fdpass.h"
#include "lib/log.h"
#include "sentry/fs/fs.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/dcache.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/ops.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the process tree would call; no process here ever gets a signal. */
__attribute__((weak)) int signal_send_pgrp_locked(struct pgrp *pg, int sig, const siginfo_t *info)
{
    (void)pg, (void)sig, (void)info;
    return 0;
}

/* ---- the input ---- */

static const uint8_t *input;
static size_t left;

static uint8_t next8(void)
{
    if (!left)
        return 0;
    left--;
    return *input++;
}

/* ---- the gofer ---- */

static uint8_t asked[P9_MSIZE_MAX + 65536]; /* the request to be answered */
static size_t asked_len;
static uint8_t answer[P9_MSIZE_MAX];
static size_t answer_len, answer_at;
static int answer_fd;

static uint32_t size_of(const uint8_t *p)
{
    struct wirebuf b;

    wire_init(&b, (void *)(uintptr_t)p, 4);
    return wire_get32(&b);
}

static uint64_t odd_number(void)
{
    static const uint64_t numbers[] = {0, 1, 2, 3, 7, 255, 4096, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};

    return numbers[next8() % ARRAY_SIZE(numbers)];
}

static void put_attr(struct wirebuf *b)
{
    static const mode_t modes[] = {S_IFREG | 0644, S_IFREG | 06755, S_IFDIR | 0755, S_IFDIR | 01777,
                                   S_IFLNK | 0777, S_IFIFO | 0600,  S_IFCHR,        0};
    struct p9_attr a = {.dev = next8() & 1, .ino = next8() & 7, .nlink = 1, .blksize = 4096};

    a.mode = modes[next8() % ARRAY_SIZE(modes)];
    a.size = odd_number();
    a.nlink = odd_number();
    a.uid = next8();
    p9_put_attr(b, &a);
}

static void put_text(struct wirebuf *b)
{
    static const char *const names[] = {"a", "d", "..", ".", "", "a/b", "link", "/d/a", "x\0y", "l"};
    unsigned n = next8() % ARRAY_SIZE(names);

    wire_put_str(b, names[n], n == 8 ? 3 : strlen(names[n]));
}

static int some_fd(void)
{
    int pair[2];

    switch (next8() % 6) {
    case 0:
    case 1:
        return memfd_create("fuzz", MFD_CLOEXEC);
    case 2:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case 3:
        return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    case 4:
        if (pipe2(pair, O_CLOEXEC) < 0)
            return -1;
        close(pair[1]);
        return pair[0];
    default:
        return -1;
    }
}

static void put_body(struct wirebuf *b, uint8_t type)
{
    unsigned n;

    switch (type) {
    case P9_XATTACH:
        wire_put32(b, P9_MSIZE_MAX);
        put_attr(b);
        break;
    case P9_TGETATTR:
        put_attr(b);
        break;
    case P9_XWALK:
        n = next8() % 4;
        wire_put16(b, (uint16_t)n);
        wire_put32(b, next8() & 1 ? next8() : 0);
        wire_put8(b, next8() & 1);
        put_text(b);
        for (unsigned i = 0; i < n; i++)
            put_attr(b);
        answer_fd = some_fd();
        break;
    case P9_XLOOK:
        for (n = next8() % 16; n; n--) {
            uint32_t err = next8() & 1;
            wire_put32(b, err);
            if (!err)
                put_attr(b);
        }
        break;
    case P9_XREADDIR:
        put_attr(b);
        wire_put8(b, next8() & 3);
        for (n = next8() % 8; n; n--) {
            wire_put64(b, odd_number());
            wire_put64(b, odd_number());
            wire_put8(b, next8());
            put_text(b);
            bool known = next8() & 1;
            wire_put8(b, known);
            if (known)
                put_attr(b);
        }
        break;
    case P9_XCREATE:
        put_attr(b);
        wire_put8(b, next8() & 1);
        answer_fd = some_fd();
        break;
    case P9_XOPEN:
        answer_fd = some_fd();
        break;
    case P9_TREADLINK:
        put_text(b);
        break;
    case P9_XXATTR:
        n = next8();
        wire_put32(b, n);
        wire_take(b, n);
        break;
    case P9_TSTATFS:
        wire_take(b, 60);
        break;
    default:
        break;
    }
}

/* Answers the request, most of the time in the right shape. */
static void make_answer(uint8_t type)
{
    struct wirebuf b;
    uint8_t fault = next8();

    answer_fd = -1;
    answer_at = 0;
    p9_begin(&b, answer, sizeof(answer));
    if (fault < 240) {
        put_body(&b, type);
        type++;
    } else if (fault < 250) {
        wire_put32(&b, (uint32_t)odd_number());
        type = P9_RLERROR;
    } else {
        size_t n = next8();
        for (size_t i = 0; i < n; i++)
            wire_put8(&b, next8());
        type = next8();
    }
    p9_end(&b, type, 1);
    answer_len = b.pos;
    if (fault == 239)
        answer[next8() % P9_HEADER] ^= next8();
    else if (fault == 238 && b.pos > P9_HEADER)
        answer[P9_HEADER + next8() % (b.pos - P9_HEADER)] ^= next8();
    else if (fault == 237)
        answer_len = next8() % (b.pos + 1);
}

int fdpass_send(int sock, const void *buf, size_t len, int fd)
{
    const uint8_t *p = buf;
    (void)sock, (void)fd;

    if (len > sizeof(asked) || len < P9_HEADER)
        abort();
    while ((p[4] == P9_XFORGET || p[4] == P9_XNEAR) && len > size_of(p)) {
        len -= size_of(p);
        p += size_of(p);
    }
    if (size_of(p) != len)
        abort(); /* the client's own messages are in order */
    memcpy(asked, p, len);
    asked_len = len;
    make_answer(p[4]);
    return 0;
}

ssize_t fdpass_recv(int sock, void *buf, size_t cap, int flags, int *out_fd)
{
    size_t n = answer_len - answer_at;
    (void)sock, (void)flags;

    if (n > cap)
        n = cap;
    if (n > 3 && !(answer_len & 7)) /* in pieces, now and then */
        n = 3;
    memcpy(buf, answer + answer_at, n);
    answer_at += n;
    *out_fd = answer_fd;
    answer_fd = -1;
    return (ssize_t)n;
}

/* ---- the guest ---- */

static struct task *me;

static const char *path(void)
{
    static const char *const paths[] = {"/",    "/a",      "/d",      "/d/a",     "/d/d/a", "/link",  "/l/a",
                                        "/d/.", "/d/../a", "/a/b/c/", "/d/d/d/d", "/x",     "/link/", "/d/x/y"};

    return paths[next8() % ARRAY_SIZE(paths)];
}

static bool count_entry(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type, int64_t next)
{
    (void)ctx, (void)ino, (void)type, (void)next;
    if (!len || memchr(name, '/', len))
        abort();
    return true;
}

static void use_file(struct file *f)
{
    char buf[256];
    struct uio u;
    struct kstat st;
    int64_t pos = 0;
    int ret, fd;
    uint64_t delta;

    uio_kernel(&u, buf, sizeof(buf));
    ssize_t n = f->ops->read ? f->ops->read(f, &u, &pos) : 0;
    uio_kernel(&u, buf, next8());
    if ((f->fmode & FMODE_WRITE) && f->ops->write)
        n = f->ops->write(f, &u, &pos);
    pos = 0;
    if (f->ops->iterate)
        ret = f->ops->iterate(f, &pos, count_entry, NULL);
    ret = inode_getattr(f->inode, &st);
    if (f->ops->mmap_fd)
        ret = f->ops->mmap_fd(f, PROT_READ, MAP_SHARED, &fd, &delta);
    if (f->ops->fsync)
        ret = f->ops->fsync(f, true);
    (void)ret, (void)n;
}

static void one_operation(void)
{
    static const int flags[] = {O_RDONLY,           O_RDWR, O_WRONLY | O_CREAT,    O_RDWR | O_CREAT | O_EXCL,
                                O_WRONLY | O_TRUNC, O_PATH, O_RDONLY | O_DIRECTORY};
    char buf[512];
    struct path p;
    struct file *f;
    int ret = 0;

    switch (next8() % 10) {
    case 0:
        ret = vfs_open(me, AT_FDCWD, path(), flags[next8() % ARRAY_SIZE(flags)], 0644, 0, &f);
        if (ret == 0) {
            if (f->fmode & (FMODE_READ | FMODE_WRITE))
                use_file(f);
            file_put(f);
        }
        break;
    case 1:
        ret = vfs_mkdir(me, AT_FDCWD, path(), 0755);
        break;
    case 2:
        ret = vfs_unlink(me, AT_FDCWD, path());
        break;
    case 3:
        ret = vfs_rmdir(me, AT_FDCWD, path());
        break;
    case 4:
        ret = vfs_symlink(me, "target", AT_FDCWD, path());
        break;
    case 5:
        ret = vfs_rename(me, AT_FDCWD, path(), AT_FDCWD, path(), next8() % 3);
        break;
    case 6:
        ret = vfs_mknod(me, AT_FDCWD, path(), S_IFIFO | 0600, 0);
        break;
    default:
        ret = path_lookup(me, AT_FDCWD, path(), next8() & 1, &p);
        if (ret < 0)
            break;
        struct inode *i = dentry_inode(p.dentry);
        struct kstat st;
        struct statfs fs;
        ret = inode_getattr(i, &st);
        ret = vfs_chmod(me, &p, 0700);
        ret = vfs_truncate(me, i, next8());
        ret = (int)i->ops->getxattr(i, "user.x", buf, sizeof(buf));
        ret = (int)i->ops->listxattr(i, buf, sizeof(buf));
        ret = i->ops->readlink(i, buf, sizeof(buf));
        ret = vfs_link(me, &p, AT_FDCWD, path());
        ret = mount_sb(p.mnt)->ops->statfs(mount_sb(p.mnt), &fs);
        path_put(&p);
    }
    (void)ret;
}

static void start(void)
{
    const struct rlimit size = {1 << 20, 1 << 20};

    setrlimit(RLIMIT_FSIZE, &size);
    signal(SIGXFSZ, SIG_IGN);
    log_init(-1, "fuzz", false);
    lock_init(&tasks_lock, RANK_TASKS);
    me = calloc(1, sizeof(*me));
    me->tg = calloc(1, sizeof(*me->tg));
    me->tg->rlimits[RLIMIT_NOFILE] = (struct rlimit64){100, 100};
    me->tg->rlimits[RLIMIT_FSIZE] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
    me->cred = cred_new(0, 0, NULL, 0);
}

/* The directory that gofers are mounted on, in a tmpfs. */
static void make_mount_point(struct path *root, struct path *out)
{
    struct dentry *d;
    struct inode *made;

    if (tmpfs_mount(1 << 20, 0755, &d) < 0 || mount_root(d, 0, "none", root) < 0)
        abort();
    me->fs = fs_context_new(root, root, 022);
    struct inode *top = dentry_inode(root->dentry);
    if (top->ops->mkdir(top, "m", 0755, NULL, &made) < 0 || path_lookup(me, AT_FDCWD, "/m", 0, out) < 0)
        abort();
    inode_put(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct path root, mount_point;
    struct path top;
    struct dentry *d;

    if (!me) {
        start();
        make_mount_point(&root, &mount_point);
    }
    input = data;
    left = size;
    bool exclusive = next8() & 1;
    int sock = open("/dev/null", O_RDWR | O_CLOEXEC);
    gofer_greet(sock);
    if (gofer_mount(sock, exclusive, false, &d) < 0)
        return 0;
    if (mount_at(&mount_point, d, 0, "fuzz") < 0) {
        dentry_put(d); /* not a directory */
        return 0;
    }
    if (path_lookup(me, AT_FDCWD, "/m", 0, &top) < 0)
        abort();
    fs_context_set_root(me->fs, &top);
    fs_context_set_cwd(me->fs, &top);
    while (left)
        one_operation();
    fs_context_set_root(me->fs, &root);
    fs_context_set_cwd(me->fs, &root);
    if (mount_detach(&top, true) < 0)
        abort();
    path_put(&top);
    while (dcache_shrink(UINT32_MAX))
        ;
    return 0;
}
