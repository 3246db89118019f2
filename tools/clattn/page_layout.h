/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_PAGE_LAYOUT_H
#define CLATTN_TOOL_PAGE_LAYOUT_H

/* Which page each token of a batch gets, where the command makes the pages, and what the library has to know of it. */

#include "job.h"

typedef enum page_order { PAGES_SHUFFLED, PAGES_SEQUENTIAL } page_order;

typedef struct page_layout {
    int32_t page_size, pages, max_pages, batch;
    int32_t *block_table; /* [batch, max_pages]; -1 past a sequence's length */
} page_layout;

/* As many pages as the lengths need, and a table for lengths up to max_kv_len. Exit status; on failure nothing is left.
 */
int page_layout_make(const clattn_lengths *lengths, int32_t max_kv_len, int32_t page_size, page_order order,
                     uint64_t seed, page_layout *out);
void page_layout_free(page_layout *used);

/* Where token t of sequence b goes: what append's slot_mapping holds. */
int64_t page_layout_slot(const page_layout *layout, int32_t b, int32_t t);

/* A cache [pages, page_size, heads, dim] of the type. */
clattn_page_strides page_layout_strides(int32_t page_size, int32_t heads, int32_t dim, clattn_dtype dtype);

/* Makes the job attend through these pages K and V of the given types, which stay in its inputs as tensors, and says in
 * `append` how they get into the pages; its slots and runs are the caller's. The table and the layout have to outlive
 * the job. */
void page_layout_apply(const page_layout *layout, clattn_dtype k_dtype, clattn_dtype v_dtype, job *out,
                       job_append *append);

/* fp8's scales of K or V [batch, token, head, dim]: scales[heads] become amax / 448 over the first kv_len tokens of
 * each sequence, of numbers that are finite; 1 for a head of zeros. */
void page_layout_find_scales(const job *of, job_input input, float *scales);

#endif
