/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/arguments.h"

#include "util/status.h"

_Static_assert(ARGS_MASK_BOOL == CLATTN_MASK_BOOL && ARGS_MASK_ADD_F32 == CLATTN_MASK_ADD_F32 &&
                   ARGS_MASK_ADD_F16 == CLATTN_MASK_ADD_F16 && ARGS_MASK_BITS == CLATTN_MASK_BITS,
               "attention_args.mask_kind is a clattn_mask_kind");

#define ATTEND_ARGUMENTS                                                                                               \
    CLATTN_ARG_Q, CLATTN_ARG_K, CLATTN_ARG_V, CLATTN_ARG_CU_SEQLENS_Q, CLATTN_ARG_CU_SEQLENS_KV, CLATTN_ARG_KV_LENS,   \
        CLATTN_ARG_Q_OFFSETS, CLATTN_ARG_BLOCK_TABLE, CLATTN_ARG_PAGE_INDPTR, CLATTN_ARG_LAST_PAGE_LEN,                \
        CLATTN_ARG_ERROR_RECORD, CLATTN_ARG_K_SCALES, CLATTN_ARG_V_SCALES, CLATTN_ARG_MASK, CLATTN_ARG_MASK_OFFSETS,   \
        CLATTN_ARG_MASK_ROW_STRIDES, CLATTN_ARG_ALIBI_SLOPES, CLATTN_ARG_SINKS, CLATTN_ARG_O, CLATTN_ARG_LSE

typedef struct step_arguments {
    int count;
    clattn_argument order[CLATTN_ARG_COUNT];
} step_arguments;

/* After attention_args, as the kernels in cl/ declare them. */
static const step_arguments arguments_of[CLATTN_STEP_COUNT] = {
    [CLATTN_STEP_PREFILL] = { 20, { ATTEND_ARGUMENTS } },
    [CLATTN_STEP_DECODE] = { 21, { ATTEND_ARGUMENTS, CLATTN_ARG_WORKSPACE } },
    [CLATTN_STEP_COMBINE] = { 10,
                              { CLATTN_ARG_CU_SEQLENS_Q, CLATTN_ARG_CU_SEQLENS_KV, CLATTN_ARG_KV_LENS,
                                CLATTN_ARG_Q_OFFSETS, CLATTN_ARG_PAGE_INDPTR, CLATTN_ARG_LAST_PAGE_LEN,
                                CLATTN_ARG_SINKS, CLATTN_ARG_O, CLATTN_ARG_LSE, CLATTN_ARG_WORKSPACE } },
};

static tensor_layout layout_of(const clattn_strides *strides, int64_t offset)
{
    return (tensor_layout){ .offset = offset, .batch = strides->batch, .token = strides->token, .head = strides->head };
}

/* K or V, as a tensor or as pages. */
static tensor_layout kv_layout_of(const clattn_problem *problem, const clattn_strides *strides,
                                  const clattn_page_strides *pages, int64_t offset)
{
    if (!problem->paged)
        return layout_of(strides, offset);
    return (tensor_layout){ .offset = offset, .batch = pages->page, .token = pages->token, .head = pages->head };
}

static int32_t flags_of(const clattn_attention_desc *d)
{
    int32_t flags = 0;
    flags |= d->q_length_mode == CLATTN_LENGTH_RAGGED ? ARGS_RAGGED_Q : 0;
    flags |= d->kv_length_mode == CLATTN_LENGTH_RAGGED ? ARGS_RAGGED_KV : 0;
    flags |= d->has_kv_lens ? ARGS_KV_LENS : 0;
    flags |= d->kv_mode == CLATTN_KV_PAGE_LIST ? ARGS_PAGE_LIST : 0;
    flags |= d->q_offset_mode == CLATTN_Q_OFFSET_CONSTANT ? ARGS_Q_OFFSET_CONSTANT : 0;
    flags |= d->q_offset_mode == CLATTN_Q_OFFSET_ARRAY ? ARGS_Q_OFFSET_ARRAY : 0;
    flags |= d->has_lse ? ARGS_LSE : 0;
    flags |= d->has_sinks ? ARGS_SINKS : 0;
    flags |= d->has_alibi ? ARGS_ALIBI : 0;
    flags |= d->has_mask_offsets ? ARGS_MASK_OFFSETS : 0;
    flags |= d->has_mask_row_strides ? ARGS_MASK_ROW_STRIDES : 0;
    return flags;
}

/* Q's factor: the scale; with it the step to base 2, unless the logit hook makes that. */
static float q_scale_of(const clattn_problem *problem)
{
    const double log2_e = 1.4426950408889634;
    const double scale = (double)problem->desc.scale;
    return (float)(problem->mask_class == CLATTN_MASK_CLASS_GENERAL ? scale : scale * log2_e);
}

