/*
 * The path walk: path_resolution(7).
 *
 * A walk holds one counted path, the place reached so far, and the text still to go. A symbolic link's target is put in
 * front of that text, so links need no recursion; at most MAX_LINKS of them are followed. Limits of openat2(2)'s
 * resolve flags are checked where the walk would cross them: at a mount, a link, and "..".
 */
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/dcache.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/lookahead.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINKS 40

struct walk {
    struct task *task;
    unsigned flags;
    struct path root; /* counted: where "/" and ".." stop */
    struct path at;   /* counted: reached so far */
    char *text;       /* malloced once a link was followed; else NULL */
    const char *rest; /* still to go */
    int links;
    struct lookahead ahead;
    bool trailing_slash; /* the last component must be a directory */
};

static void walk_end(struct walk *w)
{
    path_put(&w->root);
    path_put(&w->at);
    lookahead_drop(&w->ahead);
    free(w->text);
}

static void walk_jump(struct walk *w, const struct path *to)
{
    path_get(to);
    path_put(&w->at);
    w->at = *to;
}

/* ---- one step ---- */

/* Is w->at still below w->root? A directory may have been moved out of the scope while the walk was in it. */
static bool still_below(const struct walk *w)
{
    struct path p = w->at;
    bool below = false, up = true;

    path_get(&p);
    while (up) {
        below = p.mnt == w->root.mnt && dentry_is_ancestor(w->root.dentry, p.dentry);
        if (below)
            break;
        dentry_put(p.dentry);
        p.dentry = dentry_get(p.mnt->root);
        up = mount_ascend(&p);
    }
    path_put(&p);
    return below;
}

static int walk_up(struct walk *w)
{
    struct path next;

    if (w->at.mnt == w->root.mnt && w->at.dentry == w->root.dentry)
        return w->flags & LOOKUP_BENEATH ? -EXDEV : 0;
    while (w->at.dentry == w->at.mnt->root) {
        if (w->flags & LOOKUP_NO_XDEV)
            return w->at.mnt->parent ? -EXDEV : 0;
        if (!mount_ascend(&w->at))
            return 0;
        if (w->at.mnt == w->root.mnt && w->at.dentry == w->root.dentry)
            return 0;
    }
    next = (struct path){mount_get(w->at.mnt), dentry_get_parent(w->at.dentry)};
    path_put(&w->at);
    w->at = next;
    return !(w->flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT)) || still_below(w) ? 0 : -EAGAIN;
}

/* The dentry of name in the directory reached; asks the file system under the directory's lock if it must. */
static int lookup_child(struct walk *w, const char *name, size_t len, struct dentry **out)
{
    struct inode *dir = dentry_inode(w->at.dentry);
    char buf[NAME_MAX + 1];

    if (!(dir->sb->flags & SB_NODCACHE)) {
        *out = dcache_find(w->at.dentry, name, len);
        if (*out)
            return 0;
    }
    memcpy(buf, name, len);
    buf[len] = '\0';
    w->ahead.rest = w->rest;
    lookahead_set(&w->ahead);
    lock(&dir->lock);
    int ret = dentry_lookup(w->at.dentry, buf, out);
    unlock(&dir->lock);
    lookahead_set(NULL);
    return ret;
}

/* Puts the link's text in front of what is still to go. */
static int splice_link(struct walk *w, const char *target, size_t len)
{
    size_t rest = strlen(w->rest);

    if (!len)
        return -ENOENT;
    char *text = malloc(len + rest + 2);
    if (!text)
        return -ENOMEM;
    memcpy(text, target, len);
    text[len] = '/';
    memcpy(text + len + 1, w->rest, rest + 1);
    if (!rest)
        text[len] = '\0';
    free(w->text);
    w->text = text;
    w->rest = text;
    return 0;
}

