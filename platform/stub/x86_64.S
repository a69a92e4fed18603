/*
 * The stub's system call instructions, each at an address the filter knows, and the few steps C cannot say.
 * The label after each `syscall` is what the filter compares: the kernel reports the address of the next instruction.
 */
    .text
    .hidden stub_main, stub_child
    .macro entry name
    .globl \name
    .hidden \name
    .type \name, @function
    .balign 16
\name:
    .endm
    .macro label name
    .globl \name
    .hidden \name
\name:
    .endm

entry _start
    xor %ebp, %ebp
    mov %rsp, %rdi
    and $-16, %rsp
    call stub_main
    ud2

/* long stub_syscall(nr, a, b, c, d, e, f): reports and jobs; always notified. */
entry stub_syscall
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
label stub_site
    ret

/* Where a thread that shares memory starts: stub_clone_vm() left the return address and two words on its stack. */
entry stub_child_entry
    pop %rbx
    pop %rsi
    mov %rbx, %rdi
    and $-16, %rsp
    call stub_child
    mov %rbx, %rsp
    jmp stub_sigreturn

entry stub_sigreturn
    mov $15, %eax
    syscall
label stub_sigreturn_site
    ud2

entry stub_close
    mov $3, %eax
    syscall
label stub_close_site
    ret

/* prctl(PR_SET_PDEATHSIG, SIGKILL) */
entry stub_pdeathsig
    mov $157, %eax
    mov $1, %edi
    mov $9, %esi
    syscall
label stub_prctl_site
    ret

/* long stub_futex(word, op, value, timeout): FUTEX_WAIT and FUTEX_WAKE, private or not */
entry stub_futex
    mov %rcx, %r10
    mov $202, %eax
    syscall
label stub_futex_site
    ret

/* long stub_cmpxchg(addr, old, new) */
entry stub_cmpxchg
    mov %esi, %eax
label stub_cmpxchg_insn
    lock cmpxchg %edx, (%rdi)
    mov %eax, %eax
    ret

/* long stub_copy_word(to, from): eight bytes, to or from the guest */
entry stub_copy_word
label stub_load_insn
    mov (%rsi), %rax
label stub_store_insn
    mov %rax, (%rdi)
    xor %eax, %eax
    ret

/* Where a function goes on, whose memory was not there: it returns -EFAULT. */
label stub_fault
    mov $-14, %rax
    ret

entry memcpy
    mov %rdi, %rax
    mov %rdx, %rcx
    rep movsb
    ret

entry memset
    mov %rdi, %r8
    mov %esi, %eax
    mov %rdx, %rcx
    rep stosb
    mov %r8, %rax
    ret

    .section .note.GNU-stack, "", @progbits
