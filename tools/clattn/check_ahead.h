/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CHECK_AHEAD_H
#define CLATTN_TOOL_CHECK_AHEAD_H

/* Kernels built ahead of who needs them: a GPU's compiler takes seconds for a program, one thread each. */

#include "check_case.h"
#include "session.h"

/* All problems of a fragment, in the order in which they are checked. */
typedef struct check_list {
    const char *fragment;
    check_problem *problems;
    int count;
} check_list;

typedef struct check_ahead check_ahead;

/* Starts to build the kernels of all problems, which the device keeps, in their order; the list stays the caller's. On
 * other devices than GPUs, whose compilers take one program at a time, and where there is no memory, nothing is built:
 * NULL. */
check_ahead *check_ahead_start(const session *on, const check_list *list);
/* Waits for what is being built, and starts no more. Takes NULL, too. */
void check_ahead_stop(check_ahead *ahead);

#endif
