/*
 * The mount table. A mount covers a dentry of its parent mount; dentry->mounted says cheaply whether a look at the
 * parent's children is needed. Later mounts on the same place come first in the lists, so they hide the earlier ones.
 */
#include "sentry/vfs/mount.h"

#include "sentry/kernel/locking.h"
#include "sentry/vfs/dcache.h"
#include "sentry/vfs/notify.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct lock mounts_lock; /* (m) */
static struct list table = LIST_INIT(table);
static int next_id = 1;
static unsigned mount_count; /* (m) on the table */
static struct mount *anon;

static void mounts_init(void)
{
    lock_init(&mounts_lock, RANK_MOUNTS);
}

/* Takes over the reference on root when it succeeds. */
static struct mount *mount_new(struct dentry *root, unsigned flags, const char *source)
{
    pthread_once(&once, mounts_init);
    struct mount *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->source = strdup(source);
    if (!m->source) {
        free(m);
        return NULL;
    }
    ref_init(&m->refs);
    m->root = root;
    m->sb = dentry_inode(root)->sb;
    ref_get(&m->sb->refs);
    atomic_fetch_add(&m->sb->mounts, 1);
    m->flags = flags;
    list_init(&m->node);
    list_init(&m->children);
    list_init(&m->sibling);
    lock(&mounts_lock);
    m->id = next_id++;
    unlock(&mounts_lock);
    return m;
}

struct mount *mount_get(struct mount *m)
{
    ref_get(&m->refs);
    return m;
}

/* The last reference may give up the parent's, and so on down a pile of any height: so in a loop. */
void mount_put(struct mount *m)
{
    while (m && ref_put(&m->refs)) {
        struct mount *parent = m->parent;
        if (atomic_fetch_sub(&m->sb->mounts, 1) == 1)
            dcache_forget(m->root);
        dentry_put(m->root);
        if (m->mountpoint)
            dentry_put(m->mountpoint);
        sb_put(m->sb);
        free(m->source);
        free(m);
        m = parent;
    }
}

void path_get(const struct path *p)
{
    mount_get(p->mnt);
    dentry_get(p->dentry);
}

void path_put(struct path *p)
{
    if (p->dentry)
        dentry_put(p->dentry);
    mount_put(p->mnt);
    *p = (struct path){0};
}

int mount_root(struct dentry *root, unsigned flags, const char *source, struct path *out)
{
    struct mount *m = mount_new(root, flags, source);

    if (!m)
        return -ENOMEM;
    lock(&mounts_lock);
    list_push_front(&table, &m->node);
    m->placed = true;
    unlock(&mounts_lock);
    *out = (struct path){mount_get(m), dentry_get(root)};
    return 0;
}

#define MOUNTS_MAX 10000 /* in the sandbox: binding recursively doubles them */

/* Enters m, which is in no place, into the table. mounts_lock held. */
static void attach_locked(struct mount *m, struct mount *parent, struct dentry *at)
{
    dentry_pin(at);
    m->parent = mount_get(parent);
    m->mountpoint = dentry_get(at);
    atomic_fetch_add(&at->mounted, 1);
    list_push_front(&table, &m->node);
    list_push_front(&parent->children, &m->sibling);
    m->placed = true;
    mount_count++;
}

/* Takes m out of its place; what it held there goes to *place, to be put without the lock. mounts_lock held. */
static void take_out_locked(struct mount *m, struct path *place)
{
    list_del(&m->node);
    list_del(&m->sibling);
    atomic_fetch_sub(&m->mountpoint->mounted, 1);
    *place = (struct path){m->parent, m->mountpoint};
    m->parent = NULL;
    m->mountpoint = NULL;
    m->placed = false;
    mount_count--;
}

static bool too_many(void)
{
    lock(&mounts_lock);
    bool yes = mount_count >= MOUNTS_MAX;
    unlock(&mounts_lock);
    return yes;
}

