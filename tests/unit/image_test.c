/* ELF headers and script lines, good and hostile. */
#include "sentry/mm/elf.h"
#include "sentry/mm/script.h"
#include "sentry/mm/stack_image.h"

#include <check.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LIMIT 0x7ffffffff000UL

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#else
#define MACHINE EM_AARCH64
#endif

static Elf64_Ehdr good_header(void)
{
    Elf64_Ehdr e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                    .e_type = ET_DYN,
                    .e_machine = MACHINE,
                    .e_entry = 0x1040,
                    .e_phoff = 64,
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 2};
    return e;
}

static int parse_header(const Elf64_Ehdr *e, struct elf_header *h)
{
    return elf_parse_header(e, sizeof(*e), h);
}

START_TEST(header)
{
    struct elf_header h;
    Elf64_Ehdr e = good_header();

    ck_assert_int_eq(parse_header(&e, &h), 0);
    ck_assert(h.position_independent && h.entry == 0x1040 && h.phdr_count == 2);
    ck_assert_int_eq(elf_parse_header(&e, sizeof(e) - 1, &h), -ENOEXEC);
    e.e_phnum = 0xffff;
    ck_assert_int_eq(parse_header(&e, &h), -ENOEXEC);
    e = good_header(), e.e_phoff = UINT64_MAX - 8;
    ck_assert_int_eq(parse_header(&e, &h), -ENOEXEC);
    e = good_header(), e.e_machine = EM_386;
    ck_assert_int_eq(parse_header(&e, &h), -ENOEXEC);
    e = good_header(), e.e_ident[0] = 'x';
    ck_assert_int_eq(parse_header(&e, &h), -ENOEXEC);
    e = good_header(), e.e_phentsize = 1;
    ck_assert_int_eq(parse_header(&e, &h), -ENOEXEC);
}
END_TEST

static int parse_two(Elf64_Phdr a, Elf64_Phdr b, struct elf_image *img)
{
    const Elf64_Phdr both[2] = {a, b};
    const struct elf_header h = {.phdr_offset = 64, .phdr_count = 2};

    return elf_parse_phdrs(both, &h, LIMIT, img);
}

static const Elf64_Phdr text = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 0x1800, .p_memsz = 0x1800};
static const Elf64_Phdr data = {.p_type = PT_LOAD,
                                .p_flags = PF_R | PF_W,
                                .p_vaddr = 0x2800,
                                .p_offset = 0x1800,
                                .p_filesz = 0x100,
                                .p_memsz = 0x5000};

START_TEST(segments)
{
    struct elf_image img;

    ck_assert_int_eq(parse_two(text, data, &img), 0);
    ck_assert_uint_eq(img.segment_count, 2);
    ck_assert_uint_eq(img.low, 0);
    ck_assert_uint_eq(img.high, 0x8000);
    ck_assert_uint_eq(img.phdr_address, 64);
    ck_assert_uint_eq(img.segments[1].start, 0x2000);
    ck_assert_uint_eq(img.segments[1].offset, 0x1000);
    ck_assert_uint_eq(img.segments[1].file_end, 0x2900);
    ck_assert_uint_eq(img.segments[1].mem_end, 0x7800);
    ck_assert_int_eq(img.segments[0].prot, PROT_READ | PROT_EXEC);
    ck_assert(img.executable_stack);
}
END_TEST

START_TEST(hostile_segments)
{
    struct elf_image img;
    Elf64_Phdr p = data;

    ck_assert_int_eq(parse_two(data, text, &img), -ENOEXEC); /* out of order */
    p.p_vaddr = 0x1800;                                      /* shares a page */
    ck_assert_int_eq(parse_two(text, p, &img), -ENOEXEC);
    p = data, p.p_filesz = p.p_memsz + 1;
    ck_assert_int_eq(parse_two(text, p, &img), -ENOEXEC);
    p = data, p.p_memsz = UINT64_MAX;
    ck_assert_int_eq(parse_two(text, p, &img), -ENOEXEC);
    p = data, p.p_memsz = UINT64_MAX - p.p_vaddr;
    ck_assert_int_eq(parse_two(text, p, &img), -ENOEXEC);
    p = data, p.p_offset = UINT64_MAX - 0x7ff;
    ck_assert_int_eq(parse_two(text, p, &img), -ENOEXEC);
    p = data, p.p_offset = 0x1801; /* page offsets differ */
    ck_assert_int_eq(parse_two(text, p, &img), -ENOEXEC);
    p = data, p.p_vaddr = LIMIT + 0x800;
    ck_assert_int_eq(parse_two(text, p, &img), -ENOEXEC);
    p = (Elf64_Phdr){.p_type = PT_INTERP, .p_filesz = 1UL << 40};
    ck_assert_int_eq(parse_two(text, p, &img), -ENOEXEC);
    p = (Elf64_Phdr){.p_type = PT_NOTE};
    ck_assert_int_eq(parse_two(p, p, &img), -ENOEXEC); /* nothing to load */
}
END_TEST

