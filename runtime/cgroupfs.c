/*
 * See cgroupfs.h. In v1 our cgroup goes below the one that we are in. In v2 a cgroup with processes can have no
 * children with controllers, so ours becomes a sibling, below the same parent; the root is free of that rule.
 */
#include "runtime/cgroupfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[CGROUP_CONTROLLERS] = {"memory", "cpu"};

/* Is word one of those in a list that commas or blanks separate? */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = list; (p = strstr(p, word)); p += len)
        if ((p == list || strchr(", \n", p[-1])) && (!p[len] || strchr(", \n", p[len])))
            return true;
    return false;
}

/* Our cgroup's path in the hierarchy with this controller (NULL: v2's), from /proc/self/cgroup. */
static bool own_path(const char *controller, char out[PATH_MAX])
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX + 256];
    bool found = false;

    while (f && !found && fgets(line, sizeof(line), f)) {
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        line[strcspn(line, "\n")] = '\0';
        *path++ = '\0';
        found = controller ? has_word(list + 1, controller) : !list[1] && !strncmp(line, "0:", 2);
        if (found)
            snprintf(out, PATH_MAX, "%s", path);
    }
    if (f)
        fclose(f);
    return found;
}

/* Where that hierarchy is mounted, from /proc/self/mountinfo: … root mount-point … - type source options. */
static bool mount_point(const char *controller, char root[PATH_MAX], char out[PATH_MAX])
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t cap = 0;
    bool found = false;

    while (f && !found && getline(&line, &cap, f) >= 0) {
        char type[32], options[512];
        const char *dash = strstr(line, " - ");
        if (!dash || sscanf(dash, " - %31s %*s %511s", type, options) != 2 ||
            sscanf(line, "%*s %*s %*s %4095s %4095s", root, out) != 2)
            continue;
        found = controller ? !strcmp(type, "cgroup") && has_word(options, controller) : !strcmp(type, "cgroup2");
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* Our own directory in the hierarchy; a namespace or container may have mounted only a part of it. */
static bool own_dir(const char *controller, char out[PATH_MAX])
{
    char path[PATH_MAX], root[PATH_MAX], point[PATH_MAX];

    if (!own_path(controller, path) || !mount_point(controller, root, point))
        return false;
    size_t len = strcmp(root, "/") ? strlen(root) : 0;
    const char *rest = strncmp(path, root, len) ? path : path + len;
    if (!strcmp(rest, "/"))
        rest = "";
    if (snprintf(out, PATH_MAX, "%s%s", point, rest) >= PATH_MAX)
        return false;
    return access(out, F_OK) == 0;
}

static bool controls(const char *dir, const char *file, const char *controller)
{
    char path[PATH_MAX + 64], text[512] = "";

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    FILE *f = fopen(path, "re");
    bool has = f && fgets(text, sizeof(text), f) && has_word(text, controller);
    if (f)
        fclose(f);
    return has;
}

static void find_v2(struct cgroup_place *place, const char *controller)
{
    char path[PATH_MAX], dir[PATH_MAX], enable[32];

    if (!own_path(NULL, path) || !own_dir(NULL, dir))
        return;
    snprintf(place->own, sizeof(place->own), "%s", dir);
    if (strcmp(path, "/"))
        *strrchr(dir, '/') = '\0';
    snprintf(enable, sizeof(enable), "+%s", controller);
    if (!controls(dir, "cgroup.subtree_control", controller) &&
        (!controls(dir, "cgroup.controllers", controller) || !cgroupfs_write(dir, "cgroup.subtree_control", enable)))
        return;
    place->v2 = true;
    snprintf(place->parent, sizeof(place->parent), "%s", dir);
}

void cgroupfs_find(struct cgroup_place places[CGROUP_CONTROLLERS])
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        struct cgroup_place *place = &places[i];
        *place = (struct cgroup_place){0};
        if (own_dir(names[i], place->parent))
            snprintf(place->own, sizeof(place->own), "%s", place->parent);
        else
            find_v2(place, names[i]);
    }
}

static int open_file(const char *dir, const char *file, int flags)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    return open(path, flags | O_CLOEXEC);
}

bool cgroupfs_write(const char *dir, const char *file, const char *text)
{
    int fd = open_file(dir, file, O_WRONLY);

    if (fd < 0)
        return false;
    bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int err = errno;
    close(fd);
    errno = err;
    return written;
}

bool cgroupfs_read(const char *dir, const char *file, const char *key, uint64_t *out)
{
    char text[4096];
    int fd = open_file(dir, file, O_RDONLY);

    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *p = text;
    size_t len = key ? strlen(key) : 0;
    while (key && p && !(!strncmp(p, key, len) && p[len] == ' '))
        if ((p = strchr(p, '\n')))
            p++;
    if (!p || p[len + (key ? 1 : 0)] < '0' || p[len + (key ? 1 : 0)] > '9')
        return false;
    *out = strtoull(p + len, NULL, 10);
    return true;
}
