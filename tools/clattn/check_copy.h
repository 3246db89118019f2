/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CHECK_COPY_H
#define CLATTN_TOOL_CHECK_COPY_H

#include <stdbool.h>

#include "session.h"

/* Copies pages of two planes whose sizes are odd, and swaps some out and in to others by way of pinned memory; compares
 * every byte with what the host makes. *same says whether all agree. Exit status. */
int check_copy(const session *on, bool *same);
int check_swap(const session *on, bool *same);

#endif
