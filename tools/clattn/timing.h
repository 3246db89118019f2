/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_TIMING_H
#define CLATTN_TOOL_TIMING_H

/* The times of the runs that --repeat and --json ask for. */

#include "options.h"

typedef struct timing {
    int count; /* 0: nobody asked for them */
    double *seconds;
} timing;

/* Without a question after times, the one run that makes the result is enough. Exit status; timing_free() on success.
 */
int timing_make(const option_value *repeat, bool json, timing *out);
void timing_free(timing *used);

#endif
