/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/problem.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>

#include "plan/reach.h"
#include "util/range.h"
#include "util/status.h"

static clattn_status check_integers(const clattn_attention_desc *d)
{
    const clattn_range fields[] = {
        { "q_dtype", d->q_dtype, 0, CLATTN_FLOAT_DTYPE_COUNT - 1 },
        { "k_dtype", d->k_dtype, 0, CLATTN_DTYPE_COUNT - 1 },
        { "v_dtype", d->v_dtype, 0, CLATTN_DTYPE_COUNT - 1 },
        { "o_dtype", d->o_dtype, 0, CLATTN_FLOAT_DTYPE_COUNT - 1 },
        { "q_heads", d->q_heads, 1, 65535 },
        { "kv_heads", d->kv_heads, 1, 65535 },
        { "head_dim", d->head_dim, 1, CLATTN_MAX_HEAD_DIM },
        { "v_head_dim", d->v_head_dim, 0, CLATTN_MAX_HEAD_DIM },
        { "max_batch", d->max_batch, 0, CLATTN_MAX_COUNT },
        { "max_q_len", d->max_q_len, 0, CLATTN_MAX_COUNT },
        { "max_kv_len", d->max_kv_len, 0, CLATTN_MAX_COUNT },
        { "min_q_len", d->min_q_len, 0, d->max_q_len },
        { "max_q_tokens", d->max_q_tokens, 0, INT64_MAX },
        { "max_kv_tokens", d->max_kv_tokens, 0, INT64_MAX },
        { "window_mode", d->window_mode, 0, CLATTN_WINDOW_LR },
        { "window_left", d->window_mode ? d->window_left : 0, -1, INT32_MAX },
        { "window_right", d->window_mode ? d->window_right : 0, -1, INT32_MAX },
        { "q_offset_mode", d->q_offset_mode, 0, CLATTN_Q_OFFSET_ARRAY },
        { "q_offset", d->q_offset_mode == CLATTN_Q_OFFSET_CONSTANT ? d->q_offset : 0, INT32_MIN,
          (int64_t)INT32_MAX - d->max_q_len },
        { "mask_kind", d->mask_kind, 0, CLATTN_MASK_BITS },
        { "kv_mode", d->kv_mode, 0, CLATTN_KV_PAGE_LIST },
        { "q.batch", d->q.batch, 0, INT64_MAX },
        { "q.token", d->q.token, 0, INT64_MAX },
        { "q.head", d->q.head, 0, INT64_MAX },
        { "k.batch", d->k.batch, 0, INT64_MAX },
        { "k.token", d->k.token, 0, INT64_MAX },
        { "k.head", d->k.head, 0, INT64_MAX },
        { "v.batch", d->v.batch, 0, INT64_MAX },
        { "v.token", d->v.token, 0, INT64_MAX },
        { "v.head", d->v.head, 0, INT64_MAX },
        { "o.batch", d->o.batch, 0, INT64_MAX },
        { "o.token", d->o.token, 0, INT64_MAX },
        { "o.head", d->o.head, 0, INT64_MAX },
        { "lse.batch", d->has_lse ? d->lse.batch : 0, 0, INT64_MAX },
        { "lse.token", d->has_lse ? d->lse.token : 0, 0, INT64_MAX },
        { "lse.head", d->has_lse ? d->lse.head : 0, 0, INT64_MAX },
        { "mask_batch_stride", d->mask_kind ? d->mask_batch_stride : 0, 0, INT64_MAX },
        { "mask_head_stride", d->mask_kind ? d->mask_head_stride : 0, 0, INT64_MAX },
        { "mask_q_stride", d->mask_kind ? d->mask_q_stride : 0, 0, INT64_MAX },
        { "mask_kv_stride", d->mask_kind ? d->mask_kv_stride : 0, 0, INT64_MAX },
    };
    return clattn_check_ranges(fields, sizeof(fields) / sizeof(fields[0]));
}

