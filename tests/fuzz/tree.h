/*
 * Files for one input of a fuzz target: a fresh tmpfs as root, with /proc, /dev and /sys in it. What the input does to
 * it ends with it, so that no input meets what another has left, and a full file system does not end the search.
 */
#pragma once

struct task;

/* Gives t, whose rights are root's, a tree and a context at its root. Pair: tree_end(), and all that was made is gone.
 */
void tree_begin(struct task *t);
void tree_end(struct task *t);
