/* The help texts. */
#pragma once

#include <stdio.h>

void usage_print(FILE *out);
