/*
 * The mmap family. What registers say completely, the host performs itself (SYS_CONTINUE): private anonymous memory,
 * unmapping, protection, advice. What involves one of our files is done with the platform's help, and noted in the
 * tree. Much of the former the platform lets pass without asking: what is said here of native memory in platform.h.
 */
#include "sentry/mm/mm.h"
#include "lib/checked.h"
#include "sentry/fs/fs.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/vma.h"
#include "sentry/syscalls/syscalls_decl.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MAP_32BIT
#define MAP_32BIT 0 /* x86-64 only */
#endif

#define PROT_KNOWN (PROT_READ | PROT_WRITE | PROT_EXEC)

/* A page-aligned range with its length rounded up; false where it overflows, is empty or unaligned. */
static bool range_ok(uint64_t addr, uint64_t *len)
{
    uint64_t end;

    return !(addr & (PAGE_SIZE - 1)) && checked_align_up(*len, PAGE_SIZE, len) && *len &&
           checked_add(addr, *len, &end) && end <= plat_layout()->task_size;
}

static bool meets_stub(struct task *t, uint64_t addr, uint64_t len)
{
    uint64_t start, end;

    plat_stub_range(t->pt, &start, &end);
    return addr < end && addr + len > start;
}

static int cut_range(struct task *t, uint64_t addr, uint64_t len)
{
    mm_lock(t->mm);
    int ret = vma_cut(t->mm, addr, addr + len);
    mm_unlock(t->mm);
    return ret;
}

/* ---- mmap ---- */

struct mmap_request {
    uint64_t addr, len, offset;
    int prot, flags;
    struct file *file; /* counted; NULL: private anonymous */
};

/* The file side of mmap(2)'s checks. */
static int check_file(const struct mmap_request *m)
{
    const struct file *f = m->file;
    bool shared = (m->flags & MAP_TYPE) != MAP_PRIVATE;

    if (f->fmode & FMODE_PATH)
        return -EBADF;
    if (!(f->fmode & FMODE_READ) || (shared && (m->prot & PROT_WRITE) && !(f->fmode & FMODE_WRITE)))
        return -EACCES;
    if ((m->prot & PROT_EXEC) && (mount_flags(f->mnt) & MNT_NOEXEC))
        return -EPERM;
    return f->ops->mmap_fd ? 0 : -ENODEV;
}

/* Flags and sizes; afterwards m->len is whole pages. */
static int check_request(struct task *t, struct mmap_request *m)
{
    const int type = m->flags & MAP_TYPE;
    const bool fixed = m->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);

    if (!m->len)
        return -EINVAL;
    if (!checked_align_up(m->len, PAGE_SIZE, &m->len) || m->len > plat_layout()->task_size)
        return -ENOMEM;
    if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (m->offset & (PAGE_SIZE - 1))
        return -EINVAL;
    uint64_t end;
    if (!checked_add(m->offset, m->len, &end))
        return -EOVERFLOW;
    if (m->flags & MAP_HUGETLB)
        return -ENOMEM; /* the sandbox has no huge page pool */
    if (!fixed)
        return 0;
    if (m->addr & (PAGE_SIZE - 1))
        return -EINVAL;
    if (m->addr > plat_layout()->task_size - m->len || meets_stub(t, m->addr, m->len))
        return -ENOMEM;
    return 0;
}

/* A hint that leads into native memory, or none, is replaced by one that does not. */
static uint64_t place_file(struct task *t, const struct mmap_request *m)
{
    const bool as_told = m->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT);

    if (as_told || (m->addr && m->addr < plat_layout()->native_start))
        return m->addr;
    const uint64_t place = mm_place(t->mm, m->len);
    return place ? place : m->addr;
}

/* Notes what the request maps at start. */
static int note_file(struct task *t, const struct mmap_request *m, uint64_t start)
{
    mm_lock(t->mm);
    int ret = vma_cut(t->mm, start, start + m->len);
    if (ret == 0)
        ret = vma_add(t->mm, start, start + m->len, m->file, m->offset, m->prot, m->flags & MAP_TYPE);
    mm_unlock(t->mm);
    return ret;
}

/*
 * A segment of a program, as its dynamic linker maps them: the host can perform the guest's own call, which costs a
 * third of what the platform's mapping does. 1: it will; 0: it cannot. Should it fail there, for want of memory, the
 * tree tells the guest of a mapping that is not there. Only for files that are open for reading alone, because the
 * process keeps the descriptor for longer than the guest can know.
 */
