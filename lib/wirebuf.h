/*
 * A bounded buffer over foreign bytes: integers are little-endian; a read or write past the end yields zeros, changes
 * nothing and marks the buffer bad for good, so that a decoder checks once, at its end.
 */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wirebuf {
    uint8_t *data; /* borrowed */
    size_t cap;    /* bytes that may be read or written */
    size_t pos;    /* of the next byte; <= cap */
    bool bad;
};

void wire_init(struct wirebuf *b, void *data, size_t cap);
uint8_t wire_get8(struct wirebuf *b);
uint16_t wire_get16(struct wirebuf *b);
uint32_t wire_get32(struct wirebuf *b);
uint64_t wire_get64(struct wirebuf *b);
/* Copies a string with its NUL; bad if it has more than cap-1 bytes or a NUL inside. */
void wire_get_str(struct wirebuf *b, char *out, size_t cap);
/* The next len bytes in place, or NULL. */
void *wire_take(struct wirebuf *b, size_t len);
void wire_put8(struct wirebuf *b, uint8_t v);
void wire_put16(struct wirebuf *b, uint16_t v);
void wire_put32(struct wirebuf *b, uint32_t v);
void wire_put64(struct wirebuf *b, uint64_t v);
void wire_put_str(struct wirebuf *b, const char *s, size_t len);
void wire_put_bytes(struct wirebuf *b, const void *p, size_t len);
