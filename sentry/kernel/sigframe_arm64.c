/*
 * arm64 signal frames (uapi asm/sigcontext.h and asm/ucontext.h).
 *
 * From the stack pointer up: siginfo, struct ucontext with the chain of context records in its reserved area, then a
 * frame record (x29, x30) for unwinders. Programs usually name no restorer: the handler then returns into the vDSO's
 * __kernel_rt_sigreturn, whose place in the image is read from the sentry's own copy of it. State that does not fit the
 * reserved area (wide SVE vectors) is not offered.
 */
#include "sentry/kernel/sigframe.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#define RESERVED 4096
#define PSTATE_USER 0xf0000000ULL /* NZCV */

struct altstack_arm64 {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};

struct frame_arm64 {
    siginfo_t info;
    uint64_t uc_flags, uc_link;
    struct altstack_arm64 stack;
    uint64_t mask;
    uint8_t unused[120];
    uint64_t align;
    uint64_t fault_address, x[31], sp, pc, pstate, align2;
    uint8_t reserved[RESERVED];
    uint64_t fp, lr; /* the frame record */
};
_Static_assert(offsetof(struct frame_arm64, fault_address) == 128 + 176, "uc_mcontext is 16-byte aligned");
_Static_assert(offsetof(struct frame_arm64, reserved) == 128 + 176 + 288, "the context records' place");

/* Offset of a symbol in the vDSO image, 0 if there is none. The image is the host kernel's, mapped here. */
static uint64_t find_vdso_symbol(const char *name)
{
    const uint8_t *image = (const uint8_t *)getauxval(AT_SYSINFO_EHDR); /* NOLINT: the kernel's pointer */
    const Elf64_Ehdr *eh = (const void *)image;
    const Elf64_Shdr *sh;

    if (!image)
        return 0;
    sh = (const void *)(image + eh->e_shoff);
    for (int i = 0; i < eh->e_shnum; i++) {
        if (sh[i].sh_type != SHT_DYNSYM)
            continue;
        const Elf64_Sym *sym = (const void *)(image + sh[i].sh_offset);
        const char *names = (const char *)image + sh[sh[i].sh_link].sh_offset;
        for (size_t n = 0; n < sh[i].sh_size / sizeof(*sym); n++)
            if (!strcmp(names + sym[n].st_name, name))
                return sym[n].st_value;
    }
    return 0;
}

static uint64_t vdso_restorer(void)
{
    static _Atomic uint64_t offset;
    uint64_t o = offset;

    if (!o)
        offset = o = find_vdso_symbol("__kernel_rt_sigreturn");
    return o && plat_layout()->vdso ? plat_layout()->vdso + o : 0;
}

int sigframe_build(struct task *t, struct regs *regs, const struct ksigaction *sa, const siginfo_t *info,
                   sigset64_t mask)
{
    not_cleared struct frame_arm64 buffer;
    struct frame_arm64 *f = &buffer;
    uint64_t sp = sigframe_stack(t, regs->sp, sa, 0) & ~15ULL;
    uint64_t frame = (sp - sizeof(*f)) & ~15ULL;
    uint64_t restorer = sa->flags & SA_RESTORER_FLAG ? sa->restorer : vdso_restorer();
    ssize_t size;

    if (frame >= sp || !restorer || !sigframe_fits(t, regs->sp, sa, frame))
        return -EFAULT;
    memset(f, 0, sizeof(*f));
    size = plat_get_fpstate(t->pt, f->reserved, RESERVED - 16); /* the rest stays zero and ends the chain */
    if (size < 0)
        return (int)size;
    f->info = *info;
    f->stack = (struct altstack_arm64){
        .sp = (uint64_t)(uintptr_t)t->altstack.ss_sp, .flags = t->altstack.ss_flags, .size = t->altstack.ss_size};
    f->mask = mask;
    memcpy(f->x, regs->x, sizeof(f->x));
    f->sp = regs->sp;
    f->pc = regs->pc;
    f->pstate = regs->pstate;
    f->fault_address = t->fault.address;
    f->fp = regs->x[29];
    f->lr = regs->x[30];
    int ret = user_write(t, frame, f, sizeof(*f));
    if (ret < 0)
        return ret;
    regs->x[0] = (uint64_t)info->si_signo;
    regs->x[1] = frame + offsetof(struct frame_arm64, info);
    regs->x[2] = frame + offsetof(struct frame_arm64, uc_flags);
    regs->x[29] = frame + offsetof(struct frame_arm64, fp);
    regs->x[30] = restorer;
    regs->sp = frame;
    regs->pc = sa->handler;
    regs->orig_nr = (uint64_t)-1;
    return 0;
}

/* Bytes of the record chain before its end mark; 0 if it is broken. */
static size_t chain_length(const uint8_t *records)
{
    size_t at = 0;

    while (at + 8 <= RESERVED) {
        uint32_t head[2];

        memcpy(head, records + at, sizeof(head));
        if (!head[0] && !head[1])
            return at;
        if (head[1] < 16 || (head[1] & 15) || head[1] > RESERVED - at)
            return 0;
        at += head[1];
    }
    return 0;
}

int sigframe_restore(struct task *t, struct regs *regs, sigset64_t *mask, stack_t *altstack)
{
    not_cleared struct frame_arm64 buffer;
    struct frame_arm64 *f = &buffer;
    size_t records;

    if (regs->sp & 15)
        return -EFAULT;
    int ret = user_read(t, f, regs->sp, sizeof(*f));
    if (ret < 0)
        return ret;
    records = chain_length(f->reserved);
    if (!records || f->pc >= plat_layout()->task_size)
        return -EINVAL;
    ret = plat_set_fpstate(t->pt, f->reserved, records);
    if (ret < 0)
        return ret;
    memcpy(regs->x, f->x, sizeof(f->x));
    regs->sp = f->sp;
    regs->pc = f->pc;
    regs->pstate = (regs->pstate & ~PSTATE_USER) | (f->pstate & PSTATE_USER);
    regs->orig_nr = (uint64_t)-1;
    *mask = f->mask;
    *altstack = (stack_t){
        .ss_sp = (void *)(uintptr_t)f->stack.sp, .ss_flags = f->stack.flags, .ss_size = f->stack.size}; /* NOLINT */
    return 0;
}
