/*
 * The processes of one sandbox: the gofer, in namespaces of its own with nothing but the host trees of the view, and
 * the sentry, in others with nothing at all. Both die with the runtime.
 */
#pragma once

#include "include/boot.h"
#include "lib/compiler.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

struct cgroup;
struct error;
struct view;

struct sandbox {
    pid_t gofer, sentry; /* 0: not started, or reaped */
    int control_fd;      /* owned; see include/control.h */
    int gofer_fd;        /* owned; its hang-up tells the gofer that we are gone */
    bool privileged;     /* started by root with its capabilities */
    int gofer_status;    /* wait status, once reaped */
    struct rusage usage; /* of all that was reaped, the guest's processes too */
};

/* May this process map any ids and mount, as root may? */
bool sandbox_privileged(void);
/*
 * Starts both, in c. cfg is complete but for mounts and control_fd, which are filled in here. Call single-threaded,
 * with the signals blocked that the children shall not get. On failure nothing is left running.
 */
int sandbox_start(struct sandbox *s, struct view *v, struct boot_config *cfg, const struct cgroup *c,
                  struct error *e) must_check;
/* Has the gofer ended? It has no business to before the sentry. */
bool sandbox_gofer_ended(struct sandbox *s);
/* Was it killed? It need not be there to be reaped yet; this waits for that. */
bool sandbox_gofer_killed(struct sandbox *s);
/* Could it not start, and has it told the user why? */
bool sandbox_gofer_told(struct sandbox *s);
/* After one of them has gone: says so in e. Returns -1. */
int sandbox_explain_gofer(struct sandbox *s, struct error *e);
int sandbox_explain_sentry(struct sandbox *s, struct error *e);
/* Ends what still runs, and reaps it. */
void sandbox_end(struct sandbox *s);
