/*
 * The memory devices (null, zero, full, random, urandom) and /dev/tty. Each is a table of file operations; zero also
 * lends the one host descriptor of /dev/zero that boot opened, so that mapping it is the host's business.
 */
#include "sentry/fs/dev/chrdev.h"

#include "sentry/fs/fs.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/random.h>
#include <sys/sysmacros.h>

/* The controlling terminal's (vfs/tty.c). */
int tty_open_current(struct task *t, struct file *f) __attribute__((weak));
int tty_open_console(struct file *f) __attribute__((weak));

static int host_zero_fd = -1;

int dev_open_host(void)
{
    host_zero_fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    return host_zero_fd < 0 ? -errno : 0;
}

static ssize_t null_read(struct file *f, struct uio *u, int64_t *pos)
{
    (void)f, (void)u, (void)pos;
    return 0;
}

/* Takes everything: not even the bytes are looked at. */
static ssize_t null_write(struct file *f, struct uio *u, int64_t *pos)
{
    ssize_t n = (ssize_t)u->left;
    (void)f, (void)pos;

    u->left = 0;
    return n;
}

static ssize_t zero_read(struct file *f, struct uio *u, int64_t *pos)
{
    (void)f, (void)pos;
    return uio_zero(u, u->left);
}

static ssize_t full_write(struct file *f, struct uio *u, int64_t *pos)
{
    (void)f, (void)u, (void)pos;
    return -ENOSPC;
}

static ssize_t random_read(struct file *f, struct uio *u, int64_t *pos)
{
    char buf[4096];
    ssize_t done = 0;
    (void)f, (void)pos;

    while (u->left) {
        ssize_t got = getrandom(buf, MIN(sizeof(buf), u->left), 0);
        if (got <= 0)
            return done ? done : -EIO;
        ssize_t n = uio_copy_out(u, buf, (size_t)got);
        if (n < 0)
            return done ? done : n;
        done += n;
        if (n < got || (current && signal_pending(current)))
            break;
    }
    return done;
}

static ssize_t random_write(struct file *f, struct uio *u, int64_t *pos)
{
    return null_write(f, u, pos);
}

static int64_t mem_llseek(struct file *f, int64_t off, int whence)
{
    (void)off, (void)whence;
    return f->pos = 0;
}

static int zero_mmap_fd(struct file *f, int prot, int flags, int *out_host_fd, uint64_t *out_off_delta)
{
    (void)f, (void)prot, (void)flags;
    if (host_zero_fd < 0)
        return -ENODEV;
    *out_host_fd = host_zero_fd;
    *out_off_delta = 0;
    return 0;
}

static const struct file_ops null_ops = {.read = null_read, .write = null_write, .llseek = mem_llseek};
static const struct file_ops zero_ops = {
    .read = zero_read, .write = null_write, .llseek = mem_llseek, .mmap_fd = zero_mmap_fd};
static const struct file_ops full_ops = {.read = zero_read, .write = full_write, .llseek = mem_llseek};
static const struct file_ops random_ops = {.read = random_read, .write = random_write, .llseek = mem_llseek};

int chrdev_open(dev_t rdev, struct file *f)
{
    static const struct {
        unsigned major, minor;
        const struct file_ops *ops;
        unsigned fmode;
    } devices[] = {{1, 3, &null_ops, FMODE_NOWAIT},
                   {1, 5, &zero_ops, FMODE_NOWAIT},
                   {1, 7, &full_ops, 0},
                   {1, 8, &random_ops, FMODE_NOWAIT},
                   {1, 9, &random_ops, FMODE_NOWAIT}};

    if (rdev == makedev(5, 0))
        return current && tty_open_current ? tty_open_current(current, f) : -ENXIO;
    if (rdev == makedev(5, 1))
        return tty_open_console ? tty_open_console(f) : -ENXIO;
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        if (rdev == makedev(devices[i].major, devices[i].minor)) {
            f->ops = devices[i].ops;
            f->fmode |= devices[i].fmode;
            return 0;
        }
    }
    return -ENXIO;
}
