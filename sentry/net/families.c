/* The address families there are: one line each. */
#include "sentry/net/socket.h"
#include "sentry/net/unix/unix.h"

const struct socket_family *const socket_families[AF_MAX] = {
    [AF_UNIX] = &unix_family,
};
