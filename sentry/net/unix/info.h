/* The Unix sockets there are, for /proc/net/unix. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unix_info {
    uint64_t ino; /* of the socket's file; 0: it has none yet */
    int refs;
    int type;               /* SOCK_* */
    bool listening, joined; /* has a peer */
    const char *name;       /* name_len bytes, '@' for each NUL of an abstract one; name_len 0: none */
    size_t name_len;
};

/* Calls fn for every Unix socket, under a lock of the table of names: fn must not use sockets. */
void unix_for_each(void (*fn)(const struct unix_info *info, void *ctx), void *ctx);
