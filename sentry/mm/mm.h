/*
 * Guest memory.
 *
 * The host kernel is the memory manager: pages, faults and copy on write are its business. What the sentry keeps is a
 * tree of the mappings it must know: those of files and shared memory (for futex keys, /proc/PID/maps, and to hold the
 * inode), each struct vma covering [start, end). Private anonymous memory need not be in the tree, since the host may
 * choose its address without our seeing it; a later file mapping over it, or munmap, is always seen: what is in the
 * tree lies below the platform's native region (place.c), or the platform is told to let nothing pass unseen.
 */
#pragma once

#include "include/platform.h"
#include "lib/lock.h"
#include "lib/refcount.h"

#include <bsd/sys/tree.h>
#include <stdint.h>
#include <sys/types.h>

struct file;
struct inode;
struct task;

#define PAGE_SIZE 4096UL
#define PAGE_MASK (~(PAGE_SIZE - 1))

struct vma {
    RB_ENTRY(vma) node;
    uint64_t start, end;
    uint64_t offset;   /* of start within the file */
    int prot, flags;   /* PROT_*, MAP_SHARED or MAP_PRIVATE */
    struct file *file; /* counted; never NULL: shared anonymous memory is an unlinked tmpfs file */
    struct vma *next_removed;
};

RB_HEAD(vma_tree, vma);

struct mm {
    refcount_t refs;  /* tasks that use it, plus borrowers */
    struct lock lock; /* RANK_MM: the tree and the fields below */
    struct vma_tree vmas;
    struct vma *removed; /* cut out of the tree; their files are put by mm_unlock(), without the lock */
    uint64_t brk_start;
    uint64_t code_start, code_end, data_start, data_end;
    uint64_t stack_start, stack_end; /* the main stack's mapping */
    uint64_t stack_top;              /* initial stack pointer, for /proc/PID/stat */
    uint64_t arg_start, arg_end, env_start, env_end;
    uint64_t hidden_start, hidden_end; /* the ASLR gap below the mmap top: ours, not shown */
    uint64_t auxv[48];                 /* as given to the program, pairs up to AT_NULL */
    struct file *exe;                  /* counted: the program file, /proc/PID/exe */
    uint64_t files_top;                /* mappings of files and shared memory are placed below, 0: by the host */
    bool sees_all;                     /* nothing is native here (any more) */
};

struct mm *mm_new(void) must_check;
/* For fork: a copy of the bookkeeping (the host copies the memory). */
struct mm *mm_fork(struct mm *mm) must_check;
void mm_get(struct mm *mm);
void mm_put(struct mm *mm);
/* Other tasks use it too, or somebody looks at it just now. */
bool mm_is_shared(struct mm *mm);

/* t's memory, referenced; NULL: it has none (any more). Takes tasks_lock. */
struct mm *task_mm_get(struct task *t) must_check;

/* Draws files_top for a fresh address space: the address that the first placed mapping ends at. */
void mm_choose_files_top(struct mm *mm);
/*
 * An address for a mapping of len bytes (whole pages) that is to be in the tree, free as far as the tree knows; 0: let
 * the host choose.
 */
uint64_t mm_place(struct mm *mm, uint64_t len);
/*
 * Where the platform may put code of its own to go with the program's at [addr, addr + len): a page in reach
 * of a jump. 0 if that range is not a program file's code, mapped privately and not writable.
 */
uint64_t mm_code_space(struct mm *mm, uint64_t addr, uint64_t len);
/*
 * To be called when a mapping that ends at end has come into the tree, with pt stopped in that memory's process: if
 * native calls could change it behind our back, there are none from now on. -errno of plat_see_memory_calls().
 */
int mm_watch_mapping(struct mm *mm, struct plat_thread *pt, uint64_t end) must_check;

/* Every user of the tree and the fields beside it goes through this pair. */
void mm_lock(struct mm *mm);
void mm_unlock(struct mm *mm);

/*
 * Copies to and from the memory of the calling task t. All or nothing: 0, -EFAULT (copy_out may have written a part),
 * or -ESRCH: the host has killed the process, and nothing that its task does is seen by anybody any more. user_string:
 * at most cap bytes including the NUL; returns the length without NUL, -EFAULT, or -ENAMETOOLONG.
 */
int user_read(struct task *t, void *dst, uint64_t src, size_t len) must_check;
int user_write(struct task *t, uint64_t dst, const void *src, size_t len) must_check;
ssize_t user_string(struct task *t, char *dst, uint64_t src, size_t cap) must_check;

/*
 * For many small reads of things that lie together, as an exec's vectors and strings do: whole pages are read, and the
 * last few kept. What the guest writes meanwhile may be missed.
 */
struct user_pages {
    struct task *task;
    unsigned next; /* slot to be used again first */
    struct user_page {
        uint64_t addr; /* USER_PAGE_NONE: empty */
        char bytes[PAGE_SIZE];
    } slots[4];
};
#define USER_PAGE_NONE 1UL

void user_pages_init(struct user_pages *p, struct task *t);
/* As user_read() and user_string(). */
int user_pages_read(struct user_pages *p, void *dst, uint64_t src, size_t len) must_check;
ssize_t user_pages_string(struct user_pages *p, char *dst, uint64_t src, size_t cap) must_check;

/* Other tasks' memory (process_vm_readv, /proc/PID/mem, /proc/PID/cmdline): bytes copied or -errno. */
ssize_t task_mem_read(struct task *t, void *dst, uint64_t src, size_t len) must_check;
ssize_t task_mem_write(struct task *t, uint64_t dst, const void *src, size_t len) must_check;

/*
 * What identifies the word at addr for a shared futex: if addr is in a shared file mapping, the inode and the offset,
 * with a reference on the inode in *out_inode; else *out_inode is NULL and the key is (mm, addr).
 */
void mm_futex_key(struct mm *mm, uint64_t addr, struct inode **out_inode, uint64_t *out_offset);

/* Text of /proc/PID/maps for t, freshly allocated (caller frees), host layout with guest names. -errno on failure. */
int mm_format_maps(struct task *t, char **out_text, size_t *out_len) must_check;

/* Sizes of an address space in bytes, from the host's accounting. */
struct mm_stat {
    uint64_t vsize, rss, shared, data;
};

/* Of t's memory, without the stub. -ESRCH, or -ENOSYS where the host's /proc is not at hand. */
int mm_host_stat(struct task *t, struct mm_stat *out) must_check;

/* A read-only descriptor of what the sentry's own descriptor fd is open on, close-on-exec. -ENOSYS as above; -errno. */
int mm_host_reopen(int fd) must_check;

/* CPU time, ns, of the stub thread with this host id. -ESRCH, or -ENOSYS where the host's /proc is not at hand. */
int mm_host_thread_ns(pid_t host_tid, int64_t *out) must_check;

/* Whether that thread sleeps in a native futex wait. */
bool mm_host_waits(pid_t host_tid);

/* Gives the descriptor of a procfs directory that shows the stub processes (boot, before lock-in); taken over. */
void mm_set_host_proc(int dirfd);
