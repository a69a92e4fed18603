/* See wirebuf.h: everything goes through wire_take(), the only place that moves the position. */
#include "lib/wirebuf.h"

#include <string.h>

void wire_init(struct wirebuf *b, void *data, size_t cap)
{
    *b = (struct wirebuf){.data = data, .cap = cap};
}

void *wire_take(struct wirebuf *b, size_t len)
{
    if (b->bad || len > b->cap - b->pos) {
        b->bad = true;
        return NULL;
    }
    void *p = b->data + b->pos;
    b->pos += len;
    return p;
}

static uint64_t get_le(struct wirebuf *b, unsigned bytes)
{
    const uint8_t *p = wire_take(b, bytes);
    uint64_t v = 0;

    for (unsigned i = 0; p && i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void put_le(struct wirebuf *b, uint64_t v, unsigned bytes)
{
    uint8_t *p = wire_take(b, bytes);

    for (unsigned i = 0; p && i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

uint8_t wire_get8(struct wirebuf *b)
{
    return (uint8_t)get_le(b, 1);
}

uint16_t wire_get16(struct wirebuf *b)
{
    return (uint16_t)get_le(b, 2);
}

uint32_t wire_get32(struct wirebuf *b)
{
    return (uint32_t)get_le(b, 4);
}

uint64_t wire_get64(struct wirebuf *b)
{
    return get_le(b, 8);
}

void wire_get_str(struct wirebuf *b, char *out, size_t cap)
{
    size_t len = wire_get16(b);
    const char *p = wire_take(b, len);

    out[0] = '\0';
    if (!p || len >= cap || memchr(p, '\0', len)) {
        b->bad = true;
        return;
    }
    memcpy(out, p, len);
    out[len] = '\0';
}

void wire_put8(struct wirebuf *b, uint8_t v)
{
    put_le(b, v, 1);
}

void wire_put16(struct wirebuf *b, uint16_t v)
{
    put_le(b, v, 2);
}

void wire_put32(struct wirebuf *b, uint32_t v)
{
    put_le(b, v, 4);
}

void wire_put64(struct wirebuf *b, uint64_t v)
{
    put_le(b, v, 8);
}

void wire_put_bytes(struct wirebuf *b, const void *src, size_t len)
{
    void *p = wire_take(b, len);

    if (p && len)
        memcpy(p, src, len);
}

void wire_put_str(struct wirebuf *b, const char *s, size_t len)
{
    if (len > UINT16_MAX) {
        b->bad = true;
        return;
    }
    wire_put16(b, (uint16_t)len);
    wire_put_bytes(b, s, len);
}
