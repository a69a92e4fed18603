/* Standard input, output and error as the program was started with them; they may be closed. */
#pragma once

#include <stdbool.h>

/* First thing in main(): closed ones are filled, so that no other file takes their numbers; everything else that was
 * inherited is closed. */
void stdio_claim(void);
/* The sandbox has them now: those of input and output are closed here, so that pipes end when the program closes them.
 */
void stdio_release(void);
/* Was it open? */
bool stdio_was_open(int fd);
