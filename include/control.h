/*
 * The control socket between runtime and sentry: SOCK_SEQPACKET, one JSON object a message, at most CONTROL_MAX bytes.
 *
 * runtime → sentry   {"op":"signal","signal":N}             to init's process group leader, or the terminal's
 * foreground group with "foreground":true
 *                    {"op":"winch"}                         terminal size changed
 *                    {"op":"report"}                        statistics so far
 * sentry → runtime   {"event":"started"}                    the program is about to run
 *                    {"event":"failed","error":"…","code":N} it could not be started: exit with code N (125, 126, 127)
 *                    {"event":"stopped","signal":N}         init stopped (job control); {"event":"continued"}
 *                    {"event":"exit","status":N,…}          wait status of init, with the report's figures
 */
#pragma once

#define CONTROL_MAX 65536
