/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>

#include "api/buffers.h"
#include "api/chain.h"
#include "kv/append.h"
#include "plan/group_choice.h"
#include "plan/reach.h"
#include "util/range.h"
#include "util/status.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

void clattn_append_desc_init(clattn_append_desc *desc)
{
    if (desc)
        *desc = CLATTN_APPEND_DESC();
}

void clattn_append_args_init(clattn_append_args *args)
{
    if (args)
        *args = CLATTN_APPEND_ARGS();
}

/* The names of a plane's fields, in messages. */
typedef struct plane_names {
    const char *src_dtype, *dtype, *head_dim, *src_batch, *src_token, *src_head, *cache_page, *cache_token, *cache_head,
        *cache, *src, *scales;
} plane_names;

#define PLANE_NAMES(plane)                                                                                             \
    {                                                                                                                  \
        plane ".src_dtype", plane ".dtype", plane ".head_dim", plane ".src.batch", plane ".src.token",                 \
            plane ".src.head", plane ".cache.page", plane ".cache.token", plane ".cache.head", plane ".cache",         \
            plane ".src", plane ".scales"                                                                              \
    }

static const plane_names k_names = PLANE_NAMES("k"), v_names = PLANE_NAMES("v");

static int64_t row_blocks(const clattn_append_plane *plane)
{
    return clattn_row_blocks(plane->dtype, plane->head_dim);
}

static int64_t cache_reach(const clattn_append_desc *d, const clattn_append_plane *plane)
{
    return clattn_cache_reach(&plane->cache, d->pages, d->page_size, d->kv_heads, row_blocks(plane));
}

static bool cache_overlaps(const clattn_append_desc *d, const clattn_append_plane *plane)
{
    const clattn_strides strides = { plane->cache.page, plane->cache.token, plane->cache.head };
    return clattn_tensor_overlaps(&strides, d->pages, d->page_size, d->kv_heads, row_blocks(plane));
}

