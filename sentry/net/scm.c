/* See scm.h. */
#include "sentry/net/scm.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/net/socket.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#define HEADER sizeof(struct cmsghdr)

/* ---- from a sender ---- */

void scm_own_cred(struct task *t, struct ucred *out)
{
    *out = (struct ucred){.pid = t->tg->tgid, .uid = t->cred->ruid, .gid = t->cred->rgid};
}

/* May t say that it is this? */
static int check_cred(struct task *t, const struct ucred *u)
{
    const struct cred *c = t->cred;

    if (u->pid != t->tg->tgid && !cred_capable(c, CAP_SYS_ADMIN))
        return -EPERM;
    if (u->uid != c->ruid && u->uid != c->euid && u->uid != c->suid && !cred_capable(c, CAP_SETUID))
        return -EPERM;
    if (u->gid != c->rgid && u->gid != c->egid && u->gid != c->sgid && !cred_capable(c, CAP_SETGID))
        return -EPERM;
    struct thread_group *tg = tg_find(u->pid);
    if (!tg)
        return -ESRCH;
    tg_put(tg);
    return 0;
}

/* Makes room for n more files; the ones there stay where they are in order. */
static int rights_grow(struct scm_rights **r, size_t n)
{
    size_t have = *r ? (*r)->count : 0;
    if (have + n > SCM_MAX_FILES)
        return -EINVAL;
    struct scm_rights *bigger = realloc(*r, sizeof(**r) + (have + n) * sizeof(struct file *));
    if (!bigger)
        return -ENOMEM;
    if (!*r)
        *bigger = (struct scm_rights){0};
    *r = bigger;
    return 0;
}

static int parse_rights(struct task *t, const unsigned char *data, size_t len, struct scm_rights **r)
{
    size_t n = len / sizeof(int);
    if (!n)
        return 0;
    int ret = rights_grow(r, n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        int fd;
        memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
        struct file *f = fd_get_raw(t, fd);
        if (!f)
            return -EBADF;
        (*r)->files[(*r)->count++] = f;
        struct socket *s = socket_of(f);
        (*r)->sockets += s && s->family == AF_UNIX;
    }
    return ret;
}

static int parse_one(struct task *t, const struct cmsghdr *h, const unsigned char *data, struct scm *out)
{
    size_t len = h->cmsg_len - HEADER;

    if (h->cmsg_level != SOL_SOCKET)
        return 0; /* another protocol's; unix(7) has none */
    if (h->cmsg_type == SCM_RIGHTS)
        return parse_rights(t, data, len, &out->rights);
    if (h->cmsg_type != SCM_CREDENTIALS || len != sizeof(out->cred))
        return -EINVAL;
    memcpy(&out->cred, data, sizeof(out->cred));
    out->has_cred = true;
    return check_cred(t, &out->cred);
}

int scm_parse(struct task *t, const void *control, size_t len, struct scm *out)
{
    const unsigned char *at = control;
    int ret = 0;

    *out = (struct scm){0};
    while (ret == 0 && len >= HEADER) {
        struct cmsghdr h;
        memcpy(&h, at, HEADER);
        if (h.cmsg_len < HEADER || h.cmsg_len > len)
            ret = -EINVAL;
        else
            ret = parse_one(t, &h, at + HEADER, out);
        if (ret < 0)
            break;
        size_t step = CMSG_ALIGN(h.cmsg_len);
        if (step >= len)
            break;
        at += step;
        len -= step;
    }
    if (ret < 0)
        scm_free(out);
    return ret;
}

/* ---- files ---- */

struct scm_rights *scm_rights_copy(const struct scm_rights *r)
{
    struct scm_rights *copy = malloc(sizeof(*r) + r->count * sizeof(r->files[0]));

    if (!copy)
        return NULL;
    *copy = (struct scm_rights){.count = r->count, .sockets = r->sockets};
    for (unsigned i = 0; i < r->count; i++)
        copy->files[i] = file_get(r->files[i]);
    return copy;
}

void scm_rights_free(struct scm_rights *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->count; i++)
        file_put(r->files[i]);
    free(r);
}

void scm_free(struct scm *scm)
{
    scm_rights_free(scm->rights);
    scm->rights = NULL;
}

/* ---- to a receiver ---- */

void scm_put(struct scm_writer *w, int level, int type, const void *data, size_t len)
{
    size_t room = w->cap - w->len;
    if (room < HEADER) {
        w->truncated = true;
        return;
    }
    w->truncated |= room < HEADER + len;
    len = MIN(len, room - HEADER);
    const struct cmsghdr h = {.cmsg_len = HEADER + len, .cmsg_level = level, .cmsg_type = type};
    size_t space = MIN(CMSG_SPACE(len), room);
    memset(w->buf + w->len, 0, space);
    memcpy(w->buf + w->len, &h, HEADER);
    memcpy(w->buf + w->len + HEADER, data, len);
    w->len += space;
}

unsigned scm_put_files(struct scm_writer *w, struct task *t, struct scm_rights *r, int *out_fds)
{
    size_t room = w->cap - w->len;
    size_t fit = room < HEADER ? 0 : MIN((room - HEADER) / sizeof(int), (size_t)r->count);
    unsigned n = 0;

    for (; n < fit; n++) {
        int fd = fd_reserve(t, 0);
        if (fd < 0)
            break;
        out_fds[n] = fd;
    }
    if (n)
        scm_put(w, SOL_SOCKET, SCM_RIGHTS, out_fds, n * sizeof(int));
    w->truncated |= n < r->count;
    return n;
}

void scm_install_files(struct task *t, struct scm_rights *r, const int *fds, unsigned n, bool cloexec, bool ok)
{
    for (unsigned i = 0; i < n; i++) {
        if (ok)
            fd_install(t, fds[i], file_get(r->files[i]), cloexec);
        else
            fd_unreserve(t, fds[i]);
    }
    scm_rights_free(r);
}
