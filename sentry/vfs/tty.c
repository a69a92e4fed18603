/*
 * Terminals. The line discipline is the host terminal's: termios, window size, echo and editing are passed through to
 * it. What is ours is who may use it: the guest has sessions, process groups and a foreground group of its own, which
 * the host knows nothing of.
 *
 * A struct tty is made for each host terminal at first sight and kept for the life of the sandbox (there are at most
 * three). A file on it has its own host descriptor, except /dev/tty, which uses the first one. session and foreground
 * are guarded by tasks_lock, as the process tree they name is.
 *
 * Signals that the host terminal makes from keys reach the runtime, which passes them to tty_host_signal().
 */
#include "sentry/vfs/tty.h"

#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/hostfd.h"
#include "sentry/vfs/vfs.h"

#include <asm/termbits.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

struct tty {
    struct tty *next;
    dev_t rdev;              /* constant: which host terminal */
    struct hostio *io;       /* constant: the first descriptor; never freed */
    struct session *session; /* tasks_lock */
    pid_t foreground;        /* tasks_lock: group, 0: none */
};

struct tty_file {
    struct tty *tty;
    struct hostio *io;
};

static struct tty *ttys;     /* made at boot, before guests run; read-only after */
static bool host_background; /* tasks_lock: on the host, all of us are a background job */

/* tasks_lock held: -EIO if the job of t has nobody left who could continue it. */
static bool pgrp_orphaned(struct pgrp *pg)
{
    struct thread_group *tg;
    list_for_each (tg, &pg->members, pgrp_node) {
        struct thread_group *up = tg->parent;
        if (up && up->pgrp && up->pgrp != pg && up->pgrp->session == pg->session)
            return false;
    }
    return true;
}

static bool signal_ignored(struct task *t, int sig)
{
    lock(&t->tg->siglock);
    bool ign = (signal_blocked_locked(t) & sigbit(sig)) ||
               t->tg->sighand->action[sig - 1].handler == (uint64_t)(uintptr_t)SIG_IGN;
    unlock(&t->tg->siglock);
    return ign;
}

static bool in_background_locked(const struct tty *tty, const struct pgrp *pg)
{
    if (pg->session->tty != tty)
        return false;
    return host_background || (tty->foreground && tty->foreground != pg->pgid);
}

/* Job control: 0 if t may go on; else its group was sent sig (-ERESTARTSYS), or -EIO. */
static int tty_check(struct task *t, struct tty *tty, int sig)
{
    int ret = 0;
    lock(&tasks_lock);
    struct pgrp *pg = t->tg->pgrp;
    if (!in_background_locked(tty, pg))
        goto out;
    if (signal_ignored(t, sig)) {
        ret = sig == SIGTTIN ? -EIO : 0;
    } else if (pgrp_orphaned(pg)) {
        ret = -EIO;
    } else {
        signal_send_pgrp_locked(pg, sig, NULL);
        ret = -ERESTARTSYS;
    }
out:
    unlock(&tasks_lock);
    return ret;
}

/* Sends sig to the foreground group; before anything has claimed the terminal, to the first program's group. */
static void send_foreground_locked(struct tty *tty, int sig)
{
    struct pgrp *pg = pgrp_find_locked(tty->foreground ? tty->foreground : main_tgid);
    if (!pg)
        return;
    signal_send_pgrp_locked(pg, sig, NULL);
    pgrp_put(pg);
}

static ssize_t tty_read(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct tty_file *tf = f->priv;
    int ret = current ? tty_check(current, tf->tty, SIGTTIN) : 0;
    return ret < 0 ? ret : hostio_read(tf->io, u, f->flags & O_NONBLOCK);
}

static bool has_tostop(struct tty *tty)
{
    struct termios tio;
    return ioctl(hostio_fd(tty->io), TCGETS, &tio) == 0 && (tio.c_lflag & TOSTOP);
}

static ssize_t tty_write(struct file *f, struct uio *u, int64_t *pos unused_arg)
{
    struct tty_file *tf = f->priv;
    struct tty *tty = tf->tty;
    struct task *t = current;
    if (t) {
        lock(&tasks_lock);
        bool background = in_background_locked(tty, t->tg->pgrp);
        unlock(&tasks_lock);
        int ret = background && has_tostop(tty) ? tty_check(t, tty, SIGTTOU) : 0;
        if (ret < 0)
            return ret;
    }
    return hostio_write(tf->io, u, f->flags & O_NONBLOCK);
}

static uint32_t tty_poll(struct file *f, struct poll_table *pt)
{
    struct tty_file *tf = f->priv;
    return hostio_poll(tf->io, pt);
}

static void tty_release(struct file *f)
{
    struct tty_file *tf = f->priv;
    if (tf->io != tf->tty->io)
        hostio_free(tf->io);
    free(tf);
}

