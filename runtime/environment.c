/* See environment.h. Later settings replace earlier ones: inherited, then the user's, then --env in order. */
#include "runtime/environment.h"

#include "runtime/error.h"
#include "runtime/options.h"
#include "runtime/users.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* A name that ends with _ stands for all that begin so. */
static const char *const inherited[] = {"PATH",     "TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR",
                                        "LANGUAGE", "LANG", "LC_",       "TZ",      "CI"};

struct vector {
    char **items; /* NULL-terminated */
    size_t count;
    bool failed; /* out of memory */
};

static bool is_inherited(const char *setting)
{
    for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
        size_t len = strlen(inherited[i]);
        if (!strncmp(setting, inherited[i], len) && (inherited[i][len - 1] == '_' || setting[len] == '='))
            return true;
    }
    return false;
}

/* Takes setting ("K=V", owned, NULL: out of memory) in place of what is there for its name. */
static void put(struct vector *v, char *setting)
{
    size_t len = setting ? strcspn(setting, "=") + 1 : 0, i = 0;

    while (setting && i < v->count && strncmp(v->items[i], setting, len))
        i++;
    char **grown = setting && i == v->count ? reallocarray(v->items, v->count + 2, sizeof(*grown)) : v->items;
    if (!setting || !grown) {
        v->failed = true;
        free(setting);
        return;
    }
    v->items = grown;
    if (i == v->count) {
        v->count++;
        v->items[v->count] = NULL;
    } else {
        free(v->items[i]);
    }
    v->items[i] = setting;
}

static void put_pair(struct vector *v, const char *name, const char *value)
{
    char *setting = NULL;

    put(v, asprintf(&setting, "%s=%s", name, value) < 0 ? NULL : setting);
}

static void put_own(struct vector *v, const struct user *u, const char *cwd)
{
    put_pair(v, "PATH", DEFAULT_PATH);
    for (char **e = environ; e && *e; e++)
        if (is_inherited(*e))
            put(v, strdup(*e));
    put_pair(v, "HOME", u->home);
    put_pair(v, "SHELL", u->shell);
    if (u->name[0]) {
        put_pair(v, "USER", u->name);
        put_pair(v, "LOGNAME", u->name);
    }
    put_pair(v, "PWD", cwd);
}

char **environment_make(const struct run_options *o, const struct user *u, const char *cwd, struct error *e)
{
    struct vector v = {0};

    put_own(&v, u, cwd);
    for (size_t i = 0; i < o->env_count; i++) {
        const char *value = strchr(o->env[i], '=') ? NULL : getenv(o->env[i]);
        if (strchr(o->env[i], '='))
            put(&v, strdup(o->env[i]));
        else if (value)
            put_pair(&v, o->env[i], value);
    }
    if (!v.failed)
        return v.items;
    environment_free(v.items);
    error_set(e, "out of memory");
    return NULL;
}

void environment_free(char **env)
{
    for (char **p = env; p && *p; p++)
        free(*p);
    free(env);
}
