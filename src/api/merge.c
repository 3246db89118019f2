/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>

#include "api/buffers.h"
#include "api/queue.h"
#include "plan/merge.h"
#include "plan/reach.h"
#include "util/range.h"
#include "util/status.h"

/* Keeps parts and tokens inside 32 bits with room for a group. */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

void clattn_merge_desc_init(clattn_merge_desc *desc)
{
    if (desc)
        *desc = CLATTN_MERGE_DESC();
}

void clattn_merge_args_init(clattn_merge_args *args)
{
    if (args)
        *args = CLATTN_MERGE_ARGS();
}

static clattn_status check_desc(const clattn_merge_desc *d)
{
    CLATTN_TRY(clattn_check_struct_size("desc", d->struct_size, sizeof(*d), "CLATTN_MERGE_DESC"));
    const clattn_range fields[] = {
        { "part_dtype", d->part_dtype, 0, CLATTN_FLOAT_DTYPE_COUNT - 1 },
        { "o_dtype", d->o_dtype, 0, CLATTN_FLOAT_DTYPE_COUNT - 1 },
        { "q_heads", d->q_heads, 1, CLATTN_MAX_DIM },
        { "v_head_dim", d->v_head_dim, 1, CLATTN_MAX_DIM },
        { "max_parts", d->max_parts, 0, CLATTN_MAX_COUNT },
        { "max_tokens", d->max_tokens, 0, CLATTN_MAX_COUNT },
        { "o_parts.part", d->o_parts.part, 0, INT64_MAX },
        { "o_parts.token", d->o_parts.token, 0, INT64_MAX },
        { "o_parts.head", d->o_parts.head, 0, INT64_MAX },
        { "lse_parts.part", d->lse_parts.part, 0, INT64_MAX },
        { "lse_parts.token", d->lse_parts.token, 0, INT64_MAX },
        { "lse_parts.head", d->lse_parts.head, 0, INT64_MAX },
        { "o.token", d->o.token, 0, INT64_MAX },
        { "o.head", d->o.head, 0, INT64_MAX },
        { "lse.token", d->lse.token, 0, INT64_MAX },
        { "lse.head", d->lse.head, 0, INT64_MAX },
    };
    return clattn_check_ranges(fields, LENGTH(fields));
}

clattn_status clattn_merge_plan_create(clattn_device *device, const clattn_merge_desc *desc, clattn_merge_plan **out)
{
    CLATTN_TRY(clattn_require_pointer("device", device));
    CLATTN_TRY(clattn_require_pointer("desc", desc));
    CLATTN_TRY(clattn_require_pointer("out", out));
    CLATTN_TRY(check_desc(desc));
    return clattn_merge_plan_build(device, desc, out);
}

void clattn_merge_plan_destroy(clattn_merge_plan **plan)
{
    if (!plan || !*plan)
        return;
    clattn_merge_plan_free(*plan);
    *plan = NULL;
}

/* Parts stand for a batch, so that they are a tensor like others. */
static int64_t parts_reach(const clattn_part_strides *s, const clattn_merge_call *call, int32_t heads, int32_t row)
{
    const clattn_strides strides = { s->part, s->token, s->head };
    return clattn_tensor_reach(&strides, call->parts, call->tokens, heads, row);
}

static int64_t rows_reach(const clattn_row_strides *s, const clattn_merge_call *call, int32_t heads, int32_t row)
{
    const clattn_strides strides = { 0, s->token, s->head };
    return clattn_tensor_reach(&strides, 1, call->tokens, heads, row);
}

/* The buffers' reach is known to fit, so nothing overflows here. */
static clattn_status check_rows(const char *name, const clattn_row_strides *s, const clattn_merge_call *call,
                                int32_t heads, int32_t row)
{
    const clattn_strides strides = { 0, s->token, s->head };
    if (clattn_tensor_overlaps(&strides, 1, call->tokens, heads, row))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s {token %" PRId64 ", head %" PRId64
                           "} lets rows overlap; every stride has to be at least what the smaller ones span",
                           name, s->token, s->head);
    return CLATTN_OK;
}

/* Both were checked, so their ranges are inside their cl_mem. */
static clattn_status check_apart(const clattn_buffer_need *output, const clattn_buffer_need *other)
{
    const size_t output_end = output->buffer->offset + (size_t)output->elements * output->element_size;
    const size_t other_end = other->buffer->offset + (size_t)other->elements * other->element_size;
    if (output->buffer->handle != other->buffer->handle || output->buffer->offset >= other_end ||
        other->buffer->offset >= output_end)
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT,
                       "%s has bytes %zu to %zu of its cl_mem, where %s has %zu to %zu; an output may not overlap",
                       output->name, output->buffer->offset, output_end, other->name, other->buffer->offset, other_end);
}

typedef struct bindings {
    clattn_buffer_need needs[CLATTN_MERGE_ARGUMENT_COUNT];
    bool is_needed[CLATTN_MERGE_ARGUMENT_COUNT];
} bindings;

