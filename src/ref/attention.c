/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdlib.h>

#include "ref/ref_internal.h"

/* Positions, offsets and window edges are 64-bit: sums of two int32 never overflow. */

/* Tokens of one sequence: a range of the packed buffer, or, unpacked, a count that starts at the batch stride. */
typedef struct span {
    int64_t first;
    int32_t length;
} span;

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static span ragged_span(const int32_t *cu_seqlens, int32_t b, int64_t tokens, int32_t max_length)
{
    int64_t first = clamp(cu_seqlens[b], 0, tokens);
    int64_t end = clamp(cu_seqlens[b + 1], 0, tokens);
    return (span){ first, (int32_t)clamp(end - first, 0, max_length) };
}

static span q_span(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b)
{
    int64_t tokens = desc->max_q_tokens ? desc->max_q_tokens : (int64_t)desc->max_batch * desc->max_q_len;
    if (desc->q_length_mode == CLATTN_LENGTH_RAGGED)
        return ragged_span(in->cu_seqlens_q, b, tokens, desc->max_q_len);
    return (span){ 0, (int32_t)clamp(in->q_len, 0, desc->max_q_len) };
}

/* All pages of the list are full but the last. */
static int32_t page_list_length(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b)
{
    int64_t first = clamp(in->page_indptr[b], 0, desc->max_page_indices);
    int64_t end = clamp(in->page_indptr[b + 1], first, desc->max_page_indices);
    int64_t last = clamp(in->last_page_len[b], 1, desc->page_size);
    int64_t length = first == end ? 0 : (end - first - 1) * desc->page_size + last;
    return (int32_t)clamp(length, 0, desc->max_kv_len);
}

static span kv_span(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b)
{
    int64_t tokens = desc->max_kv_tokens ? desc->max_kv_tokens : (int64_t)desc->max_batch * desc->max_kv_len;
    if (desc->kv_length_mode == CLATTN_LENGTH_RAGGED) {
        span packed = ragged_span(in->cu_seqlens_kv, b, tokens, desc->max_kv_len);
        if (desc->has_kv_lens)
            packed.length = (int32_t)clamp(in->kv_lens[b], 0, packed.length);
        return packed;
    }
    if (desc->kv_mode == CLATTN_KV_PAGE_LIST)
        return (span){ 0, page_list_length(desc, in, b) };
    int32_t length = desc->kv_length_mode == CLATTN_LENGTH_PER_SEQUENCE ? in->kv_lens[b] : in->kv_len;
    return (span){ 0, (int32_t)clamp(length, 0, desc->max_kv_len) };
}

int32_t ref_q_len(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b)
{
    return q_span(desc, in, b).length;
}

int32_t ref_kv_len(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b)
{
    return kv_span(desc, in, b).length;
}

int32_t ref_v_head_dim(const clattn_attention_desc *desc)
{
    return desc->v_head_dim ? desc->v_head_dim : desc->head_dim;
}

static int64_t element(const clattn_strides *strides, int32_t b, int64_t token, int32_t head)
{
    return b * strides->batch + token * strides->token + head * strides->head;
}

int32_t ref_key_page(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t kv_head, int32_t j)
{
    int64_t max_pages = desc->max_pages ? desc->max_pages : ((int64_t)desc->max_kv_len - 1) / desc->page_size + 1;
    int64_t stride = desc->block_table_stride ? desc->block_table_stride : max_pages;
    int32_t page;
    if (desc->kv_mode == CLATTN_KV_PAGE_LIST)
        page = in->page_indices[clamp(in->page_indptr[b], 0, desc->max_page_indices) + j / desc->page_size];
    else
        page = in->block_table[b * stride + kv_head * desc->block_table_head_stride + j / desc->page_size];
    return page >= 0 && page < desc->pages ? page : -1;
}

/* Where key j of a kv head starts in K or V. */
static int64_t key_element(const clattn_attention_desc *desc, const ref_inputs *in, const clattn_strides *strides,
                           const clattn_page_strides *pages, int32_t b, int32_t kv_head, int32_t j)
{
    if (desc->kv_mode == CLATTN_KV_CONTIGUOUS)
        return element(strides, b, kv_span(desc, in, b).first + j, kv_head);
    return ref_key_page(desc, in, b, kv_head, j) * pages->page + j % desc->page_size * pages->token +
           kv_head * pages->head;
}

