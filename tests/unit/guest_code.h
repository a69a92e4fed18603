/*
 * What the hand-made guests of platform_test.c and seccomp_test.c have in common. x86-64: they run in one page at CODE,
 * with data at DATA.
 */
#pragma once

#define CODE 0x10000000UL
#define DATA 0x20000000UL

/* A routine: call 400 a thousand times, with 1000 down to 1; then 500(the sum of the answers). */
#define GUEST_THOUSAND_CALLS                                                                                           \
    "    mov $1000, %ebx\n"                                                                                            \
    "    xor %r12d, %r12d\n"                                                                                           \
    "1:  mov $400, %eax\n"                                                                                             \
    "    mov %rbx, %rdi\n"                                                                                             \
    "    syscall\n"                                                                                                    \
    "    add %rax, %r12\n"                                                                                             \
    "    dec %ebx\n"                                                                                                   \
    "    jnz 1b\n"                                                                                                     \
    "    mov %r12, %rdi\n"                                                                                             \
    "    mov $500, %eax\n"                                                                                             \
    "    syscall\n"
