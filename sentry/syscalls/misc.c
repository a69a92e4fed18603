/* What the system says of itself, and small calls without a family: uname, sysinfo, getrandom, membarrier … */
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls_decl.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#if defined(__x86_64__)
#define MACHINE "x86_64"
#else
#define MACHINE "aarch64"
#endif

#define PER_MASK_KNOWN 0xffffffffU

long sys_uname(struct task *t, const struct sysargs *a)
{
    struct utsname u;

    memset(&u, 0, sizeof(u));
    snprintf(u.sysname, sizeof(u.sysname), "Linux");
    snprintf(u.release, sizeof(u.release), "%s", SBOX_OSRELEASE);
    snprintf(u.version, sizeof(u.version), "#1 SMP %s", SBOX_OSVERSION_DATE);
    snprintf(u.machine, sizeof(u.machine), MACHINE);
    uts_get(UTS_HOSTNAME, u.nodename, sizeof(u.nodename));
    uts_get(UTS_DOMAINNAME, u.domainname, sizeof(u.domainname));
    return user_write(t, a->a[0], &u, sizeof(u));
}

static long set_uts(struct task *t, const struct sysargs *a, enum uts_field field)
{
    char name[UTS_NAME_MAX + 1];
    int len = (int)a->a[1];

    if (!cred_capable(t->cred, CAP_SYS_ADMIN))
        return -EPERM;
    if (len < 0 || len > UTS_NAME_MAX)
        return -EINVAL;
    if (user_read(t, name, a->a[0], (size_t)len) < 0)
        return -EFAULT;
    return uts_set(field, name, (size_t)len);
}

long sys_sethostname(struct task *t, const struct sysargs *a)
{
    return set_uts(t, a, UTS_HOSTNAME);
}

long sys_setdomainname(struct task *t, const struct sysargs *a)
{
    return set_uts(t, a, UTS_DOMAINNAME);
}

long sys_sysinfo(struct task *t, const struct sysargs *a)
{
    struct sysinfo host, si = {0};

    if (sysinfo(&host) < 0)
        return -errno;
    si.uptime = host.uptime;
    si.totalram = host.totalram;
    si.freeram = host.freeram;
    si.bufferram = host.bufferram;
    si.mem_unit = host.mem_unit;
    si.procs = (unsigned short)MIN(task_count(), 65535);
    return user_write(t, a->a[0], &si, sizeof(si));
}

long sys_getrandom(struct task *t, const struct sysargs *a)
{
    unsigned char buf[4096];
    size_t len = (size_t)MIN(a->a[1], (uint64_t)0x7ffff000), done = 0;
    unsigned flags = (unsigned)a->a[2];

    if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    if ((flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    while (done < len) {
        ssize_t n = getrandom(buf, MIN(sizeof(buf), len - done), 0);

        if (n < 0)
            return done ? (long)done : -errno;
        if (user_write(t, a->a[0] + done, buf, (size_t)n) < 0)
            return done ? (long)done : -EFAULT;
        done += (size_t)n;
        if (done < len && signal_pending(t))
            break;
    }
    return (long)done;
}

/* 0xffffffff only asks. Others are kept but change nothing: the host runs the guest under its own personality. */
long sys_personality(struct task *t, const struct sysargs *a)
{
    uint32_t old = t->personality, wanted = (uint32_t)a->a[0];

    if (wanted != PER_MASK_KNOWN)
        t->personality = wanted;
    return old;
}

/* Barriers between threads of one process are the host's business; those over all processes are not offered. */
long sys_membarrier(struct task *t unused_arg, const struct sysargs *a)
{
    int cmd = (int)a->a[0];

    if (a->a[1])
        return -EINVAL;
    switch (cmd) {
    case MEMBARRIER_CMD_QUERY:
        return MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
        return SYS_CONTINUE;
    default:
        return -EINVAL;
    }
}

long sys_syslog(struct task *t unused_arg, const struct sysargs *a unused_arg)
{
    return -EPERM;
}
