/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CHECK_GATHER_H
#define CLATTN_TOOL_CHECK_GATHER_H

#include <stdbool.h>

#include "session.h"

enum { CHECK_GATHER_DIM = 7 };

/* Gathers a small cache of this type, in pages whose order is mixed, with holes, an id that is none, and unlike
 * lengths, and compares every byte with a copy made on the host; bytes in the cache that no length reaches are poison.
 * *same says whether all agree, the error record too. Exit status. */
int check_gather(const session *on, clattn_dtype dtype, bool *same);

#endif
