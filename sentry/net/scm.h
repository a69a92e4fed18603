/*
 * What rides along with the bytes of a message: descriptors and credentials. cmsg(3), unix(7).
 *
 *   struct scm_rights  open files under way, each counted
 *   struct scm         the whole of it, as one send or receive sees it
 *
 * The senders' side parses a control buffer into a struct scm; the receivers' side turns one into control messages.
 */
#pragma once

#include "lib/compiler.h"
#include "lib/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct file;
struct task;

#define SCM_MAX_FILES 253 /* in one message, as on Linux */

struct scm_rights {
    unsigned count;
    unsigned sockets;     /* how many are Unix sockets: only those can close a cycle */
    bool in_flight;       /* counted as under way: net/unix/flight.c */
    struct file *files[]; /* count of them */
};

struct scm {
    struct scm_rights *rights; /* owned; NULL: none */
    bool has_cred;
    struct ucred cred;
};

/* Reads the control messages of a send, with the checks of unix(7). -EINVAL, -EBADF, -EPERM, -ESRCH, -ENOMEM; then
 * nothing is owned. */
int scm_parse(struct task *t, const void *control, size_t len, struct scm *out) must_check;
/* The sender's own credentials: real ids, as the kernel puts them in. */
void scm_own_cred(struct task *t, struct ucred *out);
/* The same files once more, for MSG_PEEK. NULL: no memory. */
struct scm_rights *scm_rights_copy(const struct scm_rights *r) must_check;
/* Puts the files and frees. Files that are in flight must have been landed. No lock held. NULL is fine. */
void scm_rights_free(struct scm_rights *r);
void scm_free(struct scm *scm);

/* A control buffer being filled for a receiver. */
struct scm_writer {
    unsigned char *buf; /* cap bytes, in the sentry */
    size_t cap, len;
    bool truncated; /* something did not fit: MSG_CTRUNC */
};

/* Appends one message, cut to what there is room for. */
void scm_put(struct scm_writer *w, int level, int type, const void *data, size_t len);
/*
 * Appends an SCM_RIGHTS message with fds of t's table for as many files as fit in the buffer and the table; the fds are
 * reserved, not yet installed, and written to out_fds (SCM_MAX_FILES). Returns how many. Pair: scm_install_files().
 */
unsigned scm_put_files(struct scm_writer *w, struct task *t, struct scm_rights *r, int *out_fds) must_check;
/* Gives the first n files to their reserved fds (ok), or gives the fds back; frees r. */
void scm_install_files(struct task *t, struct scm_rights *r, const int *fds, unsigned n, bool cloexec, bool ok);
