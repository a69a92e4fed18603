/*
 * The control socket between runtime and sentry: SOCK_SEQPACKET, one JSON object a message, at most CONTROL_MAX bytes.
 *
 * runtime → sentry   {"op":"signal","signal":N}             to the program; with "foreground":true to the
 *                                                           terminal's foreground group
 *                    {"op":"winch"}                         terminal size changed
 *                    {"op":"background","background":B}     the host's shell has (not) put us in the background
 * sentry → runtime   {"event":"failed","error":"…","code":N} it could not be started: exit with code N (125, 126, 127)
 *                    {"event":"stopped","signal":N}         it stopped (job control); {"event":"continued"}
 *                    {"event":"exit","status":N,…}          its wait status, with the report's figures
 */
#pragma once

#define CONTROL_MAX 65536
