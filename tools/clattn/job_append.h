/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_JOB_APPEND_H
#define CLATTN_TOOL_JOB_APPEND_H

#include "job.h"

/* Makes the caches of K and V in args->k and args->v: full of NaN, then filled from the job's tensors by the library's
 * append. Needs job.append, and what fp8 scales there are in `args`. Exit status; the caller frees the buffers. */
int job_append_kv(const session *on, const job *source, clattn_attention_args *args);

/* Bytes of a cache. */
size_t job_cache_size(const clattn_append_desc *desc, const clattn_append_plane *plane);

#endif
