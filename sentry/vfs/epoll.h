/* epoll(7): one file that gathers the events of many. */
#pragma once

#include "lib/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct file;
struct task;

int epoll_new(struct file **out) must_check;
/* epoll_ctl(2) with decoded arguments; errors as there. ep and target are referenced by the caller. */
int epoll_control(struct file *ep, int op, int fd, struct file *target, const struct epoll_event *ev) must_check;
/* Waits for at least one event. Returns how many went to the guest's array at addr; 0 on timeout; -EINTR, -EFAULT. */
int epoll_wait_events(struct task *t, struct file *ep, uint64_t addr, int max, bool nowait,
                      int64_t deadline) must_check;
/* For file.c, at the last put and before file_ops.release: takes f out of all epoll instances. */
void epoll_file_released(struct file *f);