static int map_in_place(struct task *t, const struct mmap_request *m, int host_fd)
{
    if (!(m->flags & MAP_FIXED) || (m->flags & (MAP_TYPE | MAP_ANONYMOUS)) != MAP_PRIVATE ||
        (m->file->fmode & FMODE_WRITE))
        return 0;
    int ret = mm_watch_mapping(t->mm, t->pt, m->addr + m->len);
    if (ret < 0)
        return ret;
    if (plat_lend_fd(t->pt, host_fd) < 0)
        return 0;
    ret = note_file(t, m, m->addr);
    return ret < 0 ? ret : 1;
}

/* Maps the file by the platform and notes it. */
static int64_t map_file(struct task *t, const struct mmap_request *m)
{
    uint64_t delta = 0;
    int host_fd;

    int ret = m->file->ops->mmap_fd(m->file, m->prot, m->flags, &host_fd, &delta);
    if (ret < 0)
        return ret;
    ret = delta ? 0 : map_in_place(t, m, host_fd);
    if (ret != 0)
        return ret < 0 ? ret : SYS_CONTINUE;
    const int64_t addr =
        plat_mmap(t->pt, place_file(t, m), m->len, m->prot, m->flags & ~MAP_ANONYMOUS, host_fd, m->offset + delta);
    if (addr < 0)
        return addr;
    const uint64_t start = (uint64_t)addr;
    ret = note_file(t, m, start);
    if (ret == 0)
        ret = mm_watch_mapping(t->mm, t->pt, start + m->len);
    if (ret < 0) {
        const uint64_t undo[6] = {start, m->len};
        (void)!plat_host_call(t->pt, SYS_munmap, undo); /* best effort: it is the guest's own memory */
        return ret;
    }
    return addr;
}

static int take_file(struct task *t, struct mmap_request *m, int fd)
{
    if (!(m->flags & MAP_ANONYMOUS)) {
        m->file = fd_get(t, fd);
        return m->file ? check_file(m) : -EBADF;
    }
    if ((m->flags & MAP_TYPE) == MAP_PRIVATE)
        return 0;
    m->offset = 0;
    return tmpfs_new_anon_file("/dev/zero (deleted)", m->len, O_RDWR, &m->file);
}

long sys_mmap(struct task *t, const struct sysargs *a)
{
    struct mmap_request m = {.addr = a->a[0],
                             .len = a->a[1],
                             .prot = (int)a->a[2],
                             .flags = (int)a->a[3],
                             .offset = a->a[3] & MAP_ANONYMOUS ? 0 : a->a[5]};

    int64_t ret = check_request(t, &m);
    if (ret == 0)
        ret = take_file(t, &m, (int)a->a[4]);
    if (ret == 0 && m.file) {
        ret = map_file(t, &m);
    } else if (ret == 0) {
        if (m.flags & MAP_FIXED)
            ret = cut_range(t, m.addr, m.len);
        if (ret == 0)
            ret = SYS_CONTINUE;
    }
    if (m.file)
        file_put(m.file);
    return ret;
}

/* ---- changes to ranges ---- */

long sys_munmap(struct task *t, const struct sysargs *a)
{
    uint64_t len = a->a[1];

    if (!range_ok(a->a[0], &len) || meets_stub(t, a->a[0], len))
        return -EINVAL;
    int ret = cut_range(t, a->a[0], len);
    return ret < 0 ? ret : SYS_CONTINUE;
}

/* A shared mapping may be made writable only if its file was opened for writing. */
static int check_protect(struct task *t, uint64_t start, uint64_t end, int prot)
{
    for (struct vma *v = vma_find(t->mm, start); v && v->start < end; v = RB_NEXT(vma_tree, &t->mm->vmas, v)) {
        if ((prot & PROT_WRITE) && (v->flags & MAP_SHARED) && !(v->file->fmode & FMODE_WRITE))
            return -EACCES;
        if ((prot & PROT_EXEC) && (mount_flags(v->file->mnt) & MNT_NOEXEC))
            return -EACCES;
    }
    return 0;
}

