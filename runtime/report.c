/* See report.h. */
#include "runtime/report.h"

#include "runtime/cgroup.h"
#include "runtime/error.h"
#include "runtime/options.h"
#include "runtime/relay.h"
#include "runtime/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int report_open(struct report *r, const char *file, struct error *e)
{
    r->fd = -1;
    if (!file)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &r->start);
    r->fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return r->fd < 0 ? error_set(e, "--report %s: %s", file, strerror(errno)) : 0;
}

static double since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static double seconds(const struct timeval *tv)
{
    return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

static json_t *exit_object(const struct relay *relay, const struct cgroup *c, int code, const char *failure)
{
    bool signalled = relay->ended && WIFSIGNALED(relay->wait_status);

    return json_pack("{s:i, s:o, s:b, s:b, s:o}", "code", code, "signal",
                     signalled ? json_integer(WTERMSIG(relay->wait_status)) : json_null(), "timed_out",
                     relay->timed_out, "out_of_memory", cgroup_out_of_memory(c), "error",
                     failure ? json_string(failure) : json_null());
}

/* Without a cgroup only the largest process is known. */
static json_t *memory_object(const struct sandbox *s, const struct cgroup *c)
{
    uint64_t peak = cgroup_peak_memory(c);

    return json_pack("{s:I, s:s}", "peak_bytes", (json_int_t)(peak ? peak : (uint64_t)s->usage.ru_maxrss * 1024), "of",
                     peak ? "sandbox" : "largest process");
}

/* The names of the calls that the sandbox does not offer. */
static json_t *refused(json_t *calls)
{
    json_t *list = json_array(), *count;
    const char *name;

    json_object_foreach(json_object_get(calls, "unknown"), name, count)
        json_array_append_new(list, json_pack("{s:s, s:O}", "system_call", name, "count", count));
    return list;
}

static json_t *limits(const struct run_options *o)
{
    return json_pack("{s:I, s:i, s:f, s:f}", "memory_bytes", (json_int_t)o->memory, "pids", (int)o->pids, "cpus",
                     (double)o->millicpus / 1000, "timeout_seconds", (double)o->timeout_ns / 1e9);
}

static int write_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t n = write(fd, text, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -errno;
        text += n;
        left -= (size_t)n;
    }
    return 0;
}

int report_write(struct report *r, const struct run_options *o, const struct relay *relay, const struct sandbox *s,
                 const struct cgroup *c, int code, const char *failure, struct error *e)
{
    if (r->fd < 0)
        return 0;
    json_t *calls = json_object_get(relay->figures, "syscalls");
    json_t *all =
        json_pack("{s:o, s:f, s:{s:f, s:f}, s:o, s:O?, s:o, s:o, s:s}", "exit", exit_object(relay, c, code, failure),
                  "wall_seconds", since(&r->start), "cpu", "user_seconds", seconds(&s->usage.ru_utime),
                  "system_seconds", seconds(&s->usage.ru_stime), "memory", memory_object(s, c), "system_calls", calls,
                  "refused", refused(calls), "limits", limits(o), "platform", o->platform ? o->platform : "seccomp");
    char *text = all ? json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    int ret = text ? write_all(r->fd, text) : -ENOMEM;
    if (ret == 0)
        ret = write_all(r->fd, "\n");
    free(text);
    json_decref(all);
    close(r->fd);
    r->fd = -1;
    return ret < 0 ? error_set(e, "--report %s: %s", o->report, strerror(-ret)) : 0;
}