int mount_at(const struct path *at, struct dentry *root, unsigned flags, const char *source)
{
    bool dir = S_ISDIR(dentry_inode(root)->mode), at_dir = S_ISDIR(dentry_inode(at->dentry)->mode);

    if (dir != at_dir)
        return dir ? -ENOTDIR : -EISDIR;
    if (too_many())
        return -ENOSPC;
    struct mount *m = mount_new(root, flags, source);
    if (!m)
        return -ENOMEM;
    lock(&mounts_lock);
    const bool fits = at->mnt->placed;
    if (fits)
        attach_locked(m, at->mnt, at->dentry);
    unlock(&mounts_lock);
    if (fits)
        return 0;
    dentry_get(root); /* stays the caller's */
    mount_put(m);
    return -EINVAL;
}

/* The mount on top of (mnt, d), counted. */
static struct mount *find_child(struct mount *mnt, struct dentry *d)
{
    struct mount *it, *found = NULL;

    lock(&mounts_lock);
    list_for_each (it, &mnt->children, sibling) {
        if (it->mountpoint == d) {
            found = mount_get(it);
            break;
        }
    }
    unlock(&mounts_lock);
    return found;
}

void mount_traverse(struct path *p)
{
    while (atomic_load_explicit(&p->dentry->mounted, memory_order_relaxed)) {
        struct mount *m = find_child(p->mnt, p->dentry);
        if (!m)
            return;
        dentry_get(m->root);
        path_put(p);
        *p = (struct path){m, m->root};
    }
}

bool mount_ascend(struct path *p)
{
    struct path up = {0};

    if (p->dentry != p->mnt->root)
        return false;
    lock(&mounts_lock);
    if (p->mnt->parent) {
        up = (struct path){p->mnt->parent, p->mnt->mountpoint};
        path_get(&up);
    }
    unlock(&mounts_lock);
    if (!up.mnt)
        return false;
    path_put(p);
    *p = up;
    return true;
}

/* Takes m out, with its place in *place; true: it was the last mount of its file system. mounts_lock held. */
static bool detach_locked(struct mount *m, struct path *place)
{
    struct mount *it;

    take_out_locked(m, place);
    list_for_each (it, &table, node)
        if (it->sb == m->sb)
            return false;
    return true;
}

/* A mount out of what is mounted on m, with its table's reference; NULL: nothing is. */
static struct mount *detach_child(struct mount *m)
{
    struct path place = {0};
    bool last = false;

    lock(&mounts_lock);
    struct mount *child = list_empty(&m->children) ? NULL : list_first(&m->children, struct mount, sibling);
    if (child)
        last = detach_locked(child, &place);
    unlock(&mounts_lock);
    if (last)
        notify_unmount(child->sb);
    path_put(&place);
    return child;
}

/* Gives up m, which was taken out of the table, and takes out all that is mounted on it. */
static void drop_tree(struct mount *m)
{
    struct list taken = LIST_INIT(taken);

    list_push_back(&taken, &m->node);
    while (!list_empty(&taken)) {
        m = list_first(&taken, struct mount, node);
        struct mount *child = detach_child(m);
        if (child) {
            list_push_back(&taken, &child->node);
        } else {
            list_del(&m->node);
            mount_put(m);
        }
    }
}

int mount_detach(const struct path *p, bool lazy)
{
    struct path place = {0};
    struct mount *m = p->mnt;
    bool last = false;
    int ret = 0;

    if (p->dentry != m->root)
        return -EINVAL;
    lock(&mounts_lock);
    if (!m->parent)
        ret = -EINVAL;
    else if (!lazy && !list_empty(&m->children))
        ret = -EBUSY;
    /* One reference is the table's, one the caller's path. */
    if (ret == 0 && !lazy && atomic_load(&m->refs.n) > 2)
        ret = -EBUSY;
    if (ret == 0)
        last = detach_locked(m, &place);
    unlock(&mounts_lock);
    if (ret < 0)
        return ret;
    if (last)
        notify_unmount(m->sb);
    path_put(&place);
    drop_tree(m);
    return 0;
}

/* ---- binding ---- */

/* A mount and what is to be its copy, in which place. */
struct copy {
    struct mount *from, *to;   /* from is counted; to too until it is in the table */
    struct mount *parent;      /* a copy, or where the whole goes; not counted */
    struct dentry *mountpoint; /* counted */
};

struct copies {
    struct copy *all;
    size_t n;
};