/* An ioctl whose argument is a structure of n bytes, passed through to the host. */
static long host_get(struct tty_file *tf, struct task *t, unsigned cmd, uint64_t arg, size_t n)
{
    unsigned char buf[64] = {0};
    if (ioctl(hostio_fd(tf->io), cmd, buf) < 0)
        return -errno;
    return user_write(t, arg, buf, n);
}

static long host_set(struct tty_file *tf, struct task *t, unsigned cmd, uint64_t arg, size_t n)
{
    unsigned char buf[64] = {0};
    int ret = user_read(t, buf, arg, n);
    if (ret == 0)
        ret = tty_check(t, tf->tty, SIGTTOU);
    if (ret < 0)
        return ret;
    return ioctl(hostio_fd(tf->io), cmd, buf) < 0 ? -errno : 0;
}

static long host_int(struct tty_file *tf, struct task *t, unsigned cmd, uint64_t arg)
{
    int ret = tty_check(t, tf->tty, SIGTTOU);
    if (ret < 0)
        return ret;
    return ioctl(hostio_fd(tf->io), cmd, (unsigned long)arg) < 0 ? -errno : 0;
}

static long set_foreground(struct tty *tty, struct task *t, uint64_t arg)
{
    pid_t pgid;
    int ret = user_read(t, &pgid, arg, sizeof(pgid));
    if (ret == 0)
        ret = tty_check(t, tty, SIGTTOU);
    if (ret < 0)
        return ret;
    lock(&tasks_lock);
    struct session *s = t->tg->pgrp->session;
    struct pgrp *pg = pgid > 0 ? pgrp_find_locked(pgid) : NULL;
    if (s->tty != tty)
        ret = -ENOTTY;
    else if (pgid < 0)
        ret = -EINVAL;
    else if (!pg)
        ret = -ESRCH;
    else if (pg->session != s)
        ret = -EPERM;
    else
        tty->foreground = pgid;
    if (pg)
        pgrp_put(pg);
    unlock(&tasks_lock);
    return ret;
}

static long get_owner(struct tty *tty, struct task *t, uint64_t arg, bool sid)
{
    lock(&tasks_lock);
    struct session *s = t->tg->pgrp->session;
    pid_t id = s->tty != tty ? -1 : sid ? s->sid : tty->foreground;
    unlock(&tasks_lock);
    return id < 0 ? -ENOTTY : user_write(t, arg, &id, sizeof(id));
}

static int acquire(struct tty *tty, struct task *t, bool steal)
{
    int ret = 0;
    lock(&tasks_lock);
    struct session *s = t->tg->pgrp->session;
    if (s->tty == tty && s->sid == t->tg->tgid)
        goto out;
    ret = -EPERM;
    if (s->sid != t->tg->tgid || s->tty)
        goto out;
    if (tty->session && !(steal && cred_capable(t->cred, CAP_SYS_ADMIN)))
        goto out;
    if (tty->session)
        tty->session->tty = NULL;
    tty->session = s;
    s->tty = tty;
    tty->foreground = t->tg->pgrp->pgid;
    ret = 0;
out:
    unlock(&tasks_lock);
    return ret;
}

/* The session has no terminal any more; its foreground group hears of it. */
static void disconnect_locked(struct session *s)
{
    struct tty *tty = s->tty;
    if (!tty)
        return;
    if (tty->foreground) {
        send_foreground_locked(tty, SIGHUP);
        send_foreground_locked(tty, SIGCONT);
    }
    tty->foreground = 0;
    tty->session = NULL;
    s->tty = NULL;
}

/* TIOCNOTTY. The terminal is the session's: a process that is not its leader has none of its own to give up. */
static long give_up(struct tty *tty, struct task *t)
{
    long ret = -ENOTTY;
    lock(&tasks_lock);
    struct session *s = t->tg->pgrp->session;
    if (s->tty == tty) {
        ret = 0;
        if (s->sid == t->tg->tgid)
            disconnect_locked(s);
    }
    unlock(&tasks_lock);
    return ret;
}

static long set_winsize(struct tty_file *tf, struct task *t, uint64_t arg)
{
    struct winsize ws;
    int ret = user_read(t, &ws, arg, sizeof(ws));
    if (ret < 0)
        return ret;
    if (ioctl(hostio_fd(tf->io), TIOCSWINSZ, &ws) < 0)
        return -errno;
    tty_host_signal(SIGWINCH);
    return 0;
}

static long tty_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
    struct tty_file *tf = f->priv;
    switch (cmd) {
    case TCGETS:
        return host_get(tf, t, cmd, arg, sizeof(struct termios));
    case TCGETS2:
        return host_get(tf, t, cmd, arg, sizeof(struct termios2));
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return host_set(tf, t, cmd, arg, sizeof(struct termios));
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
        return host_set(tf, t, cmd, arg, sizeof(struct termios2));
    case TIOCGWINSZ:
        return host_get(tf, t, cmd, arg, sizeof(struct winsize));
    case TIOCSWINSZ:
        return set_winsize(tf, t, arg);
    case FIONREAD:
    case TIOCOUTQ:
        return host_get(tf, t, cmd, arg, sizeof(int));
    case TCSBRK:
    case TCSBRKP:
    case TCXONC:
    case TCFLSH:
        return host_int(tf, t, cmd, arg);
    case TIOCGPGRP:
    case TIOCGSID:
        return get_owner(tf->tty, t, arg, cmd == TIOCGSID);
    case TIOCSPGRP:
        return set_foreground(tf->tty, t, arg);
    case TIOCSCTTY:
        return acquire(tf->tty, t, arg == 1);
    case TIOCNOTTY:
        return give_up(tf->tty, t);
    case TIOCSTI:
        return -EPERM;
    default:
        return -ENOTTY;
    }
}

