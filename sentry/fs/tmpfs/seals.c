/*
 * File seals (fcntl(2), F_ADD_SEALS): kept by the host on the memfd that holds the file's bytes. The host then refuses
 * whatever the seals forbid, to the sentry's writes and to the guest's mappings alike, and counts writable mappings.
 * A memfd that was not made for sealing carries F_SEAL_SEAL, as every other file of a tmpfs does on Linux.
 */
#include "sentry/fs/tmpfs/tmpfs.h"

#include "sentry/vfs/seals.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define SEALS_KNOWN (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC)

int tmpfs_make_sealable(struct inode *i, bool noexec)
{
    struct tmpfs_inode *ti = tmpfs_data(i);

    lock(&i->lock);
    int ret = ti->fd < 0 ? 0 : -EEXIST;
    if (ret == 0) {
        ti->fd = memfd_create("sbox", MFD_CLOEXEC | MFD_ALLOW_SEALING | (noexec ? MFD_NOEXEC_SEAL : 0));
        ret = ti->fd < 0 ? -errno : 0;
    }
    if (ret == 0)
        tmpfs_note_fd(i, true);
    unlock(&i->lock);
    return ret;
}

bool tmpfs_sealed(struct inode *i, unsigned seals)
{
    int fd = tmpfs_data(i)->fd, now = fd < 0 ? 0 : fcntl(fd, F_GET_SEALS);

    return now > 0 && ((unsigned)now & seals);
}

long file_get_seals(struct file *f)
{
    struct inode *i = f->inode;

    if (f->ops != &tmpfs_file_ops)
        return -EINVAL;
    lock(&i->lock);
    const int fd = tmpfs_data(i)->fd;
    long ret = fd < 0 ? F_SEAL_SEAL : fcntl(fd, F_GET_SEALS);
    unlock(&i->lock);
    return ret < 0 ? -errno : ret;
}

long file_add_seals(struct file *f, unsigned seals)
{
    struct inode *i = f->inode;

    if (f->ops != &tmpfs_file_ops)
        return -EINVAL;
    if (!(f->fmode & FMODE_WRITE))
        return -EPERM;
    if (seals & ~(unsigned)SEALS_KNOWN)
        return -EINVAL;
    lock(&i->lock);
    const int fd = tmpfs_data(i)->fd;
    int ret = fd < 0 ? -EPERM : 0;
    if (ret == 0 && fcntl(fd, F_ADD_SEALS, seals) < 0)
        ret = -errno;
    unlock(&i->lock);
    return ret;
}
