/*
 * A fast call, from a patched call site to its result: posts the call in the slot and waits for the sentry's poller, or
 * goes back to make it in the ordinary way.
 *
 * Entered by a jump with the call's number in EAX, its arguments where the kernel expects them, and in R11 the address of
 * the site's own system call instruction. Like a system call it changes RAX, RCX and R11 and nothing else; the stack is
 * the guest's and is not touched, not even below its red zone.
 *
 * Whose call it is need not be found out, as only a process with one thread has a slot.
 *
 * A signal may come between any two instructions: stub.c's leave_fast() turns the registers into those of a thread
 * right before or right after the system call instruction. The labels divide what it has to tell apart.
 */
#include "platform/stub/slot.h"

    .text
    .hidden stub_slot
    .macro label name
    .globl \name
    .hidden \name
\name:
    .endm

    .macro restore_flags
    mov SLOT_FLAGS(%rcx), %eax
    add $0x7f, %al /* 1 + 0x7f overflows */
    sahf
    .endm

    .type stub_fast, @function
    .balign 64
label stub_fast
    mov stub_slot(%rip), %rcx
    jrcxz 1f
    jmp 2f
1:  jmp *%r11
2:  mov %eax, SLOT_NR(%rcx)
label stub_fast_numbered /* from here on RAX is in use */
    lahf
    seto %al
    mov %eax, SLOT_FLAGS(%rcx)
    mov %rdi, SLOT_ARGS(%rcx)
    mov %rsi, SLOT_ARGS + 8(%rcx)
    mov %rdx, SLOT_ARGS + 16(%rcx)
    mov %r10, SLOT_ARGS + 24(%rcx)
    mov %r8, SLOT_ARGS + 32(%rcx)
    mov %r9, SLOT_ARGS + 40(%rcx)
    mov %r11, SLOT_SITE(%rcx)
    mov $SLOT_POSTED, %eax
    xchg %eax, SLOT_STATE(%rcx) /* a full barrier: the poller disarms and then looks once more */
label stub_fast_posted /* from here on the slot says how far the call is */
    cmpl $0, SLOT_ARMED(%rcx)
    je 5f
    mov $SLOT_SPINS, %eax
4:  cmpl $SLOT_DONE, SLOT_STATE(%rcx)
    jae 9f
    pause
    dec %eax
    jnz 4b
5:  mov $SLOT_POSTED, %eax
    xor %r11d, %r11d
    lock cmpxchg %r11d, SLOT_STATE(%rcx)
    jne 6f
    movl $0, SLOT_ARMED(%rcx)
    jmp stub_fast_redo
    /* Taken: it may last. */
6:  mov $SLOT_SPINS, %eax
7:  cmpl $SLOT_DONE, SLOT_STATE(%rcx)
    jae 9f
    pause
    dec %eax
    jnz 7b
    mov $SLOT_TAKEN, %eax
    mov $SLOT_ASLEEP, %r11d
    lock cmpxchg %r11d, SLOT_STATE(%rcx)
    jne 9f
    /* futex(&state, FUTEX_WAIT, SLOT_ASLEEP, no timeout) */
    lea SLOT_STATE(%rcx), %rdi
    xor %esi, %esi
    mov $SLOT_ASLEEP, %edx
    xor %r10d, %r10d
8:  mov $202, %eax
    syscall
    mov stub_slot(%rip), %rcx
    cmpl $SLOT_ASLEEP, SLOT_STATE(%rcx)
    je 8b
    mov SLOT_ARGS(%rcx), %rdi
    mov SLOT_ARGS + 8(%rcx), %rsi
    mov SLOT_ARGS + 16(%rcx), %rdx
    mov SLOT_ARGS + 24(%rcx), %r10
9:  cmpl $SLOT_DONE, SLOT_STATE(%rcx)
    jne stub_fast_redo
label stub_fast_done /* the result is there */
    restore_flags
    mov SLOT_SITE(%rcx), %r11
    lea 2(%r11), %r11 /* past the instruction */
    mov SLOT_RESULT(%rcx), %rax
    movl $SLOT_IDLE, SLOT_STATE(%rcx)
    jmp *%r11
label stub_fast_redo /* the call is to be made at its site */
    movl $SLOT_IDLE, SLOT_STATE(%rcx)
    restore_flags
    mov SLOT_SITE(%rcx), %r11
    mov SLOT_NR(%rcx), %eax
    jmp *%r11
label stub_fast_end

    .section .note.GNU-stack, "", @progbits
