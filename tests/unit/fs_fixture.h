/*
 * What tests of file systems share: a gofer in a child process that serves a fresh directory of the host, a task
 * without a guest behind it, and the host's and the guest's view of files. Used once a process: Check forks for each
 * test.
 */
#pragma once

#include "gofer/server.h"
#include "lib/jail.h"
#include "sentry/fs/fs.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/locking.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/ops.h"
#include "sentry/vfs/vfs.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What the process tree would call; no process here ever gets a signal. */
__attribute__((weak)) int signal_send_pgrp_locked(struct pgrp *pg, int sig, const siginfo_t *info)
{
    (void)pg, (void)sig, (void)info;
    return 0;
}

static struct task *me;
static struct path root;
static char dir[] = "/tmp/goferfs-test-XXXXXX";
static pid_t server;

static inline int not_jailed(const struct gofer_config *cfg)
{
    (void)cfg;
    umask(0);
    return gofer_enter_fd_dir();
}

static inline int start_server(bool readonly, bool jailed)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    server = jailed ? jail_fork(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC) : fork(); /* what gofer_main() needs */
    ck_assert_int_ge(server, 0);
    if (server == 0) {
        close(pair[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct gofer_tree tree = {.root_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), .conn_fd = pair[1]};
        tree.readonly = readonly;
        const struct gofer_config cfg = {.trees = &tree, .tree_count = 1, .log_fd = 2, .privileged = true};
        if (jailed)
            gofer_main(&cfg);
        _exit(gofer_serve(&cfg, not_jailed) < 0);
    }
    close(pair[1]);
    gofer_greet(pair[0]);
    return pair[0];
}

static inline void make_host_dir(void)
{
    strcpy(dir, "/tmp/goferfs-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chmod(dir, 0755), 0);
}

/* A task whose root is d. */
static inline void make_task(struct dentry *d, unsigned flags)
{
    me = calloc(1, sizeof(*me));
    me->tg = calloc(1, sizeof(*me->tg));
    me->tg->rlimits[RLIMIT_NOFILE] = (struct rlimit64){100, 100};
    me->tg->rlimits[RLIMIT_FSIZE] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
    me->cred = cred_new(0, 0, NULL, 0);
    ck_assert_int_eq(mount_root(d, flags, "rootfs", &root), 0);
    me->fs = fs_context_new(&root, &root, 022);
    me->files = files_new();
}

/* The connection goes with the last reference, and the gofer with the connection. */
static inline void teardown(void)
{
    char command[128];
    int status;

    kill(server, SIGKILL);
    ck_assert_int_eq(waitpid(server, &status, 0), server);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* ---- the host's side ---- */

static inline const char *host(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static inline void host_write(const char *name, const char *text)
{
    FILE *f = fopen(host(name), "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static inline void host_expect(const char *name, const char *text)
{
    char buf[256] = "";
    FILE *f = fopen(host(name), "r");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fread(buf, 1, sizeof(buf) - 1, f), strlen(text));
    ck_assert_str_eq(buf, text);
    fclose(f);
}

/* ---- the guest's side ---- */

static inline int open_at(const char *name, int flags, struct file **out)
{
    return vfs_open(me, AT_FDCWD, name, flags, 0644, 0, out);
}

static inline void expect_open_error(const char *name, int flags, int err)
{
    struct file *f;

    ck_assert_int_eq(open_at(name, flags, &f), err);
}

static inline struct file *must_open(const char *name, int flags)
{
    struct file *f;

    ck_assert_int_eq(open_at(name, flags, &f), 0);
    return f;
}

static inline ssize_t put(struct file *f, const char *text)
{
    struct uio u;

    uio_kernel(&u, (void *)text, strlen(text));
    return file_write(f, &u, NULL);
}

static inline void expect(struct file *f, int64_t pos, const char *text)
{
    char buf[256] = "";
    struct uio u;

    uio_kernel(&u, buf, sizeof(buf) - 1);
    ck_assert_int_eq(file_read(f, &u, &pos), (ssize_t)strlen(text));
    ck_assert_str_eq(buf, text);
}

static inline int stat_of(const char *name, struct kstat *st)
{
    struct path p;

    int ret = path_lookup(me, AT_FDCWD, name, 0, &p);
    if (ret < 0)
        return ret;
    ret = inode_getattr(dentry_inode(p.dentry), st);
    path_put(&p);
    return ret;
}

static inline struct kstat must_stat(const char *name)
{
    struct kstat st;

    ck_assert_int_eq(stat_of(name, &st), 0);
    return st;
}

struct names {
    char all[65536];
    unsigned count;
    unsigned limit;
};

static inline bool add_name(void *ctx, const char *name, size_t len, uint64_t ino, unsigned char type, int64_t next)
{
    struct names *n = ctx;
    (void)ino, (void)type, (void)next;

    if (n->count == n->limit)
        return false;
    n->count++;
    strncat(n->all, name, len);
    strcat(n->all, " ");
    return true;
}

static inline void expect_entries(const char *name, unsigned count, const char *one)
{
    struct names n = {.limit = 1};
    struct file *f = must_open(name, O_RDONLY | O_DIRECTORY);
    unsigned before;
    int64_t pos = 0;

    do { /* one at a time, so that positions matter */
        before = n.count;
        ck_assert_int_eq(f->ops->iterate(f, &pos, add_name, &n), 0);
        n.limit++;
    } while (n.count > before);
    ck_assert_uint_eq(n.count, count);
    if (one)
        ck_assert_ptr_nonnull(strstr(n.all, one));
    file_put(f);
}
