/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CHECK_MERGE_H
#define CLATTN_TOOL_CHECK_MERGE_H

#include <stdbool.h>

#include "session.h"

enum { CHECK_MERGE_DIM = 40 };

typedef struct check_merge_result {
    double error, ratio; /* the largest, as it is and over its tolerance */
    bool exact; /* rows with one part that is not empty, or none, have the right bits, and gaps are as before */
} check_merge_result;

/* Merges parts of this type, some of them empty with poison in their O, with and without a sink, and compares with the
 * reference. Exit status. */
int check_merge(const session *on, clattn_dtype dtype, check_merge_result *out);

#endif
