/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/bindings.h"

#include "api/buffers.h"
#include "plan/reach.h"
#include "util/status.h"

/* One buffer of a run: which, and whether it is needed. */
typedef struct argument_need {
    clattn_argument argument;
    bool needed;
    clattn_buffer_need need;
} argument_need;

static size_t mask_element_size(clattn_mask_kind kind)
{
    static const size_t sizes[] = {
        [CLATTN_MASK_NONE] = 1, [CLATTN_MASK_BOOL] = 1, [CLATTN_MASK_ADD_F32] = 4, [CLATTN_MASK_ADD_F16] = 2
    };
    return sizes[kind];
}

static clattn_status bind_all(clattn_bindings *bindings, const argument_need *needs, int count)
{
    for (int i = 0; i < CLATTN_ARG_COUNT; i++)
        bindings->memory[i] = (cl_mem)needs[0].need.buffer->handle;
    for (int i = 0; i < count; i++) {
        const clattn_buffer_need *need = &needs[i].need;
        const clattn_argument argument = needs[i].argument;
        bindings->offsets[argument] = 0;
        if (!needs[i].needed)
            continue;
        CLATTN_TRY(clattn_buffer_check(need));
        bindings->memory[argument] = (cl_mem)need->buffer->handle;
        bindings->offsets[argument] = clattn_buffer_offset(need);
    }
    return CLATTN_OK;
}

clattn_status clattn_bindings_init(clattn_bindings *bindings, const clattn_launches *launches,
                                   const clattn_attention_args *args)
{
    const clattn_attention_desc *d = &launches->plan->problem.desc;
    const int64_t batch = launches->batch;
    const bool ragged_q = d->q_length_mode == CLATTN_LENGTH_RAGGED;
    const bool ragged_kv = d->kv_length_mode == CLATTN_LENGTH_RAGGED;
    const int64_t q_tokens = ragged_q ? d->max_q_tokens : launches->q_len;
    const int64_t kv_tokens = ragged_kv ? d->max_kv_tokens : launches->kv_len;
    const bool any_keys = launches->kv_len > 0;
    const size_t workspace = clattn_launches_workspace(launches);
    const argument_need needs[] = {
        { CLATTN_ARG_Q, true,
          clattn_tensor_need("q", &args->q, d->q_dtype,
                             clattn_tensor_reach(&d->q, batch, q_tokens, d->q_heads, d->head_dim)) },
        { CLATTN_ARG_K, any_keys,
          clattn_tensor_need(
              "k", &args->k, d->k_dtype,
              clattn_tensor_reach(&d->k, batch, kv_tokens, d->kv_heads, clattn_row_blocks(d->k_dtype, d->head_dim))) },
        { CLATTN_ARG_V, any_keys,
          clattn_tensor_need("v", &args->v, d->v_dtype,
                             clattn_tensor_reach(&d->v, batch, kv_tokens, d->kv_heads,
                                                 clattn_row_blocks(d->v_dtype, d->v_head_dim))) },
        { CLATTN_ARG_O, true,
          clattn_tensor_need("o", &args->o, d->o_dtype,
                             clattn_tensor_reach(&d->o, batch, q_tokens, d->q_heads, d->v_head_dim)) },
        { CLATTN_ARG_LSE, d->has_lse != 0,
          clattn_array_need("lse", &args->lse, sizeof(float),
                            clattn_tensor_reach(&d->lse, batch, q_tokens, d->q_heads, 1)) },
        { CLATTN_ARG_CU_SEQLENS_Q, ragged_q,
          clattn_array_need("cu_seqlens_q", &args->cu_seqlens_q, sizeof(int32_t), batch + 1) },
        { CLATTN_ARG_CU_SEQLENS_KV, ragged_kv,
          clattn_array_need("cu_seqlens_kv", &args->cu_seqlens_kv, sizeof(int32_t), batch + 1) },
        { CLATTN_ARG_KV_LENS, d->has_kv_lens != 0,
          clattn_array_need("kv_lens", &args->kv_lens, sizeof(int32_t), batch) },
        { CLATTN_ARG_Q_OFFSETS, d->q_offset_mode == CLATTN_Q_OFFSET_ARRAY,
          clattn_array_need("q_offsets", &args->q_offsets, sizeof(int32_t), batch) },
        { CLATTN_ARG_MASK, d->mask_kind != CLATTN_MASK_NONE && any_keys,
          clattn_array_need("mask", &args->mask, mask_element_size(d->mask_kind),
                            clattn_mask_reach(d, batch, launches->q_len, launches->kv_len)) },
        { CLATTN_ARG_MASK_OFFSETS, d->has_mask_offsets != 0,
          clattn_array_need("mask_offsets", &args->mask_offsets, sizeof(int64_t), batch) },
        { CLATTN_ARG_MASK_ROW_STRIDES, d->has_mask_row_strides != 0,
          clattn_array_need("mask_row_strides", &args->mask_row_strides, sizeof(int64_t), batch) },
        { CLATTN_ARG_ALIBI_SLOPES, d->has_alibi != 0,
          clattn_array_need("alibi_slopes", &args->alibi_slopes, sizeof(float), d->q_heads) },
        { CLATTN_ARG_SINKS, d->has_sinks != 0, clattn_array_need("sinks", &args->sinks, sizeof(float), d->q_heads) },
        { CLATTN_ARG_WORKSPACE, workspace > 0,
          clattn_array_need("workspace", &args->workspace, sizeof(float), (int64_t)(workspace / sizeof(float))) },
    };
    return bind_all(bindings, needs, (int)(sizeof(needs) / sizeof(needs[0])));
}
