/*
 * Where mappings go that the sentry must know of: into the *file region*, which ends where the platform's native region
 * begins. It is filled from the top down, below whatever of it is in the tree, so that what was mapped last and is
 * unmapped first leaves no hole. Its upper end is drawn anew for every program.
 *
 * Guests may map elsewhere by MAP_FIXED or with a hint, as ever. If that is within the native region, the platform has
 * to let us see the calls on memory there too.
 */
#include "sentry/mm/mm.h"
#include "sentry/mm/vma.h"

#include <sys/mman.h>
#include <sys/random.h>

#define REGION_BYTES (112UL << 30)
#define RANDOM_PAGES (1UL << 22) /* 16 GiB of the region */

void mm_choose_files_top(struct mm *mm)
{
    const struct plat_layout *l = plat_layout();
    uint32_t r = 0;

    if (l->native_start == l->task_size)
        return;
    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
        r = 0;
    mm->files_top = l->native_start - (r % RANDOM_PAGES) * PAGE_SIZE;
}

uint64_t mm_place(struct mm *mm, uint64_t len)
{
    mm_lock(mm);
    const uint64_t floor = plat_layout()->native_start - REGION_BYTES;
    uint64_t top = mm->files_top;
    const struct vma *lowest = top ? vma_find(mm, floor) : NULL;
    if (lowest && lowest->start < top)
        top = lowest->start;
    mm_unlock(mm);
    return top > floor && len <= top - floor ? top - len : 0;
}

#define REACH (2047UL << 20) /* of a jump */
#define CODE_GAP (1UL << 20) /* below a program that is linked to an address far from all others */

/* Right above the files, if they are there; else below the mapping. */
static uint64_t code_space_near(struct mm *mm, const struct vma *v)
{
    const uint64_t top = mm->files_top & PAGE_MASK;

    if (top > v->start && top - v->start < REACH)
        return top;
    if (v->start < 2 * CODE_GAP || v->end - v->start > REACH - CODE_GAP)
        return 0;
    const uint64_t below = v->start - CODE_GAP;
    const struct vma *next = vma_find(mm, below);
    return next->start >= below + PAGE_SIZE ? below : 0;
}

uint64_t mm_code_space(struct mm *mm, uint64_t addr, uint64_t len)
{
    mm_lock(mm);
    const struct vma *v = vma_find(mm, addr);
    const bool code = v && v->start <= addr && len <= v->end - addr && v->prot == (PROT_READ | PROT_EXEC) &&
                      (v->flags & MAP_TYPE) == MAP_PRIVATE;
    const uint64_t space = code ? code_space_near(mm, v) : 0;
    mm_unlock(mm);
    return space;
}

int mm_watch_mapping(struct mm *mm, struct plat_thread *pt, uint64_t end)
{
    if (end <= plat_layout()->native_start || mm->sees_all)
        return 0;
    int ret = plat_see_memory_calls(pt);
    if (ret == 0)
        mm->sees_all = true;
    return ret;
}