static bindings list_buffers(const clattn_merge_call *call, const clattn_merge_desc *d, const clattn_merge_args *args)
{
    const int64_t o_parts = parts_reach(&d->o_parts, call, d->q_heads, d->v_head_dim);
    const int64_t lse_parts = parts_reach(&d->lse_parts, call, d->q_heads, 1);
    const int64_t o = rows_reach(&d->o, call, d->q_heads, d->v_head_dim);
    const int64_t lse = rows_reach(&d->lse, call, d->q_heads, 1);
    return (bindings){
        .needs = {
            [CLATTN_MERGE_O_PARTS] = clattn_tensor_need("o_parts", &args->o_parts, d->part_dtype, o_parts),
            [CLATTN_MERGE_LSE_PARTS] = clattn_array_need("lse_parts", &args->lse_parts, sizeof(float), lse_parts),
            [CLATTN_MERGE_O] = clattn_tensor_need("o", &args->o, d->o_dtype, o),
            [CLATTN_MERGE_LSE] = clattn_array_need("lse", &args->lse, sizeof(float), lse),
            [CLATTN_MERGE_SINKS] = clattn_array_need("sinks", &args->sinks, sizeof(float), d->q_heads),
        },
        .is_needed = {
            [CLATTN_MERGE_O_PARTS] = call->parts > 0,
            [CLATTN_MERGE_LSE_PARTS] = call->parts > 0,
            [CLATTN_MERGE_O] = true,
            [CLATTN_MERGE_LSE] = d->has_lse,
            [CLATTN_MERGE_SINKS] = d->has_sinks,
        },
    };
}

static clattn_status check_overlaps(const clattn_merge_call *call, const clattn_merge_desc *d, const bindings *b)
{
    CLATTN_TRY(check_rows("o", &d->o, call, d->q_heads, d->v_head_dim));
    if (d->has_lse)
        CLATTN_TRY(check_rows("lse", &d->lse, call, d->q_heads, 1));
    for (int i = 0; i < CLATTN_MERGE_ARGUMENT_COUNT; i++) {
        if (b->is_needed[i] && i != CLATTN_MERGE_O)
            CLATTN_TRY(check_apart(&b->needs[CLATTN_MERGE_O], &b->needs[i]));
        if (d->has_lse && b->is_needed[i] && i != CLATTN_MERGE_O && i != CLATTN_MERGE_LSE)
            CLATTN_TRY(check_apart(&b->needs[CLATTN_MERGE_LSE], &b->needs[i]));
    }
    return CLATTN_OK;
}

/* Checks and binds every buffer; `o` stands for those that the kernel will not touch. */
static clattn_status bind(clattn_merge_call *call, const clattn_merge_desc *d, const clattn_merge_args *args)
{
    const bindings b = list_buffers(call, d, args);
    for (int i = 0; i < CLATTN_MERGE_ARGUMENT_COUNT; i++) {
        if (b.is_needed[i])
            CLATTN_TRY(clattn_buffer_check(&b.needs[i]));
        call->memory[i] = (cl_mem)(b.is_needed[i] ? b.needs[i].buffer->handle : args->o.handle);
        call->offsets[i] = b.is_needed[i] ? clattn_buffer_offset(&b.needs[i]) : 0;
    }
    return check_overlaps(call, d, &b);
}

static clattn_status check_run(const clattn_merge_plan *plan, int32_t parts, int32_t tokens,
                               const clattn_merge_args *args, cl_command_queue queue)
{
    CLATTN_TRY(clattn_require_pointer("plan", plan));
    CLATTN_TRY(clattn_require_pointer("args", args));
    CLATTN_TRY(clattn_require_pointer("queue", queue));
    CLATTN_TRY(clattn_check_struct_size("args", args->struct_size, sizeof(*args), "CLATTN_MERGE_ARGS"));
    const clattn_range fields[] = { { "parts", parts, 0, plan->desc.max_parts },
                                    { "tokens", tokens, 0, plan->desc.max_tokens } };
    return clattn_check_ranges(fields, LENGTH(fields));
}

clattn_status clattn_merge_states(const clattn_merge_plan *plan, int32_t parts, int32_t tokens,
                                  const clattn_merge_args *args, cl_command_queue queue,
                                  cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
    CLATTN_TRY(check_run(plan, parts, tokens, args, queue));
    clattn_queue_use use;
    CLATTN_TRY(clattn_queue_use_init(&use, plan->device, queue, num_events_in_wait_list, event_wait_list));
    if (tokens == 0)
        return clattn_enqueue_nothing(&use, event);
    clattn_merge_call call = { .parts = parts, .tokens = tokens };
    CLATTN_TRY(bind(&call, &plan->desc, args));
    return clattn_merge_enqueue(plan, &call, queue, num_events_in_wait_list, event_wait_list, event);
}
