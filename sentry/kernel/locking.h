/*
 * The order in which the sentry's locks may be taken: a lock only while holding locks of lower rank. Debug builds check
 * it (lib/lock.h). docs/locking.md explains each.
 */
#pragma once

enum lock_rank {
    RANK_NONE = 0,
    RANK_EPOLL_TREE = 5,   /* serialises changes that nest epoll instances */
    RANK_SOCK_BIND = 8,    /* a Unix socket's bind(2), which walks a path */
    RANK_RENAME = 10,      /* vfs: one rename across directories at a time, per super block */
    RANK_OVERLAY_DIR = 18, /* inode->lock of an overlay's inodes: before those of the trees below */
    RANK_OVERLAY = 19,     /* overlay: copy-up, and the places inodes would be copied to */
    RANK_INODE_DIR = 20,   /* inode->lock of a directory (parent before child; lock_pair for two) */
    RANK_INODE = 25,       /* inode->lock of anything else */
    RANK_FILE_POS = 15,    /* file->pos_lock: taken before the inode's */
    RANK_FS = 30,          /* a file system's own state */
    RANK_MOUNTS = 35,      /* the mount tree */
    RANK_DCACHE = 40,      /* dentry names, children and the LRU */
    RANK_GOFER_CONN = 45,  /* one 9P connection: request and reply */
    RANK_FS_CONTEXT = 50,  /* cwd, root, umask of a task */
    RANK_FDTABLE = 52,     /* fd table */
    RANK_MM = 55,          /* mm->lock: the map tree */
    RANK_EPOLL = 58,       /* one epoll instance */
    RANK_TTY = 59,         /* a terminal's session and foreground group */
    RANK_TASKS = 60,       /* tasks_lock: the process tree, groups, sessions, pid table */
    RANK_SIGHAND = 65,     /* tg->siglock: handlers, pending signals, group stop */
    RANK_TIMERFD = 68,     /* a timer descriptor: taken to arm its kernel timer */
    RANK_TIMER = 70,       /* the timer queue */
    RANK_FUTEX = 75,       /* a futex bucket */
    RANK_NOTIFY = 71,      /* who watches which inode */
    RANK_SOCK_NAMES = 73,  /* a bucket of the table of Unix sockets */
    RANK_SOCK_READ = 74,   /* a socket's reader, while it copies a message out */
    RANK_SOCK_FLIGHT = 76, /* which sockets are themselves under way in messages */
    RANK_SOCK = 77,        /* a socket's queue and state */
    RANK_PIPE = 78,        /* a pipe's ring, an eventfd's count … */
    RANK_SOCK_ROOM = 79,   /* senders that wait for a packet socket's queue: wakes other wait queues */
    RANK_WAITQ = 80,       /* a wait queue's list */
    RANK_READY = 82,       /* epoll's ready list: taken from wake callbacks */
    RANK_LEAF = 90,        /* takes nothing below it */
};
