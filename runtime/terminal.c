/* See terminal.h. A background job must not touch the modes: they are another's then. */
#include "runtime/terminal.h"

#include "runtime/stdio.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void terminal_open(struct terminal *t)
{
    *t = (struct terminal){.fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)};
    if (t->fd >= 0 && tcgetattr(t->fd, &t->caller) < 0)
        terminal_close(t);
}

void terminal_close(struct terminal *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

int terminal_stdio(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (stdio_was_open(fd) && isatty(fd) && tcgetsid(fd) == getsid(0))
            return fd;
    return -1;
}

bool terminal_in_background(const struct terminal *t)
{
    return t->fd >= 0 && tcgetpgrp(t->fd) != getpgrp();
}

static void set_modes(const struct terminal *t, const struct termios *modes)
{
    struct termios now;

    if (!terminal_in_background(t) && tcgetattr(t->fd, &now) == 0 && memcmp(&now, modes, sizeof(now)))
        tcsetattr(t->fd, TCSADRAIN, modes);
}

void terminal_give_back(struct terminal *t)
{
    if (t->fd < 0)
        return;
    t->guest_saved = !terminal_in_background(t) && tcgetattr(t->fd, &t->guest) == 0;
    set_modes(t, &t->caller);
}

void terminal_take_again(struct terminal *t)
{
    if (t->fd < 0 || !t->guest_saved || terminal_in_background(t))
        return;
    tcgetattr(t->fd, &t->caller);
    set_modes(t, &t->guest);
}
