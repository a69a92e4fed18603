/*
 * See pseudo.h. Directory positions: 0 ".", 1 "..", then the constant children, and from DYNAMIC_POS on the numbered
 * entries by their number, so that entries that vanish during a read do not shift the others.
 */
#include "sentry/fs/pseudo/pseudo.h"

#include "sentry/fs/proc/access.h"
#include "sentry/kernel/task.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DYNAMIC_POS 4096
#define STORE_MAX 4096

struct pseudo_data {
    const struct pseudo_node *node;
    struct pseudo_arg arg;
};

static const struct inode_ops pseudo_inode_ops, magic_link_ops;
static const struct file_ops text_file_ops, dir_file_ops;

static struct pseudo_data *inode_data(const struct inode *i)
{
    return i->fs_data;
}

const struct pseudo_arg *pseudo_inode_arg(const struct inode *i)
{
    return &inode_data(i)->arg;
}

bool pseudo_inode_is(const struct inode *i, const struct pseudo_node *node)
{
    return i->ops == &pseudo_inode_ops && inode_data(i)->node == node;
}

/* The same file has the same number for as long as what it speaks of lives. */
static uint64_t pseudo_ino(const struct pseudo_node *node, const struct pseudo_arg *arg)
{
    /* The distance between two constants of the program tells nothing of where it is loaded. */
    uint64_t h = (uint64_t)((intptr_t)node - (intptr_t)&pseudo_inode_ops) >> 3;
    const uint64_t parts[] = {(uint64_t)arg->tgid, (uint64_t)arg->tid, (uint64_t)(unsigned)arg->num};

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        h = (h ^ parts[i]) * 0x9e3779b97f4a7c15ULL;
    return (h >> 24) | 1;
}

/* Files of a process belong to its user; where it is not dumpable, to root. */
static void pseudo_set_owner(struct inode *i, const struct pseudo_arg *arg)
{
    struct task *t = arg->tid ? task_find(arg->tid) : NULL;

    if (!t)
        return;
    lock(&tasks_lock);
    if (t->tg->dumpable && t->cred) {
        i->uid = t->cred->euid;
        i->gid = t->cred->egid;
    }
    unlock(&tasks_lock);
    task_put(t);
}

static int pseudo_inode(struct super_block *sb, const struct pseudo_node *node, const struct pseudo_arg *arg,
                        struct inode **out)
{
    struct pseudo_data *data = malloc(sizeof(*data));
    if (!data)
        return -ENOMEM;
    *data = (struct pseudo_data){.node = node, .arg = *arg};

    const struct file_ops *fops = node->fops ? node->fops : S_ISDIR(node->mode) ? &dir_file_ops : &text_file_ops;
    struct inode *i =
        inode_new(sb, node->follow ? &magic_link_ops : &pseudo_inode_ops, fops, pseudo_ino(node, arg), node->mode);
    if (!i) {
        free(data);
        return -ENOMEM;
    }
    i->fs_data = data;
    i->nlink = S_ISDIR(node->mode) ? 2 : 1;
    clock_gettime(CLOCK_REALTIME, &i->mtime);
    i->atime = i->ctime = i->mtime;
    i->btime.tv_nsec = -1;
    pseudo_set_owner(i, arg);
    *out = i;
    return 0;
}

/* ---- directories ---- */

static int pseudo_lookup(struct inode *dir, const char *name, struct inode **out)
{
    const struct pseudo_data *d = inode_data(dir);
    const struct pseudo_node *found = NULL;
    struct pseudo_arg arg = d->arg;

    for (const struct pseudo_node *c = d->node->children; c && c->name; c++)
        if (!strcmp(c->name, name))
            found = c;
    if (!found) {
        int ret = d->node->find ? d->node->find(&d->arg, name, &found, &arg) : -ENOENT;
        if (ret < 0)
            return ret;
    }
    return pseudo_inode(dir->sb, found, &arg, out);
}

static int pseudo_iterate(struct file *f, int64_t *pos, dir_emit_fn emit, void *ctx)
{
    const struct pseudo_data *d = inode_data(f->inode);
    const struct pseudo_node *children = d->node->children;

    for (; *pos < 2; (*pos)++)
        if (!emit(ctx, *pos ? ".." : ".", (size_t)*pos + 1, f->inode->ino, DT_DIR, *pos + 1))
            return 0;
    for (int64_t i = 0; children && children[i].name; i++) {
        if (i + 2 < *pos)
            continue;
        const struct pseudo_node *c = &children[i];
        if (!emit(ctx, c->name, strlen(c->name), pseudo_ino(c, &d->arg), (unsigned char)IFTODT(c->mode), i + 3))
            return 0;
        *pos = i + 3;
    }
    if (!d->node->next)
        return 0;
    if (*pos < DYNAMIC_POS)
        *pos = DYNAMIC_POS;
    for (int64_t n; (n = d->node->next(&d->arg, *pos - DYNAMIC_POS)) >= 0; *pos = n + 1 + DYNAMIC_POS) {
        char name[32];
        const char *prefix = d->node->next_prefix ? d->node->next_prefix : "";
        int len = snprintf(name, sizeof(name), "%.8s%lld", prefix, (long long)n);
        if (!emit(ctx, name, (size_t)len, (uint64_t)n + DYNAMIC_POS, d->node->next_type, n + 1 + DYNAMIC_POS))
            return 0;
    }
    return 0;
}

static int64_t dir_llseek(struct file *f, int64_t off, int whence)
{
    int64_t pos = whence == SEEK_SET ? off : whence == SEEK_CUR ? f->pos + off : -1;

    if (pos < 0)
        return -EINVAL;
    return f->pos = pos;
}