static void load_key(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t kv_head, int32_t j,
                     double *out)
{
    int64_t at = key_element(desc, in, &desc->k, &desc->k_cache, b, kv_head, j);
    ref_load_row(in->k, desc->k_dtype, at, desc->head_dim, out);
    for (int32_t d = 0; desc->k_dtype == CLATTN_FP8 && d < desc->head_dim; d++)
        out[d] *= (double)in->k_scales[kv_head];
}

static void load_value(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t kv_head, int32_t j,
                       double *out)
{
    int64_t at = key_element(desc, in, &desc->v, &desc->v_cache, b, kv_head, j);
    int32_t v_dim = ref_v_head_dim(desc);
    ref_load_row(in->v, desc->v_dtype, at, v_dim, out);
    for (int32_t d = 0; desc->v_dtype == CLATTN_FP8 && d < v_dim; d++)
        out[d] *= (double)in->v_scales[kv_head];
}

int64_t ref_o_index(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t i, int32_t q_head)
{
    return element(&desc->o, b, q_span(desc, in, b).first + i, q_head);
}

int64_t ref_lse_index(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t i, int32_t q_head)
{
    return element(&desc->lse, b, q_span(desc, in, b).first + i, q_head);
}

/* p of query i. */
static int64_t position(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t i)
{
    switch (desc->q_offset_mode) {
    case CLATTN_Q_OFFSET_CONSTANT:
        return (int64_t)i + desc->q_offset;
    case CLATTN_Q_OFFSET_ARRAY:
        return (int64_t)i + in->q_offsets[b];
    case CLATTN_Q_OFFSET_BOTTOM_RIGHT:
        break;
    }
    return (int64_t)i + ref_kv_len(desc, in, b) - ref_q_len(desc, in, b);
}

static int64_t mask_index(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t q_head, int32_t i,
                          int32_t j)
{
    int64_t start = desc->has_mask_offsets ? in->mask_offsets[b] : b * desc->mask_batch_stride;
    int64_t row_stride = desc->has_mask_row_strides ? in->mask_row_strides[b] : desc->mask_q_stride;
    return start + q_head * desc->mask_head_stride + i * row_stride + j * desc->mask_kv_stride;
}

static double additive_mask(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t q_head,
                            int32_t i, int32_t j)
{
    if (desc->mask_kind != CLATTN_MASK_ADD_F32 && desc->mask_kind != CLATTN_MASK_ADD_F16)
        return 0.0;
    clattn_dtype dtype = desc->mask_kind == CLATTN_MASK_ADD_F32 ? CLATTN_F32 : CLATTN_F16;
    return ref_load(in->mask, dtype, mask_index(desc, in, b, q_head, i, j));
}

static bool mask_keeps(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t q_head, int32_t i,
                       int32_t j)
{
    if (desc->mask_kind == CLATTN_MASK_BITS) {
        int64_t bit = mask_index(desc, in, b, q_head, i, j);
        return (((const uint8_t *)in->mask)[bit / 8] >> bit % 8 & 1) != 0;
    }
    if (desc->mask_kind == CLATTN_MASK_BOOL)
        return ((const uint8_t *)in->mask)[mask_index(desc, in, b, q_head, i, j)] != 0;
    return !(additive_mask(desc, in, b, q_head, i, j) <= -1e30); /* so a NaN is kept, and added */
}

bool ref_attends(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t q_head, int32_t i,
                 int32_t j)
{
    int64_t p = position(desc, in, b, i);
    bool lr = desc->window_mode == CLATTN_WINDOW_LR;
    if (j < 0 || j >= ref_kv_len(desc, in, b))
        return false;
    if (desc->causal && j > p)
        return false;
    if (lr && desc->window_left >= 0 && j < p - desc->window_left)
        return false;
    if (lr && desc->window_right >= 0 && j > p + desc->window_right)
        return false;
    if (desc->kv_mode != CLATTN_KV_CONTIGUOUS &&
        ref_key_page(desc, in, b, q_head / (desc->q_heads / desc->kv_heads), j) < 0)
        return false;
    return mask_keeps(desc, in, b, q_head, i, j);
}

