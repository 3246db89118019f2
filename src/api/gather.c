/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>

#include "api/buffers.h"
#include "api/queue.h"
#include "kv/gather.h"
#include "plan/group_choice.h"
#include "plan/reach.h"
#include "util/range.h"
#include "util/status.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

void clattn_gather_desc_init(clattn_gather_desc *desc)
{
    if (desc)
        *desc = CLATTN_GATHER_DESC();
}

void clattn_gather_args_init(clattn_gather_args *args)
{
    if (args)
        *args = CLATTN_GATHER_ARGS();
}

static clattn_status check_dtypes(const clattn_gather_desc *d)
{
    if (d->out_dtype != d->dtype && (int)d->out_dtype >= CLATTN_FLOAT_DTYPE_COUNT)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "out_dtype is %s; it has to be dtype, %s, or one of f32, f16 and bf16",
                           clattn_dtype_name(d->out_dtype), clattn_dtype_name(d->dtype));
    return clattn_check_blocks("head_dim", d->head_dim, "dtype", d->dtype);
}

static clattn_status check_desc(const clattn_gather_desc *d)
{
    CLATTN_TRY(clattn_check_struct_size("desc", d->struct_size, sizeof(*d), "CLATTN_GATHER_DESC"));
    const clattn_range fields[] = {
        { "dtype", d->dtype, 0, CLATTN_DTYPE_COUNT - 1 },
        { "out_dtype", d->out_dtype, 0, CLATTN_DTYPE_COUNT - 1 },
        { "page_size", d->page_size, 1, CLATTN_MAX_PAGE_SIZE },
        { "pages", d->pages, 0, CLATTN_MAX_COUNT },
        { "kv_heads", d->kv_heads, 1, CLATTN_MAX_DIM },
        { "head_dim", d->head_dim, 1, CLATTN_MAX_DIM },
        { "max_batch", d->max_batch, 0, CLATTN_MAX_COUNT },
        { "max_pages", d->max_pages, 0, CLATTN_MAX_COUNT },
        { "cache.page", d->cache.page, 0, INT64_MAX },
        { "cache.token", d->cache.token, 0, INT64_MAX },
        { "cache.head", d->cache.head, 0, INT64_MAX },
        { "out.batch", d->out.batch, 0, INT64_MAX },
        { "out.token", d->out.token, 0, INT64_MAX },
        { "out.head", d->out.head, 0, INT64_MAX },
    };
    CLATTN_TRY(clattn_check_ranges(fields, LENGTH(fields)));
    CLATTN_TRY(check_dtypes(d));
    if (d->block_table_stride != 0 && d->block_table_stride < d->max_pages)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "block_table_stride is %" PRId64 "; it has to be 0 or at least max_pages, %" PRId32,
                           d->block_table_stride, d->max_pages);
    return CLATTN_OK;
}

clattn_status clattn_gather_plan_create(clattn_device *device, const clattn_gather_desc *desc, clattn_gather_plan **out)
{
    CLATTN_TRY(clattn_require_pointer("device", device));
    CLATTN_TRY(clattn_require_pointer("desc", desc));
    CLATTN_TRY(clattn_require_pointer("out", out));
    CLATTN_TRY(check_desc(desc));
    const clattn_tile tile = clattn_group_choice(device, CLATTN_ALGORITHM_GATHER, desc->dtype, desc->out_dtype);
    return clattn_gather_plan_build(device, desc, &tile, out);
}

void clattn_gather_plan_destroy(clattn_gather_plan **plan)
{
    if (!plan || !*plan)
        return;
    clattn_gather_plan_free(*plan);
    *plan = NULL;
}

static int64_t cache_reach(const clattn_gather_desc *d)
{
    return clattn_cache_reach(&d->cache, d->pages, d->page_size, d->kv_heads, clattn_row_blocks(d->dtype, d->head_dim));
}

static int64_t block_table_reach(const clattn_gather_desc *d, int32_t batch)
{
    const clattn_dimension rows = { batch, d->block_table_stride };
    return clattn_reach(&rows, 1, d->max_pages);
}

