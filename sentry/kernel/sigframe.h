/* A handler's frame on the guest's stack, as the host kernel of the architecture lays it out. */
#pragma once

#include "include/arch/regs.h"
#include "lib/compiler.h"
#include "sentry/kernel/signal.h"

struct task;

/*
 * Writes the frame for sig and changes *regs so that the handler runs with it. mask: what sigreturn restores.
 * -EFAULT: the frame could not be written. -ESRCH: the host has killed the process. The calling task's own worker.
 */
int sigframe_build(struct task *t, struct regs *regs, const struct ksigaction *sa, const siginfo_t *info,
                   sigset64_t mask) must_check;

/*
 * What rt_sigreturn(2) restores: *regs, FP state, *mask, *altstack. -EFAULT or -EINVAL: the frame is bad. -ESRCH: the
 * host has killed the process.
 */
int sigframe_restore(struct task *t, struct regs *regs, sigset64_t *mask, stack_t *altstack) must_check;

/* The stack pointer at which a frame for sa begins to grow down; skip: bytes below sp that belong to the guest. */
uint64_t sigframe_stack(const struct task *t, uint64_t sp, const struct ksigaction *sa, uint64_t skip);

/* False if the frame would leave the alternate stack it is to be on; sp is where the guest was. */
bool sigframe_fits(const struct task *t, uint64_t sp, const struct ksigaction *sa, uint64_t frame);
