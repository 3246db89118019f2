/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_REPORT_H
#define CLATTN_TOOL_REPORT_H

/* JSON by the names that all subcommands share. */

#include <jansson.h>

#include "job.h"

/* Prints the object as one line on stdout and releases it. Exit status. */
int report_print(json_t *object);

/* "q8_0", or "q8_0,f16" where K and V differ, in text[0 .. size). Returns text. */
const char *report_kv_dtype(clattn_dtype k, clattn_dtype v, char *text, size_t size);

/* device, op, dtype, kv_dtype, batch, q_heads, kv_heads, q_len, kv_len (the bounds), head_dim, v_head_dim, causal,
 * and page_size where there are pages. NULL without memory. */
json_t *report_attention(const loaded_job *loaded, const job *source);

/* seconds_median, seconds_min, gflops. Sorts seconds[count]. */
void report_times(json_t *object, const job *source, double *seconds, int count);

/* kernel, fragment, tile, split_size, tuning_level. */
void report_kernels(json_t *object, const loaded_job *loaded);

#endif
