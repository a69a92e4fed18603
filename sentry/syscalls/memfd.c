/* memfd_create(2): an unlinked file of tmpfs, named "/memfd:NAME (deleted)" in /proc; seals are the file system's. */
#include "sentry/fs/fs.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#define PREFIX "/memfd:"
#define SUFFIX " (deleted)"
#define MEMFD_NAME_MAX (NAME_MAX - 6) /* without its NUL: "memfd:" counts */

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC 16U
#endif

static int make(const char *name, unsigned flags, struct file **out)
{
    if (flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL))
        return tmpfs_new_sealable_file(name, flags & MFD_NOEXEC_SEAL, out);
    return tmpfs_new_anon_file(name, 0, O_RDWR, out);
}

long sys_memfd_create(struct task *t, const struct sysargs *a)
{
    const unsigned flags = (unsigned)a->a[1];
    char name[sizeof(PREFIX) + MEMFD_NAME_MAX + sizeof(SUFFIX)] = PREFIX;
    struct file *f;

    if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC))
        return -EINVAL; /* MFD_HUGETLB included: there are no huge pages to reserve */
    if ((flags & MFD_EXEC) && (flags & MFD_NOEXEC_SEAL))
        return -EINVAL;
    ssize_t n = user_string(t, name + strlen(PREFIX), a->a[0], MEMFD_NAME_MAX + 1);
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    strcat(name, SUFFIX);
    int ret = make(name, flags, &f);
    if (ret < 0)
        return ret;
    return fd_add(t, f, flags & MFD_CLOEXEC);
}
