/*
 * See view.h. Without --rootfs the root is an empty tmpfs with the system's directories in it, each a tree of its own:
 * nothing has to be mounted on the host, and what is not listed cannot be seen. The current directory is shown too,
 * unless that would show what a sandbox is there to hide: all of the machine, a home directory, /run.
 */
#include "runtime/view.h"

#include "runtime/error.h"
#include "runtime/options.h"
#include "runtime/users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const system_dirs[] = {"/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
/* Never shown as the current directory, nor anything below them: the sandbox has its own. */
static const char *const own_dirs[] = {"/proc", "/sys", "/dev", "/run", "/var/run"};

/* Is path the same as dir, or below it? */
static bool path_in(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    if (len == 1)
        return true;
    return !strncmp(path, dir, len) && (!path[len] || path[len] == '/');
}

static struct boot_mount *mount_add(struct view *v, enum mount_kind kind, const char *target, const char *source)
{
    struct boot_mount *m = &v->mounts[v->count++];

    *m = (struct boot_mount){.kind = kind, .target = target, .source = source, .conn_fd = -1};
    return m;
}

/*
 * A host tree, with writes kept in memory. What lies below is taken as it was when the sandbox first looked, as if
 * nobody else changed it: so warm look-ups need not ask the gofer.
 */
static int tree_add(struct view *v, const char *host, const char *target, struct error *e)
{
    if (v->count >= VIEW_MAX - 1) /* one is kept for the home directory */
        return error_set(e, "too many paths: at most %d can be shown", VIEW_MAX - 1);
    struct boot_mount *m = mount_add(v, MOUNT_GOFER, target, host);
    m->overlay = true;
    m->exclusive = true;
    m->nodev = true;
    v->hosts[v->count - 1] = strdup(host);
    if (!v->hosts[v->count - 1])
        return error_set(e, "out of memory");
    m->source = v->hosts[v->count - 1];
    return 0;
}

static int link_add(struct view *v, const char *path, struct error *e)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target) - 1);

    if (n < 0)
        return error_set(e, "cannot read the link %s: %s", path, strerror(errno));
    target[n] = '\0';
    char *copy = strdup(target);
    if (!copy)
        return error_set(e, "out of memory");
    v->links[v->link_count++] = (struct boot_link){.path = path, .target = copy};
    return 0;
}

/* The system's directories, each as the host has it: directory, link, or not at all. */
static int add_system(struct view *v, struct error *e)
{
    struct stat st;

    for (size_t i = 0; i < ARRAY_SIZE(system_dirs); i++) {
        int ret = 0;
        if (lstat(system_dirs[i], &st) < 0)
            continue;
        if (S_ISLNK(st.st_mode))
            ret = link_add(v, system_dirs[i], e);
        else if (S_ISDIR(st.st_mode))
            ret = tree_add(v, system_dirs[i], system_dirs[i], e);
        if (ret < 0)
            return ret;
    }
    return 0;
}

static void add_tmpfs(struct view *v, const char *target, mode_t mode, const struct user *u)
{
    struct boot_mount *m = mount_add(v, MOUNT_TMPFS, target, "tmpfs");

    m->nodev = true;
    m->mode = mode;
    m->uid = u ? u->uid : 0;
    m->gid = u ? u->gid : 0;
}

static void add_own(struct view *v)
{
    struct boot_mount *proc = mount_add(v, MOUNT_PROC, "/proc", "proc");
    struct boot_mount *sys = mount_add(v, MOUNT_SYS, "/sys", "sysfs");
    struct boot_mount *dev = mount_add(v, MOUNT_DEV, "/dev", "devtmpfs");

    /* Set-user-ID programs work elsewhere as they do bare: who they become is the sandbox's affair only. */
    proc->nosuid = sys->nosuid = dev->nosuid = true;
    proc->nodev = sys->nodev = true;
    sys->readonly = true;
    add_tmpfs(v, "/dev/shm", 01777, NULL);
    add_tmpfs(v, "/tmp", 01777, NULL);
    add_tmpfs(v, "/var/tmp", 01777, NULL);
}

