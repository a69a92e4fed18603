/* Standard input, output and error as the program was started with them; they may be closed. */
#pragma once

#include <stdbool.h>

/* First thing in main(): closed ones are filled, so that no other file takes their numbers; everything else that was
 * inherited is closed. */
void stdio_claim(void);
/* Was it open? */
bool stdio_was_open(int fd);
