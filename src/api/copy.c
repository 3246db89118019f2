/* SPDX-License-Identifier: BSD-2-Clause */
#include "kv/copy.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/chain.h"
#include "api/planes.h"
#include "util/range.h"
#include "util/status.h"

#define MAX_PLANES 65535

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

void clattn_copy_desc_init(clattn_copy_desc *desc)
{
    if (desc)
        *desc = CLATTN_COPY_DESC();
}

void clattn_copy_args_init(clattn_copy_args *args)
{
    if (args)
        *args = CLATTN_COPY_ARGS();
}

static clattn_status check_planes(const clattn_copy_desc *d)
{
    CLATTN_TRY(clattn_require_pointer("desc->planes", d->planes));
    for (int32_t i = 0; i < d->num_planes; i++) {
        const clattn_page_plane *plane = &d->planes[i];
        char bytes[40], stride[40];
        snprintf(bytes, sizeof(bytes), "planes[%" PRId32 "].page_bytes", i);
        snprintf(stride, sizeof(stride), "planes[%" PRId32 "].page_stride", i);
        const clattn_range fields[] = { { bytes, plane->page_bytes, 1, CLATTN_MAX_COUNT },
                                        { stride, plane->page_stride, 0, INT64_MAX } };
        CLATTN_TRY(clattn_check_ranges(fields, LENGTH(fields)));
        if (plane->page_stride != 0 && plane->page_stride < plane->page_bytes)
            return clattn_fail(CLATTN_INVALID_ARGUMENT,
                               "%s is %" PRId64 "; it has to be 0 or at least page_bytes, %" PRId64, stride,
                               plane->page_stride, plane->page_bytes);
    }
    return CLATTN_OK;
}

clattn_status clattn_copy_plan_create(clattn_device *device, const clattn_copy_desc *desc, clattn_copy_plan **out)
{
    CLATTN_TRY(clattn_require_pointer("device", device));
    CLATTN_TRY(clattn_require_pointer("desc", desc));
    CLATTN_TRY(clattn_require_pointer("out", out));
    CLATTN_TRY(clattn_check_struct_size("desc", desc->struct_size, sizeof(*desc), "CLATTN_COPY_DESC"));
    const clattn_range fields[] = { { "pages", desc->pages, 0, CLATTN_MAX_COUNT },
                                    { "num_planes", desc->num_planes, 1, MAX_PLANES } };
    CLATTN_TRY(clattn_check_ranges(fields, LENGTH(fields)));
    CLATTN_TRY(check_planes(desc));
    return clattn_copy_plan_build(device, desc, out);
}

void clattn_copy_plan_destroy(clattn_copy_plan **plan)
{
    if (!plan || !*plan)
        return;
    clattn_copy_plan_free(*plan);
    *plan = NULL;
}

size_t clattn_copy_page_bytes(const clattn_copy_plan *plan)
{
    return plan ? plan->page_bytes : 0;
}

static clattn_status check_run(const clattn_copy_plan *plan, int32_t num_pairs, const clattn_page_pair *pairs,
                               const clattn_copy_args *args, cl_command_queue queue)
{
    CLATTN_TRY(clattn_require_pointer("plan", plan));
    CLATTN_TRY(clattn_require_pointer("args", args));
    CLATTN_TRY(clattn_require_pointer("queue", queue));
    if (num_pairs != 0)
        CLATTN_TRY(clattn_require_pointer("pairs", pairs));
    CLATTN_TRY(clattn_check_struct_size("args", args->struct_size, sizeof(*args), "CLATTN_COPY_ARGS"));
    const clattn_range fields[] = { { "num_pairs", num_pairs, 0, CLATTN_MAX_COUNT } };
    CLATTN_TRY(clattn_check_ranges(fields, LENGTH(fields)));
    CLATTN_TRY(clattn_planes_check_count(plan, args->num_planes, args->planes));
    return clattn_page_pairs_check(plan->marks, num_pairs, pairs);
}

static void take_pairs(clattn_page_move *move, const clattn_page_pair *pairs, int32_t left)
{
    move->count = left < CLATTN_COPY_MAX_PAIRS ? left : CLATTN_COPY_MAX_PAIRS;
    for (int32_t i = 0; i < move->count; i++) {
        move->src_ids[i] = pairs[i].src;
        move->dst_ids[i] = pairs[i].dst;
    }
}

/* Every plane's pairs, 64 a launch. */
static clattn_status enqueue_pairs(const clattn_copy_plan *plan, int32_t num_pairs, const clattn_page_pair *pairs,
                                   const clattn_buffer *planes, const clattn_queue_use *use, cl_event *event)
{
    clattn_chain chain;
    clattn_status status = CLATTN_OK;
    clattn_chain_begin(&chain, use, clattn_planes_launches(plan, num_pairs), event != NULL);
    for (int32_t first = 0; first < num_pairs && status == CLATTN_OK; first += CLATTN_COPY_MAX_PAIRS) {
        clattn_page_move move;
        take_pairs(&move, pairs + first, num_pairs - first);
        for (int32_t i = 0; i < plan->num_planes && status == CLATTN_OK; i++) {
            move.src = move.dst = clattn_plane_array(plan, i, &planes[i]);
            move.bytes = plan->planes[i].page_bytes;
            status = clattn_copy_enqueue(plan, &move, use->queue, chain.num_wait, chain.wait_list,
                                         clattn_chain_next(&chain));
            clattn_chain_advance(&chain);
        }
    }
    return clattn_chain_end(&chain, status, event);
}

clattn_status clattn_copy_run(const clattn_copy_plan *plan, int32_t num_pairs, const clattn_page_pair *pairs,
                              const clattn_copy_args *args, cl_command_queue queue, cl_uint num_events_in_wait_list,
                              const cl_event *event_wait_list, cl_event *event)
{
    CLATTN_TRY(check_run(plan, num_pairs, pairs, args, queue));
    clattn_queue_use use;
    CLATTN_TRY(clattn_queue_use_init(&use, plan->device, queue, num_events_in_wait_list, event_wait_list));
    if (num_pairs == 0)
        return clattn_enqueue_nothing(&use, event);
    CLATTN_TRY(clattn_planes_check_buffers(plan, args->planes));
    return enqueue_pairs(plan, num_pairs, pairs, args->planes, &use, event);
}
