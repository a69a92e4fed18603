/* See uts.h. */
#include "sentry/kernel/uts.h"

#include "lib/lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char names[2][UTS_NAME_MAX + 1] = {"sbox", "(none)"};
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

void uts_get(enum uts_field field, char *buf, size_t cap)
{
    pthread_mutex_lock(&names_lock);
    snprintf(buf, cap, "%s", names[field]);
    pthread_mutex_unlock(&names_lock);
}

int uts_set(enum uts_field field, const char *name, size_t len)
{
    if (len > UTS_NAME_MAX)
        return -EINVAL;
    pthread_mutex_lock(&names_lock);
    memcpy(names[field], name, len);
    names[field][len] = '\0';
    pthread_mutex_unlock(&names_lock);
    return 0;
}
