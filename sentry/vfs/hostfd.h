/* Guest files on host descriptors (stdin, stdout, stderr). The maker is hostfd_new_file() of sentry/fs/fs.h. */
#pragma once

#include "lib/compiler.h"
#include "sentry/kernel/wait.h"
#include "sentry/mm/uio.h"

#include <stdbool.h>
#include <stdint.h>

struct poll_table;

/* A host descriptor of which neither reads nor writes may block a worker without the guest's signals ending it. */
struct hostio;

int hostio_new(int fd, struct hostio **out) must_check; /* takes fd over if 0 is returned */
void hostio_free(struct hostio *h);
int hostio_fd(struct hostio *h);
/* As read(2) and write(2), waiting by the poller thread. nonblock: -EAGAIN instead. -ERESTARTSYS. */
ssize_t hostio_read(struct hostio *h, struct uio *u, bool nonblock) must_check;
ssize_t hostio_write(struct hostio *h, struct uio *u, bool nonblock) must_check;
uint32_t hostio_poll(struct hostio *h, struct poll_table *pt);
