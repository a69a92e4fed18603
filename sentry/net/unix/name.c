/*
 * Names: a path (a socket inode made in the file system), an abstract string, or none.
 *
 * All sockets are in one hash table of buckets with a lock each: those that can be found by the hash of their name, the
 * others by their own address. A path is found by the inode it leads to, which the bound socket holds, so links and
 * renames work; an abstract name by its bytes and the socket's type, as on Linux.
 */
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/net/unix/unix.h"
#include "sentry/vfs/ops.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_AT offsetof(struct sockaddr_un, sun_path)
#define AUTOBIND_NAMES (1u << 20) /* five hexadecimal digits */

/* ---- the table ---- */

static struct unix_bucket table[UNIX_BUCKETS];

static void table_init(void)
{
    for (unsigned i = 0; i < UNIX_BUCKETS; i++) {
        lock_init(&table[i].lock, RANK_SOCK_NAMES);
        list_init(&table[i].socks);
    }
}

struct unix_bucket *unix_bucket_at(unsigned i)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, table_init);
    return &table[i % UNIX_BUCKETS];
}

static struct unix_bucket *bucket_of_pointer(const void *p)
{
    return unix_bucket_at((unsigned)(((uintptr_t)p >> 4) * 0x9e3779b1u >> 20));
}

static struct unix_bucket *bucket_of_bytes(const char *bytes, size_t len, int type)
{
    uint32_t h = 2166136261u ^ (uint32_t)type;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)bytes[i]) * 16777619u;
    return unix_bucket_at(h ^ h >> 16);
}

void unix_table_add(struct unix_sock *u)
{
    u->bucket = bucket_of_pointer(u);
    lock(&u->bucket->lock);
    list_push_back(&u->bucket->socks, &u->table_node);
    unlock(&u->bucket->lock);
}

void unix_table_remove(struct unix_sock *u)
{
    lock(&u->bucket->lock);
    list_del(&u->table_node);
    unlock(&u->bucket->lock);
}

/* The abstract socket of that name and type, borrowed. Bucket locked. */
static struct unix_sock *abstract_at(struct unix_bucket *b, const char *bytes, size_t len, int type)
{
    struct unix_sock *u;

    list_for_each (u, &b->socks, table_node) {
        const struct unix_name *n = atomic_load(&u->name);
        /* Accepted sockets share the listener's name, but are filed elsewhere or are not findable. */
        if (n && u->findable && !u->inode && u->sk.type == type && n->len == len && !memcmp(n->path, bytes, len))
            return u;
    }
    return NULL;
}

static struct unix_sock *path_at(struct unix_bucket *b, const struct inode *i)
{
    struct unix_sock *u;

    list_for_each (u, &b->socks, table_node)
        if (u->findable && u->inode == i)
            return u;
    return NULL;
}

/* Files u, whose bind_lock is held, under its name. -EADDRINUSE: an abstract name that is taken. */
static int file_under(struct unix_sock *u, struct unix_bucket *b, struct unix_name *n)
{
    struct unix_bucket *from = u->bucket;
    int ret = 0;

    lock_pair(&from->lock, &b->lock);
    if (!u->inode && abstract_at(b, n->path, n->len, u->sk.type)) {
        ret = -EADDRINUSE;
    } else {
        list_del(&u->table_node);
        u->bucket = b;
        u->findable = true;
        atomic_store(&u->name, n);
        list_push_back(&b->socks, &u->table_node);
    }
    unlock_pair(&from->lock, &b->lock);
    return ret;
}

/* ---- names ---- */

static struct unix_name *name_new(const char *bytes, size_t len)
{
    struct unix_name *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    ref_init(&n->refs);
    memcpy(n->path, bytes, MIN(len, UNIX_PATH_CAP));
    n->len = n->path[0] ? strlen(n->path) + 1 : len;
    return n;
}

struct unix_name *unix_name_get(struct unix_name *n)
{
    if (n)
        ref_get(&n->refs);
    return n;
}

void unix_name_put(struct unix_name *n)
{
    if (n && ref_put(&n->refs))
        free(n);
}

void unix_name_out(const struct unix_name *n, struct sock_name *out)
{
    out->addr.ss_family = AF_UNIX;
    out->len = PATH_AT;
    if (!n)
        return;
    memcpy((char *)&out->addr + PATH_AT, n->path, n->len);
    out->len += (socklen_t)n->len;
}

/* The bytes of an address that names something. -EINVAL. */
static int name_bytes(const struct sock_name *name, const char **bytes, size_t *len)
{
    if (name->len <= PATH_AT || name->len > sizeof(struct sockaddr_un) || name->addr.ss_family != AF_UNIX)
        return -EINVAL;
    *bytes = (const char *)&name->addr + PATH_AT;
    *len = name->len - PATH_AT;
    return 0;
}

