/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_COUNTED_H
#define TESTS_DEVICE_COUNTED_H

/* Calls of the library, linked in statically, that the linker leads through here; what a driver does by itself is not
 * seen. Counting is on between counted_begin and counted_end. */

#include <stdbool.h>

void counted_begin(void);
void counted_end(void);

/* By name; -1 for one that counted.def does not have. */
long counted_calls(const char *name);

/* All of them, and a line for each that is not 0. */
long counted_report(void);
void counted_reset(void);

/* Kernels enqueued while counting was on, whose name has this in it ("" for all). */
long counted_kernels(const char *part);

#endif
