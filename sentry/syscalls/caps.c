/* capget(2) and capset(2), header versions 1 to 3. Versions 2 and 3 carry 64 bits in two records, version 1 carries 32.
 */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/capability.h>

#define CAP_ALL ((1ULL << (CAP_LAST_CAP + 1)) - 1)

/* Reads the header and tells the number of records. An unknown version is answered with ours. */
static int read_header(struct task *t, uint64_t addr, struct __user_cap_header_struct *h)
{
    uint32_t ours = _LINUX_CAPABILITY_VERSION_3;

    if (user_read(t, h, addr, sizeof(*h)) < 0)
        return -EFAULT;
    switch (h->version) {
    case _LINUX_CAPABILITY_VERSION_1:
        return 1;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3:
        return 2;
    default:
        return user_write(t, addr, &ours, sizeof(ours)) < 0 ? -EFAULT : -EINVAL;
    }
}

static const struct cred *cred_of(struct task *t, pid_t pid)
{
    const struct cred *c = NULL;
    struct task *other;

    if (!pid || pid == t->tid)
        return cred_get(t->cred);
    lock(&tasks_lock);
    other = task_find_locked(pid);
    if (other) {
        c = cred_get(other->cred);
        task_put(other);
    }
    unlock(&tasks_lock);
    return c;
}

long sys_capget(struct task *t, const struct sysargs *a)
{
    struct __user_cap_data_struct data[2] = {0};
    struct __user_cap_header_struct h;
    const struct cred *c;
    int n = read_header(t, a->a[0], &h);

    if (n < 0)
        return n == -EINVAL && !a->a[1] ? 0 : n;
    if (h.pid < 0)
        return -EINVAL;
    c = cred_of(t, h.pid);
    if (!c)
        return -ESRCH;
    for (int i = 0; i < n; i++) {
        data[i].effective = (uint32_t)(c->cap_effective >> 32 * i);
        data[i].permitted = (uint32_t)(c->cap_permitted >> 32 * i);
        data[i].inheritable = (uint32_t)(c->cap_inheritable >> 32 * i);
    }
    cred_put(c);
    if (!a->a[1])
        return 0;
    return user_write(t, a->a[1], data, (size_t)n * sizeof(data[0]));
}

long sys_capset(struct task *t, const struct sysargs *a)
{
    struct __user_cap_data_struct data[2] = {0};
    struct __user_cap_header_struct h;
    const struct cred *old = t->cred;
    uint64_t e, p, inh;
    struct cred *c;
    int n = read_header(t, a->a[0], &h);

    if (n < 0)
        return n;
    if (h.pid && h.pid != t->tid)
        return -EPERM;
    if (user_read(t, data, a->a[1], (size_t)n * sizeof(data[0])) < 0)
        return -EFAULT;
    e = (data[0].effective | (uint64_t)data[1].effective << 32) & CAP_ALL;
    p = (data[0].permitted | (uint64_t)data[1].permitted << 32) & CAP_ALL;
    inh = (data[0].inheritable | (uint64_t)data[1].inheritable << 32) & CAP_ALL;
    if ((p & ~old->cap_permitted) || (e & ~p))
        return -EPERM;
    if (!cred_capable(old, CAP_SETPCAP) && (inh & ~(old->cap_inheritable | old->cap_permitted)))
        return -EPERM;
    if (inh & ~(old->cap_inheritable | old->cap_bounding))
        return -EPERM;
    c = cred_clone(old);
    if (!c)
        return -ENOMEM;
    c->cap_effective = e;
    c->cap_permitted = p;
    c->cap_inheritable = inh;
    c->cap_ambient &= p & inh;
    cred_install(t, c);
    return 0;
}
