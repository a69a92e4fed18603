/*
 * What execve(2) does to the task that calls it; the loader (mm) builds the new image between the two calls.
 */
#pragma once

#include "lib/compiler.h"

struct cred;
struct mm;
struct plat_thread;
struct task;

/*
 * Makes t the only task of its group: its siblings are killed, and t takes the leader's place and id. Blocks. Returns
 * 0, or -EINTR if t itself is being killed, or -ERESTARTNOINTR if a sibling is in execve() already.
 */
int task_exec_begin(struct task *t) must_check;

/*
 * Replaces t's host process, memory and credentials by the new ones and resets what execve(2) resets. Takes over the
 * caller's references on new_pt, new_mm and new_cred. Cannot fail. The old plat_thread must not be used after it.
 */
void task_exec_commit(struct task *t, struct plat_thread *new_pt, struct mm *new_mm, const struct cred *new_cred,
                      const char *comm);
