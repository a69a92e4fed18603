/*
 * What a process does to lose power: namespaces, id maps, an empty root, no capabilities. Used by the runtime when it
 * starts the gofer and the sentry, and by those two when they lock themselves in. All return 0 or -errno.
 */
#pragma once

#include "lib/compiler.h"

#include <sys/types.h>

/* fork(2) into new namespaces (CLONE_NEW*); the child dies with nobody: see jail_die_with_parent(). pid, 0 or -errno.
 */
pid_t jail_fork(unsigned long namespaces) must_check;
/* Maps exactly one user and one group of the new user namespace of pid. setgroups(2) is denied in it. */
int jail_map_ids(pid_t pid, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid, gid_t outside_gid) must_check;
/* SIGKILL when the parent ends; -ESRCH if it has ended already, which shows as a hang-up of fd. Call after set*id. */
int jail_die_with_parent(int fd) must_check;
/* A fresh read-only tmpfs becomes the root, with nothing else mounted. Needs an own mount namespace. */
int jail_empty_root(void) must_check;
/*
 * An O_PATH descriptor of a read-only procfs that is mounted nowhere, so that no ".." leads out of it: a fresh one that
 * shows this PID namespace, or where the host forbids that a copy of the one at /proc. Needs own mount and PID
 * namespaces.
 */
int jail_detached_proc(void) must_check;
/* What the user can do about a step of these, or another of the start, that failed with err, to be put behind the
 * error's words; or "". */
const char *jail_way_out(int err);
/* Empties every capability set, the bounding set too, and sets no_new_privs. */
int jail_drop_privileges(void) must_check;
/* The same, but for these capabilities, which stay permitted and effective. */
int jail_keep_capabilities(const int *keep, size_t count) must_check;

/*
 * Starts the program in program_fd, which is used up, as a platform's first stub. It has one descriptor, at number
 * `socket_at`: a socket whose other end is *out_socket. max_files 0 leaves that limit alone. It has no privileges, no
 * environment and no signal blocked; it dies with us, and first of all when memory runs out. Returns once the program
 * runs or the child has given up, which shows as a hang-up of the socket: pid or -errno.
 */
pid_t jail_spawn_stub(int program_fd, int socket_at, unsigned max_files, int *out_socket) must_check;

/*
 * The last step of a lock-in in the test build of tests/escape (preset escape), where code of the test tries what a
 * taken-over process would. Nothing in every other build.
 */
#ifdef SBOX_ESCAPE
void escape_attempt(const char *who);
#else
static inline void escape_attempt(const char *who)
{
    (void)who;
}
#endif
