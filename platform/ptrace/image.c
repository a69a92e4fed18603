/*
 * The program that every stub process runs between guest instructions: one page of code and one of data, loaded by the
 * host kernel wherever it likes. The code is entered once, to tell us over the socket where it lies, and is then used
 * as a place for injected system calls.
 */
#include "platform/ptrace/internal.h"

#include "lib/jail.h"

#include "platform/ptrace/stub_image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define DATA_OFFSET PAGE /* of the data page from the image's base */

struct image image;
struct plat_layout layout;

/* The file: one page with the ELF header, two program headers and the code behind them. */
struct image_file {
    Elf64_Ehdr ehdr;
    Elf64_Phdr phdr[2];
    unsigned char code[PAGE - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr)];
};
_Static_assert(sizeof(struct image_file) == PAGE, "the image is one page");
#define CODE_OFFSET offsetof(struct image_file, code)

static int image_memfd(void)
{
    struct image_file f = {
        .ehdr = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                 .e_type = ET_DYN,
                 .e_machine = IMAGE_MACHINE,
                 .e_version = EV_CURRENT,
                 .e_entry = CODE_OFFSET,
                 .e_phoff = offsetof(struct image_file, phdr),
                 .e_ehsize = sizeof(Elf64_Ehdr),
                 .e_phentsize = sizeof(Elf64_Phdr),
                 .e_phnum = 2},
        .phdr = {{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = PAGE, .p_memsz = PAGE, .p_align = PAGE},
                 {.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_vaddr = DATA_OFFSET, .p_memsz = PAGE, .p_align = PAGE}},
    };
    size_t code_len = (size_t)(stub_image_end - stub_image_start);

    if (code_len > sizeof(f.code))
        return -E2BIG;
    memcpy(f.code, stub_image_start, code_len);
    int fd = memfd_create("sbox-stub", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (write(fd, &f, sizeof(f)) != sizeof(f)) {
        close(fd);
        return -EIO;
    }
    return fd;
}

/* What the stub tells us when it is entered. */
struct hello {
    uint64_t stack_pointer, base, brk;
};

static ssize_t read_stub(uint64_t addr, void *buf, size_t len)
{
    struct iovec local = {buf, len}, remote = {(void *)(uintptr_t)addr, len};

    return process_vm_readv(image.zygote, &local, 1, &remote, 1, 0);
}

/* Finds the vDSO in the auxiliary vector of the initial stack: argc, argv, NULL, envp (empty), NULL, auxv. */
static void find_vdso(uint64_t stack_pointer)
{
    uint64_t words[96] = {0};

    if (read_stub(stack_pointer, words, sizeof(words)) <= 0)
        return;
    for (size_t i = words[0] + 3; i + 1 < ARRAY_SIZE(words) && words[i] != AT_NULL; i += 2)
        if (words[i] == AT_SYSINFO_EHDR)
            layout.vdso = words[i + 1];
}

int image_greet(const char **out_why)
{
    struct hello h;

    if (recv(image.send_fd, &h, sizeof(h), 0) != sizeof(h)) {
        *out_why = "the stub program did not start";
        return -EIO;
    }
    image.base = h.base;
    image.end = h.base + 2 * PAGE;
    image.syscall_ip = h.base + CODE_OFFSET + (uint64_t)(stub_image_syscall - stub_image_start);
    image.cmpxchg_ip = h.base + CODE_OFFSET + (uint64_t)(stub_image_cmpxchg - stub_image_start);
    image.scratch = h.base + DATA_OFFSET;
    layout = (struct plat_layout){
        .brk_start = h.brk, .mmap_top = h.base, .task_size = IMAGE_TASK_SIZE, .native_start = IMAGE_TASK_SIZE};
    find_vdso(h.stack_pointer);
    return 0;
}

int image_make_zygote(const char **out_why)
{
    *out_why = "cannot make the stub program";
    int memfd = image_memfd();
    if (memfd < 0)
        return memfd;
    image.zygote = jail_spawn_stub(memfd, IMAGE_SOCKET_FD, 0, &image.send_fd);
    return image.zygote < 0 ? image.zygote : 0;
}