static double logit(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t q_head, int32_t i,
                    int32_t j, const double *q, const double *k)
{
    double dot = 0.0;
    for (int32_t d = 0; d < desc->head_dim; d++)
        dot += q[d] * k[d];
    double x = dot * (desc->scale != 0.0f ? (double)desc->scale : 1.0 / sqrt((double)desc->head_dim));
    if (desc->softcap > 0.0f)
        x = (double)desc->softcap * tanh(x / (double)desc->softcap);
    if (desc->has_alibi)
        x -= (double)in->alibi_slopes[q_head] * fabs((double)(position(desc, in, b, i) - j));
    return x + additive_mask(desc, in, b, q_head, i, j);
}

/* What one row needs while it is computed. */
typedef struct scratch {
    double *logits; /* of the attended keys, in the keys' order */
    int32_t *keys;  /* their positions */
    double *q;      /* head_dim */
    double *kv;     /* max(head_dim, v_head_dim) */
} scratch;

static void scratch_free(scratch *s)
{
    free(s->logits);
    free(s->keys);
    free(s->q);
    free(s->kv);
}

static bool scratch_make(scratch *s, int32_t kv_len, int32_t head_dim, int32_t v_head_dim)
{
    size_t keys = (size_t)kv_len + 1; /* never an allocation of 0 bytes, which may give NULL */
    size_t dims = (size_t)(head_dim > v_head_dim ? head_dim : v_head_dim);
    s->logits = malloc(keys * sizeof(double));
    s->keys = malloc(keys * sizeof(int32_t));
    s->q = malloc(dims * sizeof(double));
    s->kv = malloc(dims * sizeof(double));
    if (s->logits && s->keys && s->q && s->kv)
        return true;
    scratch_free(s);
    return false;
}

/* First pass: the logits of attended keys, and only those keys are read. Returns their number. */
static int32_t row_logits(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t q_head, int32_t i,
                          const scratch *s)
{
    int32_t kv_head = q_head / (desc->q_heads / desc->kv_heads);
    span keys = kv_span(desc, in, b);
    int32_t count = 0;
    ref_load_row(in->q, desc->q_dtype, element(&desc->q, b, q_span(desc, in, b).first + i, q_head), desc->head_dim,
                 s->q);
    for (int32_t j = 0; j < keys.length; j++) {
        if (!ref_attends(desc, in, b, q_head, i, j))
            continue;
        load_key(desc, in, b, kv_head, j, s->kv);
        s->logits[count] = logit(desc, in, b, q_head, i, j, s->q, s->kv);
        s->keys[count] = j;
        count++;
    }
    return count;
}

bool ref_attention_row(const clattn_attention_desc *desc, const ref_inputs *in, int32_t b, int32_t q_head, int32_t i,
                       double *out, ref_row *row)
{
    int32_t v_dim = ref_v_head_dim(desc);
    int32_t kv_head = q_head / (desc->q_heads / desc->kv_heads);
    span keys = kv_span(desc, in, b);
    scratch s;
    if (!scratch_make(&s, keys.length, desc->head_dim, v_dim))
        return false;
    int32_t count = row_logits(desc, in, b, q_head, i, &s);

    double max = desc->has_sinks ? (double)in->sinks[q_head] : (double)-INFINITY;
    for (int32_t n = 0; n < count; n++)
        max = fmax(max, s.logits[n]); /* skips NaN, which comes back through exp below */

    *row = (ref_row){ .lse = max, .max_abs_logit = 0.0, .attended = count };
    for (int32_t d = 0; d < v_dim; d++)
        out[d] = 0.0;
    double sum = desc->has_sinks ? exp((double)in->sinks[q_head] - max) : 0.0;
    for (int32_t n = 0; n < count; n++) {
        double p = exp(s.logits[n] - max);
        sum += p;
        if (p > 0.0)
            row->max_abs_logit = fmax(row->max_abs_logit, fabs(s.logits[n]));
        load_value(desc, in, b, kv_head, s.keys[n], s.kv);
        for (int32_t d = 0; d < v_dim; d++)
            out[d] += p * s.kv[d];
    }
    scratch_free(&s);
    if (count == 0) /* LSE is -inf or the sink, as set above */
        return true;
    row->lse = max + log(sum);
    for (int32_t d = 0; d < v_dim; d++)
        out[d] /= sum;
    return true;
}
