/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/bindings.h"

#include <inttypes.h>
#include <string.h>

#include "plan/reach.h"
#include "util/status.h"

/* One buffer of a run: which, whether it is needed, its element and how many elements it has to reach. */
typedef struct buffer_need {
    clattn_argument argument;
    const char *name;
    const clattn_buffer *buffer;
    bool needed;
    size_t element_size;
    int64_t elements; /* -1: more than an int64_t counts */
} buffer_need;

/* With offsets or row strides from the device only what is known here can be checked. */
static int64_t mask_reach(const clattn_attention_desc *d, const clattn_launches *launches)
{
    if (launches->kv_len == 0)
        return 0;
    const clattn_dimension dimensions[] = {
        { launches->batch, d->has_mask_offsets ? 0 : d->mask_batch_stride },
        { d->q_heads, d->mask_head_stride },
        { launches->q_len, d->has_mask_row_strides ? 0 : d->mask_q_stride },
        { launches->kv_len, d->mask_kv_stride },
    };
    return clattn_reach(dimensions, 4, 1);
}

static size_t mask_element_size(clattn_mask_kind kind)
{
    static const size_t sizes[] = {
        [CLATTN_MASK_NONE] = 1, [CLATTN_MASK_BOOL] = 1, [CLATTN_MASK_ADD_F32] = 4, [CLATTN_MASK_ADD_F16] = 2
    };
    return sizes[kind];
}

static clattn_status memory_size(const buffer_need *need, size_t *size)
{
    const clattn_buffer *buffer = need->buffer;
    size_t whole = 0;
    const cl_int code = clGetMemObjectInfo((cl_mem)buffer->handle, CL_MEM_SIZE, sizeof(whole), &whole, NULL);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clGetMemObjectInfo", code);
    if (buffer->offset > whole || buffer->size > whole - buffer->offset)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s.offset + %s.size is %zu + %zu; it has to be within its cl_mem of %zu bytes", need->name,
                           need->name, buffer->offset, buffer->size, whole);
    *size = buffer->size ? buffer->size : whole - buffer->offset;
    return CLATTN_OK;
}

static clattn_status check_need(const buffer_need *need)
{
    const clattn_buffer *buffer = need->buffer;
    if (buffer->kind != CLATTN_BUFFER_CL_MEM)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s.kind is %d; it has to be CLATTN_BUFFER_CL_MEM (%d)", need->name,
                           (int)buffer->kind, CLATTN_BUFFER_CL_MEM);
    if (!buffer->handle)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s.handle is NULL; the description needs this buffer", need->name);
    if (buffer->offset % need->element_size != 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s.offset is %zu; it has to be a multiple of the element's %zu bytes", need->name,
                           buffer->offset, need->element_size);
    size_t size = 0;
    CLATTN_TRY(memory_size(need, &size));
    if (need->elements < 0 || (uint64_t)need->elements > size / need->element_size)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s has %zu bytes; strides and lengths reach element %" PRId64 " of %zu bytes", need->name,
                           size, need->elements < 0 ? INT64_MAX : need->elements, need->element_size);
    return CLATTN_OK;
}

static clattn_status bind_all(clattn_bindings *bindings, const buffer_need *needs, int count)
{
    for (int i = 0; i < CLATTN_ARG_COUNT; i++)
        bindings->memory[i] = (cl_mem)needs[0].buffer->handle;
    for (int i = 0; i < count; i++) {
        const buffer_need *need = &needs[i];
        bindings->offsets[need->argument] = 0;
        if (!need->needed)
            continue;
        CLATTN_TRY(check_need(need));
        bindings->memory[need->argument] = (cl_mem)need->buffer->handle;
        bindings->offsets[need->argument] = (int64_t)(need->buffer->offset / need->element_size);
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
    const buffer_need needs[] = {
        { CLATTN_ARG_Q, "q", &args->q, true, clattn_dtype_size(d->q_dtype),
          clattn_tensor_reach(&d->q, batch, q_tokens, d->q_heads, d->head_dim) },
        { CLATTN_ARG_K, "k", &args->k, any_keys, clattn_dtype_size(d->k_dtype),
          clattn_tensor_reach(&d->k, batch, kv_tokens, d->kv_heads, d->head_dim) },
        { CLATTN_ARG_V, "v", &args->v, any_keys, clattn_dtype_size(d->v_dtype),
          clattn_tensor_reach(&d->v, batch, kv_tokens, d->kv_heads, d->v_head_dim) },
        { CLATTN_ARG_O, "o", &args->o, true, clattn_dtype_size(d->o_dtype),
          clattn_tensor_reach(&d->o, batch, q_tokens, d->q_heads, d->v_head_dim) },
        { CLATTN_ARG_LSE, "lse", &args->lse, d->has_lse != 0, sizeof(float),
          clattn_tensor_reach(&d->lse, batch, q_tokens, d->q_heads, 1) },
        { CLATTN_ARG_CU_SEQLENS_Q, "cu_seqlens_q", &args->cu_seqlens_q, ragged_q, sizeof(int32_t), batch + 1 },
        { CLATTN_ARG_CU_SEQLENS_KV, "cu_seqlens_kv", &args->cu_seqlens_kv, ragged_kv, sizeof(int32_t), batch + 1 },
        { CLATTN_ARG_KV_LENS, "kv_lens", &args->kv_lens, d->has_kv_lens != 0, sizeof(int32_t), batch },
        { CLATTN_ARG_Q_OFFSETS, "q_offsets", &args->q_offsets, d->q_offset_mode == CLATTN_Q_OFFSET_ARRAY,
          sizeof(int32_t), batch },
        { CLATTN_ARG_MASK, "mask", &args->mask, d->mask_kind != CLATTN_MASK_NONE && any_keys,
          mask_element_size(d->mask_kind), mask_reach(d, launches) },
        { CLATTN_ARG_MASK_OFFSETS, "mask_offsets", &args->mask_offsets, d->has_mask_offsets != 0, sizeof(int64_t),
          batch },
        { CLATTN_ARG_MASK_ROW_STRIDES, "mask_row_strides", &args->mask_row_strides, d->has_mask_row_strides != 0,
          sizeof(int64_t), batch },
        { CLATTN_ARG_ALIBI_SLOPES, "alibi_slopes", &args->alibi_slopes, d->has_alibi != 0, sizeof(float), d->q_heads },
        { CLATTN_ARG_SINKS, "sinks", &args->sinks, d->has_sinks != 0, sizeof(float), d->q_heads },
        { CLATTN_ARG_WORKSPACE, "workspace", &args->workspace, workspace > 0, sizeof(float),
          (int64_t)(workspace / sizeof(float)) },
    };
    return bind_all(bindings, needs, (int)(sizeof(needs) / sizeof(needs[0])));
}
