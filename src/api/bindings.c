/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/bindings.h"

#include "api/buffers.h"
#include "plan/reach.h"
#include "util/status.h"

static size_t mask_element_size(clattn_mask_kind kind)
{
    static const size_t sizes[] = {
        [CLATTN_MASK_NONE] = 1,    [CLATTN_MASK_BOOL] = 1, [CLATTN_MASK_ADD_F32] = 4,
        [CLATTN_MASK_ADD_F16] = 2, [CLATTN_MASK_BITS] = 1,
    };
    return sizes[kind];
}

/* Bytes of a bit mask hold eight elements each. */
static int64_t mask_elements(const clattn_attention_desc *d, const clattn_launches *launches)
{
    const int64_t reach = clattn_mask_reach(d, launches->batch, launches->q_len, launches->kv_len);
    return d->mask_kind == CLATTN_MASK_BITS && reach > 0 ? (reach - 1) / 8 + 1 : reach;
}

/* The buffers of a run. A buffer that is not needed is not looked at, and the kernels get O's in its place. */
static clattn_status bind(clattn_bindings *bindings, clattn_argument argument, bool needed, clattn_buffer_need need)
{
    bindings->offsets[argument] = 0;
    if (!needed)
        return CLATTN_OK;
    CLATTN_TRY(clattn_buffer_check(&need));
    bindings->memory[argument] = (cl_mem)need.buffer->handle;
    bindings->offsets[argument] = clattn_buffer_offset(&need);
    return CLATTN_OK;
}

static clattn_status bind_ints(clattn_bindings *bindings, clattn_argument argument, bool needed, const char *name,
                               const clattn_buffer *buffer, int64_t count)
{
    return bind(bindings, argument, needed, clattn_array_need(name, buffer, sizeof(int32_t), count));
}

static clattn_status bind_floats(clattn_bindings *bindings, clattn_argument argument, bool needed, const char *name,
                                 const clattn_buffer *buffer, int64_t count)
{
    return bind(bindings, argument, needed, clattn_array_need(name, buffer, sizeof(float), count));
}

static clattn_status bind_outputs_and_q(clattn_bindings *bindings, const clattn_launches *launches,
                                        const clattn_attention_args *args)
{
    const clattn_attention_desc *d = &launches->plan->problem.desc;
    const int64_t batch = launches->batch;
    const bool ragged = d->q_length_mode == CLATTN_LENGTH_RAGGED;
    const int64_t tokens = ragged ? d->max_q_tokens : launches->q_len;
    const int64_t q = clattn_tensor_reach(&d->q, batch, tokens, d->q_heads, d->head_dim);
    const int64_t o = clattn_tensor_reach(&d->o, batch, tokens, d->q_heads, d->v_head_dim);
    const int64_t lse = clattn_tensor_reach(&d->lse, batch, tokens, d->q_heads, 1);
    const size_t workspace = clattn_launches_workspace(launches);
    CLATTN_TRY(bind(bindings, CLATTN_ARG_Q, true, clattn_tensor_need("q", &args->q, d->q_dtype, q)));
    CLATTN_TRY(bind(bindings, CLATTN_ARG_O, true, clattn_tensor_need("o", &args->o, d->o_dtype, o)));
    CLATTN_TRY(bind_floats(bindings, CLATTN_ARG_LSE, d->has_lse != 0, "lse", &args->lse, lse));
    CLATTN_TRY(bind_ints(bindings, CLATTN_ARG_CU_SEQLENS_Q, ragged, "cu_seqlens_q", &args->cu_seqlens_q, batch + 1));
    return bind_floats(bindings, CLATTN_ARG_WORKSPACE, workspace > 0, "workspace", &args->workspace,
                       (int64_t)(workspace / sizeof(float)));
}

/* Elements or blocks that K or V is reached to. */
static int64_t kv_reach(const clattn_launches *launches, const clattn_strides *strides,
                        const clattn_page_strides *pages, int64_t row)
{
    const clattn_attention_desc *d = &launches->plan->problem.desc;
    const bool ragged = d->kv_length_mode == CLATTN_LENGTH_RAGGED;
    if (launches->plan->problem.paged)
        return clattn_cache_reach(pages, d->pages, d->page_size, d->kv_heads, row);
    return clattn_tensor_reach(strides, launches->batch, ragged ? d->max_kv_tokens : launches->kv_len, d->kv_heads,
                               row);
}

