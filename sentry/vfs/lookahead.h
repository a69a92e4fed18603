/*
 * Looking ahead: a path walk tells the file system that it asks for a name what it will ask for next. A file system
 * whose answers come from afar may find out about the following names in the same exchange and hand over what it
 * learnt; the walk then gets those names without asking.
 */
#pragma once

#include "sentry/vfs/vfs.h"

#include <limits.h>

#define LOOKAHEAD_MAX 16

struct lookahead_found {
    struct inode *dir;   /* counted */
    struct inode *inode; /* counted; NULL: there is no such name */
    uint64_t changes;    /* dir->sb->name_changes when it was asked for */
    char name[NAME_MAX + 1];
};

struct lookahead {
    const char *rest; /* the text behind the name that is looked up now */
    bool parent;      /* the last name of it is not wanted */
    bool open;        /* what the last name stands for is going to be opened for reading */
    unsigned count;
    struct lookahead_found *found; /* malloced at need, LOOKAHEAD_MAX of them */
};

/* What the walk in this thread wants next; NULL: the look-up is for the one name only. */
struct lookahead *lookahead_get(void);
/* Makes la (or NULL) what lookahead_get() returns in this thread. */
void lookahead_set(struct lookahead *la);
/* Notes that name in dir is i, whose reference is taken over, or (NULL) is not there; changes: see above. */
void lookahead_add(struct lookahead *la, struct inode *dir, const char *name, size_t len, struct inode *i,
                   uint64_t changes);
/* Gives up what was found and not used. */
void lookahead_drop(struct lookahead *la);
/*
 * dir's entry of that name: what was found ahead, or what its file system says. Directory lock held. 0 with a counted
 * *out, -ENOENT, -ENOTDIR, or another error of the file system's.
 */
int inode_lookup(struct inode *dir, const char *name, struct inode **out) must_check;
