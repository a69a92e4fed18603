/*
 * Credential objects and what execve(2) makes of them. The rules are those of credentials(7) and capabilities(7);
 * the system calls that change ids and capabilities are in syscalls/cred.c and syscalls/caps.c.
 */
#include "sentry/kernel/cred.h"

#include "sentry/kernel/task.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CAP_ALL ((1ULL << (CAP_LAST_CAP + 1)) - 1)

static bool copy_groups(struct cred *c, const gid_t *groups, size_t n)
{
    c->groups = NULL;
    c->ngroups = 0;
    if (!n)
        return true;
    c->groups = malloc(n * sizeof(*groups));
    if (!c->groups)
        return false;
    memcpy(c->groups, groups, n * sizeof(*groups));
    c->ngroups = n;
    return true;
}

struct cred *cred_clone(const struct cred *old)
{
    struct cred *c = malloc(sizeof(*c));

    if (!c)
        return NULL;
    /* All but the count, which others change meanwhile. */
    memcpy((char *)c + sizeof(c->refs), (const char *)old + sizeof(old->refs), sizeof(*c) - sizeof(c->refs));
    ref_init(&c->refs);
    if (!copy_groups(c, old->groups, old->ngroups)) {
        free(c);
        return NULL;
    }
    return c;
}

static int compare_gid(const void *a, const void *b)
{
    gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

    return (x > y) - (x < y);
}

struct cred *cred_new(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups)
{
    struct cred *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    ref_init(&c->refs);
    c->ruid = c->euid = c->suid = c->fsuid = uid;
    c->rgid = c->egid = c->sgid = c->fsgid = gid;
    c->cap_bounding = CAP_ALL;
    if (uid == 0)
        c->cap_permitted = c->cap_effective = CAP_ALL;
    if (!copy_groups(c, groups, ngroups)) {
        free(c);
        return NULL;
    }
    if (c->ngroups)
        qsort(c->groups, c->ngroups, sizeof(gid_t), compare_gid);
    return c;
}

const struct cred *cred_get(const struct cred *c)
{
    ref_get(&((struct cred *)(uintptr_t)c)->refs);
    return c;
}

void cred_put(const struct cred *c)
{
    struct cred *own = (struct cred *)(uintptr_t)c;

    if (!ref_put(&own->refs))
        return;
    free(own->groups);
    free(own);
}

void cred_install(struct task *t, struct cred *c)
{
    const struct cred *old;

    lock(&tasks_lock);
    old = t->cred;
    t->cred = c;
    unlock(&tasks_lock);
    if (old->euid != c->euid || old->egid != c->egid || old->fsuid != c->fsuid || old->fsgid != c->fsgid)
        t->pdeath_signal = 0;
    cred_put(old);
}

bool cred_in_group(const struct cred *c, gid_t gid)
{
    if (c->fsgid == gid)
        return true;
    return c->ngroups && bsearch(&gid, c->groups, c->ngroups, sizeof(gid_t), compare_gid);
}

bool cred_capable(const struct cred *c, int cap)
{
    return cap >= 0 && cap <= CAP_LAST_CAP && (c->cap_effective >> cap & 1);
}

/* capabilities(7), "Transformation of capabilities during execve()"; files carry no capabilities here. */
static void exec_caps(struct cred *c, bool changed_id)
{
    bool noroot = c->securebits & (1U << SECURE_NOROOT);
    uint64_t file_permitted = 0;
    bool file_effective = false;

    if (!noroot && (c->euid == 0 || c->ruid == 0)) {
        file_permitted = c->cap_inheritable | c->cap_bounding;
        file_effective = c->euid == 0;
    }
    if (changed_id)
        c->cap_ambient = 0;
    c->cap_permitted = file_permitted | c->cap_ambient;
    c->cap_effective = file_effective ? c->cap_permitted : c->cap_ambient;
    c->securebits &= ~(1U << SECURE_KEEP_CAPS);
}

struct cred *cred_for_exec(const struct cred *old, uid_t file_uid, gid_t file_gid, mode_t mode, bool nosuid)
{
    struct cred *c = cred_clone(old);
    bool changed = false;

    if (!c)
        return NULL;
    if (!nosuid && (mode & S_ISUID)) {
        changed |= c->euid != file_uid;
        c->euid = file_uid;
    }
    if (!nosuid && (mode & S_ISGID) && (mode & S_IXGRP)) {
        changed |= c->egid != file_gid;
        c->egid = file_gid;
    }
    c->suid = c->fsuid = c->euid;
    c->sgid = c->fsgid = c->egid;
    exec_caps(c, changed);
    return c;
}
