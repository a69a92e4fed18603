/* Program headers and script lines from arbitrary bytes: no crash, and what is accepted keeps its promises. */
#include "sentry/mm/elf.h"
#include "sentry/mm/script.h"

#include <stdlib.h>

#define LIMIT 0x7ffffffff000UL

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_image(const struct elf_image *img)
{
    uint64_t behind = 0;

    for (size_t i = 0; i < img->segment_count; i++) {
        const struct elf_segment *s = &img->segments[i];
        if (s->start < behind || s->mem_end > LIMIT || s->file_end > s->mem_end || s->start > s->mem_end)
            abort();
        behind = s->mem_end;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct elf_header h;
    struct elf_image img;
    struct script script;

    if (script_parse((const char *)bytes, len, &script) == 0 && !script.interpreter[0])
        abort();
    if (elf_parse_header(bytes, len, &h) == 0 && len >= ELF_HEADER_BYTES + h.phdr_count * ELF_PHDR_BYTES &&
        elf_parse_phdrs(bytes + ELF_HEADER_BYTES, &h, LIMIT, &img) == 0)
        check_image(&img);
    return 0;
}
