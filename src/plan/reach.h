/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_REACH_H
#define CLATTN_PLAN_REACH_H

/* How far a tensor's indices go, in 64 bits with overflow checked. Pure host code. */

#include <stdbool.h>

#include <clattn/attention.h>

/* Blocks of a row of `dim` elements; elements, where the type has no blocks. */
int64_t clattn_row_blocks(clattn_dtype dtype, int32_t dim);

/* One dimension of a tensor: its length and its stride in elements. */
typedef struct clattn_dimension {
    int64_t length, stride;
} clattn_dimension;

/* Elements from the tensor's start up to and with its last one, where the innermost rows hold `row` contiguous
 * elements: 0 when it is empty, -1 when the count overflows. */
int64_t clattn_reach(const clattn_dimension *dimensions, int count, int64_t row);

/* The same for [batch, tokens, heads, row] by strides. */
int64_t clattn_tensor_reach(const clattn_strides *strides, int64_t batch, int64_t tokens, int64_t heads, int64_t row);

/* The same for pages [pages, page_size, heads, row] by strides. */
int64_t clattn_cache_reach(const clattn_page_strides *strides, int64_t pages, int64_t page_size, int64_t heads,
                           int64_t row);

/* The same for a description's block table. */
int64_t clattn_block_table_reach(const clattn_attention_desc *desc, int64_t batch);

/* The same for the mask of a description, as far as the host knows: offsets and row strides from the device count as 0.
 */
int64_t clattn_mask_reach(const clattn_attention_desc *desc, int64_t batch, int64_t q_len, int64_t kv_len);

/* Whether two rows of such a tensor may share an element: judged by nesting, each stride at least what the smaller ones
 * span. */
bool clattn_tensor_overlaps(const clattn_strides *strides, int64_t batch, int64_t tokens, int64_t heads, int64_t row);

#endif
