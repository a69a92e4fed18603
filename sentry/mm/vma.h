/* The tree of mappings: changes, all between mm_lock() and mm_unlock(). */
#pragma once

#include "sentry/mm/mm.h"

RB_PROTOTYPE(vma_tree, vma, node, vma_compare)

/* The first mapping that ends above addr, or NULL. */
struct vma *vma_find(struct mm *mm, uint64_t addr);
/* Forgets what is known of [start, end), cutting mappings at its edges. -ENOMEM (then nothing was changed). */
int vma_cut(struct mm *mm, uint64_t start, uint64_t end) must_check;
/* Notes a mapping in a range that was cut before; takes a reference on file. -ENOMEM. */
int vma_add(struct mm *mm, uint64_t start, uint64_t end, struct file *file, uint64_t offset, int prot,
            int flags) must_check;
/* mprotect: splits at the edges and sets the protection. -ENOMEM. */
int vma_protect(struct mm *mm, uint64_t start, uint64_t end, int prot) must_check;
