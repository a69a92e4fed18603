/* See info.h. */
#include "sentry/net/unix/info.h"

#include "sentry/net/unix/unix.h"

#include <string.h>

/* The name as text; buf has room for it. */
static size_t name_text(const struct unix_name *n, char buf[UNIX_PATH_CAP + 1])
{
    if (!n)
        return 0;
    memcpy(buf, n->path, n->len);
    if (buf[0])
        return n->len - 1;
    for (size_t i = 0; i < n->len; i++)
        if (!buf[i])
            buf[i] = '@';
    return n->len;
}

void unix_for_each(void (*fn)(const struct unix_info *info, void *ctx), void *ctx)
{
    struct unix_sock *u;

    for (unsigned i = 0; i < UNIX_BUCKETS; i++) {
        struct unix_bucket *b = unix_bucket_at(i);
        lock(&b->lock);
        list_for_each (u, &b->socks, table_node) {
            char name[UNIX_PATH_CAP + 1];
            struct unix_info info = {.refs = u->refs.n, .type = u->sk.type, .name = name};
            lock(&u->lock);
            struct file *f = atomic_load(&u->sk.file);
            info.ino = f ? f->inode->ino : 0; /* the file outlives the entry in the table */
            info.listening = u->state == UNIX_LISTENING;
            info.joined = atomic_load(&u->peer) != NULL;
            unlock(&u->lock);
            info.name_len = name_text(atomic_load(&u->name), name);
            fn(&info, ctx);
        }
        unlock(&b->lock);
    }
}
