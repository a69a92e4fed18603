/* The guest's terminal: the host's terminal underneath, with job control of the guest's own sessions. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <sys/types.h>

struct file;
struct session;
struct task;
struct tty;

/* A file on the host terminal host_fd (taken over). All such files share one struct tty. */
int tty_new_file(int host_fd, unsigned flags, struct file **out) must_check;
/* open(2) of /dev/tty: turns f into a file on t's controlling terminal. -ENXIO: none. */
int tty_open_current(struct task *t, struct file *f) must_check;
/* open(2) of /dev/console: turns f into a file on the host's terminal. -ENXIO: none. */
int tty_open_console(struct file *f) must_check;
/* Boot: makes the terminal the controlling one of leader's session, with this group in the foreground. -EPERM. */
int tty_set_controlling(struct task *leader, struct file *f, pid_t foreground) must_check;
/* The session's terminal as /proc/PID/stat shows it: its device number, 0: none, and the foreground group (-1).
 * tasks_lock held. */
int tty_numbers_locked(const struct session *s, pid_t *out_foreground);
/* The session leader exits: SIGHUP and SIGCONT to the foreground group, and the session has no terminal any more.
 * Takes tasks_lock. */
void tty_session_exit(struct session *s);
/* The host terminal made a signal (Ctrl-C, Ctrl-Z, Ctrl-backslash): the guest's foreground group gets it. False: there
 * is no terminal. */
bool tty_host_signal(int sig);
/* The sandbox is a background job of the host's shell (or no more): no guest may read from the terminal then. */
void tty_host_background(bool background);