static int add_root(struct view *v, const struct run_options *o, struct error *e)
{
    if (o->rootfs) {
        char *root = realpath(o->rootfs, NULL);
        struct stat st;
        if (!root || stat(root, &st) < 0)
            return error_set(e, "--rootfs %s: %s", o->rootfs, strerror(errno));
        int ret = S_ISDIR(st.st_mode) ? tree_add(v, root, "/", e)
                                      : error_set(e, "--rootfs %s: this is not a directory", o->rootfs);
        free(root);
        return ret;
    }
    mount_add(v, MOUNT_TMPFS, "/", "root")->mode = 0755;
    return add_system(v, e);
}

/* Would showing dir show a home directory, or more? */
static bool is_private(const char *dir, const struct user *u)
{
    const char *const homes[] = {getenv("HOME"), u->home, "/root", "/home"};

    for (size_t i = 0; i < ARRAY_SIZE(homes); i++)
        if (homes[i] && (path_in(homes[i], dir)))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(own_dirs); i++)
        if (path_in(dir, own_dirs[i]))
            return true;
    return false;
}

/* Is path in a tree that is shown, the root apart? */
static bool is_shown(const struct view *v, const char *path)
{
    for (size_t i = 1; i < v->count; i++)
        if (v->hosts[i] && path_in(path, v->mounts[i].target))
            return true;
    return false;
}

/* An empty home directory for the user, in memory: programs want to keep things there. */
static void add_home(struct view *v, const struct run_options *o, const struct user *u)
{
    if (!o->rootfs && strcmp(u->home, "/") && !is_shown(v, u->home))
        add_tmpfs(v, u->home, 0700, u);
}

static int add_paths(struct view *v, const struct run_options *o, struct error *e)
{
    for (size_t i = 0; i < o->path_count; i++) {
        const struct path_option *p = &o->paths[i];
        struct stat st;
        if (stat(p->host, &st) < 0)
            return error_set(e, "--%s %s: %s", p->writable ? "rw" : "ro", p->host, strerror(errno));
        if (tree_add(v, p->host, p->guest, e) < 0)
            return -1;
        v->mounts[v->count - 1].overlay = false;
        v->mounts[v->count - 1].exclusive = false; /* the host's changes are to be seen */
        v->mounts[v->count - 1].readonly = !p->writable;
    }
    return 0;
}

/* Parents before what is mounted in them; otherwise in the order given. */
static void sort_from(struct view *v, size_t first)
{
    for (size_t i = first + 1; i < v->count; i++)
        for (size_t j = i; j > first && strlen(v->mounts[j].target) < strlen(v->mounts[j - 1].target); j--) {
            struct boot_mount m = v->mounts[j];
            char *host = v->hosts[j];
            v->mounts[j] = v->mounts[j - 1];
            v->hosts[j] = v->hosts[j - 1];
            v->mounts[j - 1] = m;
            v->hosts[j - 1] = host;
        }
}

static int add_cwd(struct view *v, const struct run_options *o, const struct user *u, struct error *e)
{
    char cwd[PATH_MAX];
    bool known = getcwd(cwd, sizeof(cwd)) && *cwd == '/';

    snprintf(v->cwd, sizeof(v->cwd), "%s", o->cwd ? o->cwd : "/");
    if (o->cwd || o->rootfs)
        return 0;
    struct stat st;
    v->cwd_hidden = !known || stat(cwd, &st) < 0 || (!is_shown(v, cwd) && is_private(cwd, u));
    if (!v->cwd_hidden || (known && !strcmp(cwd, u->home)))
        snprintf(v->cwd, sizeof(v->cwd), "%s", cwd);
    return v->cwd_hidden || is_shown(v, cwd) ? 0 : tree_add(v, cwd, v->cwd, e);
}

int view_build(struct view *v, const struct run_options *o, const struct user *u, struct error *e)
{
    if (add_root(v, o, e) < 0)
        return -1;
    add_own(v);
    size_t first = v->count;
    if (add_paths(v, o, e) < 0 || add_cwd(v, o, u, e) < 0)
        return -1;
    add_home(v, o, u);
    sort_from(v, first);
    return 0;
}

void view_free(struct view *v)
{
    for (size_t i = 0; i < v->count; i++)
        free(v->hosts[i]);
    for (size_t i = 0; i < v->link_count; i++)
        free((char *)(uintptr_t)v->links[i].target);
}
