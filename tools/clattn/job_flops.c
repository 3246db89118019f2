/* SPDX-License-Identifier: BSD-2-Clause */
#include "job.h"

typedef struct key_range {
    int64_t first, last; /* empty when last < first */
} key_range;

static key_range attended_keys(const clattn_attention_desc *desc, int64_t position, int64_t kv_len)
{
    key_range keys = { 0, kv_len - 1 };
    if (desc->causal && position < keys.last)
        keys.last = position;
    if (desc->window_mode != CLATTN_WINDOW_LR)
        return keys;
    if (desc->window_left >= 0 && position - desc->window_left > keys.first)
        keys.first = position - desc->window_left;
    if (desc->window_right >= 0 && position + desc->window_right < keys.last)
        keys.last = position + desc->window_right;
    return keys;
}

static bool mask_keeps(const job *source, int64_t at)
{
    const void *mask = source->inputs[JOB_MASK].data;
    switch (source->desc.mask_kind) {
    case CLATTN_MASK_BOOL:
        return ((const uint8_t *)mask)[at] != 0;
    case CLATTN_MASK_ADD_F32:
        return !(((const float *)mask)[at] <= -1e30f);
    case CLATTN_MASK_ADD_F16:
        return ((const uint16_t *)mask)[at] != 0xfc00; /* -inf */
    case CLATTN_MASK_BITS:
        return (((const uint8_t *)mask)[at / 8] >> at % 8 & 1) != 0;
    case CLATTN_MASK_NONE:
        break;
    }
    return true;
}

/* Whether keys of some sequence have no page. */
static bool has_holes(const job *source, const ref_inputs *in)
{
    const clattn_attention_desc *desc = &source->desc;
    if (desc->kv_mode == CLATTN_KV_CONTIGUOUS)
        return false;
    for (int32_t b = 0; b < in->batch; b++)
        for (int32_t j = 0, kv_len = ref_kv_len(desc, in, b); j < kv_len; j += desc->page_size)
            if (ref_key_page(desc, in, b, 0, j) < 0)
                return true;
    return false;
}

/* Pairs of one row over all heads. */
static double row_pairs(const job *source, const ref_inputs *in, bool holes, int32_t b, int32_t i, key_range keys)
{
    const clattn_attention_desc *desc = &source->desc;
    if (keys.last < keys.first)
        return 0;
    if (desc->mask_kind == CLATTN_MASK_NONE && !holes)
        return (double)(keys.last - keys.first + 1) * desc->q_heads;
    int32_t distinct = desc->mask_kind != CLATTN_MASK_NONE && desc->mask_head_stride ? desc->q_heads : 1;
    int64_t count = 0;
    for (int32_t h = 0; h < distinct; h++) {
        int64_t row = b * desc->mask_batch_stride + h * desc->mask_head_stride + i * desc->mask_q_stride;
        for (int64_t j = keys.first; j <= keys.last; j++)
            count += mask_keeps(source, row + j * desc->mask_kv_stride) &&
                     (!holes || ref_key_page(desc, in, b, 0, (int32_t)j) >= 0);
    }
    return (double)count * (desc->q_heads / distinct);
}

double job_flops(const job *source)
{
    const clattn_attention_desc *desc = &source->desc;
    const ref_inputs in = job_reference(source);
    const int32_t *offsets = source->inputs[JOB_Q_OFFSETS].data;
    bool holes = has_holes(source, &in);
    bool plain =
        !holes && desc->causal && desc->window_mode == CLATTN_WINDOW_NONE && desc->mask_kind == CLATTN_MASK_NONE;
    double pairs = 0;
    for (int32_t b = 0; b < in.batch; b++) {
        int32_t q_len = ref_q_len(desc, &in, b), kv_len = ref_kv_len(desc, &in, b);
        int64_t offset = desc->q_offset_mode == CLATTN_Q_OFFSET_BOTTOM_RIGHT ? (int64_t)kv_len - q_len
                         : desc->q_offset_mode == CLATTN_Q_OFFSET_CONSTANT   ? desc->q_offset
                                                                             : offsets[b];
        if (plain && q_len == kv_len && offset == 0) {
            pairs += 0.5 * q_len * kv_len * desc->q_heads;
            continue;
        }
        for (int32_t i = 0; i < q_len; i++)
            pairs += row_pairs(source, &in, holes, b, i, attended_keys(desc, i + offset, kv_len));
    }
    int32_t v_head_dim = desc->v_head_dim ? desc->v_head_dim : desc->head_dim;
    return pairs * 2.0 * (desc->head_dim + v_head_dim);
}