static clattn_status bind_keys(clattn_bindings *bindings, const clattn_launches *launches,
                               const clattn_attention_args *args)
{
    const clattn_problem *problem = &launches->plan->problem;
    const clattn_attention_desc *d = &problem->desc;
    const bool any = launches->kv_len > 0 && clattn_problem_has_keys(problem);
    const int64_t k = kv_reach(launches, &d->k, &d->k_cache, clattn_row_blocks(d->k_dtype, d->head_dim));
    const int64_t v = kv_reach(launches, &d->v, &d->v_cache, clattn_row_blocks(d->v_dtype, d->v_head_dim));
    CLATTN_TRY(bind(bindings, CLATTN_ARG_K, any, clattn_tensor_need("k", &args->k, d->k_dtype, k)));
    CLATTN_TRY(bind(bindings, CLATTN_ARG_V, any, clattn_tensor_need("v", &args->v, d->v_dtype, v)));
    CLATTN_TRY(
        bind_floats(bindings, CLATTN_ARG_K_SCALES, d->k_dtype == CLATTN_FP8, "k_scales", &args->k_scales, d->kv_heads));
    CLATTN_TRY(
        bind_floats(bindings, CLATTN_ARG_V_SCALES, d->v_dtype == CLATTN_FP8, "v_scales", &args->v_scales, d->kv_heads));
    CLATTN_TRY(bind_ints(bindings, CLATTN_ARG_CU_SEQLENS_KV, d->kv_length_mode == CLATTN_LENGTH_RAGGED, "cu_seqlens_kv",
                         &args->cu_seqlens_kv, launches->batch + 1));
    return bind_ints(bindings, CLATTN_ARG_KV_LENS, d->has_kv_lens != 0, "kv_lens", &args->kv_lens, launches->batch);
}

static clattn_status bind_pages(clattn_bindings *bindings, const clattn_launches *launches,
                                const clattn_attention_args *args)
{
    const clattn_problem *problem = &launches->plan->problem;
    const clattn_attention_desc *d = &problem->desc;
    const int64_t batch = launches->batch;
    const bool any = launches->kv_len > 0 && clattn_problem_has_keys(problem);
    const bool list = d->kv_mode == CLATTN_KV_PAGE_LIST;
    bindings->has_error_record = problem->paged && args->error_record.handle;
    CLATTN_TRY(bind_ints(bindings, CLATTN_ARG_BLOCK_TABLE, any && problem->paged && !list, "block_table",
                         &args->block_table, clattn_block_table_reach(d, batch)));
    if (list)
        CLATTN_TRY(bind_ints(bindings, CLATTN_ARG_BLOCK_TABLE, any && d->max_page_indices > 0, "page_indices",
                             &args->page_indices, d->max_page_indices));
    CLATTN_TRY(bind_ints(bindings, CLATTN_ARG_PAGE_INDPTR, list, "page_indptr", &args->page_indptr, batch + 1));
    CLATTN_TRY(bind_ints(bindings, CLATTN_ARG_LAST_PAGE_LEN, list, "last_page_len", &args->last_page_len, batch));
    return bind(bindings, CLATTN_ARG_ERROR_RECORD, bindings->has_error_record, clattn_record_need(&args->error_record));
}

static clattn_status bind_modifiers(clattn_bindings *bindings, const clattn_launches *launches,
                                    const clattn_attention_args *args)
{
    const clattn_attention_desc *d = &launches->plan->problem.desc;
    const int64_t batch = launches->batch;
    CLATTN_TRY(
        bind(bindings, CLATTN_ARG_MASK, d->mask_kind != CLATTN_MASK_NONE && launches->kv_len > 0,
             clattn_array_need("mask", &args->mask, mask_element_size(d->mask_kind), mask_elements(d, launches))));
    CLATTN_TRY(bind(bindings, CLATTN_ARG_MASK_OFFSETS, d->has_mask_offsets != 0,
                    clattn_array_need("mask_offsets", &args->mask_offsets, sizeof(int64_t), batch)));
    CLATTN_TRY(bind(bindings, CLATTN_ARG_MASK_ROW_STRIDES, d->has_mask_row_strides != 0,
                    clattn_array_need("mask_row_strides", &args->mask_row_strides, sizeof(int64_t), batch)));
    CLATTN_TRY(bind_ints(bindings, CLATTN_ARG_Q_OFFSETS, d->q_offset_mode == CLATTN_Q_OFFSET_ARRAY, "q_offsets",
                         &args->q_offsets, batch));
    CLATTN_TRY(bind_floats(bindings, CLATTN_ARG_ALIBI_SLOPES, d->has_alibi != 0, "alibi_slopes", &args->alibi_slopes,
                           d->q_heads));
    return bind_floats(bindings, CLATTN_ARG_SINKS, d->has_sinks != 0, "sinks", &args->sinks, d->q_heads);
}

clattn_status clattn_bindings_init(clattn_bindings *bindings, const clattn_launches *launches,
                                   const clattn_attention_args *args)
{
    for (int i = 0; i < CLATTN_ARG_COUNT; i++)
        bindings->memory[i] = (cl_mem)args->o.handle;
    CLATTN_TRY(bind_outputs_and_q(bindings, launches, args));
    CLATTN_TRY(bind_keys(bindings, launches, args));
    CLATTN_TRY(bind_pages(bindings, launches, args));
    return bind_modifiers(bindings, launches, args);
}
