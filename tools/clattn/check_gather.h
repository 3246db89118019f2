/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CHECK_GATHER_H
#define CLATTN_TOOL_CHECK_GATHER_H

#include <stdbool.h>

#include "session.h"

/* Its rows are of so many elements: a whole number of vectors and blocks, or neither. */
int32_t check_gather_dim(clattn_dtype dtype);

/* Gathers a small cache of `dtype` to a tensor of `out_dtype`, from pages whose order is mixed, with holes, an id that
 * is none, and unlike lengths, and compares every byte with what the host makes. *same says whether all agree, the
 * error record too. Exit status. */
int check_gather(const session *on, clattn_dtype dtype, clattn_dtype out_dtype, bool *same);

#endif
