/* See stack_image.h. From the top down: execfn, strings, platform, random bytes, padding, auxv, envp, argv, argc. */
#include "sentry/mm/stack_image.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#define PLATFORM_NAME "x86_64"
#else
#define PLATFORM_NAME "aarch64"
#endif

static int reserve(struct exec_strings *s, size_t more, size_t limit)
{
    if (more > limit || s->len > limit - more)
        return -E2BIG;
    if (s->cap - s->len >= more)
        return 0;
    size_t cap = MAX(s->cap * 2, s->len + more);
    char *bytes = realloc(s->bytes, cap);
    if (!bytes)
        return -ENOMEM;
    s->bytes = bytes;
    s->cap = cap;
    return 0;
}

int exec_strings_add(struct exec_strings *s, const char *text, size_t len, size_t limit)
{
    int ret = reserve(s, len + 1, limit);

    if (ret < 0)
        return ret;
    memcpy(s->bytes + s->len, text, len);
    s->len += len;
    s->bytes[s->len++] = '\0';
    return 0;
}

int exec_strings_prepend(struct exec_strings *s, const char *const *texts, size_t n, size_t drop, size_t limit)
{
    size_t dropped = 0, added = 0;

    drop = MIN(drop, s->argc);
    for (size_t i = 0; i < drop; i++)
        dropped += strlen(s->bytes + dropped) + 1;
    for (size_t i = 0; i < n; i++)
        added += strlen(texts[i]) + 1;
    int ret = reserve(s, added, limit);
    if (ret < 0)
        return ret;
    if (s->len > dropped)
        memmove(s->bytes + added, s->bytes + dropped, s->len - dropped);
    char *at = s->bytes;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = strlen(texts[i]) + 1;
        memcpy(at, texts[i], bytes);
        at += bytes;
    }
    s->len = s->len - dropped + added;
    s->argc = s->argc - drop + n;
    return 0;
}

void exec_strings_free(struct exec_strings *s)
{
    free(s->bytes);
    *s = (struct exec_strings){0};
}

static size_t count_auxv(const uint64_t *auxv)
{
    size_t n = 0;

    while (n + 2 <= AUXV_WORDS && auxv[n] != AT_NULL)
        n += 2;
    return n;
}

/* n pointers to successive strings, then NULL; returns the place behind. */
static uint64_t *put_pointers(uint64_t *to, uint64_t address, const char *strings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t bytes = strlen(strings) + 1;
        *to++ = address;
        address += bytes;
        strings += bytes;
    }
    *to++ = 0;
    return to;
}

/* Bytes of the argument strings alone. */
static size_t argument_bytes(const struct exec_strings *s)
{
    size_t at = 0;

    for (size_t i = 0; i < s->argc; i++)
        at += strlen(s->bytes + at) + 1;
    return at;
}

int stack_image_build(const struct exec_strings *s, const char *execfn, const uint64_t *auxv, const void *random,
                      uint64_t top, size_t room, struct stack_image *out)
{
    const size_t execfn_len = strlen(execfn) + 1, aux_words = count_auxv(auxv);
    const size_t words = 1 + s->argc + 1 + s->envc + 1 + aux_words + 3 * 2 + 2;

    if (aux_words + 3 * 2 + 2 > AUXV_WORDS || s->len > room || execfn_len > room || words > room / sizeof(uint64_t))
        return -E2BIG;
    const uint64_t execfn_at = top - sizeof(uint64_t) - execfn_len;
    const uint64_t strings_at = execfn_at - s->len;
    const uint64_t platform_at = strings_at - sizeof(PLATFORM_NAME);
    const uint64_t random_at = (platform_at - 16) & ~15UL;
    const uint64_t sp = (random_at - words * sizeof(uint64_t)) & ~15UL;
    const size_t len = top - sp;
    if (sp > top || len > room)
        return -E2BIG;

    char *bytes = calloc(1, len);
    if (!bytes)
        return -ENOMEM;
    memcpy(bytes + (execfn_at - sp), execfn, execfn_len);
    if (s->len)
        memcpy(bytes + (strings_at - sp), s->bytes, s->len);
    memcpy(bytes + (platform_at - sp), PLATFORM_NAME, sizeof(PLATFORM_NAME));
    memcpy(bytes + (random_at - sp), random, 16);

    const size_t args = argument_bytes(s);
    *out = (struct stack_image){.bytes = bytes,
                                .len = len,
                                .sp = sp,
                                .arg_start = strings_at,
                                .arg_end = strings_at + args,
                                .env_start = strings_at + args,
                                .env_end = strings_at + s->len};
    memcpy(out->auxv, auxv, aux_words * sizeof(uint64_t));
    const uint64_t ours[] = {AT_RANDOM, random_at, AT_EXECFN, execfn_at, AT_PLATFORM, platform_at, AT_NULL, 0};
    memcpy(out->auxv + aux_words, ours, sizeof(ours));

    uint64_t *w = (uint64_t *)bytes;
    *w++ = s->argc;
    w = put_pointers(w, out->arg_start, s->bytes, s->argc);
    w = put_pointers(w, out->env_start, s->bytes ? s->bytes + args : "", s->envc);
    memcpy(w, out->auxv, (aux_words + ARRAY_SIZE(ours)) * sizeof(uint64_t));
    return 0;
}

void stack_image_free(struct stack_image *img)
{
    free(img->bytes);
    img->bytes = NULL;
}