static int follow_magic(struct walk *w, struct inode *link)
{
    struct path to;

    if (w->flags & (LOOKUP_NO_MAGICLINKS | LOOKUP_BENEATH | LOOKUP_IN_ROOT))
        return w->flags & LOOKUP_NO_MAGICLINKS ? -ELOOP : -EXDEV;
    int ret = link->ops->follow(link, w->task, &to.mnt, &to.dentry);
    if (ret < 0)
        return ret;
    if ((w->flags & LOOKUP_NO_XDEV) && to.mnt != w->at.mnt) {
        path_put(&to);
        return -EXDEV;
    }
    path_put(&w->at);
    w->at = to;
    return 0;
}

static int follow_link(struct walk *w, struct inode *link)
{
    not_cleared char target[PATH_MAX];

    if (w->flags & LOOKUP_NO_SYMLINKS || ++w->links > MAX_LINKS)
        return -ELOOP;
    if (link->ops->follow)
        return follow_magic(w, link);
    if (!link->ops->readlink)
        return -EINVAL;
    int n = link->ops->readlink(link, target, sizeof(target));
    if (n < 0)
        return n;
    int ret = splice_link(w, target, (size_t)n);
    if (ret < 0 || target[0] != '/')
        return ret;
    if (w->flags & LOOKUP_BENEATH)
        return -EXDEV;
    walk_jump(w, &w->root);
    return 0;
}

/* From the directory reached to its entry `child` (reference taken over). */
static int step_into(struct walk *w, struct dentry *child, bool follow)
{
    struct inode *i = dentry_inode(child);

    if (!i) {
        dentry_put(child);
        return -ENOENT;
    }
    if (S_ISLNK(i->mode) && follow) {
        int ret = follow_link(w, i);
        dentry_put(child);
        return ret;
    }
    struct path next = {mount_get(w->at.mnt), child};
    mount_traverse(&next);
    bool crossed = next.mnt != w->at.mnt;
    path_put(&w->at);
    w->at = next;
    return crossed && (w->flags & LOOKUP_NO_XDEV) ? -EXDEV : 0;
}

/* The next component of the text: its length, and whether anything but slashes follows. 0: none left. */
static size_t next_component(struct walk *w, const char **name, bool *last)
{
    while (*w->rest == '/')
        w->rest++;
    size_t len = strcspn(w->rest, "/");
    const char *after = w->rest + len;
    *name = w->rest;
    while (*after == '/')
        after++;
    *last = *after == '\0';
    w->trailing_slash = *last && w->rest[len] == '/';
    w->rest = after;
    return len;
}

static int may_search(struct walk *w)
{
    struct inode *dir = dentry_inode(w->at.dentry);

    if (!S_ISDIR(dir->mode))
        return -ENOTDIR;
    return inode_permission(dir, w->task->cred, 1);
}

static int walk_component(struct walk *w, const char *name, size_t len, bool follow)
{
    struct dentry *child;

    int ret = may_search(w);
    if (ret < 0)
        return ret;
    if (len > NAME_MAX)
        return -ENAMETOOLONG;
    if (len == 1 && name[0] == '.')
        return 0;
    if (len == 2 && name[0] == '.' && name[1] == '.')
        return walk_up(w);
    ret = lookup_child(w, name, len, &child);
    return ret < 0 ? ret : step_into(w, child, follow);
}

/* ---- whole walks ---- */

/* Where relative names begin: the current directory, or a descriptor's file. Counted. */
static int start_of(struct task *t, int dirfd, struct path *out)
{
    if (dirfd == AT_FDCWD) {
        fs_context_cwd(t->fs, out);
        return 0;
    }
    struct file *f = fd_get_raw(t, dirfd);
    if (!f)
        return -EBADF;
    *out = (struct path){f->mnt, f->dentry};
    path_get(out);
    file_put(f);
    return 0;
}

int path_scope_begin(struct task *t, int dirfd, const char *name, unsigned lookup, struct path_scope *out)
{
    const bool confined = lookup & (LOOKUP_BENEATH | LOOKUP_IN_ROOT);
    struct path_scope s = {.lookup = lookup};

    if (name[0] == '/' && !confined) { /* then dirfd is not even looked at */
        fs_context_root(t->fs, &s.root);
        s.at = s.root;
        path_get(&s.at);
        *out = s;
        return 0;
    }
    int ret = start_of(t, dirfd, &s.at);
    if (ret < 0)
        return ret;
    if (confined) {
        s.root = s.at;
        path_get(&s.root);
    } else {
        fs_context_root(t->fs, &s.root);
    }
    *out = s;
    return 0;
}

