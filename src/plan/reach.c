/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/reach.h"

int64_t clattn_row_blocks(clattn_dtype dtype, int32_t dim)
{
    return dim / clattn_dtype_block_len(dtype);
}

int64_t clattn_reach(const clattn_dimension *dimensions, int count, int64_t row)
{
    int64_t last = row;
    for (int i = 0; i < count; i++)
        if (dimensions[i].length == 0)
            return 0;
    for (int i = 0; i < count; i++) {
        int64_t step;
        if (__builtin_mul_overflow(dimensions[i].length - 1, dimensions[i].stride, &step) ||
            __builtin_add_overflow(last, step, &last))
            return -1;
    }
    return last;
}

int64_t clattn_tensor_reach(const clattn_strides *strides, int64_t batch, int64_t tokens, int64_t heads, int64_t row)
{
    const clattn_dimension dimensions[] = { { batch, strides->batch },
                                            { tokens, strides->token },
                                            { heads, strides->head } };
    return clattn_reach(dimensions, 3, row);
}

int64_t clattn_cache_reach(const clattn_page_strides *strides, int64_t pages, int64_t page_size, int64_t heads,
                           int64_t row)
{
    const clattn_dimension dimensions[] = { { pages, strides->page },
                                            { page_size, strides->token },
                                            { heads, strides->head } };
    return clattn_reach(dimensions, 3, row);
}

int64_t clattn_block_table_reach(const clattn_attention_desc *desc, int64_t batch)
{
    const clattn_dimension dimensions[] = { { batch, desc->block_table_stride },
                                            { desc->kv_heads, desc->block_table_head_stride } };
    return desc->max_pages == 0 ? 0 : clattn_reach(dimensions, 2, desc->max_pages);
}

int64_t clattn_mask_reach(const clattn_attention_desc *desc, int64_t batch, int64_t q_len, int64_t kv_len)
{
    const clattn_dimension dimensions[] = {
        { batch, desc->has_mask_offsets ? 0 : desc->mask_batch_stride },
        { desc->q_heads, desc->mask_head_stride },
        { q_len, desc->has_mask_row_strides ? 0 : desc->mask_q_stride },
        { kv_len, desc->mask_kv_stride },
    };
    return clattn_reach(dimensions, 4, 1);
}

bool clattn_tensor_overlaps(const clattn_strides *strides, int64_t batch, int64_t tokens, int64_t heads, int64_t row)
{
    clattn_dimension sorted[] = { { batch, strides->batch }, { tokens, strides->token }, { heads, strides->head } };
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2 - i; j++)
            if (sorted[j].stride > sorted[j + 1].stride) {
                const clattn_dimension larger = sorted[j];
                sorted[j] = sorted[j + 1];
                sorted[j + 1] = larger;
            }
    int64_t span = row;
    for (int i = 0; i < 3; i++) {
        if (sorted[i].length <= 1)
            continue;
        if (sorted[i].stride < span)
            return true;
        span += (sorted[i].length - 1) * sorted[i].stride;
    }
    return false;
}
