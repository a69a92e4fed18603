/* See users.h. Lines are split in place; a malformed one is passed over. */
#include "runtime/users.h"

#include "runtime/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FIELDS 7

struct line_reader {
    FILE *file;
    char *line;
    size_t cap;
    char *fields[MAX_FIELDS];
    size_t count;
};

static bool reader_open(struct line_reader *r, const char *root, const char *name)
{
    char path[PATH_MAX];

    *r = (struct line_reader){0};
    if (snprintf(path, sizeof(path), "%s%s", root, name) < (int)sizeof(path))
        r->file = fopen(path, "re");
    return r->file;
}

static void reader_close(struct line_reader *r)
{
    if (r->file)
        fclose(r->file);
    free(r->line);
}

/* The next line that has at least `want` fields. */
static bool reader_next(struct line_reader *r, size_t want)
{
    while (getline(&r->line, &r->cap, r->file) >= 0) {
        char *rest = r->line;
        rest[strcspn(rest, "\n")] = '\0';
        for (r->count = 0; rest && r->count < MAX_FIELDS;)
            r->fields[r->count++] = strsep(&rest, ":");
        if (r->count >= want)
            return true;
    }
    return false;
}

static bool parse_id(const char *text, unsigned *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno || *end || v >= 0xffffffffUL)
        return false;
    *out = (unsigned)v;
    return true;
}

/* name NULL: by id. */
static bool find_user(const char *root, const char *name, uid_t uid, struct user *out)
{
    struct line_reader r;
    bool found = false;

    if (!reader_open(&r, root, "/etc/passwd"))
        return false;
    while (!found && reader_next(&r, 7)) {
        unsigned u, g;
        if (!parse_id(r.fields[2], &u) || !parse_id(r.fields[3], &g) || (name ? strcmp(name, r.fields[0]) : uid != u))
            continue;
        found = true;
        out->uid = u;
        out->gid = g;
        snprintf(out->name, sizeof(out->name), "%s", r.fields[0]);
        snprintf(out->home, sizeof(out->home), "%s", *r.fields[5] == '/' ? r.fields[5] : "/");
        snprintf(out->shell, sizeof(out->shell), "%s", *r.fields[6] ? r.fields[6] : "/bin/sh");
    }
    reader_close(&r);
    return found;
}

static bool find_group(const char *root, const char *name, gid_t *out)
{
    struct line_reader r;
    bool found = false;

    if (!reader_open(&r, root, "/etc/group"))
        return false;
    while (!found && reader_next(&r, 3))
        found = !strcmp(r.fields[0], name) && parse_id(r.fields[2], out);
    reader_close(&r);
    return found;
}

static bool has_member(char *members, const char *name)
{
    char *member;

    while ((member = strsep(&members, ",")))
        if (!strcmp(member, name))
            return true;
    return false;
}

static void find_groups(const char *root, struct user *u)
{
    struct line_reader r;
    gid_t gid;

    if (!u->name[0] || !reader_open(&r, root, "/etc/group"))
        return;
    while (u->group_count < ARRAY_SIZE(u->groups) && reader_next(&r, 4))
        if (parse_id(r.fields[2], &gid) && gid != u->gid && has_member(r.fields[3], u->name))
            u->groups[u->group_count++] = gid;
    reader_close(&r);
}

void user_by_id(const char *root, uid_t uid, struct user *out)
{
    *out = (struct user){.uid = uid, .gid = uid, .home = "/", .shell = "/bin/sh"};
    find_user(root, NULL, uid, out);
}

int user_parse(const char *root, const char *text, struct user *out, struct error *e)
{
    char buf[256];
    unsigned uid;

    if (snprintf(buf, sizeof(buf), "%s", text) >= (int)sizeof(buf) || !*text || *text == ':')
        return error_set(e, "--user %s: give a name or number, or USER:GROUP", text);
    char *group = strchr(buf, ':');
    if (group)
        *group++ = '\0';
    *out = (struct user){.home = "/", .shell = "/bin/sh"};
    if (parse_id(buf, &uid))
        user_by_id(root, uid, out);
    else if (!find_user(root, buf, 0, out))
        return error_set(e, "--user %s: there is no user '%s' in %s/etc/passwd", text, buf, root);
    find_groups(root, out);
    if (group && !parse_id(group, &out->gid) && !find_group(root, group, &out->gid))
        return error_set(e, "--user %s: there is no group '%s' in %s/etc/group", text, group, root);
    return 0;
}