static const struct file_ops dir_file_ops = {.iterate = pseudo_iterate, .llseek = dir_llseek};

/* ---- links ---- */

static int pseudo_readlink(struct inode *i, char *buf, size_t cap)
{
    const struct pseudo_data *d = inode_data(i);

    return d->node->readlink ? d->node->readlink(&d->arg, buf, cap) : -EINVAL;
}

static int pseudo_follow(struct inode *i, struct task *t, struct mount **out_mnt, struct dentry **out_dentry)
{
    const struct pseudo_data *d = inode_data(i);
    struct path p;
    (void)t;

    int ret = d->node->follow(&d->arg, &p);
    if (ret < 0)
        return ret;
    *out_mnt = p.mnt;
    *out_dentry = p.dentry;
    return 0;
}

/* ---- text files ---- */

/* An open text file: made anew when read from the start, so that one reader sees one consistent text. */
struct text_file {
    struct lock lock;
    struct text text;
    bool made;
};

static int pseudo_open(struct inode *i, struct file *f)
{
    const struct pseudo_data *d = inode_data(i);

    if (d->node->ptrace && current) {
        int ret = proc_may_trace(current, d->arg.tid);
        if (ret < 0)
            return ret;
    }
    f->ops = i->file_ops;
    if (f->ops != &text_file_ops)
        return 0;
    struct text_file *tf = calloc(1, sizeof(*tf));
    if (!tf)
        return -ENOMEM;
    lock_init(&tf->lock, 0);
    f->priv = tf;
    return 0;
}

static int text_make(struct file *f, struct text_file *tf)
{
    const struct pseudo_data *d = inode_data(f->inode);
    struct text fresh = {0};

    int ret = d->node->show ? d->node->show(&fresh, &d->arg) : -EINVAL;
    if (ret >= 0 && fresh.failed)
        ret = -ENOMEM;
    if (ret < 0) {
        text_free(&fresh);
        return ret;
    }
    lock(&tf->lock);
    struct text old = tf->text;
    tf->text = fresh;
    tf->made = true;
    unlock(&tf->lock);
    text_free(&old);
    return 0;
}

static ssize_t text_read(struct file *f, struct uio *u, int64_t *pos)
{
    struct text_file *tf = f->priv;

    if (*pos < 0)
        return -EINVAL;
    if (*pos == 0 || !tf->made) {
        int ret = text_make(f, tf);
        if (ret < 0)
            return ret;
    }
    lock(&tf->lock);
    ssize_t n = 0;
    if ((uint64_t)*pos < tf->text.len)
        n = uio_copy_out(u, tf->text.data + *pos, MIN(u->left, tf->text.len - (size_t)*pos));
    unlock(&tf->lock);
    if (n > 0)
        *pos += n;
    return n;
}

static ssize_t text_write(struct file *f, struct uio *u, int64_t *pos)
{
    const struct pseudo_data *d = inode_data(f->inode);
    char buf[STORE_MAX];

    if (!d->node->store)
        return -EIO;
    if (u->left >= sizeof(buf))
        return -EINVAL;
    ssize_t n = uio_copy_in(u, buf, u->left);
    if (n < 0)
        return n;
    buf[n] = '\0';
    ssize_t ret = d->node->store(&d->arg, buf, (size_t)n);
    if (ret > 0)
        *pos += ret;
    return ret;
}

static int64_t text_llseek(struct file *f, int64_t off, int whence)
{
    if (whence == SEEK_CUR)
        off += f->pos;
    else if (whence != SEEK_SET)
        return -EINVAL;
    if (off < 0)
        return -EINVAL;
    return f->pos = off;
}

static void text_release(struct file *f)
{
    struct text_file *tf = f->priv;

    if (!tf)
        return;
    text_free(&tf->text);
    lock_destroy(&tf->lock);
    free(tf);
}

static const struct file_ops text_file_ops = {
    .read = text_read, .write = text_write, .llseek = text_llseek, .release = text_release};

/* chmod and chown fail as on Linux; O_TRUNC and utimes are taken without effect. */
static int pseudo_setattr(struct inode *i, const struct iattr *a)
{
    (void)i;
    return a->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -EPERM : 0;
}

static void pseudo_evict(struct inode *i)
{
    free(i->fs_data);
}

static const struct inode_ops pseudo_inode_ops = {
    .lookup = pseudo_lookup,
    .readlink = pseudo_readlink,
    .open = pseudo_open,
    .setattr = pseudo_setattr,
    .evict = pseudo_evict,
};

static const struct inode_ops magic_link_ops = {
    .readlink = pseudo_readlink,
    .follow = pseudo_follow,
    .setattr = pseudo_setattr,
    .evict = pseudo_evict,
};

static int pseudo_statfs(struct super_block *sb, struct statfs *out)
{
    *out = (struct statfs){.f_type = sb->magic, .f_bsize = 4096, .f_frsize = 4096, .f_namelen = 255};
    return 0;
}

static const struct super_ops pseudo_super_ops = {.statfs = pseudo_statfs};

int pseudo_mount(const char *type, uint32_t magic, const struct pseudo_node *root, struct dentry **out)
{
    static const struct pseudo_arg no_arg;
    struct inode *i;

    struct super_block *sb = sb_new(type, &pseudo_super_ops, SB_NODCACHE, magic, NULL);
    if (!sb)
        return -ENOMEM;
    int ret = pseudo_inode(sb, root, &no_arg, &i);
    sb_put(sb);
    if (ret < 0)
        return ret;
    struct dentry *d = dentry_new_root(i);
    if (!d) {
        inode_put(i);
        return -ENOMEM;
    }
    *out = d;
    return 0;
}