long sys_mprotect(struct task *t, const struct sysargs *a)
{
    uint64_t start = a->a[0], len = a->a[1];
    const int prot = (int)a->a[2];

    if (start & (PAGE_SIZE - 1))
        return -EINVAL;
    if (!len)
        return 0;
    if (!range_ok(start, &len) || meets_stub(t, start, len))
        return -ENOMEM;
    if (prot & ~(PROT_KNOWN | PROT_GROWSDOWN | PROT_GROWSUP | PROT_SEM))
        return -EINVAL;
    mm_lock(t->mm);
    int ret = check_protect(t, start, start + len, prot);
    if (ret == 0)
        ret = vma_protect(t->mm, start, start + len, prot & PROT_KNOWN);
    mm_unlock(t->mm);
    return ret < 0 ? ret : SYS_CONTINUE;
}

long sys_madvise(struct task *t, const struct sysargs *a)
{
    uint64_t len = a->a[1];

    switch ((int)a->a[2]) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTNEED:
    case MADV_FREE:
    case MADV_REMOVE:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
        break;
    default:
        return -EINVAL;
    }
    if (a->a[0] & (PAGE_SIZE - 1))
        return -EINVAL;
    if (!len)
        return 0;
    return range_ok(a->a[0], &len) && !meets_stub(t, a->a[0], len) ? SYS_CONTINUE : -EINVAL;
}

/* The other calls on a range that change nothing we keep. */
static long continue_range(struct task *t, const struct sysargs *a)
{
    uint64_t start = a->a[0] & PAGE_MASK, len = a->a[1] + (a->a[0] - start);

    if (!a->a[1])
        return SYS_CONTINUE;
    return range_ok(start, &len) && !meets_stub(t, start, len) ? SYS_CONTINUE : -ENOMEM;
}

long sys_msync(struct task *t, const struct sysargs *a)
{
    return continue_range(t, a);
}

long sys_mlock(struct task *t, const struct sysargs *a)
{
    return continue_range(t, a);
}

long sys_mlock2(struct task *t, const struct sysargs *a)
{
    return (unsigned)a->a[2] & ~(unsigned)MLOCK_ONFAULT ? -EINVAL : continue_range(t, a);
}

long sys_munlock(struct task *t, const struct sysargs *a)
{
    return continue_range(t, a);
}

long sys_mlockall(struct task *t, const struct sysargs *a)
{
    (void)t;
    if (!a->a[0] || (a->a[0] & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)))
        return -EINVAL;
    return SYS_CONTINUE;
}

long sys_munlockall(struct task *t, const struct sysargs *a)
{
    (void)t, (void)a;
    return SYS_CONTINUE;
}

/* The host writes the vector itself, into the caller's own memory. */
long sys_mincore(struct task *t, const struct sysargs *a)
{
    uint64_t len = a->a[1];

    if (a->a[0] & (PAGE_SIZE - 1))
        return -EINVAL;
    if (!len)
        return 0;
    return range_ok(a->a[0], &len) && !meets_stub(t, a->a[0], len) ? SYS_CONTINUE : -ENOMEM;
}

/* The heap is the host's: it lies where the stub's would. */
long sys_brk(struct task *t, const struct sysargs *a)
{
    (void)t, (void)a;
    return SYS_CONTINUE;
}

/* ---- mremap ---- */

/* Part of a mapping that moves. */
struct piece {
    uint64_t start, end, offset; /* from the range's start; in the file */
    struct file *file;           /* counted */
    int prot, flags;
};

/* What the tree knows of [from, from + len), at most `new_len` of it; len 0: of the mapping at from (a second view of
 * shared memory). The last piece grows with the range. */
static int copy_pieces(struct mm *mm, uint64_t from, uint64_t len, uint64_t new_len, struct piece **out, size_t *out_n)
{
    struct piece *all = NULL;
    size_t n = 0;

    for (struct vma *v = vma_find(mm, from); v && v->start < from + MAX(len, 1UL);
         v = RB_NEXT(vma_tree, &mm->vmas, v)) {
        const uint64_t start = MAX(v->start, from) - from, stop = v->end - from;
        if (start >= new_len)
            break;
        struct piece *grown = realloc(all, (n + 1) * sizeof(*all));
        if (!grown) {
            free(all);
            return -ENOMEM;
        }
        all = grown;
        all[n++] = (struct piece){.start = start,
                                  .end = stop >= len ? new_len : MIN(stop, new_len),
                                  .offset = v->offset + (start + from - v->start),
                                  .file = v->file,
                                  .prot = v->prot,
                                  .flags = v->flags};
    }
    for (size_t i = 0; i < n; i++)
        file_get(all[i].file);
    *out = all;
    *out_n = n;
    return 0;
}