int unix_getname(struct socket *s, bool peer, struct sock_name *out)
{
    struct unix_sock *u = unix_of(s);

    lock(&u->lock);
    struct unix_sock *whose = peer ? atomic_load(&u->peer) : u;
    if (whose)
        unix_name_out(atomic_load(&whose->name), out);
    unlock(&u->lock);
    return whose ? 0 : -ENOTCONN;
}

/* ---- bind ---- */

static int bind_abstract(struct unix_sock *u, const char *bytes, size_t len)
{
    struct unix_name *n = name_new(bytes, len);
    if (!n)
        return -ENOMEM;
    int ret = file_under(u, bucket_of_bytes(n->path, n->len, u->sk.type), n);
    if (ret < 0)
        unix_name_put(n);
    return ret;
}

static int bind_path(struct unix_sock *u, struct task *t, const char *bytes, size_t len)
{
    struct unix_name *n = name_new(bytes, len);
    if (!n)
        return -ENOMEM;
    int ret = vfs_make_socket(t, n->path, &u->path);
    if (ret < 0) {
        unix_name_put(n);
        return ret == -EEXIST ? -EADDRINUSE : ret;
    }
    u->inode = dentry_inode(u->path.dentry);
    return file_under(u, bucket_of_pointer(u->inode), n); /* a path cannot be taken: the inode is new */
}

/* With bind_lock held. */
static int autobind_locked(struct unix_sock *u)
{
    static _Atomic uint32_t next;
    int ret = -EADDRINUSE;

    for (uint32_t tries = 0; ret == -EADDRINUSE && tries < AUTOBIND_NAMES; tries++) {
        char name[8] = {0};
        snprintf(name + 1, sizeof(name) - 1, "%05x", atomic_fetch_add(&next, 1) % AUTOBIND_NAMES);
        ret = bind_abstract(u, name, 6);
    }
    return ret == -EADDRINUSE ? -ENOSPC : ret;
}

int unix_autobind(struct unix_sock *u)
{
    if (atomic_load(&u->name))
        return 0;
    lock(&u->bind_lock);
    int ret = atomic_load(&u->name) ? 0 : autobind_locked(u);
    unlock(&u->bind_lock);
    return ret;
}

int unix_bind(struct socket *s, struct task *t, const struct sock_name *name)
{
    struct unix_sock *u = unix_of(s);
    const char *bytes;
    size_t len;

    if (name->len == PATH_AT && name->addr.ss_family == AF_UNIX)
        return unix_autobind(u);
    int ret = name_bytes(name, &bytes, &len);
    if (ret < 0)
        return ret;
    lock(&u->bind_lock);
    if (atomic_load(&u->name))
        ret = -EINVAL;
    else if (bytes[0])
        ret = bind_path(u, t, bytes, len);
    else
        ret = bind_abstract(u, bytes, len);
    unlock(&u->bind_lock);
    return ret;
}

/* ---- look-up ---- */

static int find_abstract(const char *bytes, size_t len, int type, struct unix_sock **out)
{
    struct unix_bucket *b = bucket_of_bytes(bytes, len, type);

    lock(&b->lock);
    struct unix_sock *u = abstract_at(b, bytes, len, type);
    if (u)
        *out = unix_get(u); /* it is in the table, so its file's reference is there */
    unlock(&b->lock);
    return u ? 0 : -ECONNREFUSED;
}

static int find_inode(struct inode *i, int type, struct unix_sock **out)
{
    if (!S_ISSOCK(i->mode))
        return -ECONNREFUSED;
    struct unix_bucket *b = bucket_of_pointer(i);
    lock(&b->lock);
    struct unix_sock *u = path_at(b, i);
    int ret = !u ? -ECONNREFUSED : u->sk.type != type ? -EPROTOTYPE : 0;
    if (ret == 0)
        *out = unix_get(u);
    unlock(&b->lock);
    return ret;
}

static int find_path(struct task *t, const char *bytes, size_t len, int type, struct unix_sock **out)
{
    char text[UNIX_PATH_CAP + 1] = {0};
    struct path p;

    memcpy(text, bytes, len);
    int ret = path_lookup(t, AT_FDCWD, text, LOOKUP_FOLLOW, &p);
    if (ret < 0)
        return ret;
    ret = path_permission(t, &p, 2);
    if (ret == 0)
        ret = find_inode(dentry_inode(p.dentry), type, out);
    path_put(&p);
    return ret;
}

int unix_find(struct task *t, const struct sock_name *name, int type, struct unix_sock **out)
{
    const char *bytes;
    size_t len;

    int ret = name_bytes(name, &bytes, &len);
    if (ret < 0)
        return ret;
    return bytes[0] ? find_path(t, bytes, len, type, out) : find_abstract(bytes, len, type, out);
}
