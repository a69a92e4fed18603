/* Credentials: immutable once made; a change makes a new object and swaps the task's pointer. credentials(7),
 * capabilities(7). */
#pragma once

#include "lib/compiler.h"
#include "lib/refcount.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct task;

struct cred {
    refcount_t refs;
    uid_t ruid, euid, suid, fsuid;
    gid_t rgid, egid, sgid, fsgid;
    size_t ngroups;
    gid_t *groups; /* sorted */
    uint64_t cap_permitted, cap_effective, cap_inheritable, cap_bounding, cap_ambient;
    unsigned securebits;
};

/* A copy with one reference that may still be changed, or NULL for want of memory. */
struct cred *cred_clone(const struct cred *c) must_check;
/* uid 0 gets all capabilities (inside the sandbox they mean only power over the sandbox). */
struct cred *cred_new(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups) must_check;
const struct cred *cred_get(const struct cred *c);
void cred_put(const struct cred *c);
/* Makes c the task's credentials; takes over the caller's reference. tasks_lock is taken. */
void cred_install(struct task *t, struct cred *c);

bool cred_in_group(const struct cred *c, gid_t gid);
/* Effective capability cap (CAP_* of linux/capability.h). */
bool cred_capable(const struct cred *c, int cap);
/* execve's change of capabilities for a file with these attributes (set-user-ID honoured unless nosuid). */
struct cred *cred_for_exec(const struct cred *old, uid_t file_uid, gid_t file_gid, mode_t mode, bool nosuid) must_check;
