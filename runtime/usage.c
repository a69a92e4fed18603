/* See usage.h. */
#include "runtime/usage.h"

static const char text[] =
    "usage: sbox run [options] [--] program [args...]\n"
    "       sbox do … (the same), sbox help, sbox version\n"
    "\n"
    "Runs a program of this machine in a sandbox. It sees /usr, /bin, /lib, /etc and the current directory; what it\n"
    "writes there is kept in memory and thrown away. /tmp, /proc, /sys, /dev and its home directory are its own.\n"
    "\n"
    "  --rw PATH[:GUEST]    show a host file or directory, and let the program change it\n"
    "  --ro PATH[:GUEST]    show a host file or directory read-only\n"
    "  --rootfs DIR         DIR is the program's root, instead of this machine's directories\n"
    "  --cwd DIR            start in DIR (default: here, if shown)\n"
    "  --env NAME[=VALUE]   set a variable, or pass it on; the program gets few of the caller's otherwise\n"
    "  --user USER[:GROUP]  run as this user inside (default: the caller)\n"
    "  --hostname NAME      host name inside (default: sbox)\n"
    "  --net none           no network but the loopback (the default)\n"
    "  --memory SIZE        memory limit, such as 512M\n"
    "  --pids N             limit of processes and threads (default: half of the host's)\n"
    "  --cpus N             limit of CPU time per time, such as 1.5\n"
    "  --timeout TIME       end the program after TIME, such as 30s; the exit code is then 124\n"
    "  --report FILE        write what happened to FILE as JSON\n"
    "  --strace             write each system call to standard error\n"
    "  --debug              say more about what goes wrong\n"
    "  --platform NAME      how guest code is stopped: seccomp (default) or ptrace\n"
    "  --fast-calls WHEN    serve calls from an idle processor: auto (default), never, or always (for tests)\n"
    "\n"
    "The exit code is the program's, 128+N if signal N ended it, 126 or 127 if it could not be run or found, and 125\n"
    "if sbox itself failed.\n";

void usage_print(FILE *out)
{
    fputs(text, out);
}
