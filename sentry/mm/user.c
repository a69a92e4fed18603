/* Copies between the sentry and guest memory: the calls of mm.h over the platform's. */
#include "include/platform.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <string.h>

/* What a copy that is to be whole comes to, of which n bytes or an error came. */
static int whole(ssize_t n, size_t len)
{
    if (n == (ssize_t)len)
        return 0;
    return n == -ESRCH ? -ESRCH : -EFAULT;
}

int user_read(struct task *t, void *dst, uint64_t src, size_t len)
{
    if (!len)
        return 0;
    return whole(plat_copy_in(t->pt, dst, src, len), len);
}

int user_write(struct task *t, uint64_t dst, const void *src, size_t len)
{
    if (!len)
        return 0;
    return whole(plat_copy_out(t->pt, dst, src, len), len);
}

/* Reads up to the end of a page first, which nearly always holds the whole string, then page by page. */
ssize_t user_string(struct task *t, char *dst, uint64_t src, size_t cap)
{
    size_t have = 0;

    while (have < cap) {
        uint64_t at = src + have;
        size_t want = MIN(PAGE_SIZE - (at & (PAGE_SIZE - 1)), cap - have);
        ssize_t n = plat_copy_in(t->pt, dst + have, at, want);
        if (n <= 0)
            return -EFAULT;
        const char *end = memchr(dst + have, '\0', (size_t)n);
        if (end)
            return end - dst;
        have += (size_t)n;
    }
    return -ENAMETOOLONG;
}

/* ---- by whole pages ---- */

void user_pages_init(struct user_pages *p, struct task *t)
{
    p->task = t;
    p->next = 0;
    for (size_t i = 0; i < ARRAY_SIZE(p->slots); i++)
        p->slots[i].addr = USER_PAGE_NONE;
}

/* The bytes from addr to the end of its page, *out_len of them; NULL: there are none. */
static const char *page_bytes(struct user_pages *p, uint64_t addr, size_t *out_len)
{
    const uint64_t start = addr & PAGE_MASK;
    struct user_page *slot = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(p->slots) && !slot; i++)
        if (p->slots[i].addr == start)
            slot = &p->slots[i];
    if (!slot) {
        slot = &p->slots[p->next++ % ARRAY_SIZE(p->slots)];
        slot->addr = USER_PAGE_NONE;
        if (user_read(p->task, slot->bytes, start, PAGE_SIZE) < 0)
            return NULL;
        slot->addr = start;
    }
    *out_len = PAGE_SIZE - (addr - start);
    return slot->bytes + (addr - start);
}

/* Copies len bytes, or a string up to and with its NUL, if that comes first. How many, or -EFAULT. */
static ssize_t copy_from_pages(struct user_pages *p, char *dst, uint64_t src, size_t len, bool string)
{
    const char *nul = NULL;
    size_t done = 0;

    while (done < len && !nul) {
        size_t n;
        const char *from = page_bytes(p, src + done, &n);
        if (!from)
            return -EFAULT;
        n = MIN(n, len - done);
        nul = string ? memchr(from, '\0', n) : NULL;
        if (nul)
            n = (size_t)(nul - from) + 1;
        memcpy(dst + done, from, n);
        done += n;
    }
    return (ssize_t)done;
}

int user_pages_read(struct user_pages *p, void *dst, uint64_t src, size_t len)
{
    return copy_from_pages(p, dst, src, len, false) < 0 ? -EFAULT : 0;
}

ssize_t user_pages_string(struct user_pages *p, char *dst, uint64_t src, size_t cap)
{
    const ssize_t n = copy_from_pages(p, dst, src, cap, true);

    if (n < 0)
        return n;
    return n && !dst[n - 1] ? n - 1 : -ENAMETOOLONG;
}

/* ---- of other tasks ---- */

/* The platform's thread of another task, referenced: it may exit or exec meanwhile. */
static struct plat_thread *get_plat_thread(struct task *t)
{
    struct plat_thread *pt;

    lock(&t->tg->siglock);
    pt = t->pt;
    if (pt)
        plat_thread_get(pt);
    unlock(&t->tg->siglock);
    return pt;
}

ssize_t task_mem_read(struct task *t, void *dst, uint64_t src, size_t len)
{
    struct plat_thread *pt = get_plat_thread(t);

    if (!pt)
        return -ESRCH;
    ssize_t n = plat_copy_in(pt, dst, src, len);
    plat_thread_put(pt);
    return n;
}

ssize_t task_mem_write(struct task *t, uint64_t dst, const void *src, size_t len)
{
    struct plat_thread *pt = get_plat_thread(t);

    if (!pt)
        return -ESRCH;
    ssize_t n = plat_copy_out(pt, dst, src, len);
    plat_thread_put(pt);
    return n;
}