static void set_offsets(attention_args *args, const clattn_bindings *bindings)
{
    args->mask_offset = bindings->offsets[CLATTN_ARG_MASK] * (args->mask_kind == ARGS_MASK_BITS ? 8 : 1);
    args->cu_seqlens_q_offset = bindings->offsets[CLATTN_ARG_CU_SEQLENS_Q];
    args->cu_seqlens_kv_offset = bindings->offsets[CLATTN_ARG_CU_SEQLENS_KV];
    args->kv_lens_offset = bindings->offsets[CLATTN_ARG_KV_LENS];
    args->q_offsets_offset = bindings->offsets[CLATTN_ARG_Q_OFFSETS];
    args->block_table_offset = bindings->offsets[CLATTN_ARG_BLOCK_TABLE];
    args->page_indptr_offset = bindings->offsets[CLATTN_ARG_PAGE_INDPTR];
    args->last_page_len_offset = bindings->offsets[CLATTN_ARG_LAST_PAGE_LEN];
    args->k_scales_offset = bindings->offsets[CLATTN_ARG_K_SCALES];
    args->v_scales_offset = bindings->offsets[CLATTN_ARG_V_SCALES];
    args->error_record_offset = bindings->has_error_record ? bindings->offsets[CLATTN_ARG_ERROR_RECORD] : -1;
    args->mask_offsets_offset = bindings->offsets[CLATTN_ARG_MASK_OFFSETS];
    args->mask_row_strides_offset = bindings->offsets[CLATTN_ARG_MASK_ROW_STRIDES];
    args->alibi_offset = bindings->offsets[CLATTN_ARG_ALIBI_SLOPES];
    args->sinks_offset = bindings->offsets[CLATTN_ARG_SINKS];
    args->partial_state_offset = bindings->offsets[CLATTN_ARG_WORKSPACE];
}

attention_args clattn_attention_args_of(const clattn_launches *launches, const clattn_bindings *bindings)
{
    const clattn_plan *plan = launches->plan;
    const clattn_attention_desc *d = &plan->problem.desc;
    attention_args args = {
        .q = layout_of(&d->q, bindings->offsets[CLATTN_ARG_Q]),
        .k = kv_layout_of(&plan->problem, &d->k, &d->k_cache, bindings->offsets[CLATTN_ARG_K]),
        .v = kv_layout_of(&plan->problem, &d->v, &d->v_cache, bindings->offsets[CLATTN_ARG_V]),
        .o = layout_of(&d->o, bindings->offsets[CLATTN_ARG_O]),
        .lse = layout_of(&d->lse, bindings->offsets[CLATTN_ARG_LSE]),
        .mask_batch = d->mask_batch_stride,
        .mask_head = d->mask_head_stride,
        .mask_row = d->mask_q_stride,
        .mask_key = d->mask_kv_stride,
        .q_tokens = d->max_q_tokens,
        .kv_tokens = d->max_kv_tokens,
        .block_table_row = d->block_table_stride,
        .block_table_head = d->block_table_head_stride,
        .page_indices = d->max_page_indices,
        .flags = flags_of(d),
        .mask_kind = (cl_int)d->mask_kind,
        .page_size = d->page_size,
        .pages = d->pages,
        .batch = launches->batch,
        .q_heads = d->q_heads,
        .kv_heads = d->kv_heads,
        .head_dim = d->head_dim,
        .v_head_dim = d->v_head_dim,
        .q_len = launches->q_len,
        .kv_len = clattn_problem_has_keys(&plan->problem) ? launches->kv_len : 0,
        .q_offset = d->q_offset,
        .window_left = d->window_left,
        .window_right = d->window_right,
        .prefill_tiles = clattn_launches_prefill_tiles(launches),
        .decode_heads = clattn_launches_decode_heads(launches),
        .decode_max_rows = plan->decode_max_rows,
        .split_size = plan->split_size,
        .splits = launches->splits,
        .partial_rows = launches->decode_rows,
        .q_scale = q_scale_of(&plan->problem),
        .softcap = d->softcap,
    };
    set_offsets(&args, bindings);
    const int64_t states = (int64_t)launches->batch * d->kv_heads * launches->decode_rows * launches->splits;
    args.partial_offset = args.partial_state_offset + 2 * states;
    return args;
}

static clattn_status set_and_enqueue(const clattn_plan *plan, clattn_step_kind kind, const attention_args *args,
                                     const clattn_bindings *bindings, const size_t global[3], cl_command_queue queue,
                                     cl_uint num_wait, const cl_event *wait_list, cl_event *event)
{
    const clattn_step *step = &plan->steps[kind];
    const step_arguments *list = &arguments_of[kind];
    cl_kernel kernel = step->kernel->handle;
    cl_int code = clSetKernelArg(kernel, 0, sizeof(*args), args);
    for (int i = 0; i < list->count && code == CL_SUCCESS; i++)
        code = clSetKernelArg(kernel, (cl_uint)i + 1, sizeof(cl_mem), &bindings->memory[list->order[i]]);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clSetKernelArg", code);
    const size_t local[3] = { step->local_size, 1, 1 };
    code = clEnqueueNDRangeKernel(queue, kernel, 3, NULL, global, local, num_wait, wait_list, event);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clEnqueueNDRangeKernel", code);
}

clattn_status clattn_step_enqueue(const clattn_plan *plan, clattn_step_kind kind, const attention_args *args,
                                  const clattn_bindings *bindings, const size_t global[3], cl_command_queue queue,
                                  cl_uint num_wait, const cl_event *wait_list, cl_event *event)
{
    clattn_kernel *kernel = plan->steps[kind].kernel;
    pthread_mutex_lock(&kernel->lock);
    const clattn_status status = set_and_enqueue(plan, kind, args, bindings, global, queue, num_wait, wait_list, event);
    pthread_mutex_unlock(&kernel->lock);
    return status;
}