static clattn_status check_pages(const clattn_attention_desc *d)
{
    const bool table = d->kv_mode == CLATTN_KV_BLOCK_TABLE;
    const int64_t needed = ((int64_t)d->max_kv_len + d->page_size - 1) / (d->page_size > 0 ? d->page_size : 1);
    const clattn_range fields[] = {
        { "page_size", d->page_size, 1, CLATTN_MAX_PAGE_SIZE },
        { "pages", d->pages, 0, CLATTN_MAX_COUNT },
        { "max_pages", table && d->max_pages ? d->max_pages : needed, needed, CLATTN_MAX_COUNT },
        { "block_table_stride", table ? d->block_table_stride : 0, 0, INT64_MAX },
        { "block_table_head_stride", table ? d->block_table_head_stride : 0, 0, INT64_MAX },
        { "max_page_indices", table ? 0 : d->max_page_indices, 0, INT64_MAX },
        { "k_cache.page", d->k_cache.page, 0, INT64_MAX },
        { "k_cache.token", d->k_cache.token, 0, INT64_MAX },
        { "k_cache.head", d->k_cache.head, 0, INT64_MAX },
        { "v_cache.page", d->v_cache.page, 0, INT64_MAX },
        { "v_cache.token", d->v_cache.token, 0, INT64_MAX },
        { "v_cache.head", d->v_cache.head, 0, INT64_MAX },
    };
    CLATTN_TRY(clattn_check_ranges(fields, sizeof(fields) / sizeof(fields[0])));
    if (d->kv_length_mode == CLATTN_LENGTH_RAGGED)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "kv_length_mode is RAGGED (%d); with pages it has to be UNIFORM (%d) or PER_SEQUENCE (%d)",
                           CLATTN_LENGTH_RAGGED, CLATTN_LENGTH_UNIFORM, CLATTN_LENGTH_PER_SEQUENCE);
    if (!table && d->kv_length_mode != CLATTN_LENGTH_PER_SEQUENCE)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "kv_length_mode is %d; with kv_mode PAGE_LIST it has to be PER_SEQUENCE (%d)",
                           (int)d->kv_length_mode, CLATTN_LENGTH_PER_SEQUENCE);
    return CLATTN_OK;
}

static clattn_status check_lengths(const clattn_attention_desc *d)
{
    if (d->q_length_mode != CLATTN_LENGTH_UNIFORM && d->q_length_mode != CLATTN_LENGTH_RAGGED)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "q_length_mode is %d; it has to be UNIFORM (%d) or RAGGED (%d)",
                           (int)d->q_length_mode, CLATTN_LENGTH_UNIFORM, CLATTN_LENGTH_RAGGED);
    if ((int)d->kv_length_mode < CLATTN_LENGTH_UNIFORM || d->kv_length_mode > CLATTN_LENGTH_RAGGED)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "kv_length_mode is %d; it has to be %d to %d",
                           (int)d->kv_length_mode, CLATTN_LENGTH_UNIFORM, CLATTN_LENGTH_RAGGED);
    if (d->q_length_mode == CLATTN_LENGTH_RAGGED && (d->q.batch || d->o.batch || (d->has_lse && d->lse.batch)))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "q.batch, o.batch, lse.batch are %" PRId64 ", %" PRId64 ", %" PRId64
                           "; with ragged Q they have to be 0",
                           d->q.batch, d->o.batch, d->lse.batch);
    if (d->kv_length_mode == CLATTN_LENGTH_RAGGED && (d->k.batch || d->v.batch))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "k.batch, v.batch are %" PRId64 ", %" PRId64 "; with ragged K and V they have to be 0",
                           d->k.batch, d->v.batch);
    if (d->has_kv_lens && d->kv_length_mode == CLATTN_LENGTH_UNIFORM)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "has_kv_lens is set; kv_length_mode has to be PER_SEQUENCE or RAGGED with it");
    return CLATTN_OK;
}

static clattn_status check_heads_and_logits(const clattn_attention_desc *d)
{
    if (d->q_heads % d->kv_heads != 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "q_heads is %" PRId32 "; it has to be a multiple of kv_heads, %" PRId32, d->q_heads,
                           d->kv_heads);
    if ((int64_t)d->max_q_len * (d->q_heads / d->kv_heads) > CLATTN_MAX_COUNT)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "max_q_len * q_heads / kv_heads is %" PRId64 "; it has to be up to %d",
                           (int64_t)d->max_q_len * (d->q_heads / d->kv_heads), CLATTN_MAX_COUNT);
    CLATTN_TRY(clattn_check_blocks("head_dim", d->head_dim, "k_dtype", d->k_dtype));
    CLATTN_TRY(clattn_check_blocks("v_head_dim", d->v_head_dim ? d->v_head_dim : d->head_dim, "v_dtype", d->v_dtype));
    if (!isfinite(d->scale))
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "scale is %g; it has to be finite", (double)d->scale);
    if (!isfinite(d->softcap) || d->softcap < 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "softcap is %g; it has to be finite and at least 0",
                           (double)d->softcap);
    if (!d->mask_kind && (d->has_mask_offsets || d->has_mask_row_strides))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "mask_kind is NONE; has_mask_offsets and has_mask_row_strides need a mask");
    return CLATTN_OK;
}