static int copies_push(struct copies *c, struct mount *from, struct mount *parent, struct dentry *mountpoint)
{
    struct copy *grown = realloc(c->all, (c->n + 1) * sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    c->all = grown;
    grown[c->n++] = (struct copy){.from = mount_get(from), .parent = parent, .mountpoint = dentry_get(mountpoint)};
    return 0;
}

/* Notes the mounts on c->all[i], for the first one only those below `below`. */
static int push_children(struct copies *c, size_t i, struct dentry *below)
{
    struct mount *to = c->all[i].to, *it;
    int ret = 0;

    lock(&mounts_lock);
    if (mount_count + c->n > MOUNTS_MAX)
        ret = -ENOSPC;
    list_for_each (it, &c->all[i].from->children, sibling) {
        if (ret == 0 && (i || dentry_is_ancestor(below, it->mountpoint)))
            ret = copies_push(c, it, to, it->mountpoint);
    }
    unlock(&mounts_lock);
    return ret;
}

/* Makes the copies, breadth first: a copy's parent is there before it. root: of the first one. */
static int copies_make(struct copies *c, struct dentry *root, bool recursive)
{
    int ret = 0;

    for (size_t i = 0; i < c->n && ret == 0; i++) {
        const struct mount *from = c->all[i].from;
        struct dentry *d = dentry_get(i ? from->root : root);
        c->all[i].to = mount_new(d, mount_flags(from), from->source);
        if (!c->all[i].to) {
            dentry_put(d);
            return -ENOMEM;
        }
        if (recursive)
            ret = push_children(c, i, root);
    }
    return ret;
}

int mount_bind(const struct path *from, const struct path *at, bool recursive)
{
    const bool dir = S_ISDIR(dentry_inode(from->dentry)->mode);
    struct copies c = {0};

    if (dir != S_ISDIR(dentry_inode(at->dentry)->mode))
        return dir ? -ENOTDIR : -EISDIR;
    int ret = too_many() ? -ENOSPC : copies_push(&c, from->mnt, at->mnt, at->dentry);
    if (ret == 0)
        ret = copies_make(&c, from->dentry, recursive);
    if (ret == 0) {
        lock(&mounts_lock);
        ret = at->mnt->placed ? 0 : -EINVAL;
        for (size_t i = c.n; ret == 0 && i-- > 0;) /* of several on one place the newest comes first, as in the table */
            attach_locked(c.all[i].to, c.all[i].parent, c.all[i].mountpoint);
        unlock(&mounts_lock);
    }
    for (size_t i = 0; i < c.n; i++) {
        if (ret < 0)
            mount_put(c.all[i].to);
        mount_put(c.all[i].from);
        dentry_put(c.all[i].mountpoint);
    }
    free(c.all);
    return ret;
}

/* Is mnt m itself, or mounted below it? mounts_lock held. */
static bool is_below_locked(const struct mount *mnt, const struct mount *m)
{
    for (; mnt; mnt = mnt->parent)
        if (mnt == m)
            return true;
    return false;
}

int mount_move(const struct path *from, const struct path *at)
{
    const bool dir = S_ISDIR(dentry_inode(from->dentry)->mode);
    struct mount *m = from->mnt;
    struct path place = {0};
    int ret = 0;

    if (from->dentry != m->root)
        return -EINVAL;
    if (dir != S_ISDIR(dentry_inode(at->dentry)->mode))
        return dir ? -ENOTDIR : -EISDIR;
    lock(&mounts_lock);
    if (!m->parent || !at->mnt->placed)
        ret = -EINVAL;
    else if (is_below_locked(at->mnt, m))
        ret = -ELOOP;
    if (ret == 0) {
        take_out_locked(m, &place);
        attach_locked(m, at->mnt, at->dentry);
    }
    unlock(&mounts_lock);
    path_put(&place);
    return ret;
}

int mount_remount(const struct path *p, unsigned flags)
{
    if (p->dentry != p->mnt->root)
        return -EINVAL;
    atomic_store(&p->mnt->flags, flags);
    return 0;
}

unsigned mount_flags(const struct mount *m)
{
    return m->flags;
}

struct super_block *mount_sb(const struct mount *m)
{
    return m->sb;
}

int mount_id(const struct mount *m)
{
    return m->id;
}

/* ---- the mount of anonymous inodes ---- */

static int anon_statfs(struct super_block *sb, struct statfs *out)
{
    *out = (struct statfs){.f_type = sb->magic, .f_bsize = 4096, .f_frsize = 4096, .f_namelen = NAME_MAX};
    return 0;
}

static const struct super_ops anon_super_ops = {.statfs = anon_statfs};
static const struct inode_ops anon_root_ops;

static void make_anon(void)
{
    struct super_block *sb = sb_new("anon_inodefs", &anon_super_ops, 0, 0x09041934, NULL);
    struct inode *i = sb ? inode_new(sb, &anon_root_ops, NULL, 1, S_IFDIR | 0500) : NULL;
    struct dentry *d = i ? dentry_new_root(i) : NULL;

    anon = d ? mount_new(d, 0, "anon_inodefs") : NULL;
    if (!anon)
        abort(); /* at start, out of memory */
}

struct mount *mount_anon(void)
{
    static pthread_once_t anon_once = PTHREAD_ONCE_INIT;

    pthread_once(&anon_once, make_anon);
    return anon;
}

/* ---- /proc/PID/mounts ---- */

struct formatter {
    FILE *out;
    const struct path *root;
};

static void print_escaped(FILE *out, const char *s)
{
    for (; *s; s++) {
        if (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\\')
            fprintf(out, "\\%03o", *s);
        else
            fputc(*s, out);
    }
}

/* The mount point's path as seen from the root: parts are put together from the end. Mounts lock held. */
static const char *mount_path_locked(const struct mount *m, const struct path *root, char *buf, size_t cap)
{
    char *at = buf + cap - 1;
    const struct mount *mnt = m;
    struct dentry *d = m->root;

    *at = '\0';
    while (!(mnt == root->mnt && d == root->dentry)) {
        if (d == mnt->root) {
            if (!mnt->parent)
                break;
            d = mnt->mountpoint;
            mnt = mnt->parent;
            continue;
        }
        size_t len = strlen(d->name);
        if ((size_t)(at - buf) < len + 1)
            return "(unreachable)";
        at -= len;
        memcpy(at, d->name, len);
        *--at = '/';
        d = d->parent;
    }
    return *at ? at : "/";
}

static void print_mount_locked(const struct formatter *f, const struct mount *m, bool info)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{MNT_NOSUID, "nosuid"}, {MNT_NODEV, "nodev"}, {MNT_NOEXEC, "noexec"}, {MNT_NOATIME, "noatime"}};
    char path[PATH_MAX];
    const char *place = mount_path_locked(m, f->root, path, sizeof(path));

    if (info) {
        fprintf(f->out, "%d %d %u:%u / ", m->id, m->parent ? m->parent->id : 0, major(m->sb->dev), minor(m->sb->dev));
    } else {
        print_escaped(f->out, m->source);
        fputc(' ', f->out);
    }
    print_escaped(f->out, place);
    if (!info)
        fprintf(f->out, " %s", m->sb->type);
    fprintf(f->out, " %s", m->flags & MNT_RDONLY ? "ro" : "rw");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (m->flags & names[i].flag)
            fprintf(f->out, ",%s", names[i].name);
    if (!(m->flags & MNT_NOATIME))
        fprintf(f->out, ",relatime");
    if (info) {
        fprintf(f->out, " - %s ", m->sb->type);
        print_escaped(f->out, m->source);
        fprintf(f->out, " rw\n");
    } else {
        fprintf(f->out, " 0 0\n");
    }
}

int mount_format(const struct path *root, bool mountinfo, char **out, size_t *out_len)
{
    struct formatter f = {.root = root};
    struct list *it;

    *out = NULL;
    f.out = open_memstream(out, out_len);
    if (!f.out)
        return -ENOMEM;
    lock(&mounts_lock);
    for (it = table.prev; it != &table; it = it->prev)
        print_mount_locked(&f, list_entry(it, struct mount, node), mountinfo);
    unlock(&mounts_lock);
    return fclose(f.out) ? -ENOMEM : 0;
}
