/* Starting workers; see worker.c. */
#pragma once

#include "lib/compiler.h"

/* Makes one more worker. -errno. */
int worker_start(void) must_check;