static clattn_status check_mask_layout(const clattn_attention_desc *d)
{
    if (d->mask_kind == CLATTN_MASK_NONE || clattn_mask_reach(d, d->max_batch, d->max_q_len, d->max_kv_len) >= 0)
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT,
                       "mask_batch_stride, mask_head_stride, mask_q_stride, mask_kv_stride are %" PRId64 ", %" PRId64
                       ", %" PRId64 ", %" PRId64
                       "; with the bounds they reach past 2^63 elements and have to be smaller",
                       d->mask_batch_stride, d->mask_head_stride, d->mask_q_stride, d->mask_kv_stride);
}

static clattn_status check_block_table(const clattn_attention_desc *d)
{
    if (d->kv_mode != CLATTN_KV_BLOCK_TABLE || clattn_block_table_reach(d, d->max_batch) >= 0)
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT,
                       "block_table_stride, block_table_head_stride are %" PRId64 ", %" PRId64
                       "; with the bounds they reach past 2^63 entries and have to be smaller",
                       d->block_table_stride, d->block_table_head_stride);
}

/* On the description with its defaults filled in. */
static clattn_status check_layouts(const clattn_attention_desc *d)
{
    const bool paged = d->kv_mode != CLATTN_KV_CONTIGUOUS;
    const clattn_strides k_cache = { d->k_cache.page, d->k_cache.token, d->k_cache.head };
    const clattn_strides v_cache = { d->v_cache.page, d->v_cache.token, d->v_cache.head };
    const bool ragged_q = d->q_length_mode == CLATTN_LENGTH_RAGGED,
               ragged_kv = d->kv_length_mode == CLATTN_LENGTH_RAGGED;
    const int64_t q_batch = ragged_q ? 1 : d->max_batch, q_tokens = ragged_q ? d->max_q_tokens : d->max_q_len;
    const int64_t kv_batch = ragged_kv ? 1 : d->max_batch, kv_tokens = ragged_kv ? d->max_kv_tokens : d->max_kv_len;
    const struct {
        const char *name; /* of the first stride */
        const clattn_strides *strides;
        int64_t batch, tokens, heads, row;
        bool written;
    } tensors[] = {
        { "q.batch", &d->q, q_batch, q_tokens, d->q_heads, d->head_dim, false },
        { "k.batch", &d->k, paged ? 0 : kv_batch, kv_tokens, d->kv_heads, clattn_row_blocks(d->k_dtype, d->head_dim),
          false },
        { "v.batch", &d->v, paged ? 0 : kv_batch, kv_tokens, d->kv_heads, clattn_row_blocks(d->v_dtype, d->v_head_dim),
          false },
        { "k_cache.page", &k_cache, paged ? d->pages : 0, d->page_size, d->kv_heads,
          clattn_row_blocks(d->k_dtype, d->head_dim), false },
        { "v_cache.page", &v_cache, paged ? d->pages : 0, d->page_size, d->kv_heads,
          clattn_row_blocks(d->v_dtype, d->v_head_dim), false },
        { "o.batch", &d->o, q_batch, q_tokens, d->q_heads, d->v_head_dim, true },
        { "lse.batch", &d->lse, d->has_lse ? q_batch : 0, q_tokens, d->q_heads, 1, true },
    };
    for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
        const clattn_strides *s = tensors[i].strides;
        const int64_t reach =
            clattn_tensor_reach(s, tensors[i].batch, tensors[i].tokens, tensors[i].heads, tensors[i].row);
        if (reach < 0 || reach > INT64_MAX / 8)
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "%s, .token, .head are %" PRId64 ", %" PRId64 ", %" PRId64
                               "; with the bounds they reach past 2^60 elements and have to be smaller",
                               tensors[i].name, s->batch, s->token, s->head);
        if (tensors[i].written && reach > 0 &&
            clattn_tensor_overlaps(s, tensors[i].batch, tensors[i].tokens, tensors[i].heads, tensors[i].row))
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "%s, .token, .head are %" PRId64 ", %" PRId64 ", %" PRId64
                               "; its rows overlap, each stride has to be at least what the smaller ones span",
                               tensors[i].name, s->batch, s->token, s->head);
    }
    CLATTN_TRY(check_block_table(d));
    return check_mask_layout(d);
}

