/* The stub's ELF file, in our read-only data (empty where the stub is not written for the architecture). */
    .section .rodata
    .globl sc_stub_elf, sc_stub_elf_end
    .balign 16
sc_stub_elf:
#ifdef STUB_ELF
    .incbin STUB_ELF
#endif
sc_stub_elf_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
