/* See lookahead.h. */
#include "sentry/vfs/lookahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct lookahead *now;

struct lookahead *lookahead_get(void)
{
    return now;
}

void lookahead_set(struct lookahead *la)
{
    now = la;
}

void lookahead_add(struct lookahead *la, struct inode *dir, const char *name, size_t len, struct inode *i,
                   uint64_t changes)
{
    if (!la->found)
        la->found = malloc(LOOKAHEAD_MAX * sizeof(*la->found));
    if (!la->found || la->count == LOOKAHEAD_MAX || len > NAME_MAX) {
        inode_put(i);
        return;
    }
    struct lookahead_found *f = &la->found[la->count++];
    f->dir = inode_get(dir);
    f->inode = i;
    f->changes = changes;
    memcpy(f->name, name, len);
    f->name[len] = '\0';
}

void lookahead_drop(struct lookahead *la)
{
    for (unsigned n = 0; n < la->count; n++) {
        inode_put(la->found[n].dir);
        inode_put(la->found[n].inode);
    }
    free(la->found);
    la->found = NULL;
    la->count = 0;
}

/* Takes the answer for name in dir out of what was found: 1; 0: it is not known. *out NULL: no such name. */
static int take(struct lookahead *la, struct inode *dir, const char *name, struct inode **out)
{
    for (unsigned n = 0; n < la->count; n++) {
        struct lookahead_found *f = &la->found[n];
        if (f->dir != dir || strcmp(f->name, name) != 0)
            continue;
        bool good = f->changes == atomic_load(&dir->sb->name_changes);
        *out = f->inode;
        inode_put(f->dir);
        *f = la->found[--la->count];
        if (!good)
            inode_put(*out);
        return good;
    }
    return 0;
}

int inode_lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct inode *found;

    if (now && now->count && take(now, dir, name, &found)) {
        if (!found)
            return -ENOENT;
        *out = found;
        return 0;
    }
    return dir->ops->lookup ? dir->ops->lookup(dir, name, out) : -ENOTDIR;
}