static void fill_defaults(clattn_attention_desc *d)
{
    if (d->v_head_dim == 0)
        d->v_head_dim = d->head_dim;
    if (d->scale == 0)
        d->scale = (float)(1.0 / sqrt((double)d->head_dim));
    if (d->max_q_tokens == 0)
        d->max_q_tokens = (int64_t)d->max_batch * d->max_q_len;
    if (d->max_kv_tokens == 0)
        d->max_kv_tokens = (int64_t)d->max_batch * d->max_kv_len;
    if (d->kv_mode != CLATTN_KV_CONTIGUOUS && d->max_pages == 0)
        d->max_pages = (int32_t)(((int64_t)d->max_kv_len + d->page_size - 1) / d->page_size);
    if (d->block_table_stride == 0)
        d->block_table_stride = d->max_pages;
    if (d->kv_mode != CLATTN_KV_BLOCK_TABLE)
        d->block_table_head_stride = 0; /* all heads share a list */
    if (d->window_mode == CLATTN_WINDOW_NONE) {
        d->window_left = -1;
        d->window_right = -1;
    }
    if (d->causal)
        d->window_right = 0;
    if (d->kv_length_mode == CLATTN_LENGTH_PER_SEQUENCE)
        d->has_kv_lens = d->kv_mode != CLATTN_KV_PAGE_LIST;
}

static clattn_mask_class mask_class_of(const clattn_attention_desc *d)
{
    if (d->mask_kind || d->softcap != 0 || d->has_alibi)
        return CLATTN_MASK_CLASS_GENERAL;
    if (d->window_left >= 0 || d->window_right >= 0)
        return CLATTN_MASK_CLASS_POSITIONAL;
    return CLATTN_MASK_CLASS_NONE;
}

bool clattn_problem_has_keys(const clattn_problem *problem)
{
    return !problem->paged || problem->desc.pages > 0;
}

clattn_status clattn_problem_init(clattn_problem *problem, const clattn_attention_desc *desc)
{
    if (!desc)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "desc is NULL; it has to be a clattn_attention_desc");
    CLATTN_TRY(clattn_check_struct_size("desc", desc->struct_size, sizeof(*desc), "CLATTN_ATTENTION_DESC"));
    CLATTN_TRY(check_integers(desc));
    CLATTN_TRY(check_lengths(desc));
    if (desc->kv_mode != CLATTN_KV_CONTIGUOUS)
        CLATTN_TRY(check_pages(desc));
    CLATTN_TRY(check_heads_and_logits(desc));
    problem->desc = *desc;
    fill_defaults(&problem->desc);
    CLATTN_TRY(check_layouts(&problem->desc));
    problem->group = desc->q_heads / desc->kv_heads;
    problem->mask_class = mask_class_of(&problem->desc);
    problem->paged = desc->kv_mode != CLATTN_KV_CONTIGUOUS;
    return CLATTN_OK;
}

/* How many kv heads have their rows of K, and of V, one behind the other. */
static int32_t heads_together(const clattn_problem *problem)
{
    const clattn_attention_desc *d = &problem->desc;
    const int64_t k = problem->paged ? d->k_cache.head : d->k.head, v = problem->paged ? d->v_cache.head : d->v.head;
    const bool side_by_side =
        k == clattn_row_blocks(d->k_dtype, d->head_dim) && v == clattn_row_blocks(d->v_dtype, d->v_head_dim);
    return side_by_side && d->block_table_head_stride == 0 ? d->kv_heads : 1;
}

clattn_tile_problem clattn_problem_of_tile(const clattn_problem *problem, clattn_fragment_id fragment)
{
    return (clattn_tile_problem){ .head_dim = clattn_dim_class(fragment, problem->desc.head_dim),
                                  .v_head_dim = clattn_dim_class(fragment, problem->desc.v_head_dim),
                                  .group = problem->group,
                                  .heads_together = heads_together(problem),
                                  .paged = problem->paged,
                                  .tail = problem->group > 1 && clattn_problem_has_tail(problem),
                                  .q_dtype = problem->desc.q_dtype,
                                  .k_dtype = problem->desc.k_dtype,
                                  .v_dtype = problem->desc.v_dtype };
}
