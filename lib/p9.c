/* The pieces of include/p9.h that both sides share. */
#include "include/p9.h"

void p9_put_qid(struct wirebuf *b, const struct p9_attr *a)
{
    wire_put8(b, S_ISDIR(a->mode) ? P9_QTDIR : S_ISLNK(a->mode) ? P9_QTSYMLINK : P9_QTFILE);
    wire_put32(b, (uint32_t)(a->mtime.tv_sec ^ a->mtime.tv_nsec));
    wire_put64(b, a->ino ^ (a->dev << 48));
}

static void put_time(struct wirebuf *b, const struct timespec *t)
{
    wire_put64(b, (uint64_t)t->tv_sec);
    wire_put64(b, (uint64_t)t->tv_nsec);
}

static void get_time(struct wirebuf *b, struct timespec *t)
{
    t->tv_sec = (time_t)wire_get64(b);
    t->tv_nsec = (long)wire_get64(b);
    if (t->tv_nsec < -1 || t->tv_nsec > 999999999)
        b->bad = true;
}

void p9_put_attr(struct wirebuf *b, const struct p9_attr *a)
{
    p9_put_qid(b, a);
    wire_put64(b, a->dev);
    wire_put32(b, a->mode);
    wire_put32(b, a->uid);
    wire_put32(b, a->gid);
    wire_put64(b, a->nlink);
    wire_put64(b, a->rdev);
    wire_put64(b, a->size);
    wire_put64(b, a->blocks | (uint64_t)a->blksize << 44);
    wire_put64(b, a->ino);
    put_time(b, &a->atime);
    put_time(b, &a->mtime);
    put_time(b, &a->ctime);
    put_time(b, &a->btime);
    wire_put8(b, a->xattrs);
}

void p9_get_attr(struct wirebuf *b, struct p9_attr *a)
{
    *a = (struct p9_attr){0};
    wire_take(b, 13);
    a->dev = wire_get64(b);
    a->mode = wire_get32(b);
    a->uid = wire_get32(b);
    a->gid = wire_get32(b);
    a->nlink = wire_get64(b);
    a->rdev = wire_get64(b);
    a->size = wire_get64(b);
    a->blocks = wire_get64(b);
    a->blksize = (uint32_t)(a->blocks >> 44);
    a->blocks &= (1ull << 44) - 1;
    a->ino = wire_get64(b);
    get_time(b, &a->atime);
    get_time(b, &a->mtime);
    get_time(b, &a->ctime);
    get_time(b, &a->btime);
    a->xattrs = wire_get8(b);
    if (a->size > INT64_MAX || a->xattrs > P9_XATTRS_SOME)
        b->bad = true;
}

void p9_begin(struct wirebuf *b, void *data, size_t cap)
{
    wire_init(b, data, cap);
    wire_take(b, P9_HEADER);
}

void p9_end(struct wirebuf *b, uint8_t type, uint16_t tag)
{
    struct wirebuf head;

    wire_init(&head, b->data, P9_HEADER);
    wire_put32(&head, (uint32_t)b->pos);
    wire_put8(&head, type);
    wire_put16(&head, tag);
}