void path_scope_end(struct path_scope *s)
{
    path_put(&s->root);
    path_put(&s->at);
}

/* A walk of name in the scope, which it takes over. */
static int walk_begin_in(struct walk *w, struct task *t, struct path_scope *s, const char *name)
{
    *w = (struct walk){.task = t, .flags = s->lookup, .root = s->root, .at = s->at, .rest = name};
    *s = (struct path_scope){0};
    int ret = 0;
    if (strlen(name) >= PATH_MAX)
        ret = -ENAMETOOLONG;
    else if (!*name && !(w->flags & LOOKUP_EMPTY))
        ret = -ENOENT;
    else if (name[0] == '/' && (w->flags & LOOKUP_BENEATH))
        ret = -EXDEV;
    else if (name[0] == '/')
        walk_jump(w, &w->root);
    if (ret < 0)
        walk_end(w);
    return ret;
}

static int walk_begin(struct walk *w, struct task *t, int dirfd, const char *name, unsigned flags)
{
    struct path_scope s;

    if (!*name && !(flags & LOOKUP_EMPTY))
        return -ENOENT; /* before a bad descriptor is found */
    int ret = path_scope_begin(t, dirfd, name, flags, &s);
    return ret < 0 ? ret : walk_begin_in(w, t, &s, name);
}

static int walk_begin_at(struct walk *w, struct task *t, const struct path *start, const char *name)
{
    struct path_scope s = {.at = *start};

    path_get(&s.at);
    fs_context_root(t->fs, &s.root);
    return walk_begin_in(w, t, &s, name);
}

static int walk_all(struct walk *w)
{
    const char *name;
    bool last, must_be_dir = w->flags & LOOKUP_DIRECTORY;
    int ret = 0;
    size_t len;

    w->ahead.open = w->flags & LOOKUP_OPEN;
    while (ret == 0 && (len = next_component(w, &name, &last)) > 0) {
        bool follow = !last || w->trailing_slash || (w->flags & LOOKUP_FOLLOW);
        if (last && w->trailing_slash)
            must_be_dir = true;
        ret = walk_component(w, name, len, follow);
    }
    if (ret == 0 && must_be_dir && !S_ISDIR(dentry_inode(w->at.dentry)->mode))
        ret = -ENOTDIR;
    return ret;
}

static int walk_finish(struct walk *w, int ret, struct path *out)
{
    if (ret == 0) {
        *out = w->at;
        w->at = (struct path){0};
    }
    walk_end(w);
    return ret;
}

int path_lookup(struct task *t, int dirfd, const char *name, unsigned lookup, struct path *out)
{
    struct walk w;

    int ret = walk_begin(&w, t, dirfd, name, lookup);
    if (ret < 0)
        return ret;
    return walk_finish(&w, walk_all(&w), out);
}

int path_lookup_from(struct task *t, const struct path *start, const char *name, unsigned lookup, struct path *out)
{
    struct walk w;

    int ret = walk_begin_at(&w, t, start, name);
    if (ret < 0)
        return ret;
    w.flags = lookup;
    return walk_finish(&w, walk_all(&w), out);
}

int user_path_lookup(struct task *t, int dirfd, uint64_t name, unsigned lookup, struct path *out)
{
    not_cleared char buf[PATH_MAX];

    ssize_t n = user_string(t, buf, name, sizeof(buf));
    return n < 0 ? (int)n : path_lookup(t, dirfd, buf, lookup, out);
}

