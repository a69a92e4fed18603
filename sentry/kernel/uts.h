/* What uname(2) says: the sandbox's names, and the release of Linux whose behaviour this kernel follows. */
#pragma once

#include "lib/compiler.h"

#include <stddef.h>

#define SBOX_OSRELEASE "6.1.0-sbox"
#define SBOX_OSVERSION_DATE "2026-01-01"
#define UTS_NAME_MAX 64

enum uts_field { UTS_HOSTNAME, UTS_DOMAINNAME };

/* Copies the name with its NUL into buf (cap ≥ UTS_NAME_MAX + 1). */
void uts_get(enum uts_field field, char *buf, size_t cap);
/* -EINVAL if longer than UTS_NAME_MAX. The caller has checked CAP_SYS_ADMIN. */
int uts_set(enum uts_field field, const char *name, size_t len) must_check;
