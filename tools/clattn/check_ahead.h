/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CHECK_AHEAD_H
#define CLATTN_TOOL_CHECK_AHEAD_H

/* Plans made ahead of who needs them: a GPU's compiler takes seconds for a program, one thread each. */

#include <clattn/attention.h>

#include "session.h"

/* A plan to make. */
typedef struct check_plan {
    const char *fragment;
    const clattn_attention_desc *desc;
} check_plan;

typedef struct check_ahead check_ahead;

/* Starts to make plans in the order of the list, which stays the caller's. They are kept until the caller has passed
 * them, so that the device has their programs when it makes the same ones. On other devices than GPUs, whose compilers
 * take one program at a time, and where there is no memory, nothing is made ahead: NULL, which the rest takes too. */
check_ahead *check_ahead_start(const session *on, const check_plan *list, int count);
/* The caller has come to plan `at`, and needs none of those before. */
void check_ahead_reach(check_ahead *ahead, int at);
void check_ahead_stop(check_ahead *ahead);

#endif
