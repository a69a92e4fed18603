/* The program `sbox`: finds the command that its first word names, and says in one line what went wrong. */
#include "lib/log.h"
#include "runtime/error.h"
#include "runtime/run.h"
#include "runtime/stdio.h"
#include "runtime/usage.h"

#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#define SBOX_VERSION "0.1.0"

static int help_command(char **words unused_arg, struct error *e unused_arg)
{
    usage_print(stdout);
    return 0;
}

static int version_command(char **words unused_arg, struct error *e unused_arg)
{
    puts("sbox " SBOX_VERSION);
    return 0;
}

static const struct command {
    const char *name;
    int (*run)(char **words, struct error *e); /* the exit code, or -1 with e set */
} commands[] = {
    {"run", run_command}, {"do", run_command},          {"help", help_command},         {"--help", help_command},
    {"-h", help_command}, {"version", version_command}, {"--version", version_command},
};

int main(int argc, char **argv)
{
    struct error e = {.code = EXIT_SBOX};

    stdio_claim();
    if (argc < 2) {
        usage_print(stderr);
        return EXIT_SBOX;
    }
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, argv[1]))
            continue;
        int code = commands[i].run(argv + 2, &e);
        if (code >= 0 && __fpending(stdout) && fflush(stdout))
            code = error_set(&e, "cannot write to standard output: %s", strerror(errno));
        /* Nothing is left to write, and the C library's own end touches many pages. */
        if (code >= 0)
            _exit(code);
        if (e.text[0]) /* else it has been said */
            log_user("%s", e.text);
        return e.code;
    }
    log_user("unknown command '%s'; see sbox help", argv[1]);
    return EXIT_SBOX;
}