/* The walk of all but the last component, which goes to last. */
static int walk_parent(struct walk *w, struct path *out_dir, char *last, bool *out_slash)
{
    const char *component;
    bool is_last = false;
    size_t len;
    int ret = 0;

    w->ahead.parent = true;
    while ((len = next_component(w, &component, &is_last)) > 0 && !is_last) {
        ret = walk_component(w, component, len, true);
        if (ret < 0)
            return walk_finish(w, ret, out_dir);
    }
    ret = may_search(w);
    if (ret == 0 && len > NAME_MAX)
        ret = -ENAMETOOLONG;
    if (ret == 0) {
        memcpy(last, len ? component : "/", len ? len : 1);
        last[len ? len : 1] = '\0';
        *out_slash = w->trailing_slash;
    }
    return walk_finish(w, ret, out_dir);
}

int path_lookup_parent(struct task *t, int dirfd, const char *name, struct path *out_dir, char *last, bool *out_slash)
{
    struct walk w;

    int ret = walk_begin(&w, t, dirfd, name, 0);
    return ret < 0 ? ret : walk_parent(&w, out_dir, last, out_slash);
}

int path_lookup_parent_in(struct task *t, const struct path_scope *scope, const char *name, struct path *out_dir,
                          char *last, bool *out_slash)
{
    struct path_scope copy = *scope;
    struct walk w;

    path_get(&copy.root);
    path_get(&copy.at);
    int ret = walk_begin_in(&w, t, &copy, name);
    return ret < 0 ? ret : walk_parent(&w, out_dir, last, out_slash);
}

/* ---- the other way: from a path to its name ---- */

/* Puts "/name" before what is at *at; false: no room. */
static bool prepend(char *buf, size_t *at, const char *name)
{
    size_t len = strlen(name);

    if (*at < len + 1)
        return false;
    *at -= len;
    memcpy(buf + *at, name, len);
    buf[--*at] = '/';
    return true;
}

/* "pipe:" and "socket:" are shown with their number. */
static ssize_t anonymous_name(struct dentry *d, char *buf, size_t cap)
{
    const char *name = dentry_name(d);
    size_t len = strlen(name);
    bool numbered = len && name[len - 1] == ':';

    int n = snprintf(buf, cap, numbered ? "%s[%llu]" : "%s", name, (unsigned long long)dentry_inode(d)->ino);
    return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : n;
}

ssize_t path_to_string(struct task *t, const struct path *p, char *buf, size_t cap)
{
    static const char unreachable[] = "(unreachable)", deleted[] = " (deleted)";
    struct path at = *p, root;
    size_t pos = cap;
    bool fits = true, reached = false;

    if (p->dentry->anonymous)
        return anonymous_name(p->dentry, buf, cap);
    bool dead = dentry_is_dead(p->dentry) ||
                (!p->dentry->hashed && p->dentry->parent != p->dentry && !(p->mnt->sb->flags & SB_NODCACHE));
    if (cap < PATH_MAX / 2 && cap < 2)
        return -ERANGE;
    buf[--pos] = '\0';
    if (dead && pos >= sizeof(deleted)) {
        pos -= sizeof(deleted) - 1;
        memcpy(buf + pos, deleted, sizeof(deleted) - 1);
    }
    fs_context_root(t->fs, &root);
    path_get(&at);
    size_t start = pos;
    while (fits) {
        reached = at.mnt == root.mnt && at.dentry == root.dentry;
        if (reached)
            break;
        if (at.dentry == at.mnt->root) {
            if (!mount_ascend(&at))
                break;
            continue;
        }
        fits = prepend(buf, &pos, dentry_name(at.dentry));
        struct dentry *up = dentry_get_parent(at.dentry);
        dentry_put(at.dentry);
        at.dentry = up;
    }
    path_put(&at);
    path_put(&root);
    if (fits && pos == start)
        fits = pos > 0 && (buf[--pos] = '/');
    if (fits && !reached) {
        fits = pos >= sizeof(unreachable) - 1;
        if (fits)
            memcpy(buf + (pos -= sizeof(unreachable) - 1), unreachable, sizeof(unreachable) - 1);
    }
    if (!fits)
        return -ERANGE;
    memmove(buf, buf + pos, cap - pos);
    return (ssize_t)(cap - pos - 1);
}
