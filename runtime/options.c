/*
 * Reads the command line by a table: name, what value it takes, and the function that takes it. Options end at `--` or
 * at the first word that is none, which is the program. `--name value` and `--name=value` are the same.
 */
#include "runtime/options.h"

#include "runtime/error.h"
#include "runtime/units.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct option_entry {
    const char *name;
    const char *value; /* what it is, for messages; NULL: takes none */
    int (*take)(struct run_options *o, const char *value, struct error *e);
};

static bool has_dotdot(const char *path)
{
    for (const char *p = path; (p = strstr(p, "..")); p += 2)
        if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
            return true;
    return false;
}

/* Takes out what does not count: double slashes, "." and slashes at the end. */
static void tidy(char *path)
{
    char *out = path;

    for (const char *p = path; *p;) {
        const char *part = p + strspn(p, "/");
        size_t len = strcspn(part, "/");
        if (len && !(len == 1 && *part == '.')) {
            *out++ = '/';
            memmove(out, part, len);
            out += len;
        }
        p = part + len;
    }
    if (out == path)
        *out++ = '/';
    *out = '\0';
}

/* An owned absolute path; links stay as they are, unless there is a ".." behind one. */
static char *absolute(const char *path)
{
    char cwd[PATH_MAX], *out = NULL;

    if (has_dotdot(path))
        return realpath(path, NULL);
    if (*path == '/')
        out = strdup(path);
    else if (!getcwd(cwd, sizeof(cwd)) || asprintf(&out, "%s/%s", cwd, path) < 0)
        return NULL;
    if (out)
        tidy(out);
    return out;
}

static int bad_path(const char *option, const char *value, struct error *e)
{
    return error_set(e, "--%s %s: give PATH or HOST:GUEST, where GUEST is an absolute path other than /", option,
                     value);
}

/* PATH or HOST:GUEST. */
static int take_path(struct run_options *o, const char *value, bool writable, struct error *e)
{
    const char *option = writable ? "rw" : "ro", *colon = strchr(value, ':');
    const char *guest = colon ? colon + 1 : NULL;
    struct path_option *grown = reallocarray(o->paths, o->path_count + 1, sizeof(*grown));
    char host[PATH_MAX];

    if (!grown)
        return error_set(e, "out of memory");
    o->paths = grown;
    size_t len = colon ? (size_t)(colon - value) : strlen(value);
    if (!len || len >= sizeof(host) || (guest && (*guest != '/' || has_dotdot(guest))))
        return bad_path(option, value, e);
    snprintf(host, sizeof(host), "%.*s", (int)len, value);
    struct path_option *p = &o->paths[o->path_count++];
    *p = (struct path_option){.host = absolute(host), .writable = writable};
    p->guest = !p->host ? NULL : strdup(guest ? guest : p->host);
    if (!p->guest && errno == ERANGE)
        return error_set(e, "--%s %s: the path of the current directory is too long", option, value);
    if (!p->guest)
        return error_set(e, "--%s %s: %s", option, value, strerror(errno));
    tidy(p->guest);
    return strcmp(p->guest, "/") ? 0 : bad_path(option, value, e);
}

static int take_rw(struct run_options *o, const char *value, struct error *e)
{
    return take_path(o, value, true, e);
}

static int take_ro(struct run_options *o, const char *value, struct error *e)
{
    return take_path(o, value, false, e);
}

static int take_rootfs(struct run_options *o, const char *value, struct error *e unused_arg)
{
    o->rootfs = value;
    return 0;
}

static int take_net(struct run_options *o unused_arg, const char *value, struct error *e)
{
    if (!strcmp(value, "none"))
        return 0;
    return error_set(e, "--net %s: this version gives programs no network; use --net none", value);
}

static int take_memory(struct run_options *o, const char *value, struct error *e)
{
    if (parse_size(value, &o->memory) && o->memory >= 1 << 20)
        return 0;
    return error_set(e, "--memory %s: give a size from 1M up, such as 512M or 2G", value);
}

static int take_pids(struct run_options *o, const char *value, struct error *e)
{
    if (parse_count(value, 1 << 22, &o->pids))
        return 0;
    return error_set(e, "--pids %s: give a number of processes from 1 to %d", value, 1 << 22);
}

static int take_cpus(struct run_options *o, const char *value, struct error *e)
{
    if (parse_cpus(value, &o->millicpus))
        return 0;
    return error_set(e, "--cpus %s: give a number of CPUs such as 2 or 0.5", value);
}

static int take_timeout(struct run_options *o, const char *value, struct error *e)
{
    if (parse_duration(value, &o->timeout_ns))
        return 0;
    return error_set(e, "--timeout %s: give a time such as 30s, 500ms or 5m", value);
}

