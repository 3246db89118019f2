/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CHECK_APPEND_H
#define CLATTN_TOOL_CHECK_APPEND_H

#include <stdbool.h>

#include "session.h"

/* Appends a few rows of `src` to caches of keys and of values of these types, to slots in mixed order, one of them
 * negative and one past the caches, and compares every byte of the caches with what the host makes. *same says whether
 * all agree, the error record too. Exit status. */
int check_append(const session *on, clattn_dtype src, clattn_dtype keys, clattn_dtype values, bool *same);

#endif