/* Hands ret through. The references are not the last ones: the tree holds its own, or mm_unlock() drops them. */
static int put_pieces(struct piece *pieces, size_t n, int ret)
{
    for (size_t i = 0; i < n; i++)
        file_put(pieces[i].file);
    free(pieces);
    return ret;
}

/* Moves what the tree knows of [from, from + old_len) to [to, to + new_len); keep: it stays there as well. */
static int move_range(struct mm *mm, uint64_t from, uint64_t old_len, bool keep, uint64_t to, uint64_t new_len)
{
    struct piece *pieces = NULL;
    size_t n = 0;

    int ret = copy_pieces(mm, from, old_len, new_len, &pieces, &n);
    if (ret == 0 && old_len && !keep)
        ret = vma_cut(mm, from, from + old_len);
    if (ret == 0)
        ret = vma_cut(mm, to, to + new_len);
    for (size_t i = 0; i < n; i++) {
        const struct piece *p = &pieces[i];
        if (ret == 0)
            ret = vma_add(mm, to + p->start, to + p->end, p->file, p->offset, p->prot, p->flags);
    }
    return put_pieces(pieces, n, ret);
}

static bool is_tracked(struct mm *mm, uint64_t start, uint64_t len)
{
    mm_lock(mm);
    struct vma *v = vma_find(mm, start);
    bool yes = v && v->start < start + MAX(len, 1UL);
    mm_unlock(mm);
    return yes;
}

/*
 * In place if that is possible; else to where mappings of files go, which the host is made to choose by a reservation
 * there. (new_len: in whole pages.)
 */
static int64_t remap_tracked(struct task *t, const struct sysargs *a, uint64_t new_len)
{
    const uint64_t free_choice = MREMAP_MAYMOVE, place = a->a[3] == free_choice ? mm_place(t->mm, new_len) : 0;
    const uint64_t reserve[6] = {place,        new_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                                 (uint64_t)-1, 0};
    const uint64_t in_place[6] = {a->a[0], a->a[1], a->a[2]};
    const uint64_t to_place[6] = {a->a[0], a->a[1], a->a[2], MREMAP_MAYMOVE | MREMAP_FIXED, place};

    if (!place)
        return plat_host_call(t->pt, SYS_mremap, a->a);
    if (a->a[1]) { /* length 0 asks for a second view, elsewhere */
        const int64_t got = plat_host_call(t->pt, SYS_mremap, in_place);
        if (got != -ENOMEM)
            return got;
    }
    if (plat_host_call(t->pt, SYS_mmap, reserve) != (int64_t)place)
        return plat_host_call(t->pt, SYS_mremap, a->a);
    const int64_t got = plat_host_call(t->pt, SYS_mremap, to_place);
    if (got < 0)
        (void)!plat_host_call(t->pt, SYS_munmap, reserve); /* best effort: an unused reservation */
    return got;
}

long sys_mremap(struct task *t, const struct sysargs *a)
{
    uint64_t old_len = a->a[1], new_len = a->a[2];
    const uint64_t from = a->a[0], flags = a->a[3], to = a->a[4];
    const bool fixed = flags & MREMAP_FIXED;

    if ((flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) || (from & (PAGE_SIZE - 1)) || !new_len)
        return -EINVAL;
    if ((fixed || (flags & MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if (!checked_align_up(old_len, PAGE_SIZE, &old_len) || !checked_align_up(new_len, PAGE_SIZE, &new_len) ||
        new_len > plat_layout()->task_size || (old_len && !range_ok(from, &old_len)) ||
        (fixed && !range_ok(to, &new_len)))
        return -EINVAL;
    /* Growing in place needs free room, so only what is there now can meet the stub. */
    if (meets_stub(t, from, MAX(old_len, PAGE_SIZE)) || (fixed && meets_stub(t, to, new_len)))
        return -EINVAL;
    if (!is_tracked(t->mm, from, old_len) && !(fixed && is_tracked(t->mm, to, new_len)))
        return SYS_CONTINUE;
    /* One of ours moves: where to is the host's choice, so it is done under our eyes. */
    const int64_t got = remap_tracked(t, a, new_len);
    if (got < 0)
        return got;
    mm_lock(t->mm);
    int ret = move_range(t->mm, from, old_len, flags & MREMAP_DONTUNMAP, (uint64_t)got, new_len);
    mm_unlock(t->mm);
    if (ret == 0)
        ret = mm_watch_mapping(t->mm, t->pt, (uint64_t)got + new_len);
    return ret < 0 ? ret : got;
}