static const struct file_ops tty_ops = {
    .read = tty_read,
    .write = tty_write,
    .poll = tty_poll,
    .ioctl = tty_ioctl,
    .release = tty_release,
};

/* The tty of host terminal rdev; a new one takes io as its first descriptor. */
static struct tty *tty_for(dev_t rdev, struct hostio *io)
{
    struct tty *tty;
    for (tty = ttys; tty; tty = tty->next)
        if (tty->rdev == rdev)
            return tty;
    if (!(tty = calloc(1, sizeof(*tty))))
        return NULL;
    *tty = (struct tty){.next = ttys, .rdev = rdev, .io = io};
    ttys = tty;
    return tty;
}

/* The terminal's name inside is /dev/console; without such a node it has none. */
static int file_on_console(unsigned fmode, unsigned flags, struct tty_file *tf, struct file **out)
{
    struct path p;
    if (!current || path_lookup(current, AT_FDCWD, "/dev/console", LOOKUP_FOLLOW, &p) < 0)
        return file_new_anon("tty", &tty_ops, fmode | FMODE_STREAM, flags, S_IFCHR | 0620, tf, out);
    *out = file_new(&p, fmode | FMODE_STREAM, flags, current->cred);
    path_put(&p);
    if (!*out)
        return -ENOMEM;
    (*out)->ops = &tty_ops;
    (*out)->priv = tf;
    return 0;
}

int tty_new_file(int host_fd, unsigned flags, struct file **out)
{
    struct stat st;
    struct hostio *io;
    unsigned acc = flags & O_ACCMODE;
    unsigned fmode = acc == O_RDONLY ? FMODE_READ : acc == O_WRONLY ? FMODE_WRITE : FMODE_READ | FMODE_WRITE;
    if (fstat(host_fd, &st) < 0)
        return -errno;
    struct tty_file *tf = calloc(1, sizeof(*tf));
    if (!tf)
        return -ENOMEM;
    int ret = hostio_new(host_fd, &io);
    if (ret < 0) {
        free(tf);
        return ret;
    }
    *tf = (struct tty_file){.tty = tty_for(st.st_rdev, io), .io = io};
    ret = tf->tty ? file_on_console(fmode, flags & (O_ACCMODE | O_APPEND | O_NONBLOCK), tf, out) : -ENOMEM;
    if (ret < 0) {
        if (!tf->tty || tf->tty->io != io)
            hostio_free(io);
        free(tf);
    }
    return ret;
}

/* Turns f into a file on tty. */
static int attach(struct tty *tty, struct file *f)
{
    struct tty_file *tf = tty ? calloc(1, sizeof(*tf)) : NULL;
    if (!tf)
        return tty ? -ENOMEM : -ENXIO;
    *tf = (struct tty_file){.tty = tty, .io = tty->io};
    f->ops = &tty_ops;
    f->priv = tf;
    f->fmode |= FMODE_STREAM;
    return 0;
}

int tty_open_current(struct task *t, struct file *f)
{
    lock(&tasks_lock);
    struct tty *tty = t->tg->pgrp->session->tty;
    unlock(&tasks_lock);
    return attach(tty, f);
}

int tty_open_console(struct file *f)
{
    return attach(ttys, f);
}

int tty_set_controlling(struct task *leader, struct file *f, pid_t foreground)
{
    struct tty_file *tf = f->priv;
    int ret = f->ops == &tty_ops ? acquire(tf->tty, leader, false) : -ENOTTY;
    if (ret < 0)
        return ret;
    lock(&tasks_lock);
    tf->tty->foreground = foreground;
    unlock(&tasks_lock);
    return 0;
}

int tty_numbers_locked(const struct session *s, pid_t *out_foreground)
{
    *out_foreground = s->tty ? s->tty->foreground : -1;
    return s->tty ? 5 << 8 | 1 : 0; /* /dev/console: see file_on_console() */
}

void tty_session_exit(struct session *s)
{
    lock(&tasks_lock);
    disconnect_locked(s);
    unlock(&tasks_lock);
}

bool tty_host_signal(int sig)
{
    lock(&tasks_lock);
    if (ttys)
        send_foreground_locked(ttys, sig);
    unlock(&tasks_lock);
    return ttys;
}

void tty_host_background(bool background)
{
    lock(&tasks_lock);
    host_background = background;
    unlock(&tasks_lock);
}