static clattn_status check_plane(const clattn_append_desc *d, const clattn_append_plane *plane,
                                 const plane_names *names)
{
    const clattn_range fields[] = {
        { names->head_dim, plane->head_dim, 0, CLATTN_MAX_DIM },
        { names->src_dtype, plane->src_dtype, 0, CLATTN_FLOAT_DTYPE_COUNT - 1 },
        { names->dtype, plane->dtype, 0, CLATTN_DTYPE_COUNT - 1 },
        { names->src_batch, plane->src.batch, 0, 0 },
        { names->src_token, plane->src.token, 0, INT64_MAX },
        { names->src_head, plane->src.head, 0, INT64_MAX },
        { names->cache_page, plane->cache.page, 0, INT64_MAX },
        { names->cache_token, plane->cache.token, 0, INT64_MAX },
        { names->cache_head, plane->cache.head, 0, INT64_MAX },
    };
    CLATTN_TRY(clattn_check_ranges(fields, LENGTH(fields)));
    CLATTN_TRY(clattn_check_blocks(names->head_dim, plane->head_dim, names->dtype, plane->dtype));
    if (plane->head_dim > 0 && cache_reach(d, plane) < 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s {page %" PRId64 ", token %" PRId64 ", head %" PRId64
                           "} goes past what 64 bits count; the last element's index has to be below 2^63",
                           names->cache, plane->cache.page, plane->cache.token, plane->cache.head);
    if (plane->head_dim > 0 && cache_overlaps(d, plane))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s {page %" PRId64 ", token %" PRId64 ", head %" PRId64
                           "} lets rows overlap; every stride has to be at least what the smaller ones span",
                           names->cache, plane->cache.page, plane->cache.token, plane->cache.head);
    return CLATTN_OK;
}

static clattn_status check_desc(const clattn_append_desc *d)
{
    CLATTN_TRY(clattn_check_struct_size("desc", d->struct_size, sizeof(*d), "CLATTN_APPEND_DESC"));
    const clattn_range fields[] = {
        { "page_size", d->page_size, 1, CLATTN_MAX_PAGE_SIZE },
        { "pages", d->pages, 0, CLATTN_MAX_COUNT },
        { "kv_heads", d->kv_heads, 1, CLATTN_MAX_DIM },
        { "max_tokens", d->max_tokens, 0, CLATTN_MAX_COUNT },
    };
    CLATTN_TRY(clattn_check_ranges(fields, LENGTH(fields)));
    CLATTN_TRY(check_plane(d, &d->k, &k_names));
    CLATTN_TRY(check_plane(d, &d->v, &v_names));
    if (d->k.head_dim == 0 && d->v.head_dim == 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "k.head_dim and v.head_dim are 0; one of them at least has to be 1 to %d", CLATTN_MAX_DIM);
    return CLATTN_OK;
}

clattn_status clattn_append_plan_create(clattn_device *device, const clattn_append_desc *desc, clattn_append_plan **out)
{
    CLATTN_TRY(clattn_require_pointer("device", device));
    CLATTN_TRY(clattn_require_pointer("desc", desc));
    CLATTN_TRY(clattn_require_pointer("out", out));
    CLATTN_TRY(check_desc(desc));
    const clattn_tile k = clattn_group_choice(device, CLATTN_ALGORITHM_APPEND, desc->k.src_dtype, desc->k.dtype);
    const clattn_tile v = clattn_group_choice(device, CLATTN_ALGORITHM_APPEND, desc->v.src_dtype, desc->v.dtype);
    return clattn_append_plan_build(device, desc, &k, &v, out);
}

void clattn_append_plan_destroy(clattn_append_plan **plan)
{
    if (!plan || !*plan)
        return;
    clattn_append_plan_free(*plan);
    *plan = NULL;
}

/* What the kernel does not read or write stands for `src`. */
static clattn_status bind_plane(const clattn_append_desc *d, const clattn_append_plane *plane, int32_t tokens,
                                const clattn_append_buffers *buffers, const plane_names *names,
                                clattn_append_plane_call *out)
{
    const clattn_buffer_need src =
        clattn_tensor_need(names->src, &buffers->src, plane->src_dtype,
                           clattn_tensor_reach(&plane->src, 1, tokens, d->kv_heads, plane->head_dim));
    const clattn_buffer_need cache =
        clattn_tensor_need(names->cache, &buffers->cache, plane->dtype, cache_reach(d, plane));
    const clattn_buffer_need scales = clattn_array_need(names->scales, &buffers->scales, sizeof(float), d->kv_heads);
    CLATTN_TRY(clattn_buffer_check(&src));
    *out = (clattn_append_plane_call){ .src = (cl_mem)buffers->src.handle,
                                       .cache = (cl_mem)buffers->src.handle,
                                       .scales = (cl_mem)buffers->src.handle,
                                       .src_offset = clattn_buffer_offset(&src) };
    if (d->pages > 0) {
        CLATTN_TRY(clattn_buffer_check(&cache));
        out->cache = (cl_mem)buffers->cache.handle;
        out->cache_offset = clattn_buffer_offset(&cache);
    }
    if (plane->dtype == CLATTN_FP8) {
        CLATTN_TRY(clattn_buffer_check(&scales));
        out->scales = (cl_mem)buffers->scales.handle;
        out->scales_offset = clattn_buffer_offset(&scales);
    }
    return CLATTN_OK;
}

static clattn_status bind(clattn_append_call *call, const clattn_append_desc *d, const clattn_append_args *args)
{
    const clattn_buffer_need slots =
        clattn_array_need("slot_mapping", &args->slot_mapping, sizeof(int64_t), call->tokens);
    const clattn_buffer_need record = clattn_record_need(&args->error_record);
    CLATTN_TRY(clattn_buffer_check(&slots));
    call->slots = call->error_record = (cl_mem)args->slot_mapping.handle;
    call->slots_offset = clattn_buffer_offset(&slots);
    int plane = 0;
    if (d->k.head_dim > 0)
        CLATTN_TRY(bind_plane(d, &d->k, call->tokens, &args->k, &k_names, &call->planes[plane++]));
    if (d->v.head_dim > 0)
        CLATTN_TRY(bind_plane(d, &d->v, call->tokens, &args->v, &v_names, &call->planes[plane++]));
    call->error_record_offset = -1;
    if (!args->error_record.handle)
        return CLATTN_OK;
    CLATTN_TRY(clattn_buffer_check(&record));
    call->error_record = (cl_mem)args->error_record.handle;
    call->error_record_offset = clattn_buffer_offset(&record);
    return CLATTN_OK;
}

static clattn_status check_run(const clattn_append_plan *plan, int32_t tokens, const clattn_append_args *args,
                               cl_command_queue queue)
{
    CLATTN_TRY(clattn_require_pointer("plan", plan));
    CLATTN_TRY(clattn_require_pointer("args", args));
    CLATTN_TRY(clattn_require_pointer("queue", queue));
    CLATTN_TRY(clattn_check_struct_size("args", args->struct_size, sizeof(*args), "CLATTN_APPEND_ARGS"));
    const clattn_range fields[] = { { "tokens", tokens, 0, plan->desc.max_tokens } };
    return clattn_check_ranges(fields, LENGTH(fields));
}

/* Values follow keys, so that the last event is of both. */
static clattn_status enqueue_launches(const clattn_append_plan *plan, const clattn_append_call *call,
                                      const clattn_queue_use *use, cl_event *event)
{
    const int launches = clattn_append_launches(plan);
    clattn_chain chain;
    clattn_status status = CLATTN_OK;
    clattn_chain_begin(&chain, use, launches, event != NULL);
    for (int launch = 0; launch < launches && status == CLATTN_OK; launch++) {
        status = clattn_append_enqueue(plan, launch, call, use->queue, chain.num_wait, chain.wait_list,
                                       clattn_chain_next(&chain));
        clattn_chain_advance(&chain);
    }
    return clattn_chain_end(&chain, status, event);
}

clattn_status clattn_append_run(const clattn_append_plan *plan, int32_t tokens, const clattn_append_args *args,
                                cl_command_queue queue, cl_uint num_events_in_wait_list,
                                const cl_event *event_wait_list, cl_event *event)
{
    CLATTN_TRY(check_run(plan, tokens, args, queue));
    clattn_queue_use use;
    CLATTN_TRY(clattn_queue_use_init(&use, plan->device, queue, num_events_in_wait_list, event_wait_list));
    if (tokens == 0)
        return clattn_enqueue_nothing(&use, event);
    clattn_append_call call = { .tokens = tokens };
    CLATTN_TRY(bind(&call, &plan->desc, args));
    return enqueue_launches(plan, &call, &use, event);
}
