/* memfd_create(2): an unlinked file of tmpfs, named "memfd:NAME" in /proc. */
#include "sentry/fs/fs.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/seals.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#define PREFIX "memfd:"
#define MEMFD_NAME_MAX (NAME_MAX - sizeof(PREFIX) + 1) /* without its NUL */

long sys_memfd_create(struct task *t, const struct sysargs *a)
{
    const unsigned flags = (unsigned)a->a[1];
    char name[NAME_MAX + 1] = PREFIX;
    struct file *f;

    if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING))
        return -EINVAL; /* MFD_HUGETLB included: there are no huge pages to reserve */
    ssize_t n = user_string(t, name + strlen(PREFIX), a->a[0], MEMFD_NAME_MAX + 1);
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    int ret = tmpfs_new_anon_file(name, 0, O_RDWR, &f);
    if (ret < 0)
        return ret;
    return fd_add(t, f, flags & MFD_CLOEXEC);
}
