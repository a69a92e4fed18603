/* open(2), creat(2), openat(2), openat2(2): decoding flags and `struct open_how`; vfs/open.c does the rest. */
#include "sentry/syscalls/pathargs.h"
#include "sentry/vfs/fdtable.h"

#include <errno.h>
#include <linux/openat2.h>

#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)
#define KNOWN_FLAGS                                                                                                    \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC |          \
     O_DIRECT | O_LARGEFILE | KERNEL_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |           \
     O_TMPFILE)
#if defined(__x86_64__)
#define KERNEL_LARGEFILE 0100000 /* glibc's own O_LARGEFILE is 0 on 64-bit machines */
#else
#define KERNEL_LARGEFILE 0400000
#endif

static long do_open(struct task *t, int dirfd, uint64_t addr, int flags, mode_t mode, unsigned lookup)
{
    not_cleared char name[PATH_MAX];
    struct file *f;

    int ret = path_arg(t, name, addr);
    if (ret < 0)
        return ret;
    int fd = fd_reserve(t, 0); /* first: without a number no file may be made */
    if (fd < 0)
        return fd;
    if (!(flags & TMPFILE_BIT) || (flags & O_PATH))
        ret = vfs_open(t, dirfd, name, flags, mode & 07777, lookup, &f);
    else if (!(flags & O_DIRECTORY) || (flags & O_CREAT))
        ret = -EINVAL;
    else
        ret = vfs_open_tmpfile(t, dirfd, name, flags, mode & 07777, lookup, &f);
    if (ret < 0) {
        fd_unreserve(t, fd);
        return ret;
    }
    fd_install(t, fd, f, flags & O_CLOEXEC);
    return fd;
}

long sys_open(struct task *t, const struct sysargs *a)
{
    return do_open(t, AT_FDCWD, a->a[0], (int)a->a[1] & KNOWN_FLAGS, (mode_t)a->a[2], 0);
}

long sys_creat(struct task *t, const struct sysargs *a)
{
    return do_open(t, AT_FDCWD, a->a[0], O_CREAT | O_WRONLY | O_TRUNC, (mode_t)a->a[1], 0);
}

long sys_openat(struct task *t, const struct sysargs *a)
{
    return do_open(t, (int)a->a[0], a->a[1], (int)a->a[2] & KNOWN_FLAGS, (mode_t)a->a[3], 0);
}

/* Copies struct open_how in: fields this version does not know must be zero. */
static int read_how(struct task *t, uint64_t addr, uint64_t size, struct open_how *how)
{
    unsigned char rest[4096];

    if (size < sizeof(*how))
        return -EINVAL;
    if (size > sizeof(rest))
        return -E2BIG;
    if (user_read(t, rest, addr, size) < 0)
        return -EFAULT;
    for (size_t i = sizeof(*how); i < size; i++)
        if (rest[i])
            return -E2BIG;
    *how = *(const struct open_how *)(const void *)rest;
    return 0;
}

static int check_how(const struct open_how *how)
{
    bool makes = how->flags & (O_CREAT | TMPFILE_BIT);

    if (how->flags & ~(uint64_t)(unsigned)KNOWN_FLAGS)
        return -EINVAL;
    if ((how->mode & ~07777ULL) || (how->mode && !makes))
        return -EINVAL;
    if (how->resolve & ~(uint64_t)(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |
                                   RESOLVE_IN_ROOT | RESOLVE_CACHED))
        return -EINVAL;
    if ((how->resolve & RESOLVE_BENEATH) && (how->resolve & RESOLVE_IN_ROOT))
        return -EINVAL;
    if ((how->flags & O_PATH) && (how->flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)))
        return -EINVAL;
    return how->resolve & RESOLVE_CACHED ? -EAGAIN : 0;
}

static unsigned lookup_of_resolve(uint64_t resolve)
{
    return (resolve & RESOLVE_NO_XDEV ? LOOKUP_NO_XDEV : 0) |
           (resolve & RESOLVE_NO_MAGICLINKS ? LOOKUP_NO_MAGICLINKS : 0) |
           (resolve & RESOLVE_NO_SYMLINKS ? LOOKUP_NO_SYMLINKS | LOOKUP_NO_MAGICLINKS : 0) |
           (resolve & RESOLVE_BENEATH ? LOOKUP_BENEATH : 0) | (resolve & RESOLVE_IN_ROOT ? LOOKUP_IN_ROOT : 0);
}

long sys_openat2(struct task *t, const struct sysargs *a)
{
    struct open_how how;

    int ret = read_how(t, a->a[2], a->a[3], &how);
    if (ret == 0)
        ret = check_how(&how);
    if (ret < 0)
        return ret;
    return do_open(t, (int)a->a[0], a->a[1], (int)how.flags, (mode_t)how.mode, lookup_of_resolve(how.resolve));
}