static int parse_script(const char *line, struct script *s)
{
    return script_parse(line, strlen(line), s);
}

START_TEST(scripts)
{
    struct script s;
    char line[400];

    ck_assert_int_eq(parse_script("#!/bin/sh\n", &s), 0);
    ck_assert_str_eq(s.interpreter, "/bin/sh");
    ck_assert_str_eq(s.argument, "");
    ck_assert_int_eq(parse_script("#! \t/usr/bin/env  python3 -u \t\nrest", &s), 0);
    ck_assert_str_eq(s.interpreter, "/usr/bin/env");
    ck_assert_str_eq(s.argument, "python3 -u");
    ck_assert_int_eq(parse_script("#!/bin/sh", &s), 0);
    ck_assert_int_eq(parse_script("#!\n", &s), -ENOEXEC);
    ck_assert_int_eq(parse_script("#!   ", &s), -ENOEXEC);
    ck_assert_int_eq(parse_script("#", &s), -ENOEXEC);
    ck_assert_int_eq(parse_script("", &s), -ENOEXEC);
    memset(line, 'a', sizeof(line));
    memcpy(line, "#!/", 3);
    ck_assert_int_eq(script_parse(line, sizeof(line), &s), -ENOEXEC); /* the name may be cut off */
    line[20] = ' ';
    ck_assert_int_eq(script_parse(line, sizeof(line), &s), 0); /* only the argument is */
    ck_assert_uint_eq(strlen(s.interpreter), 18);
}
END_TEST

/* The word at guest address addr of the image. */
static uint64_t word_at(const struct stack_image *img, uint64_t addr)
{
    uint64_t w;

    ck_assert(addr >= img->sp && addr + sizeof(w) <= img->sp + img->len);
    memcpy(&w, img->bytes + (addr - img->sp), sizeof(w));
    return w;
}

static const char *string_at(const struct stack_image *img, uint64_t addr)
{
    ck_assert(addr >= img->sp && addr < img->sp + img->len);
    return img->bytes + (addr - img->sp);
}

START_TEST(stack)
{
    struct exec_strings s = {0};
    struct stack_image img;
    const uint64_t auxv[] = {AT_PAGESZ, 4096, AT_NULL, 0}, top = 0x7000000000;
    const char *const front[] = {"/bin/sh", "./script"};

    ck_assert_int_eq(exec_strings_add(&s, "old", 3, 1000), 0);
    ck_assert_int_eq(exec_strings_add(&s, "arg", 3, 1000), 0);
    s.argc = 2;
    ck_assert_int_eq(exec_strings_add(&s, "A=b", 3, 1000), 0);
    s.envc = 1;
    ck_assert_int_eq(exec_strings_prepend(&s, front, 2, 1, 1000), 0);
    ck_assert_int_eq(exec_strings_add(&s, "x", 1, s.len + 1), -E2BIG);
    ck_assert_int_eq(stack_image_build(&s, "./script", auxv, "0123456789abcdef", top, 64, &img), -E2BIG);
    ck_assert_int_eq(stack_image_build(&s, "./script", auxv, "0123456789abcdef", top, 4096, &img), 0);
    ck_assert_uint_eq(img.sp % 16, 0);
    ck_assert_uint_eq(word_at(&img, img.sp), 3);
    ck_assert_str_eq(string_at(&img, word_at(&img, img.sp + 8)), "/bin/sh");
    ck_assert_str_eq(string_at(&img, word_at(&img, img.sp + 16)), "./script");
    ck_assert_str_eq(string_at(&img, word_at(&img, img.sp + 24)), "arg");
    ck_assert_uint_eq(word_at(&img, img.sp + 32), 0);
    ck_assert_str_eq(string_at(&img, word_at(&img, img.sp + 40)), "A=b");
    ck_assert_uint_eq(word_at(&img, img.sp + 48), 0);
    ck_assert_uint_eq(word_at(&img, img.sp + 56), AT_PAGESZ);
    ck_assert_uint_eq(img.env_end - img.arg_start, s.len);
    stack_image_free(&img);
    exec_strings_free(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("image");
    TCase *c = tcase_create("all");

    tcase_add_test(c, header);
    tcase_add_test(c, segments);
    tcase_add_test(c, hostile_segments);
    tcase_add_test(c, scripts);
    tcase_add_test(c, stack);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
