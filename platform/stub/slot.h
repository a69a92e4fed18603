/*
 * The slot: memory that the only thread of a guest process shares with the sentry, through which a *fast call* goes
 * without entering the kernel. C and assembly both read this file.
 *
 * The guest's side (fast_x86_64.S) fills it in and sets the state to POSTED; the sentry's poller takes it (TAKEN),
 * serves the call and sets DONE, and wakes the guest if that sleeps on the state meanwhile (ASLEEP). Whoever finds that
 * nobody polls takes its call back (POSTED to IDLE) and makes it in the ordinary way. Everything in here is the guest's
 * to change: the sentry reads each word once and believes none.
 */
#pragma once

#define SLOT_IDLE 0
#define SLOT_POSTED 1
#define SLOT_TAKEN 2
#define SLOT_ASLEEP 3 /* taken, and the guest waits on a futex */
#define SLOT_DONE 4
#define SLOT_REFUSED 5 /* not to be served so: the call is to be made at its site */

/* Offsets in struct stub_slot. */
#define SLOT_STATE 0
#define SLOT_ARMED 4 /* somebody polls */
#define SLOT_NR 8
#define SLOT_FLAGS 12 /* the guest's: AH as by LAHF, AL the overflow flag */
#define SLOT_SITE 16  /* address of the system call instruction that the call stands for */
#define SLOT_RESULT 24
#define SLOT_ARGS 32
#define SLOT_SIZE 80

/* One of the pieces of code that lead from a patched call site to stub_fast: see patch.c. */
#define TRAMPOLINE_SIZE 64
#define TRAMPOLINE_FROM 32 /* where the address of the jump to it stands */

/* How often the guest looks at the state before it gives up on the poller: some 20 µs. */
#define SLOT_SPINS 1000

#ifndef __ASSEMBLER__
#include <stdint.h>

struct stub_slot {
    uint32_t state, armed;
    uint32_t nr, flags;
    uint64_t site;
    int64_t result;
    uint64_t args[6];
};
_Static_assert(sizeof(struct stub_slot) == SLOT_SIZE, "as the assembly has it");
#endif
