/*
 * Renaming in the overlay: both ends are brought into the upper tree and renamed there. A directory that shows
 * something of the lower tree cannot move: EXDEV, as from Linux's overlay without redirect_dir, and mv(1) copies
 * instead.
 */
#include "sentry/fs/overlay/overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_merged_dir(const struct inode *i)
{
    return S_ISDIR(i->mode) && ovl_data(i)->lower;
}

/* Everything that the upper trees need before the rename itself. */
static int prepare(struct inode *old, struct inode *new_dir, struct inode *victim, unsigned flags)
{
    if (is_merged_dir(old) || (victim && (flags & RENAME_EXCHANGE) && is_merged_dir(victim)))
        return -EXDEV; /* as Linux's without redirect_dir: mv copies instead */
    int ret = ovl_copy_up(old);
    if (ret == 0)
        ret = ovl_copy_up(new_dir);
    if (ret == 0 && victim && (flags & RENAME_EXCHANGE))
        ret = ovl_copy_up(victim);
    else if (ret == 0 && victim && S_ISDIR(victim->mode))
        ret = ovl_make_empty(victim);
    return ret;
}

/* With both upper locks held. The name that is replaced goes first, whiteout or not. */
static int rename_upper(struct inode *from, const char *old_name, struct inode *old, struct inode *to,
                        const char *new_name, struct inode *victim, unsigned flags)
{
    if (flags & RENAME_EXCHANGE)
        return from->ops->rename(from, old_name, ovl_upper(old), to, new_name, ovl_upper(victim), flags);
    struct inode *up = victim ? ovl_upper(victim) : NULL;
    int covered = up ? 0 : ovl_take_whiteout(to, new_name);
    if (covered < 0)
        return covered;
    bool dir = up && S_ISDIR(up->mode);
    if (dir)
        lock_nested(&up->lock);
    int ret = from->ops->rename(from, old_name, ovl_upper(old), to, new_name, up, 0);
    if (dir)
        unlock(&up->lock);
    if (ret < 0 && covered && ovl_put_whiteout(to, new_name) < 0)
        return -EIO; /* no memory even for what was there */
    if (ret == 0 && victim)
        ovl_lost_name(victim);
    return ret;
}

/* Where i's copy would go, and what ".." of it is, from now on. */
static void set_place(struct inode *i, struct inode *dir, char *name)
{
    struct ovl_sb *os = ovl_sb(i);
    struct ovl_inode *oi = ovl_data(i);

    lock(&os->place_lock);
    struct inode *old_parent = oi->parent;
    char *old_name = oi->name;
    oi->parent = inode_get(dir);
    oi->name = name;
    unlock(&os->place_lock);
    inode_put(old_parent);
    free(old_name);
}

static void moved(struct inode *old_dir, const char *old_name, struct inode *old, struct inode *new_dir,
                  struct inode *victim, unsigned flags, char *name)
{
    set_place(old, new_dir, name);
    if (victim && (flags & RENAME_EXCHANGE)) {
        char *other = strdup(old_name);
        if (other)
            set_place(victim, old_dir, other);
    }
    ovl_refresh(old);
    ovl_refresh(old_dir);
    ovl_refresh(new_dir);
}

int ovl_rename(struct inode *old_dir, const char *old_name, struct inode *old, struct inode *new_dir,
               const char *new_name, struct inode *victim, unsigned flags)
{
    int covered = ovl_lower_has(old_dir, old_name);
    int ret = covered < 0 ? covered : prepare(old, new_dir, victim, flags);
    if (ret < 0)
        return ret;
    char *name = strdup(new_name);
    if (!name)
        return -ENOMEM;
    struct inode *from = ovl_upper(old_dir), *to = ovl_upper(new_dir);
    lock_pair(&from->lock, &to->lock);
    ret = rename_upper(from, old_name, old, to, new_name, victim, flags);
    int kept = ret == 0 && covered && !(flags & RENAME_EXCHANGE) ? ovl_put_whiteout(from, old_name) : 0;
    unlock_pair(&from->lock, &to->lock);
    if (ret < 0) {
        free(name);
        return ret;
    }
    moved(old_dir, old_name, old, new_dir, victim, flags, name);
    return kept;
}
