/*
 * What the host's /proc says of a stub process, told as the guest should see it. The layout is the host's, which is the
 * memory manager; names, offsets and inodes of file mappings are ours, from the tree; the stub's own pages are left
 * out.
 */
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/vma.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int host_proc = -1;

void mm_set_host_proc(int dirfd)
{
    host_proc = dirfd;
}

/* Opens a file of t's host process. -ESRCH, -ENOSYS. */
static int open_host_file(struct task *t, const char *name)
{
    char path[64];

    if (host_proc < 0)
        return -ENOSYS;
    lock(&t->tg->siglock);
    pid_t pid = t->pt ? plat_host_pid(t->pt) : -1;
    unlock(&t->tg->siglock);
    if (pid < 0)
        return -ESRCH;
    snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
    int fd = openat(host_proc, path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -ESRCH : fd;
}

int mm_host_reopen(int fd)
{
    char path[64];

    if (host_proc < 0)
        return -ENOSYS;
    snprintf(path, sizeof(path), "self/fd/%d", fd);
    int again = openat(host_proc, path, O_RDONLY | O_CLOEXEC);
    return again < 0 ? -errno : again;
}

struct host_range {
    uint64_t start, end;
    char perms[5];
    const char *name; /* rest of the line: "[heap]" or a path; "" for none */
};

static bool parse_line(const char *line, struct host_range *r)
{
    int name_at = 0;

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*x:%*x %*u %n", &r->start, &r->end, r->perms, &name_at) != 3)
        return false;
    r->name = name_at ? line + name_at : "";
    return true;
}

static void print_range(FILE *out, uint64_t start, uint64_t end, const char *perms, uint64_t offset, dev_t dev,
                        uint64_t ino, const char *name)
{
    int n = fprintf(out, "%08" PRIx64 "-%08" PRIx64 " %s %08" PRIx64 " %02x:%02x %" PRIu64, start, end, perms, offset,
                    major(dev), minor(dev), ino);

    fprintf(out, *name ? "%*s%s\n" : " \n", *name ? MAX(73 - n, 1) : 0, "", name);
}

/* The name of memory that is no file's. */
static const char *anonymous_name(const struct mm *mm, const struct host_range *r)
{
    if (r->start >= mm->stack_start && r->start < mm->stack_end)
        return "[stack]";
    if (!strncmp(r->name, "[heap]", 6))
        return "[heap]";
    if (!strncmp(r->name, "[vdso]", 6))
        return "[vdso]";
    if (!strncmp(r->name, "[vvar", 5))
        return "[vvar]";
    return "";
}

/* Our mapping at addr with a reference on its file, or, with *out_file NULL, where the next one starts. */
static void look_up(struct mm *mm, uint64_t addr, struct vma *out, struct file **out_file)
{
    *out = (struct vma){.start = UINT64_MAX};
    *out_file = NULL;
    mm_lock(mm);
    struct vma *v = vma_find(mm, addr);
    if (v)
        *out = *v;
    if (v && v->start <= addr)
        *out_file = file_get(v->file);
    mm_unlock(mm);
}

static void print_file_range(FILE *out, uint64_t start, uint64_t end, const char *perms, uint64_t offset,
                             struct file *f)
{
    char name[PATH_MAX];
    const struct path p = {f->mnt, f->dentry};
    struct kstat st;

    if (path_to_string(current, &p, name, sizeof(name)) < 0)
        name[0] = '\0';
    if (inode_getattr(dentry_inode(f->dentry), &st) < 0)
        st = (struct kstat){.dev = f->inode->sb->dev, .ino = f->inode->ino};
    print_range(out, start, end, perms, offset, st.dev, st.ino, name);
}

/* A host range may span several of our mappings and gaps between them. Names are made without mm's lock. */
static void print_translated(FILE *out, struct mm *mm, const struct host_range *r)
{
    for (uint64_t at = r->start, stop; at < r->end; at = stop) {
        struct vma v;
        struct file *f;
        look_up(mm, at, &v, &f);
        if (f) {
            stop = MIN(v.end, r->end);
            print_file_range(out, at, stop, r->perms, v.offset + (at - v.start), f);
            file_put(f);
        } else {
            stop = MIN(v.start, r->end);
            print_range(out, at, stop, r->perms, 0, 0, 0, anonymous_name(mm, r));
        }
    }
}

static bool is_ours(const struct mm *mm, const struct host_range *r, uint64_t stub_start, uint64_t stub_end)
{
    if (r->start >= stub_start && r->end <= stub_end)
        return true;
    return r->start >= mm->hidden_start && r->end <= mm->hidden_end;
}

static int format(struct task *t, struct mm *mm, FILE *in, FILE *out)
{
    uint64_t stub_start, stub_end;
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    lock(&t->tg->siglock);
    plat_stub_range(t->pt, &stub_start, &stub_end);
    unlock(&t->tg->siglock);
    while ((len = getline(&line, &cap, in)) > 0) {
        struct host_range r;
        line[len - 1] = '\0';
        if (parse_line(line, &r) && !is_ours(mm, &r, stub_start, stub_end) && r.start < plat_layout()->task_size)
            print_translated(out, mm, &r);
    }
    free(line);
    return 0;
}

int mm_format_maps(struct task *t, char **out_text, size_t *out_len)
{
    int fd = open_host_file(t, "maps");
    if (fd < 0)
        return fd;
    FILE *in = fdopen(fd, "r");
    if (!in) {
        close(fd);
        return -ENOMEM;
    }
    struct mm *mm = task_mm_get(t);
    FILE *out = mm ? open_memstream(out_text, out_len) : NULL;
    int ret = !mm ? -ESRCH : !out ? -ENOMEM : format(t, mm, in, out);
    fclose(in);
    if (out && fclose(out) != 0)
        ret = -ENOMEM;
    if (mm)
        mm_put(mm);
    return ret;
}

int mm_host_stat(struct task *t, struct mm_stat *out)
{
    char text[256];
    uint64_t size, resident, shared, code, lib, data, stub_start, stub_end;

    int fd = open_host_file(t, "statm");
    if (fd < 0)
        return fd;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return -ESRCH;
    text[n] = '\0';
    if (sscanf(text, "%lu %lu %lu %lu %lu %lu", &size, &resident, &shared, &code, &lib, &data) != 6)
        return -ESRCH;
    plat_stub_range(t->pt, &stub_start, &stub_end);
    uint64_t stub = stub_end - stub_start;
    *out = (struct mm_stat){.vsize = size * PAGE_SIZE - MIN(stub, size * PAGE_SIZE),
                            .rss = resident * PAGE_SIZE,
                            .shared = shared * PAGE_SIZE,
                            .data = data * PAGE_SIZE - MIN(stub, data * PAGE_SIZE)};
    return 0;
}

/* The number that a file of a host thread begins with. -ESRCH, -ENOSYS; -EINVAL: it begins with something else. */
static int host_thread_number(pid_t host_tid, const char *name, int64_t *out)
{
    char path[64], text[64], *end;

    if (host_proc < 0)
        return -ENOSYS;
    snprintf(path, sizeof(path), "%d/%s", (int)host_tid, name);
    int fd = openat(host_proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ESRCH;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return -ESRCH;
    text[n] = '\0';
    *out = strtoll(text, &end, 10);
    return end == text ? -EINVAL : 0;
}

int mm_host_thread_ns(pid_t host_tid, int64_t *out)
{
    return host_thread_number(host_tid, "schedstat", out);
}

bool mm_host_waits(pid_t host_tid)
{
    int64_t nr;

    /* "running", or the number of the call in which the thread sleeps */
    return plat_layout()->native_futex && host_thread_number(host_tid, "syscall", &nr) == 0 &&
           (nr == SYS_futex || nr == SYS_futex_waitv);
}