/* Checks and binds every buffer; those that the kernel will not read stand for `out`. */
static clattn_status bind(clattn_gather_call *call, const clattn_gather_desc *d, const clattn_gather_args *args)
{
    const int64_t out_row = clattn_row_blocks(d->out_dtype, d->head_dim);
    const clattn_buffer_need needs[CLATTN_GATHER_ARGUMENT_COUNT] = {
        [CLATTN_GATHER_CACHE] = clattn_tensor_need("cache", &args->cache, d->dtype, cache_reach(d)),
        [CLATTN_GATHER_BLOCK_TABLE] =
            clattn_array_need("block_table", &args->block_table, sizeof(int32_t), block_table_reach(d, call->batch)),
        [CLATTN_GATHER_KV_LENS] = clattn_array_need("kv_lens", &args->kv_lens, sizeof(int32_t), call->batch),
        [CLATTN_GATHER_OUT] =
            clattn_tensor_need("out", &args->out, d->out_dtype,
                               clattn_tensor_reach(&d->out, call->batch, call->out_len, d->kv_heads, out_row)),
        [CLATTN_GATHER_SCALES] = clattn_array_need("scales", &args->scales, sizeof(float), d->kv_heads),
        [CLATTN_GATHER_ERROR_RECORD] = clattn_record_need(&args->error_record),
    };
    const bool is_needed[CLATTN_GATHER_ARGUMENT_COUNT] = {
        [CLATTN_GATHER_CACHE] = d->pages > 0 && d->max_pages > 0,
        [CLATTN_GATHER_BLOCK_TABLE] = d->max_pages > 0,
        [CLATTN_GATHER_KV_LENS] = true,
        [CLATTN_GATHER_SCALES] = d->dtype == CLATTN_FP8 && d->out_dtype != CLATTN_FP8,
        [CLATTN_GATHER_OUT] = true,
        [CLATTN_GATHER_ERROR_RECORD] = call->has_error_record,
    };
    for (int i = 0; i < CLATTN_GATHER_ARGUMENT_COUNT; i++) {
        if (is_needed[i])
            CLATTN_TRY(clattn_buffer_check(&needs[i]));
        call->memory[i] = (cl_mem)(is_needed[i] ? needs[i].buffer->handle : args->out.handle);
        call->offsets[i] = is_needed[i] ? clattn_buffer_offset(&needs[i]) : 0;
    }
    if (clattn_tensor_overlaps(&d->out, call->batch, call->out_len, d->kv_heads, out_row))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "out {batch %" PRId64 ", token %" PRId64 ", head %" PRId64
                           "} lets rows overlap; every stride has to be at least what the smaller ones span",
                           d->out.batch, d->out.token, d->out.head);
    return CLATTN_OK;
}

static clattn_status check_run(const clattn_gather_plan *plan, int32_t batch, int32_t out_len,
                               const clattn_gather_args *args, cl_command_queue queue)
{
    CLATTN_TRY(clattn_require_pointer("plan", plan));
    CLATTN_TRY(clattn_require_pointer("args", args));
    CLATTN_TRY(clattn_require_pointer("queue", queue));
    CLATTN_TRY(clattn_check_struct_size("args", args->struct_size, sizeof(*args), "CLATTN_GATHER_ARGS"));
    const clattn_range fields[] = { { "batch", batch, 0, plan->desc.max_batch },
                                    { "out_len", out_len, 0, CLATTN_MAX_COUNT } };
    return clattn_check_ranges(fields, LENGTH(fields));
}

clattn_status clattn_gather_run(const clattn_gather_plan *plan, int32_t batch, int32_t out_len,
                                const clattn_gather_args *args, cl_command_queue queue, cl_uint num_events_in_wait_list,
                                const cl_event *event_wait_list, cl_event *event)
{
    CLATTN_TRY(check_run(plan, batch, out_len, args, queue));
    clattn_queue_use use;
    CLATTN_TRY(clattn_queue_use_init(&use, plan->device, queue, num_events_in_wait_list, event_wait_list));
    if (batch == 0 || out_len == 0)
        return clattn_enqueue_nothing(&use, event);
    clattn_gather_call call = { .batch = batch, .out_len = out_len, .has_error_record = args->error_record.handle };
    CLATTN_TRY(bind(&call, &plan->desc, args));
    return clattn_gather_enqueue(plan, &call, queue, num_events_in_wait_list, event_wait_list, event);
}