static int take_env(struct run_options *o, const char *value, struct error *e)
{
    const char **grown = reallocarray(o->env, o->env_count + 1, sizeof(*grown));

    if (!grown)
        return error_set(e, "out of memory");
    o->env = grown;
    if (!*value || *value == '=')
        return error_set(e, "--env %s: give NAME=VALUE, or NAME to pass on its value", value);
    o->env[o->env_count++] = value;
    return 0;
}

static int take_cwd(struct run_options *o, const char *value, struct error *e)
{
    o->cwd = value;
    return *value == '/' ? 0 : error_set(e, "--cwd %s: give a path inside the sandbox, beginning with /", value);
}

static int take_user(struct run_options *o, const char *value, struct error *e unused_arg)
{
    o->user = value;
    return 0;
}

static int take_hostname(struct run_options *o, const char *value, struct error *e)
{
    o->hostname = value;
    return *value && strlen(value) <= HOST_NAME_MAX
               ? 0
               : error_set(e, "--hostname %s: give a name of 1 to %d characters", value, HOST_NAME_MAX);
}

static int take_platform(struct run_options *o, const char *value, struct error *e)
{
    o->platform = value;
    if (!strcmp(value, "seccomp") || !strcmp(value, "ptrace"))
        return 0;
    return error_set(e, "--platform %s: there is no such platform; use seccomp or ptrace", value);
}

static int take_fast_calls(struct run_options *o, const char *value, struct error *e)
{
    static const char *const names[] = {
        [PLAT_FAST_AUTO] = "auto", [PLAT_FAST_NEVER] = "never", [PLAT_FAST_ALWAYS] = "always"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(value, names[i])) {
            o->fast_calls = (enum plat_fast_calls)i;
            return 0;
        }
    return error_set(e, "--fast-calls %s: use auto, never or always", value);
}

static int take_report(struct run_options *o, const char *value, struct error *e)
{
    o->report = value;
    return *value ? 0 : error_set(e, "--report: give the name of a file");
}

static int take_strace(struct run_options *o, const char *value unused_arg, struct error *e unused_arg)
{
    o->strace = true;
    return 0;
}

static int take_debug(struct run_options *o, const char *value unused_arg, struct error *e unused_arg)
{
    o->debug = true;
    return 0;
}

static int take_help(struct run_options *o, const char *value unused_arg, struct error *e unused_arg)
{
    o->help = true;
    return 0;
}

static const struct option_entry entries[] = {
    {"rw", "PATH or HOST:GUEST", take_rw},
    {"ro", "PATH or HOST:GUEST", take_ro},
    {"rootfs", "a directory", take_rootfs},
    {"net", "none", take_net},
    {"memory", "a size such as 512M", take_memory},
    {"pids", "a number", take_pids},
    {"cpus", "a number such as 2 or 0.5", take_cpus},
    {"timeout", "a time such as 30s", take_timeout},
    {"env", "NAME=VALUE", take_env},
    {"cwd", "a path inside the sandbox", take_cwd},
    {"user", "UID, UID:GID or a name", take_user},
    {"hostname", "a name", take_hostname},
    {"platform", "seccomp or ptrace", take_platform},
    {"fast-calls", "auto, never or always", take_fast_calls},
    {"report", "a file", take_report},
    {"strace", NULL, take_strace},
    {"debug", NULL, take_debug},
    {"help", NULL, take_help},
};

static const struct option_entry *entry_find(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        if (!strncmp(entries[i].name, name, len) && !entries[i].name[len])
            return &entries[i];
    return NULL;
}

/* Takes the option at *words and moves on to the next word. */
static int take_option(struct run_options *o, char ***words, struct error *e)
{
    const char *word = *(*words)++;
    const char *name = word[1] == '-' ? word + 2 : "";
    const char *equals = strchr(name, '=');
    const struct option_entry *entry = entry_find(name, equals ? (size_t)(equals - name) : strlen(name));

    if (!strcmp(word, "-h"))
        entry = entry_find("help", 4);
    if (!entry)
        return error_set(e, "unknown option '%s'; see sbox run --help", word);
    if (!entry->value)
        return equals ? error_set(e, "--%s takes no value", entry->name) : entry->take(o, NULL, e);
    const char *value = equals ? equals + 1 : **words;
    if (!value)
        return error_set(e, "--%s needs a value: %s", entry->name, entry->value);
    if (!equals)
        ++*words;
    return entry->take(o, value, e);
}

int options_parse(struct run_options *o, char **words, struct error *e)
{
    while (*words && **words == '-' && !o->help) {
        if (!strcmp(*words, "--")) {
            words++;
            break;
        }
        if (take_option(o, &words, e) < 0)
            return -1;
    }
    o->argv = words;
    if (!o->help && (!*words || !**words))
        return error_set(e, "no program given; usage: sbox run [options] [--] program [args...]");
    return 0;
}

void options_free(struct run_options *o)
{
    for (size_t i = 0; i < o->path_count; i++) {
        free(o->paths[i].host);
        free(o->paths[i].guest);
    }
    free(o->paths);
    free(o->env);
}
