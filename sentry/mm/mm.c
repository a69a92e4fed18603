/* Address spaces' bookkeeping: struct mm and its tree of mappings. See mm.h for what is in the tree and what is not. */
#include "sentry/mm/mm.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/vma.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int vma_compare(const struct vma *a, const struct vma *b)
{
    return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE_INTERNAL(vma_tree, vma, node, vma_compare, unused_arg)

struct mm *mm_new(void)
{
    struct mm *mm = calloc(1, sizeof(*mm));

    if (!mm)
        return NULL;
    ref_init(&mm->refs);
    lock_init(&mm->lock, RANK_MM);
    RB_INIT(&mm->vmas);
    return mm;
}

static void vma_free(struct vma *v)
{
    file_put(v->file);
    free(v);
}

/* Without the lock: files are put, which may take any other. */
static void free_tree(struct vma_tree *tree)
{
    struct vma *v, *next;

    for (v = RB_MIN(vma_tree, tree); v; v = next) {
        next = RB_NEXT(vma_tree, tree, v);
        RB_REMOVE(vma_tree, tree, v);
        vma_free(v);
    }
}

void mm_lock(struct mm *mm)
{
    lock(&mm->lock);
}

void mm_unlock(struct mm *mm)
{
    struct vma *v = mm->removed, *next;

    mm->removed = NULL;
    unlock(&mm->lock);
    for (; v; v = next) {
        next = v->next_removed;
        vma_free(v);
    }
}

void mm_get(struct mm *mm)
{
    ref_get(&mm->refs);
}

bool mm_is_shared(struct mm *mm)
{
    return ref_shared(&mm->refs);
}

struct mm *task_mm_get(struct task *t)
{
    lock(&tasks_lock);
    struct mm *mm = t->mm;
    if (mm)
        mm_get(mm);
    unlock(&tasks_lock);
    return mm;
}

void mm_put(struct mm *mm)
{
    if (!mm || !ref_put(&mm->refs))
        return;
    free_tree(&mm->vmas);
    file_put(mm->exe);
    lock_destroy(&mm->lock);
    free(mm);
}

static struct vma *vma_copy(const struct vma *from)
{
    struct vma *v = malloc(sizeof(*v));

    if (!v)
        return NULL;
    *v = *from;
    file_get(v->file);
    return v;
}

struct mm *mm_fork(struct mm *mm)
{
    struct mm *copy = mm_new();
    struct vma *it;
    bool failed = !copy;

    if (failed)
        return NULL;
    lock(&mm->lock);
    const struct vma_tree empty = copy->vmas;
    const struct lock own_lock = copy->lock;
    const refcount_t own_refs = copy->refs;
    *copy = *mm;
    copy->vmas = empty;
    copy->lock = own_lock;
    copy->refs = own_refs;
    if (copy->exe)
        file_get(copy->exe);
    RB_FOREACH (it, vma_tree, &mm->vmas) {
        struct vma *v = vma_copy(it);
        failed = !v;
        if (failed)
            break;
        RB_INSERT(vma_tree, &copy->vmas, v);
    }
    unlock(&mm->lock);
    if (failed) {
        mm_put(copy);
        return NULL;
    }
    return copy;
}

/* ---- the tree ---- */

struct vma *vma_find(struct mm *mm, uint64_t addr)
{
    struct vma *v = RB_ROOT(&mm->vmas), *best = NULL;

    while (v) {
        if (v->end > addr) {
            best = v;
            v = RB_LEFT(v, node);
        } else {
            v = RB_RIGHT(v, node);
        }
    }
    return best;
}

/* Makes addr the edge of a mapping. */
static int vma_split(struct mm *mm, uint64_t addr)
{
    struct vma *v = vma_find(mm, addr);

    if (!v || v->start >= addr)
        return 0;
    struct vma *upper = vma_copy(v);
    if (!upper)
        return -ENOMEM;
    upper->start = addr;
    upper->offset += addr - v->start;
    v->end = addr;
    RB_INSERT(vma_tree, &mm->vmas, upper);
    return 0;
}

int vma_cut(struct mm *mm, uint64_t start, uint64_t end)
{
    struct vma *v, *next;

    if (vma_split(mm, start) < 0 || vma_split(mm, end) < 0)
        return -ENOMEM;
    for (v = vma_find(mm, start); v && v->start < end; v = next) {
        next = RB_NEXT(vma_tree, &mm->vmas, v);
        RB_REMOVE(vma_tree, &mm->vmas, v);
        v->next_removed = mm->removed;
        mm->removed = v;
    }
    return 0;
}

int vma_add(struct mm *mm, uint64_t start, uint64_t end, struct file *file, uint64_t offset, int prot, int flags)
{
    struct vma *v = malloc(sizeof(*v));

    if (!v)
        return -ENOMEM;
    *v = (struct vma){.start = start,
                      .end = end,
                      .offset = offset,
                      .prot = prot,
                      .flags = flags & (MAP_SHARED | MAP_PRIVATE),
                      .file = file_get(file)};
    RB_INSERT(vma_tree, &mm->vmas, v);
    return 0;
}

int vma_protect(struct mm *mm, uint64_t start, uint64_t end, int prot)
{
    struct vma *v;

    if (vma_split(mm, start) < 0 || vma_split(mm, end) < 0)
        return -ENOMEM;
    for (v = vma_find(mm, start); v && v->start < end; v = RB_NEXT(vma_tree, &mm->vmas, v))
        v->prot = prot;
    return 0;
}

void mm_futex_key(struct mm *mm, uint64_t addr, struct inode **out_inode, uint64_t *out_offset)
{
    *out_inode = NULL;
    mm_lock(mm);
    struct vma *v = vma_find(mm, addr);
    if (v && v->start <= addr && (v->flags & MAP_SHARED) == MAP_SHARED) {
        *out_inode = inode_get(v->file->inode);
        *out_offset = v->offset + (addr - v->start);
    }
    mm_unlock(mm);
}
